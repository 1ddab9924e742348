"""Intake: bytes in, one answer per record out, and nothing acknowledged that a power loss could take.

A request's records are checked by a verifier, their positions against what is on its way or committed; what is new is
stored in one group commit with whatever else arrived, and only then answered `stored`. A copy of a record that is not
yet stored waits for the same commit before it is answered `already`. Whole requests move through here: no task, no
future and no wait per record, and no line of Python per record where all of a request is good and new.

It may not decide an outcome: everything it checks on the stale view is checked again in `apply`.
Place in a record's life: between verifier and vertex. Source: design.md sections 3.2 and 4.
"""

import asyncio
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple, Protocol, TypeAlias

from drystone import limits
from drystone.errors import Overloaded, TooLarge, Unavailable
from drystone.gateway.answer import ALREADY, STORED, AllStored, Answer, Wait
from drystone.gateway.batch import Batch, Sealed
from drystone.gateway.positions import Positions
from drystone.gateway.senders import Senders
from drystone.gateway.sorting import BATCH_BYTES_MAX, BATCH_RECORDS_MAX, Sorted, Sorter
from drystone.gateway.verifiers import RecordChecker
from drystone.records.record import Record, stream_id
from drystone.workers.checked import Checked, position_of

RETRY_AFTER_MS: Final = 500

Place: TypeAlias = tuple[str, str, int, int, int]


class Committer(Protocol):
    """Who stores batches and seals them."""

    def add(self, batches: Sequence[Batch], *, urgent: bool) -> None:
        """Take over new batches; `urgent` when somebody waits for more than `stored`."""
        ...


class Room(Protocol):
    """Who knows whether there is disk left."""

    def check(self) -> None:
        """Raises: DiskFull."""
        ...


class FoundPlace(NamedTuple):
    """Where a committed record lies."""

    place: Place
    height: int


class FindPlace(Protocol):
    """Looks up where a committed position lies; blocking, runs in a worker."""

    async def __call__(self, stream: tuple[str, ...], *, epoch: int, seq: int) -> FoundPlace | None:
        """Give the first record's place."""
        ...


class Bounds(NamedTuple):
    """When intake pushes back."""

    records_max: int
    size_max: int


