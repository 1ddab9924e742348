"""Watching contracts run: what each function used, what it wrote, and where in its text it stopped.

Lives here: a stand-in for a compiled program that hands every call through to the real one and takes notes. The
ledger's outcomes keep codes only (two interpreters may word an error differently); an author needs the line.
May not: change a value, a step or a code.

Place in a contract's life: its tests. Source: design section 5, ADR 15.
"""

import json
import re
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from typing import Any, Final, NamedTuple, cast

from drystone.contracts.package import Package
from drystone.contracts.runtime import (
    CallDone,
    Host,
    Program,
    Reading,
    ReadingDone,
    ReadingRefused,
    Shown,
    load,
)
from drystone.errors import ContractFailed, Refused
from drystone.formats import cbor
from drystone.ledger import deployment

_FRAME: Final = re.compile(r"^  \* (\S+\.star):(\d+), in (\w+)$", re.MULTILINE)
_PLACE: Final = re.compile(r"--> (\S+\.star):(\d+)")
_ERROR: Final = re.compile(r"^error: (.*)$", re.MULTILINE)
_OPERATION: Final = re.compile(r"^Operation `([^`]+)` not supported for types (.*)$", re.MULTILINE)
_OURS: Final = frozenset({"entries.star", "prelude.star"})
"""Texts around a contract's own; an author cannot change what stands there."""
SYMBOLS: Final = {
    "_add": "+", "_sub": "-", "_mul": "*", "_fdiv": "//", "_mod": "%", "_shl": "<<", "_shr": ">>", "_and": "&",
    "_or": "|", "_xor": "^", "_eq": "==", "_ne": "!=", "_lt": "<", "_le": "<=", "_gt": ">", "_ge": ">=", "_in": "in",
    "_not_in": "not in",
}  # fmt: skip


class Frame(NamedTuple):
    """One function that was running: its contract, line in the contract's source, name."""

    contract: str
    line: int
    function: str


class Trace(NamedTuple):
    """Where and why a contract stopped; the outermost frame first."""

    frames: tuple[Frame, ...]
    message: str


class Write(NamedTuple):
    """One value that a call set, or deleted (`new` None), before it ended."""

    path: str
    old: Any
    new: Any


class Use(NamedTuple):
    """One run of a contract's function; `error` and `trace` when it did not succeed.

    `cells` are characters and items of the values it made, `kept_bytes` what it wrote to the state.
    """

    contract: str
    function: str
    steps: int
    cells: int
    kept_bytes: int = 0
    writes: tuple[Write, ...] = ()
    error: Refused | None = None
    trace: Trace | None = None


class Watcher:
    """Notes of every contract that ran while it was `installed`; `uses` in the order in which they ended."""

    def __init__(self) -> None:
        self.uses: list[Use] = []

    @contextmanager
    def installed(self) -> Generator["Watcher"]:
        """Watch every program that the ledger loads from here on, until the block ends."""
        before = deployment.load
        deployment.load = cast("Any", self._load)
        try:
            yield self
        finally:
            deployment.load = before

    def _load(self, data: bytes) -> "WatchedProgram":
        return WatchedProgram(load(data), self.uses.append)


class WatchedProgram:
    """The same three doors as `Program`, with a note of what went through."""

    def __init__(self, program: Program, note: Callable[[Use], None]) -> None:
        self._program = program
        self._note = note

    @property
    def package(self) -> Package:
        """The package that was compiled."""
        return self._program.package

    @property
    def names(self) -> tuple[str, ...]:
        """What a reading brings with it. As `Program.names`."""
        return self._program.names

    def readings(
        self, items: Sequence[Reading], shown: Shown
    ) -> list[ReadingDone | ReadingRefused]:
        """Run the reading handler. As `Program.readings`."""
        manifest = self.package.manifest
        function = manifest.reading.function if manifest.reading is not None else ""
        done = self._program.readings(items, shown)
        for result in done:
            use = Use(manifest.name, function, result.steps, 0)
            if isinstance(result, ReadingRefused):
                use = use._replace(error=result.error, trace=read_trace(result.error))
            else:
                kept = 0 if result.value is None else len(cbor.encode(result.value))
                use = use._replace(cells=result.cells, kept_bytes=kept)
            self._note(use)
        return done

    def call(
        self, function: str, *, ctx: dict[str, Any], args: dict[str, Any], limit: int, host: Host
    ) -> CallDone:
        """Run one function. As `Program.call`."""
        seen = _SeenHost(host)
        use = Use(self.package.manifest.name, function, 0, 0)
        try:
            done = self._program.call(function, ctx=ctx, args=args, limit=limit, host=seen)
        except Refused as error:
            trace = _joined(read_trace(error), seen.inner)
            self._note(use._replace(error=error, trace=trace, writes=tuple(seen.writes)))
            raise
        used = use._replace(steps=done.steps, cells=done.cells, kept_bytes=seen.kept_bytes)
        self._note(used._replace(writes=tuple(seen.writes)))
        return done


