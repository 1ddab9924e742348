"""What was said of a vertex before its order was known, and where something else became of it: as values.

`Told` is one vertex's outcomes in their ledger encoding, plain `accepted` left out; so equal outcomes are equal bytes.
A `Difference` names one record (or a whole vertex), what was told and what holds now. Pure; `provisional.py` makes
them, the API passes them on as events `provisional/changed`. Source: design section 3.6 (provisional view).
"""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple, cast

from drystone.contracts.rules import Event
from drystone.formats import cbor
from drystone.ledger.change import ACCEPTED, Outcome, encode_outcome
from drystone.limits import VERTEX_RECORDS_MAX


class Told(NamedTuple):
    """What was told of one vertex: records in its body, and their outcomes other than a plain `accepted`."""

    count: int  # pyright: ignore[reportIncompatibleMethodOverride] - the format's word
    outcomes: bytes
    """A CBOR sequence of outcomes as `encode_outcome` writes them, with vertex 0."""

    @property
    def exceptions(self) -> tuple[Outcome, ...]:
        """The outcomes that are written down."""
        items = cbor.split_sequence(self.outcomes, items_max=VERTEX_RECORDS_MAX)
        return tuple([_decode(item) for item in items])

    def of(self, record: int) -> Outcome:
        """What was told of the record at an index of the body."""
        return _outcomes(self, range(record, record + 1))[0]


class Difference(NamedTuple):
    """One record of which something else holds than was told; `record` None: the vertex as a whole."""

    vertex: bytes
    """The vertex's id, 32 bytes."""
    record: int | None
    before: Outcome
    after: Outcome
    """Both say vertex 0: the place in a block is no part of what became of a record."""
    final: bool
    """Whether `after` is final; otherwise the provisional view itself was made anew."""


def told_of(count: int, outcomes: Iterable[Outcome]) -> Told:
    """Return what is told of a vertex with `count` records whose outcomes, in order, are these."""
    kept = [one for one in outcomes if one.code != ACCEPTED or one.events or one.steps]
    return Told(count, b"".join([encode_outcome(one._replace(vertex=0)) for one in kept]))


def by_vertex(counts: Iterable[int], exceptions: Iterable[Outcome]) -> list[Told]:
    """Return what became of each vertex of a block, given records per vertex and the block's exceptions.

    What the ledger itself did at the block's begin (`record` None, accepted) is no vertex's.
    """
    sizes = list(counts)
    kept: list[list[Outcome]] = [[] for _ in sizes]
    for one in exceptions:
        if one.record is not None or one.code != ACCEPTED:
            kept[one.vertex].append(one)
    return [told_of(count, of_vertex) for count, of_vertex in zip(sizes, kept, strict=True)]


def differences(vertex: bytes, *, told: Told, now: Told, final: bool) -> Iterator[Difference]:
    """Yield one `Difference` per record of which other things hold; nothing if the two are equal."""
    if told == now:
        return
    before, after = _whole(told), _whole(now)
    if before is not None and after is not None:
        yield Difference(vertex, None, before, after, final)
        return
    indexes = range(max(told.count, now.count))
    pairs = zip(_outcomes(told, indexes), _outcomes(now, indexes), strict=True)
    for record, (before, after) in enumerate(pairs):
        if before != after:
            yield Difference(vertex, record, before, after, final)


def _whole(told: Told) -> Outcome | None:
    """Return the outcome of a vertex that was refused as a whole."""
    return next((one for one in told.exceptions if one.record is None), None)


def _outcomes(told: Told, indexes: range) -> list[Outcome]:
    kept = {one.record: one for one in told.exceptions}
    whole = kept.get(None)
    if whole is not None:
        return [whole._replace(record=record) for record in indexes]
    return [kept.get(record) or Outcome(0, record, ACCEPTED, 0, ()) for record in indexes]


def _decode(item: bytes) -> Outcome:
    vertex, record, code, steps, events = cast("Any", cbor.decode(item))
    return Outcome(vertex, record, code, steps, tuple([Event(*event) for event in events]))
