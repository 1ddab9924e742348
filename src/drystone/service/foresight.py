"""What a node foresees: outcomes, records and news of vertices that nobody has ordered yet.

A layer of words over `gateway/provisional.py`: positions are found, outcomes put into answers, differences into events.
Nothing here is final, and everything says so. Place in a record's life: beside its way from vertex to order.
Source: design.md section 3.6 (provisional view).
"""

from collections.abc import Iterator, Sequence
from typing import Any, Final, Literal, cast

from drystone.api.values import FoundRecord, Place, StreamKey
from drystone.formats.cbor import Value
from drystone.gateway.answer import STORED, Answer
from drystone.gateway.provisional import News, ProvisionalFeed
from drystone.ledger.change import ACCEPTED, Outcome
from drystone.ledger.differences import Difference
from drystone.limits import WAIT_MS_MAX
from drystone.service.dag_service import RunInReader
from drystone.service.reads import Reads

CHANGED: Final = ("provisional", "changed")
"""Contract and name of the event that says: something else holds than was told."""

Told = tuple[Literal["outcome", "event"], dict[str, Value], bool]
"""An event's kind and data, and whether what it says is final."""


class Foresight:
    """Answers what can be said before the order is known."""

    def __init__(self, *, feed: ProvisionalFeed, reads: Reads, run_in_reader: RunInReader) -> None:
        self._feed = feed
        self._reads = reads
        self._run = run_in_reader

    async def complete(self, answers: Sequence[Answer]) -> list[Answer]:
        """Add the provisional outcome to each answer that names a place; waits for it as long as requests may."""
        done: list[Answer] = []
        for answer in answers:
            if answer.place is not None and answer.outcome is None:
                *vertex, index = answer.place
                place = cast("tuple[str, str, int, int]", tuple(vertex))
                timeout_s = WAIT_MS_MAX / 1000
                outcome = await self._feed.outcome_at(place, index, timeout_s=timeout_s)
                if outcome is not None:
                    # A copy keeps what its answer says: the position was taken before.
                    code = outcome.code if answer.code == STORED else answer.code
                    answer = answer._replace(outcome=code)  # noqa: PLW2901 - the same answer, complete
            done.append(answer)
        return done

    async def record(self, stream: StreamKey, *, epoch: int, seq: int) -> FoundRecord | None:
        """Give the pending record at a stream position, where it is remembered, with its provisional outcome."""
        iss, sub, *device = stream
        found = self._feed.find((iss, sub, device[0] if device else None, epoch, seq))
        if found is None:
            return None
        outcome = await self._feed.outcome(found.vertex, found.index)
        body = await self._run(lambda: self._reads.body(found.vertex))
        if outcome is None or body is None:
            return None
        vertex = body.vertex
        return FoundRecord(
            stream=stream,
            epoch=epoch,
            seq=seq,
            raw=None if body.records is None else body.records[found.index],
            place=Place(
                iss=vertex.iss,
                sub=vertex.sub,
                epoch=vertex.epoch,
                seq=vertex.seq,
                index=found.index,
            ),
            vertex=found.vertex,
            height=None,
            time_ms=None,
            log_index=None,
            outcome=outcome.code,
        )


def told_of(news: News) -> Iterator[Told]:
    """Yield the events of what the view has told: refusals and events as a block's have them, then the differences."""
    for own_id, told in news.told:
        for outcome in told.exceptions:
            where: dict[str, Value] = {"vertex": own_id.hex(), "record": outcome.record}
            if outcome.code != ACCEPTED:
                yield "outcome", {**where, "code": outcome.code}, False
            for event in outcome.events:
                said: dict[str, Value] = {"contract": event.contract, "name": event.name}
                yield "event", {**said, "data": cast("Value", event.data), **where}, False
    for one in news.differences:
        yield "event", _changed(one), one.final


def _changed(difference: Difference) -> dict[str, Value]:
    contract, name = CHANGED
    return {
        "contract": contract,
        "name": name,
        "data": {"before": _outcome(difference.before), "after": _outcome(difference.after)},
        "vertex": difference.vertex.hex(),
        "record": difference.record,
    }


def _outcome(outcome: Outcome) -> Value:
    events = [
        {"contract": event.contract, "name": event.name, "data": event.data}
        for event in outcome.events
    ]
    return cast("Any", {"code": outcome.code, "steps": outcome.steps, "events": events})
