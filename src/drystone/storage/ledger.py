"""ledger.db: the blocks, the log's tiles, the state, and where every record is.

Written by the executor alone: `commit` takes one `Change` and is one transaction, and when it has
returned the block is fact. Every few blocks a `flush` moves what they changed to where it belongs.
Readers, in the front, open the same file with `read_only` and see each commit as soon as it is
there: what is not flushed yet they lay over the tables, of one snapshot, as the writer does.

Everything but the blocks' order, times and vertices can be made again from vertices.db; `fsck`
does. If the process dies anywhere in here, the file is as after the last transaction.
Place in a record's life: where it stays. Source: design.md sections 3.5 to 3.7, `budget.md`.
"""

import contextlib
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Final, NamedTuple

from drystone import limits
from drystone.errors import DatabaseCorrupt, DiskFull, InvariantBroken
from drystone.formats import cbor
from drystone.ledger import keyspace
from drystone.ledger.change import ACCEPTED, Block, Change
from drystone.records.record import Record, Verified
from drystone.records.vertex import vertex_id
from drystone.storage import blocks, places, recent, state, tiles
from drystone.storage.blocks import Order, StoredBlock
from drystone.storage.database import Database, Schema, row_check
from drystone.storage.outcomes import NONE, locate, outcomes_of
from drystone.storage.places import Posting
from drystone.storage.recent import BlockPostings, Unflushed
from drystone.trees import log
from drystone.trees.log import HASH_BYTES, NodeReader

SCHEMA: Final = Schema(
    kind="ledger",
    version=1,
    page_bytes=4_096,
    statements=(*blocks.TABLES, *state.TABLES, *places.TABLES, tiles.TABLE, recent.TABLE),
    migrations={},
)


class Place(NamedTuple):
    """Where an accepted record lies."""

    leaf: int
    """Its entry's index in the log."""
    height: int
    vertex: bytes
    """Id of its vertex."""
    position: int
    """Of the vertex in the block, from 0."""
    index: int  # pyright: ignore[reportIncompatibleMethodOverride] - the glossary's word
    """Of the record in the vertex's body, from 0."""


