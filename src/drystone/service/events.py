"""Events of the ledger, resumable: stored blocks are read, live commits only wake the readers.

A subscriber keeps a cursor (height, number within the block) and reads block after block; when it has caught up it
waits for the next commit. So a slow reader costs no queue and loses nothing, and what it sees is the same for ever.
Place in a record's life: after commit. Source: conventions.md (events with checkpoint), the issue's item 5.
"""

import asyncio
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from typing import Final, Literal

from drystone import limits
from drystone.api.values import BlockInfo, EventCursor, OutcomeInfo, ServiceEvent
from drystone.errors import Overloaded
from drystone.formats.cbor import Value

BLOCKS_REMEMBERED: Final = 32
"""Blocks whose events are kept for subscribers that read at the same moment."""

RETRY_AFTER_MS: Final = 5_000

Kind = Literal["block", "outcome", "event"]


class EventHub:
    """Serves events to any number of subscribers up to `limits.SUBSCRIBERS_MAX`."""

    def __init__(
        self,
        *,
        height: int,
        read_block: Callable[[int], Awaitable[tuple[BlockInfo, Sequence[OutcomeInfo]] | None]],
    ) -> None:
        """Begin at the last committed block; `read_block` gives a stored block with its outcomes."""
        self._height = height
        self._read_block = read_block
        self._remembered: OrderedDict[int, Sequence[ServiceEvent]] = OrderedDict()
        self._committed = asyncio.Event()
        self._foreseen: deque[ServiceEvent] = deque(maxlen=limits.PROVISIONAL_EVENTS_MAX)
        self._foreseen_count = 0
        """Events foreseen since the start; the last of them are in `_foreseen`."""
        self._stopped = False
        self.subscribers = 0

    def commit(self, height: int) -> None:
        """Wake everyone who waits: a block was committed."""
        self._height = height
        self._news()

    def foresee(self, told: Iterable[tuple[Kind, dict[str, Value], bool]]) -> None:
        """Pass on what the provisional view has told: kind, data, whether it is final."""
        cursor = EventCursor(self._height, -1)
        for kind, data, final in told:
            self._foreseen.append(
                ServiceEvent(cursor=cursor, kind=kind, data=data, final=final, resumes=False)
            )
            self._foreseen_count += 1
        self._news()

    def _news(self) -> None:
        self._committed.set()
        self._committed = asyncio.Event()

    def stop(self) -> None:
        """End every subscription."""
        self._stopped = True
        self._committed.set()

    async def subscribe(
        self, after: EventCursor | None, *, provisional: bool = False
    ) -> AsyncIterator[ServiceEvent]:
        """Yield the events behind a cursor, then those to come, until the node stops.

        With `provisional` also what is foreseen from now on. A subscriber that reads too slowly for that is told how
        much it has missed; of what is final it misses nothing.

        Raises:
            Overloaded: `limits.SUBSCRIBERS_MAX` subscribe already.
        """
        if self.subscribers >= limits.SUBSCRIBERS_MAX:
            raise Overloaded(
                f"{self.subscribers} event streams are open", retry_after_ms=RETRY_AFTER_MS
            )
        cursor = after if after is not None else EventCursor(self._height + 1, -1)
        seen = self._foreseen_count
        self.subscribers += 1
        try:
            while not self._stopped:
                committed = self._committed
                while cursor.height <= self._height and not self._stopped:
                    for event in await self._events(cursor.height):
                        if event.cursor.number > cursor.number:
                            yield event
                    cursor = EventCursor(cursor.height + 1, -1)
                while provisional and seen < self._foreseen_count and not self._stopped:
                    first = self._foreseen_count - len(self._foreseen)
                    if seen < first:
                        yield _missed(self._height, first - seen)
                        seen = first
                    yield self._foreseen[seen - first]
                    seen += 1
                if not self._stopped and committed is self._committed:
                    await committed.wait()
        finally:
            self.subscribers -= 1

    async def _events(self, height: int) -> Sequence[ServiceEvent]:
        remembered = self._remembered.get(height)
        if remembered is not None:
            return remembered
        found = await self._read_block(height)
        events = [] if found is None else _events_of(*found)
        self._remembered[height] = events
        if len(self._remembered) > BLOCKS_REMEMBERED:
            self._remembered.popitem(last=False)
        return events


def _events_of(block: BlockInfo, outcomes: Sequence[OutcomeInfo]) -> list[ServiceEvent]:
    """Give a block's events in ledger order: the block, then per outcome its refusal and its events."""
    codes: dict[int | str | bytes, Value] = dict(block.codes.items())
    events = [
        _event(
            block.height,
            0,
            "block",
            {
                "height": block.height,
                "time_ms": block.time_ms,
                "records": block.records,
                "size": block.size,
                "codes": codes,
            },
        )
    ]
    for outcome in outcomes:
        where: dict[str, Value] = {"vertex": outcome.vertex.hex(), "record": outcome.record}
        if outcome.code != "accepted":
            events.append(
                _event(block.height, len(events), "outcome", {**where, "code": outcome.code})
            )
        for one in outcome.events:
            told: dict[str, Value] = {"contract": one.contract, "name": one.name, "data": one.data}
            events.append(_event(block.height, len(events), "event", {**told, **where}))
    return events


def _missed(height: int, count: int) -> ServiceEvent:
    data: dict[str, Value] = {"contract": "provisional", "name": "missed"}
    data |= {"data": {"events": count}, "vertex": "", "record": None}
    cursor = EventCursor(height, -1)
    return ServiceEvent(cursor=cursor, kind="event", data=data, final=False, resumes=False)


def _event(height: int, number: int, kind: Kind, data: dict[str, Value]) -> ServiceEvent:
    return ServiceEvent(cursor=EventCursor(height, number), kind=kind, data=data)
