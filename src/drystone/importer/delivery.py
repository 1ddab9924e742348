"""Signs the packs of a table and sends them, several requests under way, and keeps count of what became of them.

Lives here: the order of the work and the tally. The table was read once before (`survey`), so that its faults are known
before anything is sent and each device's stretch of its stream is reserved as one piece. May not: draw, prompt, or
guess. Sent records that were not yet noted are sent again after a crash, and answered `already`.
"""

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from drystone.client.messages import error_of
from drystone.errors import ImportMalformed, Refused
from drystone.formats import cose
from drystone.formats.senml import write_pack
from drystone.gateway.answer import ALREADY, STORED, Answer
from drystone.home.keyfolder import KeyFolder, Position
from drystone.importer.rows import BadRow, Pack
from drystone.records.key import SecretKey
from drystone.records.record import write_record

if TYPE_CHECKING:
    from drystone.client.rest import Client
    from drystone.importer.journal import Journal

REQUESTS_UNDER_WAY: Final = 4
BAD_ROWS_KEPT: Final = 1_000


@dataclass(slots=True, kw_only=True)
class Summary:
    """What an import found and what became of it; `codes` counts records by outcome."""

    records: int = 0
    measurements: int = 0
    devices: int = 0
    resumed: int = 0
    sent_bytes: int = 0
    send_ms: int = 0
    codes: Counter[str] = field(default_factory=Counter[str])
    bad: list[str] = field(default_factory=list[str])

    @property
    def clean(self) -> bool:
        """Whether every row was taken and no record refused."""
        return not self.bad and not set(self.codes) - {"accepted", ALREADY, STORED}

    def as_json(self) -> dict[str, Any]:
        """Give the summary for programs."""
        return {
            "ok": self.clean,
            "records": self.records,
            "measurements": self.measurements,
            "devices": self.devices,
            "resumed": self.resumed,
            "sent_bytes": self.sent_bytes,
            "send_ms": self.send_ms,
            "codes": dict(self.codes),
            "bad": self.bad,
        }


class Survey(NamedTuple):
    """What a first reading of a table found: packs by device, in order of appearance."""

    packs: dict[str, int]
    measurements: int
    bad: list[str]


class Signed(NamedTuple):
    """A record ready to be sent, and the line that it ends at."""

    line: int
    data: bytes


def survey(rows: Iterable[Pack | BadRow]) -> Survey:
    """Read a whole table and count; keeps the first bad rows' reasons."""
    packs: Counter[str] = Counter()
    measurements = 0
    bad: list[str] = []
    for row in rows:
        if isinstance(row, BadRow):
            if len(bad) < BAD_ROWS_KEPT:
                bad.append(row.reason)
            continue
        packs[row.device] += 1
        measurements += len(row.measurements)
    return Survey(dict(packs), measurements, bad)


def reserve_stretches(
    journal: "Journal",
    folder: KeyFolder,
    *,
    organisation: str,
    packs: dict[str, int],
    seen: Callable[[str, int], int],
) -> None:
    """Give each device a stretch of its stream as long as its packs, and note it durably, before anything is sent.

    `seen(device, epoch)` is the next number that the ledger knows. A stretch already noted stays.
    """
    for device in packs:
        if device not in journal.begins:
            epoch = folder.epoch(organisation=organisation, member=device)
            journal.begins[device] = folder.reserve(
                organisation=organisation, member=device, count=0, seen=seen(device, epoch)
            )
    journal.save()
    # If the process dies here the journal stands and the folder's numbers are claimed by the next run.
    for device, count in packs.items():
        begin = journal.begins[device]
        folder.reserve(
            organisation=organisation,
            member=device,
            count=0,
            epoch=begin.epoch,
            seen=begin.seq + count,
        )


def sign_packs(
    rows: Iterable[Pack | BadRow],
    *,
    organisation: str,
    begins: dict[str, Position],
    keys: Callable[[str], SecretKey],
    skip: int,
) -> Iterator[Signed]:
    """Sign packs in their order, each at its place in its device's stretch; the first `skip` are only counted."""
    taken: Counter[str] = Counter()
    for count, pack in enumerate(row for row in rows if isinstance(row, Pack)):
        begin = begins[pack.device]
        seq = begin.seq + taken[pack.device]
        taken[pack.device] += 1
        if count < skip:
            continue
        try:
            record = write_record(
                secret=keys(pack.device),
                iss=organisation,
                sub=pack.device,
                epoch=begin.epoch,
                seq=seq,
                payload=write_pack(pack.measurements),
                content_type=cose.SENML,
            )
        except Refused as error:
            raise ImportMalformed(f"line {pack.line}: {error.code}: {error}") from error
        yield Signed(pack.line, record)


def send_all(
    node: "Client",
    signed: Iterator[Signed],
    *,
    journal: "Journal",
    summary: Summary,
    batch: int,
    stop_at_refusal: bool,
    progress: Callable[[int], None],
) -> None:
    """Send records in batches, `REQUESTS_UNDER_WAY` at a time, and note each batch once it and all before it are in.

    Raises: the refusal with its line when `stop_at_refusal`; Unavailable when the node stays away.
    """
    under_way: deque[tuple[list[Signed], Future[list[Answer]]]] = deque()
    with ThreadPoolExecutor(max_workers=REQUESTS_UNDER_WAY) as pool:
        try:
            while True:
                records = list(islice(signed, batch))
                if records:
                    data = [record.data for record in records]
                    under_way.append((records, pool.submit(node.deliver, data, wait="committed")))
                if not under_way:
                    return
                if records and len(under_way) < REQUESTS_UNDER_WAY:
                    continue
                first, answers = under_way.popleft()
                _note(first, answers.result(), summary, stop_at_refusal=stop_at_refusal)
                journal.done += len(first)
                journal.save()
                progress(len(first))
        finally:
            for _, waiting in under_way:
                waiting.cancel()


def _note(
    records: list[Signed], answers: list[Answer], summary: Summary, *, stop_at_refusal: bool
) -> None:
    for record, answer in zip(records, answers, strict=True):
        code = answer.code
        if code == STORED and answer.outcome is not None:
            code = answer.outcome
        if stop_at_refusal and code not in {STORED, ALREADY, "accepted"}:
            raise error_of(code, f"line {record.line}: {answer.detail or 'refused by the ledger'}")
        summary.codes[code] += 1
        summary.sent_bytes += len(record.data)