class LedgerDB:
    """The store of one ledger, open for writing or for reading. One thread at a time."""

    def __init__(self, database: Database, *, read_only: bool) -> None:
        self._database = database
        self._read_only = read_only
        self._tiles = tiles.Tiles(database)
        self._tails: dict[bytes, places.Chunk] = {}
        self._version = -1
        ledger = database.meta("ledger")
        if not isinstance(ledger, bytes) or len(ledger) != HASH_BYTES:
            raise DatabaseCorrupt(f"{database.path} does not say whose ledger it is")
        self.ledger: bytes = ledger
        with database.snapshot():
            self._last = blocks.last_block(database)
            self._unflushed = self._load()
            self._version = database.data_version()

    @classmethod
    def create(
        cls, path: Path, genesis: bytes, change: Change, *, vfs: str | None = None
    ) -> "LedgerDB":
        """Make the file of a new ledger from block 0.

        Args:
            path: of the file, which may not exist yet.
            genesis: the genesis file's bytes.
            change: what `apply_genesis` gave for it.
            vfs: a test's file system.

        Raises:
            InvariantBroken: the change is not this genesis file's. Others: as `Database.create`.
        """
        kept = change.writes.get(keyspace.meta("genesis"))
        if change.height != 0 or kept != cbor.encode(sha256(genesis).digest()):
            raise InvariantBroken("block 0 does not come from this genesis file")
        ledger = sha256(change.block_entry).digest()
        database = Database.create(path, SCHEMA, ledger=ledger, vfs=vfs)
        block = StoredBlock(
            0, 0, change.log.size, log.root(change.log), change.block_entry, (), NONE
        )
        with database.closing_on_error():
            with database.transaction():
                blocks.write_block(database, block)
                state.write_state(database, change.writes)
                tiles.Tiles(database).write(flushed=0, leaves=change.leaves)
            return cls(database, read_only=False)

    @classmethod
    def open(
        cls,
        path: Path,
        *,
        ledger: bytes | None = None,
        read_only: bool = False,
        vfs: str | None = None,
    ) -> "LedgerDB":
        """Open an existing file; raises as `Database.open`. Checks only what it has to read."""
        database = Database.open(path, SCHEMA, ledger=ledger, read_only=read_only, vfs=vfs)
        with database.closing_on_error():
            return cls(database, read_only=read_only)

    def close(self) -> None:
        """Close the file; what is not flushed stays in its rows and is found again."""
        self._database.close()

    @property
    def database(self) -> Database:
        """The file itself, for `fsck` and `backup`."""
        return self._database

    # --- writing -----------------------------------------------------------------------------------

    def commit(self, change: Change, block: Block) -> StoredBlock:
        """Store a block and what it changes in one transaction; on return it survives power loss.

        Flushes where it is time; a flush for which there is no room is left to a later commit.

        Raises:
            InvariantBroken: the block does not follow the last one.
            DiskFull: nothing was changed. Broken: as `Database.transaction`.
        """
        last = self._last
        if change.height != last.height + 1 or change.height != block.height:
            raise InvariantBroken(f"block {change.height} does not follow {last.height}")
        if change.log.size != last.size + len(change.leaves):
            raise InvariantBroken(f"the log of block {change.height} does not follow")
        stored = StoredBlock(
            change.height,
            last.size,
            change.log.size,
            log.root(change.log),
            change.block_entry,
            tuple(vertex_id(vertex.header, self.ledger) for vertex in block.vertices),
            outcomes_of([len(vertex.records) for vertex in block.vertices], change.outcomes),
        )
        postings = postings_of(change, block)
        row = (
            change.height,
            recent.encode_changes(change.writes),
            b"".join(change.leaves),
            recent.encode_postings(postings, change.writes),
        )
        with self._database.transaction():
            blocks.write_block(self._database, stored)
            self._database.rows(
                "INSERT INTO recent VALUES (?, ?, ?, ?, ?)", (*row, row_check("recent", *row))
            )
        self._last = stored
        self._unflushed.add(
            change.height,
            writes=change.writes,
            leaves=change.leaves,
            postings=postings,
            size=sum(map(len, row[1:])),
        )
        waiting = self._unflushed
        if waiting.blocks >= limits.FLUSH_BLOCKS or waiting.bytes >= limits.FLUSH_BYTES:
            with contextlib.suppress(DiskFull):
                self.flush()
        return stored

    def flush(self) -> None:
        """Move what the last blocks changed to its tables, in one transaction.

        Raises:
            DiskFull: nothing was changed. Broken: as `Database.transaction`.
        """
        waiting = self._unflushed
        if not waiting.blocks:
            return
        with self._database.transaction():
            state.write_state(self._database, waiting.writes)
            self._tiles.write(flushed=waiting.flushed_size, leaves=waiting.leaves)
            tails = places.write_places(self._database, waiting.streams, self._tails)
            self._database.rows("DELETE FROM recent")
        if len(self._tails) + len(tails) > places.TAILS_REMEMBERED_MAX:
            self._tails.clear()
        self._tails.update(tails)
        self._unflushed = Unflushed(height=self._last.height, size=self._last.size)

    # --- one snapshot to read from -----------------------------------------------------------------

    @contextmanager
    def snapshot(self) -> Generator[None]:
        """See the ledger at one height through all reads of the body. May be nested."""
        if not self._read_only:
            with self._database.turn():
                yield
            return
        with self._database.snapshot():
            self._follow()
            yield

    def _follow(self) -> None:
        """Take in what the writer has committed since the last look."""
        version = self._database.data_version()
        if version != self._version:
            self._last = blocks.last_block(self._database)
            self._unflushed = self._load(self._unflushed)
            self._version = version

    def _load(self, known: Unflushed | None = None) -> Unflushed:
        """Return the overlay of this snapshot, going on from the one that is known if it may."""
        found = self._database.row("SELECT min(height) FROM recent")
        lowest = self._last.height + 1 if found is None or found[0] is None else found[0]
        if known is not None and known.flushed_height == lowest - 1:
            overlay = known
        else:
            below = blocks.read_block(self._database, lowest - 1)
            if below is None:
                raise DatabaseCorrupt(f"ledger.db has no block {lowest - 1}")
            overlay = Unflushed(height=below.height, size=below.size)
        for height in range(overlay.height + 1, self._last.height + 1):
            row = self._database.row("SELECT * FROM recent WHERE height = ?", (height,))
            if row is None or row_check("recent", *row[:-1]) != row[-1]:
                raise DatabaseCorrupt(f"ledger.db: recent row {height} is not what was stored")
            writes = recent.decode_changes(row[1])
            overlay.add(
                height,
                writes=writes,
                leaves=recent.decode_leaves(row[2]),
                postings=recent.decode_postings(row[3], writes),
                size=sum(map(len, row[1:-1])),
            )
        if overlay.flushed_size + len(overlay.leaves) != self._last.size:
            raise DatabaseCorrupt("ledger.db: the leaves not flushed do not reach the log's end")
        return overlay

    # --- reading -----------------------------------------------------------------------------------

    @property
    def last(self) -> StoredBlock:
        """The last block."""
        with self.snapshot():
            return self._last

    @property
    def height(self) -> int:
        """Height of the last block."""
        return self.last.height

    def get(self, key: bytes) -> bytes | None:
        """Return the value under a state key, or None."""
        with self.snapshot():
            writes = self._unflushed.writes
            return writes[key] if key in writes else state.read_state(self._database, key)

    def scan(
        self, prefix: bytes, *, after: bytes | None = None, limit: int = limits.LIST_ROWS_MAX
    ) -> list[tuple[bytes, bytes]]:
        """Return pairs whose key starts with `prefix`, by key, behind the key `after`."""
        with self.snapshot():
            return state.scan_state(
                self._database, self._unflushed.writes, prefix, after=after, limit=limit
            )

    def pairs(self) -> Iterator[tuple[bytes, bytes]]:
        """Yield the whole state in no order; to be used up before the next commit."""
        return state.state_pairs(self._database, self._unflushed.writes)

    def key_of_hash(self, key_hash: bytes) -> bytes | None:
        """Return the state key with this hash, for proofs of absence."""
        with self.snapshot():
            writes = self._unflushed.writes
            stored = state.keys_with_prefix(self._database, state.prefix_of(key_hash))
            for key in (*stored, *writes):
                if sha256(key).digest() == key_hash and writes.get(key, b"") is not None:
                    return key
            return None

    def block(self, height: int) -> StoredBlock | None:
        """Return the block at a height."""
        with self.snapshot():
            return blocks.read_block(self._database, height)

    def blocks(
        self,
        *,
        after: int | None = None,
        limit: int = limits.LIST_ROWS_MAX,
        newest_first: bool = False,
    ) -> list[StoredBlock]:
        """Return blocks by height behind `after`, rising or falling."""
        with self.snapshot():
            return blocks.list_blocks(
                self._database, after=after, limit=limit, newest_first=newest_first
            )

    def block_of_leaf(self, leaf: int) -> StoredBlock | None:
        """Return the block that put an entry into the log; None beyond its end."""
        with self.snapshot():
            return blocks.block_of_leaf(self._database, leaf)

    def order_of(self, own_id: bytes) -> Order | None:
        """Return height and position of a vertex; None while it is not ordered."""
        with self.snapshot():
            return blocks.order_of(self._database, own_id)

    def edge(self) -> log.Edge:
        """Return the log's right edge."""
        with self.snapshot():
            return tiles.edge_of(self._last.size, self.nodes())

    def tile(self, level: int, number: int) -> bytes:
        """Return a tile as far as the log has grown; empty where there is none."""
        with self.snapshot():
            waiting = self._unflushed
            return self._tiles.read(
                level, number, flushed=waiting.flushed_size, leaves=waiting.leaves
            )

    def nodes(self, size: int | None = None) -> NodeReader:
        """Return `node(level, index)` for the log when it had `size` entries (default: now).

        To be used within one `snapshot`. Make a new one per proof.

        Raises:
            InvariantBroken: the log never had that size.
        """
        with self.snapshot():
            waiting = self._unflushed
            if size is None:
                size = self._last.size
            if not 0 <= size <= self._last.size:
                raise InvariantBroken(f"the log has {self._last.size} entries, not {size}")
            return self._tiles.nodes(size, flushed=waiting.flushed_size, leaves=waiting.leaves)

    def find(self, stream: bytes, *, epoch: int, seq: int) -> Place | None:
        """Return where the record at a position of a stream lies; `stream` is its state key."""
        with self.snapshot():
            for *position, leaf in self._unflushed.streams.get(stream, ()):
                if position == [epoch, seq]:
                    return self.place_of(leaf)
            leaf = places.find_leaf(self._database, stream, epoch=epoch, seq=seq)
            return None if leaf is None else self.place_of(leaf)

    def postings(self, stream: bytes, *, start: int, limit: int) -> list[Posting]:
        """Return a stream's records in accepted order from its record number `start` (from 0) on."""
        with self.snapshot():
            found = places.list_postings(self._database, stream, start=start, limit=limit)
            newer = self._unflushed.streams.get(stream)
            if newer is None or len(found) == limit:
                return found
            chunk = places.read_chunk(self._database, stream, 2**63 - 1)
            flushed = 0 if chunk is None else chunk.number + chunk.size
            first = max(0, start - flushed)
            more = newer[first : first + limit - len(found)]
            return found + [Posting._make(place) for place in more]

    def place_of(self, leaf: int) -> Place | None:
        """Return whose entry a leaf is; None for a block entry, or beyond the log's end."""
        with self.snapshot():
            block = blocks.block_of_leaf(self._database, leaf)
            if block is None:
                return None
            found = locate(block.outcomes, leaf - block.first_leaf)
            if found is None:
                return None
            vertex = block.vertices[found.vertex]
            return Place(leaf, block.height, vertex, found.vertex, found.record)


def postings_of(change: Change, block: Block) -> BlockPostings:
    """Return stream and position of each record that a block accepted, in log order."""
    epochs: list[int] = []
    seqs: list[int] = []
    for vertex, index, code, _, _ in change.outcomes:
        if code != ACCEPTED or index is None:
            continue
        item = block.vertices[vertex].records[index]
        record = item.record if isinstance(item, Verified) else item
        assert isinstance(record, Record), "an accepted item is a record"
        epochs.append(record.epoch)
        seqs.append(record.seq)
    return BlockPostings(list(change.streams), epochs, seqs)
