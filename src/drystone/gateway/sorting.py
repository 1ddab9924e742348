"""Sorting a request record by record: what is refused, what is a copy, what is new.

The way for requests that are not simply good and next: they are rarer, and each of their records gets an answer of its
own. It looks at rights and positions as far as this node has seen, and enters what is new among the positions.

Place in a record's life: intake. Source: design.md section 3 (streams as runs).
"""

from typing import Final, NamedTuple

from drystone.errors import Refused
from drystone.gateway.answer import ALREADY, STORED, Answer
from drystone.gateway.batch import Batch
from drystone.gateway.positions import Positions
from drystone.gateway.senders import Senders
from drystone.ledger.rights import check_rights
from drystone.records.record import Record, Verified
from drystone.workers.checked import Checked, Flaw, Position, position_of, unpack

BATCH_RECORDS_MAX: Final = 1_024
"""Records of one batch: several fit into a vertex."""

BATCH_BYTES_MAX: Final = 524_288
"""Bytes of one batch."""


class Twin(NamedTuple):
    """A record whose position is taken: which answer it gets, and by whom the position is held."""

    answer: int
    """Index of its answer."""
    record: Record
    batch: Batch | None
    """None: it is committed."""


class Sorted(NamedTuple):
    """A request's records, sorted by what became of them."""

    answers: list[Answer]
    batches: list[Batch]
    firsts: list[int]
    """Index into `answers` of each batch's records, flattened in batch order."""
    twins: list[Twin]


class Sorter:
    """Sorts requests by rights and positions."""

    def __init__(self, *, senders: Senders, positions: Positions, ledger: bytes) -> None:
        self._senders = senders
        self._positions = positions
        self._ledger = ledger

    def sort(self, checked: Checked) -> Sorted:
        """Answer what can be answered, and enter what is new among the positions."""
        flaws = {flaw.item: flaw for flaw in checked.flaws}
        good = iter(unpack(checked.packet))
        answers: list[Answer] = []
        twins: list[Twin] = []
        fresh: list[Verified] = []
        firsts: list[int] = []
        taken: dict[Position, int] = {}
        for number in range(checked.total):
            flaw = flaws.get(number)
            item = next(good) if flaw is None else flaw
            if not isinstance(item, Verified):
                assert isinstance(item, Flaw), "a verifier gives good records and flaws"
                answers.append(Answer(item.code, item.detail))
                continue
            record = item.record
            position = position_of(record)
            try:
                held = self._look(record, position)
            except Refused as error:
                answers.append(Answer(error.code, str(error), record.id))
                continue
            if held is None and position not in taken:
                taken[position] = len(fresh)
                firsts.append(len(answers))
                fresh.append(item)
                answers.append(Answer(STORED, "", record.id))
            else:
                batch = held if isinstance(held, Batch) else None
                twins.append(Twin(len(answers), record, batch))
                answers.append(Answer(ALREADY, "", record.id))
        batches = self._fill(fresh)
        whose = [batch for batch in batches for _ in range(batch.count)]
        own = [
            twin._replace(batch=whose[taken[place]])
            if (place := position_of(twin.record)) in taken
            else twin
            for twin in twins
        ]
        return Sorted(answers, batches, firsts, own)

    def _look(self, record: Record, position: Position) -> Batch | str | None:
        rights = self._senders.rights(record)
        register = check_rights(record, rights, self._ledger)
        return self._positions.look(position, record_id=record.id, register=register)

    def _fill(self, fresh: list[Verified]) -> list[Batch]:
        """Put new records into batches of bounded size, and hold their positions."""
        batches: list[Batch] = []
        part: list[Verified] = []
        size = 0
        for item in fresh:
            length = len(item.record.raw)
            if part and (len(part) >= BATCH_RECORDS_MAX or size + length > BATCH_BYTES_MAX):
                batches.append(Batch.of_items(part))
                part, size = [], 0
            part.append(item)
            size += length
        if part:
            batches.append(Batch.of_items(part))
        for batch in batches:
            self._positions.take(batch)
        return batches
