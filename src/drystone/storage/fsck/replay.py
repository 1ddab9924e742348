"""The whole ledger once more: every block applied from its vertices, every row of it compared.

Nothing is believed that can be computed: signatures, rights, outcomes, state, log. What a block row
alone knows (which vertices in which order, time, validators, protocol) is tied to the log through
the block entry. A damaged row is named and, where its content can be had from elsewhere, gone
around; where not, the replay ends and `structure.py` checks what is left.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final, NamedTuple

from drystone.errors import DrystoneError, InvariantBroken
from drystone.ledger import keyspace, rows
from drystone.ledger.apply import Memory, apply
from drystone.ledger.change import Block, Change, OrderedVertex
from drystone.proof.block import BlockEntry, decode_block
from drystone.records.vertex import VertexHeader
from drystone.storage.blocks import ID_BYTES, order_of
from drystone.storage.database import Database, row_check
from drystone.storage.fsck.report import Progress, Report, Unreadable
from drystone.storage.fsck.twins import (
    FILE,
    PlacesTwin,
    TilesTwin,
    compare_recent,
    compare_state,
)
from drystone.storage.fsck.vertices import VertexSource
from drystone.storage.ledger import postings_of
from drystone.storage.memory import MemoryView
from drystone.storage.outcomes import (
    all_outcomes,
    decode_outcomes,
    encode_outcomes,
    is_plain,
    outcomes_of,
)
from drystone.storage.recent import BlockPostings
from drystone.trees import log
from drystone.trees.log import HASH_BYTES
from drystone.trees.tiles import TILE_WIDTH

_BLOCK: Final = (
    ("height", int), ("size", int), ("root", bytes), ("entry", bytes), ("vertices", bytes),
    ("outcomes", bytes), ("check", bytes),
)  # fmt: skip


_NO_POSTINGS: Final = BlockPostings([], [], [])


class BlockRow(NamedTuple):
    """A row of `blocks` as it is stored."""

    height: int
    size: int
    root: bytes
    entry: bytes
    vertices: bytes
    outcomes: bytes
    check: bytes

    @property
    def sound(self) -> bool:
        """Whether the row's check is its own."""
        return row_check("blocks", *self[:-1]) == self.check


