"""Intake: bytes in, one answer per record out, and nothing acknowledged that a power loss could take.

A request's records are checked by a verifier, their senders' rights on a stale view of the state, their positions
against what is on its way or committed; what is new is stored in one group commit with whatever else arrived, and only
then answered `stored`. A copy of a record that is not yet stored waits for the same commit before it is answered
`already`. Whole requests move through here: no task, no future and no wait per record.

It may not decide an outcome: everything it checks on the stale view is checked again in `apply`.
Place in a record's life: between verifier and vertex. Source: design.md sections 3.2 and 4.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Final, NamedTuple, Protocol, TypeAlias

from drystone import limits
from drystone.errors import Overloaded, Refused, TooLarge, Unavailable
from drystone.gateway.answer import ALREADY, STORED, Answer, Wait
from drystone.gateway.batch import Batch, Position, Sealed
from drystone.gateway.positions import Positions
from drystone.gateway.verifiers import RecordChecker
from drystone.ledger.rights import Rights, check_rights, find_rights
from drystone.ledger.view import Reader
from drystone.records.record import Record, stream_id
from drystone.verifier import FLAW_LENGTH, Checked

BATCH_RECORDS_MAX: Final = 1_024
"""Records of one batch: several fit into a vertex."""

BATCH_BYTES_MAX: Final = 524_288
"""Bytes of one batch."""

RETRY_AFTER_MS: Final = 500

SENDERS_REMEMBERED_MAX: Final = 131_072

Place: TypeAlias = tuple[str, str, int, int, int]
Sender: TypeAlias = tuple[str, str, bytes, str | None]


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


class _Twin(NamedTuple):
    """A record whose position is taken: which answer it gets, and by whom the position is held."""

    answer: int
    """Index of its answer."""
    record: Record
    batch: Batch | None


class _Sorted(NamedTuple):
    """A request's records, sorted by what became of them."""

    answers: list[Answer]
    batches: list[Batch]
    firsts: list[int]
    """Index into `answers` of each batch's records, flattened in batch order."""
    twins: list[_Twin]


class Intake:
    """Where a node's records come in."""

    def __init__(
        self,
        *,
        checker: RecordChecker,
        committer: Committer,
        positions: Positions,
        view: Reader,
        ledger: bytes,
        bounds: Bounds,
        room: Room,
        find_place: FindPlace,
        clock_ms: Callable[[], int],
    ) -> None:
        self._checker = checker
        self._committer = committer
        self._positions = positions
        self._view = view
        self._ledger = ledger
        self._bounds = bounds
        self._room = room
        self._find_place = find_place
        self._clock_ms = clock_ms
        self._rights: dict[Sender, Rights] = {}
        self.waiters = 0
        self.codes: dict[str, int] = {}
        """Answers given since the start, per code."""

    async def submit(self, sequence: bytes, *, wait: Wait | None) -> list[Answer]:
        """Take a CBOR sequence of records in and answer for each, in order, once what is new is on disk.

        Raises:
            TooLarge: more than `limits.REQUEST_BYTES_MAX` bytes.
            Overloaded, DiskFull: nothing was taken.
        """
        if len(sequence) > limits.REQUEST_BYTES_MAX:
            raise TooLarge(f"{len(sequence)} bytes, at most {limits.REQUEST_BYTES_MAX} at once")
        self.check_room(len(sequence), wait)
        checked = await self._checker.check(sequence)
        return await self.take(checked, wait=wait)

    async def take(self, checked: Sequence[Checked], *, wait: Wait | None) -> list[Answer]:
        """Take in what a verifier has checked; see `submit`. Also for what this node signs itself."""
        found = self._sort(checked)
        if found.batches:
            self._committer.add(found.batches, urgent=wait is not None)
        if found.batches or found.twins:
            # Waited for in groups: a request's own batches, and those that hold the positions of its twins.
            await self._durable(found)
        if found.twins:
            await self._place_twins(found)
        if wait is not None and (found.batches or found.twins):
            await self._wait(found, wait)
        codes = self.codes
        for answer in found.answers:
            codes[answer.code] = codes.get(answer.code, 0) + 1
        return found.answers

    def forget_rights(self) -> None:
        """Look everybody's rights up again: the registry has changed."""
        self._rights.clear()

    def rights(self, record: Record) -> Rights:
        """Give a sender's rights as far as this node has seen. Raises as `find_rights`."""
        sender = (record.iss, record.sub, record.kid, record.device)
        rights = self._rights.get(sender)
        if rights is None:
            rights = find_rights(self._view, record)
            if len(self._rights) >= SENDERS_REMEMBERED_MAX:
                self._rights.clear()
            self._rights[sender] = rights
        return rights

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

    def _sort(self, checked: Sequence[Checked]) -> _Sorted:
        """Answer what can be answered, and enter what is new among the positions; the front's hot loop."""
        answers: list[Answer] = []
        twins: list[_Twin] = []
        filler = _Filler(self._positions, self._clock_ms())
        known = self._rights
        ledger = self._ledger
        look = self._positions.look
        for one in checked:
            if len(one) == FLAW_LENGTH:
                answers.append(Answer(one[0], one[1]))
                continue
            record = Record._make(one)
            try:
                rights = known.get((record.iss, record.sub, record.kid, record.device))
                if rights is None:
                    rights = self.rights(record)
                register = check_rights(record, rights, ledger)
                position = (record.iss, record.sub, record.device, record.epoch, record.seq)
                taken = look(record, position, rights, register)
            except Refused as error:
                answers.append(Answer(error.code, str(error), record.id))
                continue
            if taken is None:
                # The verifier had the key from this node, and one name means one key for ever.
                filler.add(position, record, rights.sender.cose_key, len(answers))
                answers.append(Answer(STORED, "", record.id))
            else:
                batch = taken if isinstance(taken, Batch) else None
                twins.append(_Twin(len(answers), record, batch))
                answers.append(Answer(ALREADY, "", record.id))
        return _Sorted(answers, filler.finish(), filler.firsts, twins)

    async def _durable(self, found: _Sorted) -> None:
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
            for _ in range(len(batch.records)):
                index = next(numbers)
                if batch in failed:
                    found.answers[index] = _unavailable(found.answers[index], failed[batch])
        for twin in found.twins:
            if twin.batch in failed:
                answer = found.answers[twin.answer]
                found.answers[twin.answer] = _unavailable(answer, failed[twin.batch])

    async def _place_twins(self, found: _Sorted) -> None:
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

    async def _wait(self, found: _Sorted, wait: Wait) -> None:
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