class Intake:
    """Where a node's records come in."""

    def __init__(
        self,
        *,
        checker: RecordChecker,
        committer: Committer,
        positions: Positions,
        senders: Senders,
        ledger: bytes,
        bounds: Bounds,
        room: Room,
        find_place: FindPlace,
    ) -> None:
        self._checker = checker
        self._committer = committer
        self._positions = positions
        self._senders = senders
        self._sorter = Sorter(senders=senders, positions=positions, ledger=ledger)
        self._bounds = bounds
        self._room = room
        self._find_place = find_place
        self.waiters = 0
        self.codes: dict[str, int] = {}
        """Answers given since the start, per code."""

    async def submit(self, sequence: bytes, *, wait: Wait | None) -> Sequence[Answer]:
        """Take a CBOR sequence of records in and answer for each, in order, once what is new is on disk.

        Raises:
            TooLarge: more than `limits.REQUEST_BYTES_MAX` bytes.
            Overloaded, DiskFull: nothing was taken.
        """
        if len(sequence) > limits.REQUEST_BYTES_MAX:
            raise TooLarge(f"{len(sequence)} bytes, at most {limits.REQUEST_BYTES_MAX} at once")
        self.check_room(len(sequence), wait)
        checked = await self._checker.check(sequence)
        if wait is None and self._is_simple(checked, sequence):
            answers = await self._take_whole(checked, sequence)
            if answers is not None:
                return answers
        return await self.take(checked, wait=wait)

    async def take(self, checked: Checked, *, wait: Wait | None) -> list[Answer]:
        """Take in what a verifier has checked, record by record; also what this node signs itself."""
        found = self._sorter.sort(checked)
        if wait == "committed":
            _await(found)
        if found.batches:
            self._committer.add(found.batches, urgent=wait is not None)
        if found.batches or found.twins:
            # Waited for in groups: a request's own batches, and those that hold the positions of its twins.
            await self._durable(found)
        if found.twins:
            await self._place_twins(found)
        if wait is not None and (found.batches or found.twins):
            await self._wait(found, wait)
        for answer in found.answers:
            self._count(answer.code, 1)
        return found.answers

    def _is_simple(self, checked: Checked, sequence: bytes) -> bool:
        """Whether a request may be taken as a whole, if its streams let it."""
        return (
            not checked.flaws
            and checked.generation == self._senders.generation
            and 0 < checked.total <= BATCH_RECORDS_MAX
            and len(sequence) <= BATCH_BYTES_MAX
        )

    async def _take_whole(self, checked: Checked, sequence: bytes) -> Sequence[Answer] | None:
        """Take a request whose records are all good and next in their streams; None when they are not."""
        if not self._positions.advance(checked.steps):
            return None
        batch = Batch.of_checked(checked, sequence)
        self._positions.take(batch)
        self._committer.add((batch,), urgent=False)
        await asyncio.wait([batch.durable])
        answers = AllStored(checked.ids)
        error = batch.durable.exception()
        if error is None:
            self._count(STORED, batch.count)
            return answers
        if not isinstance(error, Unavailable):
            raise error
        self._count(error.code, batch.count)
        return [_unavailable(answer, error) for answer in answers]

    def _count(self, code: str, count: int) -> None:
        self.codes[code] = self.codes.get(code, 0) + count

    def check_room(self, size: int, wait: Wait | None) -> None:
        """Refuse early what would make latency grow. Raises: Overloaded, DiskFull."""
        positions = self._positions
        if (
            positions.records >= self._bounds.records_max
            or positions.size + size > self._bounds.size_max
        ):
            raise Overloaded(
                f"{positions.records} records wait to be ordered", retry_after_ms=RETRY_AFTER_MS
            )
        if wait is not None and self.waiters >= limits.WAITERS_MAX:
            raise Overloaded(f"{self.waiters} requests wait", retry_after_ms=RETRY_AFTER_MS)
        self._room.check()

    async def _durable(self, found: Sorted) -> None:
        """Wait until everything that was answered `stored` or `already` survives a power loss.

        What could not be stored is answered with why not; its positions are free again.
        """
        batches: dict[Batch, None] = dict.fromkeys(found.batches)
        for twin in found.twins:
            if twin.batch is not None:
                batches[twin.batch] = None
        failed: dict[Batch, Unavailable] = {}
        for batch in batches:
            if not batch.durable.done():
                await asyncio.wait([batch.durable])
            error = batch.durable.exception()
            if isinstance(error, Unavailable):
                failed[batch] = error
            elif error is not None:
                raise error
        if not failed:
            return
        numbers = iter(found.firsts)
        for batch in found.batches:
            for _ in range(batch.count):
                index = next(numbers)
                if batch in failed:
                    found.answers[index] = _unavailable(found.answers[index], failed[batch])
        for twin in found.twins:
            if twin.batch in failed:
                answer = found.answers[twin.answer]
                found.answers[twin.answer] = _unavailable(answer, failed[twin.batch])

    async def _place_twins(self, found: Sorted) -> None:
        """Say where the first record of a taken position lies, where that is known."""
        for twin in found.twins:
            answer = found.answers[twin.answer]
            if answer.code != ALREADY:
                continue
            record = twin.record
            if twin.batch is None:
                first = await self._find_place(
                    stream_id(record), epoch=record.epoch, seq=record.seq
                )
                if first is not None:
                    found.answers[twin.answer] = answer._replace(
                        place=first.place, outcome=ALREADY, height=first.height
                    )
            elif twin.batch.where is not None:
                place = _place_of(record, twin.batch, twin.batch.where)
                found.answers[twin.answer] = answer._replace(place=place)

    async def _wait(self, found: Sorted, wait: Wait) -> None:
        """Wait for places or outcomes, at most `limits.WAIT_MS_MAX`; what is not known by then stays out."""
        self.waiters += 1
        try:
            batches = dict.fromkeys(found.batches)
            batches.update(dict.fromkeys(twin.batch for twin in found.twins if twin.batch))
            pending = [
                future
                for batch in batches
                if not (future := batch.sealed if wait == "sealed" else batch.committed).done()
            ]
            if pending:
                await asyncio.wait(pending, timeout=limits.WAIT_MS_MAX / 1000)
        finally:
            self.waiters -= 1
        numbers = iter(found.firsts)
        for batch in found.batches:
            _tell(found.answers, numbers, batch)
        for twin in found.twins:
            if twin.batch is not None and twin.batch.where is not None:
                answer = found.answers[twin.answer]
                place = _place_of(twin.record, twin.batch, twin.batch.where)
                height = _height_of(twin.batch)
                outcome = None if height is None else ALREADY
                found.answers[twin.answer] = answer._replace(
                    place=place, outcome=outcome, height=height
                )


def _await(found: Sorted) -> None:
    """Mark the batches whose outcome somebody wants, before any of them is sealed."""
    for batch in (*found.batches, *(twin.batch for twin in found.twins if twin.batch is not None)):
        batch.awaited = True


def _tell(answers: list[Answer], numbers: Iterable[int], batch: Batch) -> None:
    """Write a batch's places and outcomes into its answers."""
    where = batch.where
    committed = None
    if batch.committed.done() and batch.committed.exception() is None:
        committed = batch.committed.result()
    for offset, index in zip(range(batch.count), numbers, strict=False):
        answer = answers[index]
        if where is not None:
            place = (where.iss, where.sub, where.epoch, where.seq, where.base + offset)
            answer = answer._replace(place=place)
        if committed is not None:
            outcome = committed.codes.get(offset, "accepted")
            answer = answer._replace(outcome=outcome, height=committed.height)
        answers[index] = answer


def _place_of(record: Record, batch: Batch, where: Sealed) -> Place:
    index = batch.positions.index(position_of(record))
    return (where.iss, where.sub, where.epoch, where.seq, where.base + index)


def _height_of(batch: Batch) -> int | None:
    if batch.committed.done() and batch.committed.exception() is None:
        return batch.committed.result().height
    return None


def _unavailable(answer: Answer, error: Unavailable) -> Answer:
    return Answer(error.code, str(error), answer.record_id, retry_after_ms=error.retry_after_ms)
