"""The runtime: a package compiled once, then called with values and answered with values.

Two kinds of entry. `readings` takes many readings in one crossing, because a crossing costs more than a reading; each
has a meter of its own, and when one fails they are run in smaller parts, down to one, with the same outcomes. `call`
runs one function with the host's functions behind it. The interpreter (starlark-pyo3, its version pinned by the
protocol) never decides a code: it stops because a helper asked, or the code is `contract-failed`.

Place in a record's life: inside `apply`. Source: design section 5, ADR 15, 28.
"""

import json
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, Final, NamedTuple, Protocol, TypeAlias

import starlark

from drystone.contracts.package import Package, decode_package
from drystone.contracts.prelude import PRELUDE
from drystone.contracts.splice import entry_costs, splice
from drystone.contracts.usage import context_names
from drystone.errors import ContractFailed, ContractRefused, ContractSize, ContractSteps, Refused
from drystone.limits import (
    CALL_CELLS_MAX,
    CONTRACTS_LOADED_MAX,
    READING_CELLS_MAX,
    READINGS_CROSSING_MAX,
)

CALL_STACK_MAX: Final = 200
FEWER: Final = 16
"""Readings that cross at once where one of more has failed: none is run more than three times for another's fault."""
TICKS_MAX: Final = 100_000
"""The interpreter's own count of thousand steps: an alarm far above what any meter allows."""

_ENTRIES: Final = """
def entry_readings(text, limit, cells, reads):
    shown, items = json.decode(text)
    gateway, height, time_ms = shown
    out = []
    used = []
    told = {}
    for NAMES in items:
        m = [limit, cells]
        ctx = {CONTEXT}
        record = [
            {"exponent": exponent, "name": name, "time_ms": at, "unit": unit, "value": value}
            for name, unit, value, exponent, at in measurements
        ]
        result = READING(_t(m, COST), ctx, old, record)
        if type(result) == "string":
            out.append("null")
            told[str(len(used))] = result
        else:
            out.append(json.encode(_kept(m, result[0])))
            events = result[1]
            if events:
                told[str(len(used))] = _events(m, events)
            elif type(events) not in _EMPTY:
                _host_stop("contract-failed")
        used.append(limit - m[0])
        used.append(cells - m[1])
    out.append(json.encode([used, told]))
    return "\\n".join(out)
"""
_READS_ENTRY: Final = """
load("entries.star", "entry_readings")
SHOWN = json.decode(TEXT)
def entry_shown(text, limit, cells):
    return entry_readings(text, limit, cells, SHOWN)
"""
_CALL_ENTRY: Final = """
def entry_call_NAME(text, limit, cells):
    m = [limit, cells]
    ctx, args = json.decode(text)
    value = NAME(_t(m, COST), ctx = ctx, **args)
    if value != None:
        _walk_8(m, value)
    return json.encode([value, limit - m[0], cells - m[1]])
"""


_new = tuple.__new__  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
"""A NamedTuple's own constructor costs three times as much; used where every reading passes."""


class Host(Protocol):
    """What a running call may ask for; keys and codes are the contract's own, texts are JSON."""

    def get(self, key: str) -> str | None:
        """Return the value under `key` as JSON, or None."""
        ...

    def put(self, key: str, text: str) -> None:
        """Set the value under `key`."""
        ...

    def delete(self, key: str) -> None:
        """Remove `key`."""
        ...

    def scan(self, prefix: str, limit: int) -> str:
        """Return a JSON list of [key, value] under `prefix`, sorted, at most `limit`."""
        ...

    def emit(self, name: str, text: str) -> None:
        """Emit an event."""
        ...

    def call(self, contract: str, function: str, text: str, limit: int) -> str:
        """Call an exported function of another contract; return JSON of [value, steps]."""
        ...


class ReadingDone(NamedTuple):
    """What a handler decided: the value to keep (None: as it was), its events as (name, data), what it used.

    `text` is JSON of the value.
    """

    value: Any
    events: tuple[tuple[str, Any], ...]
    steps: int
    cells: int
    text: str


class ReadingRefused(NamedTuple):
    """Why a handler did not take a reading."""

    error: Refused
    steps: int


class CallDone(NamedTuple):
    """What a call returned, and what it used: steps, and cells (characters and items of the values it made)."""

    value: Any
    steps: int
    cells: int


