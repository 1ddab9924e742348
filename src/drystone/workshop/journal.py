"""What happened on a test's chain, kept so that a failing test can tell it: acts, state differences, contract traces.

Lives here: the values and their words. May not: run anything. A report shows what was done, by whom, the code of the
ledger, what it cost, what changed, and for a refusal where the contract stopped, with the line of its source.
"""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple, cast

from drystone.contracts.rules import Event
from drystone.errors import Refused
from drystone.formats import cbor
from drystone.ledger import keyspace
from drystone.ledger.change import ACCEPTED, Outcome
from drystone.workshop.watch import Trace, Use

ACTS_SHOWN: Final = 6
VALUE_SHOWN: Final = 160


class Changed(NamedTuple):
    """One value of a contract, before and after; None: it is not there."""

    contract: str
    path: str
    old: Any
    new: Any


class Act(NamedTuple):
    """One record on the chain and what became of it; `dropped` is what a failed call had written by then."""

    title: str
    height: int
    outcome: Outcome
    changes: tuple[Changed, ...] = ()
    dropped: tuple[Changed, ...] = ()
    error: Refused | None = None
    trace: Trace | None = None


def state_changes(
    before: dict[bytes, bytes | None], writes: dict[bytes, bytes | None]
) -> tuple[Changed, ...]:
    """Return what `writes` change among the values that contracts keep."""
    found: list[Changed] = []
    for key, new in writes.items():
        if keyspace.space_of(key) == keyspace.CONTRACT_DATA:
            contract, _ = cbor.decode_prefix(key, 1)
            found.append(
                Changed(str(contract), keyspace.data_path(key), plain(before[key]), plain(new))
            )
    return tuple(found)


def plain(value: bytes | None) -> Any:
    """Return a state value as contracts see it; None where there is none."""
    return None if value is None else cbor.decode(value)


def dropped_writes(use: Use) -> tuple[Changed, ...]:
    """Return what a failed call had written before it stopped, each path once."""
    last: dict[str, Changed] = {}
    for write in use.writes:
        old = last[write.path].old if write.path in last else write.old
        last[write.path] = Changed(use.contract, write.path, old, write.new)
    return tuple(last.values())


def tell(acts: Sequence[Act], sources: dict[str, Path]) -> str:
    """Tell the last acts, the newest at the end; `sources` names each contract's file on disk."""
    shown = acts[-ACTS_SHOWN:]
    parts = [f"... {len(acts) - len(shown)} before"] if len(acts) > len(shown) else []
    return "\n".join([*parts, *(tell_act(act, sources) for act in shown)])


def tell_act(act: Act, sources: dict[str, Path]) -> str:
    """Tell one act."""
    outcome = act.outcome
    cost = f", {outcome.steps} steps" if outcome.steps else ""
    lines = [f"[{act.height}] {act.title}: {outcome.code}{cost}"]
    if act.error is not None and act.trace is None:
        lines.append(f"      {act.error}")
    if act.trace is not None:
        lines += _trace_lines(act.trace, sources)
    lines += [f"      event {_event(event)}" for event in outcome.events]
    lines += [f"      {_difference(change)}" for change in act.changes]
    if act.dropped:
        lines.append("      written until then, and dropped:")
        lines += [f"        {_difference(change)}" for change in act.dropped]
    elif outcome.code != ACCEPTED and not act.changes:
        lines.append("      no state was changed")
    return "\n".join(lines)


def _trace_lines(trace: Trace, sources: dict[str, Path]) -> Iterable[str]:
    yield "      contract traceback (most recent call last):"
    for frame in trace.frames:
        path = sources.get(frame.contract)
        file = str(path) if path is not None else f"{frame.contract}.star"
        inside = f", in {frame.function}" if frame.function else ""
        yield f"        {file}:{frame.line}{inside}"
        text = _line_of(path, frame.line)
        if text:
            yield f"            {text}"
    yield f"      {trace.message}"


def _line_of(path: Path | None, line: int) -> str:
    if path is None or not path.is_file():
        return ""
    lines = path.read_text(encoding="utf-8").splitlines()
    return lines[line - 1].strip() if 0 < line <= len(lines) else ""


def _event(event: Event) -> str:
    return f"{event.contract}.{event.name} {_short(event.data)}"


def _difference(change: Changed) -> str:
    where = change.path if not change.contract else f"{change.contract}: {change.path}"
    old, new = change.old, change.new
    if not isinstance(old, dict) or not isinstance(new, dict):
        return f"{where}: {_short(old)} -> {_short(new)}"
    before, after = cast("dict[str, Any]", old), cast("dict[str, Any]", new)
    parts = [
        f"{name}: {_short(before.get(name))} -> {_short(after.get(name))}"
        for name in sorted({*before, *after}, key=str)
        if before.get(name) != after.get(name)
    ]
    return f"{where}: " + (", ".join(parts) or "as it was")


def _short(value: Any) -> str:
    if value is None:
        return "nothing"
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= VALUE_SHOWN else text[: VALUE_SHOWN - 3] + "..."