class _SeenHost:
    """A host that remembers what was written, and where a contract that it called stopped."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self.writes: list[Write] = []
        self.kept_bytes = 0
        self.inner: Trace | None = None

    def get(self, key: str) -> str | None:
        return self._host.get(key)

    def put(self, key: str, text: str) -> None:
        old = self._host.get(key)
        self._host.put(key, text)
        new = json.loads(text)
        self.kept_bytes += len(cbor.encode(new))
        self.writes.append(Write(key, _value(old), new))

    def delete(self, key: str) -> None:
        old = self._host.get(key)
        self._host.delete(key)
        self.writes.append(Write(key, _value(old), None))

    def scan(self, prefix: str, limit: int) -> str:
        return self._host.scan(prefix, limit)

    def emit(self, name: str, text: str) -> None:
        self._host.emit(name, text)

    def call(self, contract: str, function: str, text: str, limit: int) -> str:
        try:
            return self._host.call(contract, function, text, limit)
        except Refused as error:
            self.inner = read_trace(error)
            raise


def _joined(outer: Trace | None, inner: Trace | None) -> Trace | None:
    """Return one trace of a contract and of the one that it called when it stopped."""
    if outer is None or inner is None:
        return outer or inner
    return Trace((*outer.frames, *inner.frames), inner.message)


def _value(text: str | None) -> Any:
    return None if text is None else json.loads(text)


def read_trace(error: Refused) -> Trace | None:
    """Return where a contract stopped, read from the interpreter's own account; None when no contract ran."""
    cause = error.__cause__
    if cause is None:
        return None
    text = str(cause)
    frames = [Frame(file, int(line), name) for file, line, name in _FRAME.findall(text)]
    message = str(error)
    place = _PLACE.search(text)
    found = _ERROR.search(text)
    if isinstance(error, ContractFailed) and found is not None:
        message = _reason(frames, found[1])
    own = _own_frames(frames, text, place)
    return Trace(tuple(own), message)


def _own_frames(frames: list[Frame], text: str, place: re.Match[str] | None) -> list[Frame]:
    """Leave the helpers out; the last frame's line is where the error points, when it points into the contract."""
    own = [
        frame._replace(contract=frame.contract.removesuffix(".star"))
        for frame in frames
        if frame.contract not in _OURS
    ]
    if place is None or place[1] in _OURS:
        return own
    function = _called_last(text)
    return [*own, Frame(place[1].removesuffix(".star"), int(place[2]), function)]


def _called_last(text: str) -> str:
    """Return the function in whose body the error lies: the one that the last frame's line calls."""
    before = text.partition("error:")[0]
    calls = re.findall(r"(\w+)\(_t\(_?m,", before)
    return calls[-1] if calls else ""


def _reason(frames: list[Frame], said: str) -> str:
    """Word a failure for the author: the interpreter's sentence, or which operation a helper refused."""
    plain = _OPERATION.search(said)
    if plain is not None:
        what = "a comparison" if plain[1] == "cmp()" else f"`{plain[1]}`"
        return f"{what} does not go with values of these kinds: {plain[2]}"
    if not said.startswith("ContractFailed:"):
        return said
    helpers = [frame.function for frame in frames if frame.contract == "prelude.star"]
    if helpers and helpers[0] in SYMBOLS:
        return f"`{SYMBOLS[helpers[0]]}` does not go with values of these kinds"
    if helpers and helpers[0] in ("_kept", "_events", "_walk_8"):
        return "what is returned or kept holds whole numbers, text, booleans, lists and maps only"
    if helpers:
        word = re.sub(r"^_[bhx]_|^_", "", helpers[0])
        return f"{word}() does not take these values"
    return said
