"""A block's outcomes as they are kept: only what is not a plain `accepted`, and how many there were.

Nearly every record is accepted without events or steps, and that is not written down. From the
records per vertex and the exceptions, everything comes back: each outcome in order, how many
entries the block put into the log, and which record a log entry belongs to.

Place in a record's life: beside its block. Source: formats.md (outcome), design.md section 3.7.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple, TypeAlias, cast

from drystone.contracts.rules import Event
from drystone.errors import DatabaseCorrupt, DrystoneError
from drystone.formats import cbor
from drystone.ledger.change import ACCEPTED, Outcome

Exceptions: TypeAlias = tuple[Outcome, ...]


class RecordPlace(NamedTuple):
    """A record within its block: the vertex's position in it, the record's in the body, from 0."""

    vertex: int
    record: int


class BlockOutcomes(NamedTuple):
    """What became of a block's records."""

    counts: tuple[int, ...]
    """Records of each vertex, in order."""
    exceptions: Exceptions
    """Outcomes other than `accepted` without steps and events, in order."""


NONE: Final = BlockOutcomes((), ())


def is_plain(outcome: Outcome) -> bool:
    """Whether an outcome is the one that is not written down."""
    return outcome.code == ACCEPTED and not outcome.events and not outcome.steps


def outcomes_of(counts: Sequence[int], outcomes: Sequence[Outcome]) -> BlockOutcomes:
    """Return what is kept of all outcomes of a block."""
    return BlockOutcomes(
        tuple(counts), tuple(outcome for outcome in outcomes if not is_plain(outcome))
    )


def encode_outcomes(kept: BlockOutcomes) -> bytes:
    """Return the deterministic CBOR `[[count ...], [outcome ...]]`."""
    exceptions = [
        [
            outcome.vertex,
            outcome.record,
            outcome.code,
            outcome.steps,
            [[event.contract, event.name, event.data] for event in outcome.events],
        ]
        for outcome in kept.exceptions
    ]
    return cbor.encode([list(kept.counts), exceptions])


def decode_outcomes(data: bytes) -> BlockOutcomes:
    """Read what `encode_outcomes` wrote.

    Raises:
        DatabaseCorrupt: the bytes are anything else.
    """
    try:
        counts, exceptions = cast("Any", cbor.decode(data))
        return BlockOutcomes(
            tuple(counts),
            tuple(
                Outcome(vertex, record, code, steps, tuple(Event(*event) for event in events))
                for vertex, record, code, steps, events in exceptions
            ),
        )
    except (DrystoneError, TypeError, ValueError) as error:
        raise DatabaseCorrupt(f"a block's outcomes do not decode: {error}") from error


def all_outcomes(kept: BlockOutcomes) -> Iterator[Outcome]:
    """Yield every outcome of the block in order, as `apply` gave them."""
    exceptions = {(one.vertex, one.record): one for one in kept.exceptions}
    for vertex, count in enumerate(kept.counts):
        whole = exceptions.get((vertex, None))
        if whole is not None:
            yield whole
            continue
        for record in range(count):
            yield exceptions.get((vertex, record)) or Outcome(vertex, record, ACCEPTED, 0, ())


def accepted_count(kept: BlockOutcomes) -> int:
    """Return how many records the block put into the log."""
    count = sum(kept.counts)
    for one in kept.exceptions:
        if one.record is None:
            count -= kept.counts[one.vertex]
        elif one.code != ACCEPTED:
            count -= 1
    return count


def locate(kept: BlockOutcomes, number: int) -> RecordPlace | None:
    """Return where the block's accepted record `number` (from 0) lies; None if there are fewer."""
    refused: dict[int, list[int]] = {}
    for one in kept.exceptions:
        if one.record is None:
            refused[one.vertex] = list(range(kept.counts[one.vertex]))
        elif one.code != ACCEPTED:
            refused.setdefault(one.vertex, []).append(one.record)
    for vertex, count in enumerate(kept.counts):
        out = refused.get(vertex, [])
        if number < count - len(out):
            record = number
            for index in out:  # In order: each one before it moves the record one further.
                if index > record:
                    break
                record += 1
            return RecordPlace(vertex, record)
        number -= count - len(out)
    return None