class Replay:
    """One run through all blocks."""

    def __init__(
        self, database: Database, report: Report, source: VertexSource, view: MemoryView
    ) -> None:
        """Start behind block 0, which `view` holds."""
        self._database = database
        self._report = report
        self._source = source
        self._view = view
        self._memory = Memory()
        self._tiles = TilesTwin(database, report)
        self._places = PlacesTwin(database, report)
        self._ordered: dict[bytes, tuple[int, int]] = {}
        self.height = _number(database, "SELECT count(*) FROM blocks") - 1
        """Height of the last block."""
        self.flushed = _flushed_height(database, self.height)
        """Height up to which the tables hold everything."""
        self.done = -1
        """Height that the replay has come to."""

    def run(self, start: Change, progress: Progress) -> None:
        """Replay everything behind block 0, whose change is `start`."""
        try:
            self._take_genesis(start)
            for height in range(1, self.height + 1):
                self._take(height)
                self.done = height
                progress(height, self.height)
        except Unreadable:
            return
        self._finish_ordered()

    def _take_genesis(self, start: Change) -> None:
        row = self._row(0)
        outcomes = encode_outcomes(outcomes_of((), ()))
        expected = (0, start.log.size, log.root(start.log), start.block_entry, b"", outcomes)
        self._compare(row, expected, settled=False)
        self._follow(start, None)
        self.done = 0

    def _take(self, height: int) -> None:
        row = self._row(height)
        fields = self._fields(row)
        ids = self._ids(row)
        vertices = self._load(row, ids)
        block = Block(height, fields.time_ms, vertices, fields.validators, fields.protocol)
        try:
            change = apply(self._view, block, self._memory)
        except DrystoneError as error:
            self._report.add(FILE, "blocks", height, "", f"does not apply: {error}")
            raise Unreadable from error
        settled = change.block_entry != row.entry
        if settled:
            change = self._settle_entry(row, change)
        counts = [len(vertex.records) for vertex in vertices]
        expected = (
            height,
            change.log.size,
            log.root(change.log),
            change.block_entry,
            b"".join(ids),
            encode_outcomes(outcomes_of(counts, change.outcomes)),
        )
        self._compare(row, expected, settled=settled)
        self._check_order(height, ids)
        self._view.install(change)
        self._follow(change, block)

    def _row(self, height: int) -> BlockRow:
        found = self._database.row(
            'SELECT height, size, root, entry, vertices, outcomes, "check" FROM blocks'
            " WHERE height = ?",
            (height,),
        )
        if found is None:
            self._report.add(FILE, "blocks", height, "height", "the row is missing")
            raise Unreadable
        if not self._report.types_fit(FILE, "blocks", height, _BLOCK, found):
            raise Unreadable
        return BlockRow._make(found)

    def _fields(self, row: BlockRow) -> BlockEntry:
        """Time, validators and protocol of a block; a damaged entry is named by `_settle_entry`."""
        try:
            return decode_block(row.entry)
        except DrystoneError as error:
            if row.sound:
                self._report.add(FILE, "blocks", row.height, "entry", str(error))
                raise Unreadable from error
            return BlockEntry(row.height, 0, bytes(32), bytes(32), bytes(32), 0)

    def _ids(self, row: BlockRow) -> list[bytes]:
        """The block's vertices; where its own list is damaged, from the `ordered` table."""
        ids = [row.vertices[at : at + ID_BYTES] for at in range(0, len(row.vertices), ID_BYTES)]
        known = self._source.known
        if all(own_id in known for own_id in ids):
            return ids
        rows_ = self._database.rows(
            "SELECT vertex FROM ordered WHERE height = ? ORDER BY position", (row.height,)
        )
        others = [vertex for (vertex,) in rows_]
        if not row.sound and others and all(own_id in known for own_id in others):
            return others
        for own_id in ids:
            if own_id not in known:
                what = f"block {row.height} orders it, and no header in vertices.db has this id"
                self._report.add("vertices.db", "vertices", own_id.hex(), "header", what)
        if not row.sound:
            self._report.add(FILE, "blocks", row.height, "vertices", "names unknown vertices")
        raise Unreadable

    def _load(self, row: BlockRow, ids: Sequence[bytes]) -> list[OrderedVertex]:
        vertices = [self._source.load(own_id, self._key_of) for own_id in ids]
        missing = [own_id for own_id, one in zip(ids, vertices, strict=True) if one is None]
        if missing:
            leaves = self._leaves_by_record(row)
            for own_id in missing:
                self._source.name_damage(own_id, leaves.get(ids.index(own_id), []))
            raise Unreadable
        return [one for one in vertices if one is not None]

    def _key_of(self, header: VertexHeader) -> bytes | None:
        value = self._view.get(keyspace.member_key(header.iss, header.sub, header.kid))
        return None if value is None else rows.decode_key_row(value).cose_key

    def _leaves_by_record(self, row: BlockRow) -> dict[int, list[bytes | None]]:
        """By vertex of a block: for each record the leaf hash that the log holds, None if none."""
        try:
            kept = decode_outcomes(row.outcomes)
        except DrystoneError:
            return {}
        leaf = self._view.log.size
        leaves: dict[int, list[bytes | None]] = {}
        for outcome in all_outcomes(kept):
            if outcome.record is None:
                continue
            took = is_plain(outcome) or outcome.code == "accepted"
            leaves.setdefault(outcome.vertex, []).append(self._stored_leaf(leaf) if took else None)
            leaf += took
        return leaves

    def _stored_leaf(self, index: int) -> bytes | None:
        """A leaf hash as the log's tile or an unflushed block holds it."""
        found = self._database.row(
            "SELECT hashes FROM tiles WHERE level = 0 AND number = ?", (index // TILE_WIDTH,)
        )
        if found is not None and isinstance(found[0], bytes):
            at = index % TILE_WIDTH * HASH_BYTES
            if at < len(found[0]):
                return found[0][at : at + HASH_BYTES]
        found = self._database.row(
            "SELECT r.leaves, (SELECT size FROM blocks WHERE height = r.height - 1) FROM recent r"
            " JOIN blocks b ON b.height = r.height WHERE b.size > ? ORDER BY b.size LIMIT 1",
            (index,),
        )
        if found is None or not isinstance(found[0], bytes):
            return None
        at = (index - found[1]) * HASH_BYTES
        return found[0][at : at + HASH_BYTES] or None

    def _settle_entry(self, row: BlockRow, change: Change) -> Change:
        """Decide why a block entry is not the one computed; go on where only its row is damaged."""
        if row.sound:
            what = "applying the block gives another state, outcome or order"
            self._report.add(FILE, "blocks", row.height, "entry", what)
            raise Unreadable
        self._report.add(FILE, "blocks", row.height, "entry", "not what the block comes to")
        leaf = self._stored_leaf(change.log.size - 1)
        if leaf is None:
            raise Unreadable
        leaves = (*change.leaves[:-1], leaf)
        edge = log.append(self._view.log, leaves)
        if log.root(edge) != row.root:
            raise Unreadable
        return replace(change, leaves=leaves, log=edge, block_entry=row.entry)

    def _compare(self, row: BlockRow, expected: tuple[object, ...], *, settled: bool) -> None:
        """Name the columns that differ; with `settled` the entry was named before."""
        wrong = [
            name
            for (name, _), stored, computed in zip(_BLOCK[:-1], row[:-1], expected, strict=True)
            if stored != computed
        ]
        for name in wrong:
            self._report.add(FILE, "blocks", row.height, name, "not what the block comes to")
        if not wrong and not settled and not row.sound:
            self._report.add(FILE, "blocks", row.height, "check", "the check is not the row's")

    def _check_order(self, height: int, ids: Sequence[bytes]) -> None:
        for position, own_id in enumerate(ids):
            first = self._ordered.setdefault(own_id, (height, position))
            found = order_of(self._database, own_id)
            if found is None:
                what = f"block {height} orders it, the row is missing"
                self._report.add(FILE, "ordered", own_id.hex(), "vertex", what)
                continue
            for name, stored, computed in zip(("height", "position"), found, first, strict=True):
                if stored != computed:
                    what = f"block {first[0]} orders it at {first[1]}"
                    self._report.add(FILE, "ordered", own_id.hex(), name, what)

    def _follow(self, change: Change, block: Block | None) -> None:
        """Feed the twins with a block, and compare the tables where it is time."""
        postings = _NO_POSTINGS if block is None else postings_of(change, block)
        height = change.height
        if height > self.flushed:
            compare_recent(
                self._database,
                self._report,
                height,
                writes=change.writes,
                leaves=change.leaves,
                postings=postings,
            )
            return
        self._places.add(postings, leaf=self._tiles.size)
        self._tiles.add(change.leaves)
        if height == self.flushed:
            self._tiles.finish()
            self._places.finish()
            compare_state(self._database, self._report, dict(self._view.scan(b"")))

    def _finish_ordered(self) -> None:
        """Find rows of `ordered` and `recent` that no block has, and a mark that runs ahead."""
        for (vertex,) in self._database.rows("SELECT vertex FROM ordered"):
            if vertex not in self._ordered:
                what = "no block orders this vertex"
                name = vertex.hex() if isinstance(vertex, bytes) else str(vertex)
                self._report.add(FILE, "ordered", name, "vertex", what)
        heights = range(self.flushed + 1, self.height + 1)
        for (height,) in self._database.rows("SELECT height FROM recent"):
            if height not in heights:
                self._report.add(FILE, "recent", height, "height", "no block has this row")
        unordered = [one for one in self._source.known.items() if one[0] not in self._ordered]
        first = min((known.number for _, known in unordered), default=None)
        if first is not None and first <= self._source.ordered_through:
            what = f"vertex {first} is not ordered"
            self._report.add("vertices.db", "meta", "ordered-through", "value", what)
        for own_id, _ in unordered:
            if self._source.body(own_id) is None:
                self._source.name_damage(own_id, [])


def _flushed_height(database: Database, height: int) -> int:
    """The height whose log the tiles hold; where they are damaged, by the rows that wait."""
    found = database.row(
        "SELECT height FROM blocks WHERE size = (SELECT 256 * number + length(hashes) / 32"
        " FROM tiles WHERE level = 0 ORDER BY number DESC LIMIT 1)"
    )
    if found is not None and isinstance(found[0], int):
        return found[0]
    return height - _number(database, "SELECT count(*) FROM recent")


def _number(database: Database, sql: str) -> int:
    found = database.row(sql)
    if found is None or not isinstance(found[0], int):
        raise InvariantBroken("a count is a number")
    return found[0]