Reading: TypeAlias = str
"""One reading as it crosses, a JSON list: the measurements (each a list: name, unit, value, exponent, time_ms), the
device's own value, then of `OWN` those that the handler asks for (`Program.names`). The names are put to it inside,
where a name costs nothing."""

OWN: Final = ("iss", "sub", "attested", "epoch", "seq", "placed", "register", "record")
"""What the context says of one reading, in the order of crossing; the rest is of the crossing."""


class Shown(NamedTuple):
    """What every reading of a crossing is shown: who sealed it, the block, and JSON of the declared values."""

    gateway: str
    height: int
    time_ms: int
    reads: str


class _Doors:
    """What a module's own text may call on this side. It knows no module: a circle through one is never let go."""

    def __init__(self, name: str) -> None:
        self._name = name
        self.host: Host | None = None
        self.stopped: Refused | None = None
        """What stopped the crossing in hand, when one of us did."""

    def asker(self, word: str) -> Callable[..., Any]:
        """Return the host's function `word`, as the module calls it."""

        def ask(*args: Any) -> Any:
            try:
                return getattr(self.host, word)(*args)
            except Refused as error:
                self.stopped = error
                raise

        return ask

    def fail(self, code: str) -> None:
        """Refuse with the contract's own code."""
        self.stopped = ContractRefused.of(self._name, code)
        raise self.stopped

    def stop(self, code: str) -> None:
        """Stop at a bound or a failure that a helper found."""
        kinds = {"contract-steps": ContractSteps, "contract-size": ContractSize}
        self.stopped = kinds.get(code, ContractFailed)(f"{self._name} was stopped")
        raise self.stopped


