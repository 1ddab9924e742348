"""What a verifier says about one request, in columns, so that the front can treat it as a whole.

Nearly every request is a run of good, new records. For those the front needs no record, only their positions, ids and
entry hashes, and one packet to hand on to the executor unopened. So these travel as columns and bytes; a packet is
opened where a record has to be looked at alone. Everything here is plain and passes between a node's own processes
only; no peer ever reaches it.

Place in a record's life: from verifier through intake and vertex to the executor. Source: `budget.md`, design.md
section 7 (processes speak in whole batches).
"""

import marshal
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, NamedTuple, TypeAlias, cast, overload

from drystone.records.record import Record, Verified, travelling

Position: TypeAlias = tuple[str, str, str | None, int, int]
"""Organisation, member, attested device, epoch and sequence: what no two accepted records share."""

StreamName: TypeAlias = tuple[str, str, str | None]
"""Organisation, member and attested device: one stream."""

HASH_BYTES: Final = 32

SEQUENCE_BITS: Final = 53
"""Bits of a sequence number: a rank is an epoch and a sequence as one integer that sorts like both."""

MARSHAL_VERSION: Final = 2
"""As in `channel.py`: without references."""


class Flaw(NamedTuple):
    """A refused item of a request: its index, and which rule it breaks."""

    item: int
    code: str
    detail: str


class Steps(NamedTuple):
    """How a request moves its streams, if it moves each of them on without a gap or a return."""

    streams: list[StreamName]
    before: list[int]
    """Per stream the rank that the first of its records follows on."""
    after: list[int]
    """Per stream the rank of the last of its records."""


class Checked(NamedTuple):
    """A checked request; all but `flaws` speak of its good records, in order."""

    generation: int
    """Of the registry's rows that rights were judged by."""
    total: int
    """Items of the request, good or not."""
    flaws: list[Flaw]
    positions: list[Position]
    ids: bytes
    entries: bytes
    steps: Steps | None
    packet: bytes
    """See `pack`."""


def rank(epoch: int, seq: int) -> int:
    """Return a position in a stream as one integer; sequences are below 2**53."""
    return epoch << SEQUENCE_BITS | seq


def unrank(value: int) -> tuple[int, int]:
    """Return epoch and sequence of a rank."""
    return value >> SEQUENCE_BITS, value & ((1 << SEQUENCE_BITS) - 1)


def position_of(record: Record) -> Position:
    """Return a record's stream position."""
    return (record.iss, record.sub, record.device, record.epoch, record.seq)


def summarise(items: Sequence[Verified], *, generation: int, flaws: list[Flaw]) -> Checked:
    """Return good records as columns."""
    records = [item.record for item in items]
    return Checked(
        generation=generation,
        total=len(items) + len(flaws),
        flaws=flaws,
        positions=[(r.iss, r.sub, r.device, r.epoch, r.seq) for r in records],
        ids=b"".join([r.id for r in records]),
        entries=b"".join([r.entry for r in records]),
        steps=_steps(records),
        packet=pack(items),
    )


def _steps(records: Sequence[Record]) -> Steps | None:
    first: dict[StreamName, int] = {}
    last: dict[StreamName, int] = {}
    for record in records:
        name = (record.iss, record.sub, record.device)
        place = record.epoch << SEQUENCE_BITS | record.seq
        if name not in last:
            first[name] = place - 1
        elif place != last[name] + 1:
            return None
        last[name] = place
    return Steps(list(last), list(first.values()), list(last.values()))


def checked_to_plain(checked: Checked) -> tuple[Any, ...]:
    """Make it plain for a channel."""
    steps = None if checked.steps is None else tuple(checked.steps)
    return (*checked[:2], [tuple(flaw) for flaw in checked.flaws], *checked[3:6], steps, checked[7])


def checked_from_plain(plain: Sequence[Any]) -> Checked:
    """Give what was made plain."""
    generation, total, flaws, positions, ids, entries, steps, packet = plain
    return Checked(
        generation,
        total,
        [Flaw._make(flaw) for flaw in flaws],
        positions,
        ids,
        entries,
        None if steps is None else Steps._make(steps),
        packet,
    )


# --- packets: records as they go to the executor ---------------------------------------------------


def pack(items: Iterable[Verified | Record]) -> bytes:
    """Return records as one packet, each with the key it was verified against, or None."""
    plain = [
        (travelling(item.record), item.key)
        if isinstance(item, Verified)
        else (travelling(item), None)
        for item in items
    ]
    return marshal.dumps(plain, MARSHAL_VERSION)


def unpack(packet: bytes) -> list[Verified | Record]:
    """Return the records of a packet."""
    # Half a microsecond less than `_make`, for every record of a ledger.
    new = cast("Any", tuple).__new__
    plain = cast("list[tuple[tuple[Any, ...], bytes | None]]", marshal.loads(packet))  # noqa: S302 - our own
    return [
        new(Record, head) if key is None else new(Verified, (new(Record, head), key))
        for head, key in plain
    ]


class Packed(Sequence[Verified | Record]):
    """A vertex's records in packets that nobody has opened; looked into, it opens all of them, once."""

    def __init__(self, packets: Sequence[bytes], *, count: int) -> None:
        self.packets = tuple(packets)
        self._count = count
        self._opened: list[Verified | Record] | None = None

    def opened(self) -> list[Verified | Record]:
        """Return the records."""
        if self._opened is None:
            self._opened = [item for packet in self.packets for item in unpack(packet)]
        return self._opened

    def __len__(self) -> int:
        """How many records there are."""
        return self._count

    def __iter__(self) -> Iterator[Verified | Record]:
        """Each record in order."""
        return iter(self.opened())

    @overload
    def __getitem__(self, index: int) -> Verified | Record: ...
    @overload
    def __getitem__(self, index: slice) -> list[Verified | Record]: ...
    def __getitem__(self, index: int | slice) -> Verified | Record | list[Verified | Record]:
        """One record, or some."""
        return self.opened()[index]