class _Filler:
    """Puts new records into batches of bounded size."""

    def __init__(self, positions: Positions, now_ms: int) -> None:
        self._positions = positions
        self._now_ms = now_ms
        self._open: Batch | None = None
        self._done: list[Batch] = []
        self.firsts: list[int] = []

    def add(self, position: Position, record: Record, key: bytes, answer: int) -> None:
        """Put one record into the open batch and enter its position."""
        batch = self._open
        if (
            batch is None
            or len(batch.records) >= BATCH_RECORDS_MAX
            or batch.size + len(record.raw) > BATCH_BYTES_MAX
        ):
            batch = self._open = Batch(born_ms=self._now_ms)
            self._done.append(batch)
        batch.add(record, key)
        self._positions.pending[position] = batch
        self.firsts.append(answer)

    def finish(self) -> list[Batch]:
        """Give the batches, counted."""
        for batch in self._done:
            self._positions.take(batch)
        return self._done


def _tell(answers: list[Answer], numbers: Iterable[int], batch: Batch) -> None:
    """Write a batch's places and outcomes into its answers."""
    where = batch.where
    committed = None
    if batch.committed.done() and batch.committed.exception() is None:
        committed = batch.committed.result()
    for offset, index in zip(range(len(batch.records)), numbers, strict=False):
        answer = answers[index]
        if where is not None:
            place = (where.iss, where.sub, where.epoch, where.seq, where.base + offset)
            answer = answer._replace(place=place)
        if committed is not None:
            outcome = committed.codes.get(offset, "accepted")
            answer = answer._replace(outcome=outcome, height=committed.height)
        answers[index] = answer


def _place_of(record: Record, batch: Batch, where: Sealed) -> Place:
    position = (record.iss, record.sub, record.device, record.epoch, record.seq)
    return (where.iss, where.sub, where.epoch, where.seq, where.base + batch.index_of(position))


def _height_of(batch: Batch) -> int | None:
    if batch.committed.done() and batch.committed.exception() is None:
        return batch.committed.result().height
    return None


def _unavailable(answer: Answer, error: Unavailable) -> Answer:
    return Answer(error.code, str(error), answer.record_id, retry_after_ms=error.retry_after_ms)
