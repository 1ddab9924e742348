"""Where each record of a stream is: from its position to its log entry, in about two bytes each.

A stream's accepted records, in the order of acceptance, lie in rows of up to `CHUNK_RECORDS`. A row
holds the log indexes (rising: as differences) and the positions as *stretches*: where in the row a
stretch starts, and its first (epoch, sequence); it runs on, one number after the other, to the next
stretch or the end. The last row of a stream is open and grows at each flush. When a row is full,
the ranges of positions it covers go to `ranges`; no two ranges of a stream overlap, so that one
look finds the row of any position, whatever order a device sent in.

Nothing here is a source of truth: `fsck` makes all of it again from vertices and blocks.
Source: design.md section 3 (a stream position finds a record's place); `budget.md` on disk.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from drystone.errors import DatabaseCorrupt
from drystone.storage.database import Database

CHUNK_RECORDS: Final = 256
"""Records in a full row: about half a kilobyte, so that a row stays within its page."""

TAILS_REMEMBERED_MAX: Final = 65_536
"""Streams whose last row the writer remembers, so that a flush need not read it."""

TABLES: Final = (
    """
    CREATE TABLE places (
        stream BLOB NOT NULL, number INTEGER NOT NULL, count INTEGER NOT NULL,
        last INTEGER NOT NULL, stretches BLOB NOT NULL, leaves BLOB NOT NULL,
        PRIMARY KEY (stream, number)
    ) WITHOUT ROWID""",
    """
    CREATE TABLE ranges (
        stream BLOB NOT NULL, hi BLOB NOT NULL, lo BLOB NOT NULL, number INTEGER NOT NULL,
        PRIMARY KEY (stream, hi)
    ) WITHOUT ROWID""",
)


class Posting(NamedTuple):
    """One accepted record of a stream: its position there, and its index in the log."""

    epoch: int
    seq: int
    leaf: int


class Chunk(NamedTuple):
    """A row of `places`, still packed. `number` counts the stream's records before it."""

    number: int
    size: int
    last: int
    """Log index of its last record."""
    stretches: bytes
    leaves: bytes


class Range(NamedTuple):
    """Positions of one row that follow one another, as keys that sort like positions."""

    hi: bytes
    lo: bytes


def position_key(epoch: int, seq: int) -> bytes:
    """Return a position as 12 bytes that sort like (epoch, sequence)."""
    return (epoch << 64 | seq).to_bytes(12)


def extend(chunk: Chunk | None, postings: Iterable[tuple[int, int, int]]) -> list[Chunk]:
    """Return the rows that hold a stream's next postings: the open one extended, then new ones.

    Args:
        chunk: the stream's last row with its `leaves` left out (empty), None for a new stream. The
            first row returned, if it continues that one, has only the *new* leaves.
        postings: of one stream, at least one, in accepted order: what `Posting` names.
    """
    rows: list[Chunk] = []
    number = 0 if chunk is None else chunk.number
    size = 0 if chunk is None else chunk.size
    last = -1 if chunk is None else chunk.last
    stretches = bytearray() if chunk is None else bytearray(chunk.stretches)
    leaves = bytearray()
    following = None if chunk is None else _following(chunk)
    for epoch, seq, leaf in postings:
        if size == CHUNK_RECORDS:
            if leaves:
                rows.append(Chunk(number, size, last, bytes(stretches), bytes(leaves)))
            number, size, last, following = number + size, 0, -1, None
            stretches, leaves = bytearray(), bytearray()
        if following != (epoch, seq):
            for value in (size, epoch, seq):
                _put(stretches, value)
        _put(leaves, leaf - last - 1)
        last = leaf
        size += 1
        following = (epoch, seq + 1)
    rows.append(Chunk(number, size, last, bytes(stretches), bytes(leaves)))
    return rows


def unpack(chunk: Chunk) -> list[Posting]:
    """Return a row's postings in accepted order.

    Raises:
        DatabaseCorrupt: its parts do not fit together.
    """
    try:
        starts = _stretches(chunk.stretches)
        postings: list[Posting] = []
        offset, leaf = 0, -1
        for (start, epoch, seq), end in zip(
            starts, [*(s[0] for s in starts[1:]), chunk.size], strict=True
        ):
            for step in range(end - start):
                value, offset = _take(chunk.leaves, offset)
                leaf += value + 1
                postings.append(Posting(epoch, seq + step, leaf))
    except (IndexError, ValueError) as error:
        raise DatabaseCorrupt("a row of places ends too early") from error
    fits = offset == len(chunk.leaves) and len(postings) == chunk.size and leaf == chunk.last
    if not fits or (starts and starts[0][0] != 0):
        raise DatabaseCorrupt("a row of places does not fit itself")
    return postings