class Program:
    """A compiled package. Not safe for two threads: one executor runs one block."""

    def __init__(self, package: Package) -> None:
        self.package = package
        self._name = package.manifest.name
        reading = package.manifest.reading
        asked = () if reading is None else context_names(package.checked, reading.function)
        self.names = tuple(name for name in OWN if name in asked)
        """What of `OWN` a reading brings with it, because the handler asks for it."""
        self._context = asked
        self._doors = _Doors(self._name)
        self._ticks = 0
        self._module: starlark.FrozenModule = self._compile()
        self._reads: tuple[str, starlark.FrozenModule] | None = None

    def _compile(self) -> starlark.FrozenModule:
        manifest = self.package.manifest
        costs = entry_costs(self.package.checked)
        entries = ""
        if manifest.reading is not None:
            name = manifest.reading.function
            entries += _reading_entry(name, costs[name], names=self.names, context=self._context)
        for name in [*manifest.calls, *([manifest.migrate] if manifest.migrate else [])]:
            entries += _CALL_ENTRY.replace("NAME", name).replace("COST", str(costs[name]))
        module = starlark.Module()
        for word in ("get", "put", "delete", "scan", "emit", "call"):
            module.add_callable(f"_host_{word}", self._doors.asker(word))
        module.add_callable("_host_fail", self._doors.fail)
        module.add_callable("_host_stop", self._doors.stop)
        json_library = starlark.Globals.extended_by([starlark.LibraryExtension.Json])
        dialect = starlark.Dialect.standard()
        metered = splice(self.package.source, self.package.checked)
        try:
            for name, text in (
                ("prelude.star", PRELUDE),
                (f"{self._name}.star", metered),
                ("entries.star", entries),
            ):
                starlark.eval(module, starlark.parse(name, text, dialect), json_library)
        except starlark.StarlarkError as error:
            raise ContractFailed(_place_of(error)) from error
        return module.freeze()

    def _showing(self, reads: str) -> starlark.FrozenModule:
        """Return an entry for readings that are shown `reads`: frozen, so none can change what the next one sees."""
        if self._reads is None or self._reads[0] != reads:
            module = starlark.Module()
            module["TEXT"] = reads
            library = starlark.Globals.extended_by([starlark.LibraryExtension.Json])
            loader = starlark.FileLoader(lambda _name: self._module)
            entry = starlark.parse("reads.star", _READS_ENTRY, starlark.Dialect.standard())
            starlark.eval(module, entry, library, loader)
            self._reads = (reads, module.freeze())
        return self._reads[1]

    def _cross(
        self, module: starlark.FrozenModule, entry: str, text: str, limit: int, cells: int
    ) -> str:
        """Run one entry; raise what stopped it, as ours."""
        self._doors.stopped = None
        self._ticks = 0
        options = starlark.EvalOptions(
            check_cancelled=self._tick, max_callstack_size=CALL_STACK_MAX
        )
        try:
            return module.call_with(options, entry, text, limit, cells).value
        except starlark.StarlarkError as error:
            stopped, self._doors.stopped = self._doors.stopped, None
            if stopped is not None:
                raise stopped from error
            raise ContractFailed(_place_of(error)) from error

    def _tick(self) -> bool:
        self._ticks += 1
        return self._ticks > TICKS_MAX

    def readings(
        self, items: Sequence[Reading], shown: Shown
    ) -> list[ReadingDone | ReadingRefused]:
        """Run the reading handler over `items`; no two of them may share a value. Outcomes in order."""
        done: list[ReadingDone | ReadingRefused] = []
        for start in range(0, len(items), READINGS_CROSSING_MAX):
            done += self._tried(items[start : start + READINGS_CROSSING_MAX], shown)
        return done

    def _tried(self, items: Sequence[Reading], shown: Shown) -> list[ReadingDone | ReadingRefused]:
        """Let `items` cross at once; where one of them fails, and with it the crossing, fewer at a time."""
        try:
            return self._reading_results(items, shown)
        except Refused as error:
            if len(items) == 1:
                return [ReadingRefused(error, 0)]
        size = FEWER if len(items) > FEWER else 1
        done: list[ReadingDone | ReadingRefused] = []
        for start in range(0, len(items), size):
            done += self._tried(items[start : start + size], shown)
        return done

    def _reading_results(
        self, items: Sequence[Reading], shown: Shown
    ) -> list[ReadingDone | ReadingRefused]:
        spec = self.package.manifest.reading
        if spec is None:
            raise ContractFailed(f"{self._name} handles no readings")
        module = self._showing(shown.reads)
        text = f"[{json.dumps(shown[:3])},[{','.join(items)}]]"
        lines = self._cross(module, "entry_shown", text, spec.limit, READING_CELLS_MAX).split("\n")
        found: list[Any] = json.loads(f"[{','.join(lines)}]")
        used, told = found.pop()
        if not told:
            lines.pop()
            return [
                _new(ReadingDone, (value, (), steps, cells, text))
                for value, steps, cells, text in zip(
                    found, used[::2], used[1::2], lines, strict=True
                )
            ]
        out: list[ReadingDone | ReadingRefused] = []
        for at, value in enumerate(found):
            steps, cells = used[2 * at : 2 * at + 2]
            events = told.get(str(2 * at), ())
            if isinstance(events, str):
                out.append(ReadingRefused(ContractRefused.of(self._name, events), steps))
            else:
                pairs = tuple([(name, data) for name, data in events])
                out.append(ReadingDone(value, pairs, steps, cells, lines[at]))
        return out

    def call(
        self, function: str, *, ctx: dict[str, Any], args: dict[str, Any], limit: int, host: Host
    ) -> CallDone:
        """Run one function of the manifest (or `migrate`) for at most `limit` steps.

        Checks neither roles nor argument types: `ledger/` has. Raises ContractRefused (the contract's own code),
        ContractFailed, ContractSteps, ContractSize, and what the host raised.
        """
        before, self._doors.host = self._doors.host, host
        try:
            found = self._cross(
                self._module,
                f"entry_call_{function}",
                json.dumps([ctx, args]),
                limit,
                CALL_CELLS_MAX,
            )
        finally:
            self._doors.host = before
        return CallDone(*json.loads(found))


@lru_cache(maxsize=CONTRACTS_LOADED_MAX)
def load(data: bytes) -> Program:
    """Return the program of a package's canonical bytes, compiled once. Raises as `decode_package`."""
    return Program(decode_package(data))


def _reading_entry(
    function: str, cost: int, *, names: Sequence[str], context: Sequence[str]
) -> str:
    """Return the entry of a reading's handler: only what it asks for is taken apart and put into its context."""
    pairs = ", ".join(f'"{name}": {name}' for name in context)
    return (
        _ENTRIES.replace("NAMES", ", ".join(["measurements", "old", *names]))
        .replace("CONTEXT", pairs)
        .replace("READING", function)
        .replace("COST", str(cost))
    )


def _place_of(error: Exception) -> str:
    """Return file and line of an interpreter's error, for people; never part of an outcome."""
    lines = [line.strip() for line in str(error).splitlines() if "-->" in line or "error:" in line]
    return " ".join(lines)[:300]