def ranges_of(postings: Sequence[Posting]) -> list[Range]:
    """Return the ranges that positions cover, sorted; positions that follow one another join."""
    ranges: list[Range] = []
    first = previous = None
    for epoch, seq in sorted((posting.epoch, posting.seq) for posting in postings):
        if previous != (epoch, seq - 1):
            if first is not None and previous is not None:
                ranges.append(Range(position_key(*previous), position_key(*first)))
            first = (epoch, seq)
        previous = (epoch, seq)
    if first is not None and previous is not None:
        ranges.append(Range(position_key(*previous), position_key(*first)))
    return ranges


def write_places(
    database: Database,
    streams: Mapping[bytes, Iterable[tuple[int, int, int]]],
    tails: Mapping[bytes, Chunk],
) -> dict[bytes, Chunk]:
    """Add postings of many streams, inside the caller's transaction; stream by stream in order.

    `tails` holds the last rows (without leaves) of streams that are remembered; the others are
    read. Returns the new last rows, to be remembered once the transaction is committed.
    """
    new: list[tuple[object, ...]] = []
    grown: list[tuple[object, ...]] = []
    full: list[tuple[bytes, int]] = []
    lasts: dict[bytes, Chunk] = {}
    for stream in sorted(streams):
        chunk = tails.get(stream) or _last_chunk(database, stream)
        rows = extend(chunk, streams[stream])
        lasts[stream] = rows[-1]._replace(leaves=b"")
        for row in rows:
            if chunk is not None and row.number == chunk.number:
                grown.append((row.size, row.last, row.stretches, row.leaves, stream, row.number))
            else:
                new.append((stream, *row))
            if row.size == CHUNK_RECORDS:
                full.append((stream, row.number))
    database.many(
        "UPDATE places SET count = ?, last = ?, stretches = ?, leaves = CAST(leaves || ? AS BLOB)"
        " WHERE stream = ? AND number = ?",
        grown,
    )
    database.many("INSERT INTO places VALUES (?, ?, ?, ?, ?, ?)", new)
    ranges: list[tuple[object, ...]] = []
    for stream, number in full:
        chunk = read_chunk(database, stream, number)
        assert chunk is not None, "a row just written"
        ranges += [(stream, *one, number) for one in ranges_of(unpack(chunk))]
    database.many("INSERT INTO ranges VALUES (?, ?, ?, ?)", ranges)
    return lasts


def read_chunk(database: Database, stream: bytes, number: int) -> Chunk | None:
    """Return the row that holds the stream's record `number` (counted in accepted order)."""
    found = database.row(
        "SELECT number, count, last, stretches, leaves FROM places"
        " WHERE stream = ? AND number <= ? ORDER BY number DESC LIMIT 1",
        (stream, number),
    )
    return None if found is None else Chunk(*found)


def find_leaf(database: Database, stream: bytes, *, epoch: int, seq: int) -> int | None:
    """Return the log index of the record at a position, as far as it was flushed; else None."""
    key = position_key(epoch, seq)
    found = database.row(
        "SELECT lo, number FROM ranges WHERE stream = ? AND hi >= ? ORDER BY hi LIMIT 1",
        (stream, key),
    )
    if found is not None and found[0] <= key:
        chunk = read_chunk(database, stream, found[1])
    else:
        # In no full row: only the last one can be open.
        chunk = read_chunk(database, stream, 2**63 - 1)
    if chunk is None:
        return None
    for posting in unpack(chunk):
        if (posting.epoch, posting.seq) == (epoch, seq):
            return posting.leaf
    return None


def list_postings(database: Database, stream: bytes, *, start: int, limit: int) -> list[Posting]:
    """Return up to `limit` postings in accepted order from record `start` of the stream on."""
    postings: list[Posting] = []
    while len(postings) < limit:
        number = start + len(postings)
        chunk = read_chunk(database, stream, number)
        if chunk is None or number >= chunk.number + chunk.size:
            break
        postings += unpack(chunk)[number - chunk.number :]
    return postings[:limit]


def _last_chunk(database: Database, stream: bytes) -> Chunk | None:
    """Return a stream's last row without its leaves, which need not be read to add more."""
    found = database.row(
        "SELECT number, count, last, stretches FROM places WHERE stream = ?"
        " ORDER BY number DESC LIMIT 1",
        (stream,),
    )
    if found is None:
        return None
    number, size, last, stretches = found
    return Chunk(number, size, last, stretches, b"")


def _following(chunk: Chunk) -> tuple[int, int]:
    """Return the position that would continue a row's last stretch."""
    start, epoch, seq = _stretches(chunk.stretches)[-1]
    return (epoch, seq + chunk.size - start)


def _stretches(data: bytes) -> list[tuple[int, int, int]]:
    """Unpack (start in the row, epoch, first sequence) of each stretch."""
    stretches: list[tuple[int, int, int]] = []
    offset = 0
    while offset < len(data):
        start, offset = _take(data, offset)
        epoch, offset = _take(data, offset)
        seq, offset = _take(data, offset)
        stretches.append((start, epoch, seq))
    return stretches


def _put(out: bytearray, value: int) -> None:
    """Append an integer, seven bits to a byte, the lowest first."""
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)


def _take(data: bytes, offset: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[offset]
        offset += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, offset
        shift += 7
