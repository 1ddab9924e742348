"""vertices.db: what a gateway holds before anyone has ordered it, and for ever after.

Two lives meet here. *Intake* rows are records that were acknowledged and wait to be sealed; their
commit is what `stored` means. *Vertices* are signed headers with their bodies; a body may be pruned
later, its header stays. Sealing is one transaction: the rows go, the vertex comes, so that a record
is always in exactly one of them. Written by the front only; the order of vertices is not here but
in ledger.db, whose `ordered` table is the truth.

Rows carry a check where nothing else could tell that a byte has changed (`database.row_check`).
Place in a record's life: intake and vertex. Source: design.md sections 3.2, 3.3 and 7.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple, TypeAlias

from drystone import limits
from drystone.errors import DatabaseCorrupt, InvariantBroken
from drystone.records.vertex import VertexHeader, decode_header, vertex_id
from drystone.storage.connection import Row
from drystone.storage.database import Database, Schema, row_check
from drystone.storage.packing import packed, unpacked

Author: TypeAlias = tuple[str, str]
"""Organisation and member."""

SCHEMA: Final = Schema(
    kind="vertices",
    version=1,
    page_bytes=4_096,
    statements=(
        """
        CREATE TABLE intake (
            number INTEGER PRIMARY KEY, records BLOB NOT NULL, "check" BLOB NOT NULL
        )""",
        """
        CREATE TABLE vertices (
            number INTEGER PRIMARY KEY, id BLOB NOT NULL, iss TEXT NOT NULL, sub TEXT NOT NULL,
            epoch INTEGER NOT NULL, seq INTEGER NOT NULL, header BLOB NOT NULL,
            "check" BLOB NOT NULL
        )""",
        "CREATE UNIQUE INDEX vertices_id ON vertices (id)",
        # Not unique: two vertices at one place are a fork, and both are kept as evidence.
        "CREATE INDEX vertices_place ON vertices (iss, sub, epoch, seq)",
        # Apart from the headers, so that reading headers never reads past bodies.
        "CREATE TABLE bodies (number INTEGER PRIMARY KEY, body BLOB NOT NULL)",
    ),
    migrations={},
)

ORDERED_THROUGH: Final = "ordered-through"
"""Name in `meta`: every vertex up to this number is in ledger.db."""

NOT_HERE: Final = b""
"""In place of a body that is still to come; of a pruned one there is no row."""

_SELECT: Final = "SELECT number, id, iss, sub, epoch, seq, header FROM vertices"


class IntakeRow(NamedTuple):
    """Records that were acknowledged together: one CBOR sequence, never more than one vertex takes."""

    number: int
    records: bytes


class StoredVertex(NamedTuple):
    """A vertex without its body. `number` is this file's own, rising in the order of arrival."""

    number: int
    id: bytes
    iss: str
    sub: str
    epoch: int
    seq: int
    header: bytes


class VertexDB:
    """The store of intake and vertices. One thread at a time; another one waits, also for a commit.

    Who reads while the writer commits opens a second one with `read_only`.
    """

    def __init__(self, database: Database, ledger: bytes) -> None:
        self._database = database
        self._ledger = ledger

    @classmethod
    def create(cls, path: Path, ledger: bytes, *, vfs: str | None = None) -> "VertexDB":
        """Make an empty file for the ledger with this id; raises as `Database.create`."""
        return cls(Database.create(path, SCHEMA, ledger=ledger, vfs=vfs), ledger)

    @classmethod
    def open(
        cls, path: Path, ledger: bytes, *, read_only: bool = False, vfs: str | None = None
    ) -> "VertexDB":
        """Open an existing file; raises as `Database.open`. Checks no rows."""
        database = Database.open(path, SCHEMA, ledger=ledger, read_only=read_only, vfs=vfs)
        return cls(database, ledger)

    def close(self) -> None:
        """Close the file; nothing acknowledged depends on it."""
        self._database.close()

    # --- intake ------------------------------------------------------------------------------------

    def add_intake(self, batches: Sequence[bytes]) -> list[int]:
        """Store batches of records; on return they survive power loss and may be acknowledged.

        One transaction for all of them (group commit). Checks that a batch fits into a vertex; not
        that it holds records.

        Args:
            batches: CBOR sequences of records, each at most `limits.VERTEX_BYTES_MAX` bytes.

        Returns:
            The rows' numbers, rising, in the order of the batches.

        Raises:
            DiskFull: nothing was stored. Broken: as `Database.transaction`.
        """
        if any(len(records) > limits.VERTEX_BYTES_MAX for records in batches):
            raise InvariantBroken("a batch of records that no vertex takes")
        with self._database.transaction():
            found = self._database.row("SELECT max(number) FROM intake")
            first = (found[0] if found and found[0] is not None else 0) + 1
            # A number comes again once its row is sealed: only rows that exist are told apart.
            numbers = list(range(first, first + len(batches)))
            self._database.many(
                "INSERT INTO intake VALUES (?, ?, ?)",
                [
                    (number, records, row_check("intake", number, records))
                    for number, records in zip(numbers, batches, strict=True)
                ],
            )
        return numbers

    def intake(self, *, after: int = 0, limit: int = limits.LIST_ROWS_MAX) -> list[IntakeRow]:
        """Return acknowledged batches that are in no vertex yet, oldest first, behind number `after`.

        Raises:
            DatabaseCorrupt: a row is not what was stored.
        """
        rows = self._database.rows(
            'SELECT number, records, "check" FROM intake WHERE number > ? ORDER BY number LIMIT ?',
            (after, limit),
        )
        for number, records, check in rows:
            if row_check("intake", number, records) != check:
                raise DatabaseCorrupt(f"vertices.db: intake row {number} is not what was stored")
        return [IntakeRow(number, records) for number, records, _ in rows]

    # --- vertices ----------------------------------------------------------------------------------

    def seal(
        self,
        *,
        header: bytes,
        body: bytes,
        intake: Sequence[int] = (),
        ordered_through: int | None = None,
    ) -> StoredVertex:
        """Store a vertex and take its records out of the intake, in one transaction.

        A vertex that is there already stays as it is; other authors' come with `keep`. Checks
        neither signature nor body: who calls has.

        Args:
            header: the signed header's bytes.
            body: its records, one CBOR sequence, verbatim.
            intake: numbers of the intake rows whose records are the body.
            ordered_through: see `unordered`; written along, because that costs nothing here.

        Raises:
            InvariantBroken: an intake row is not there: it was sealed before.
            DiskFull: nothing was changed. Broken: as `Database.transaction`.
        """
        parsed = decode_header(header)
        own_id = vertex_id(parsed, self._ledger)
        with self._database.transaction():
            before = self._database.changes()
            self._database.many("DELETE FROM intake WHERE number = ?", [(n,) for n in intake])
            if self._database.changes() - before != len(intake):
                raise InvariantBroken("an intake row was sealed before")
            stored = self.find(own_id)
            if stored is None:
                stored = self._insert(parsed, own_id, header=header, body=body)
            if ordered_through is not None:
                self._database.put_meta(ORDERED_THROUGH, ordered_through)
        return stored

    def _insert(
        self, parsed: VertexHeader, own_id: bytes, *, header: bytes, body: bytes | None
    ) -> StoredVertex:
        found = self._database.row("SELECT max(number) FROM vertices")
        number = (found[0] if found and found[0] is not None else 0) + 1
        stored = StoredVertex(
            number, own_id, parsed.iss, parsed.sub, parsed.epoch, parsed.seq, header
        )
        self._database.rows(
            "INSERT INTO vertices VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (*stored, row_check("vertices", *stored)),
        )
        row = (number, NOT_HERE if body is None else packed(body))
        self._database.rows("INSERT INTO bodies VALUES (?, ?)", row)
        return stored

    def keep(self, arrived: Sequence[tuple[bytes, bytes | None]]) -> list[StoredVertex]:
        """Store vertices of other authors: headers, each with its body, or without one that is still to come.

        One transaction for all: on return every header, and every body given, survives power loss. What is here already
        stays as it is; a body joins its header, and one that was pruned does not come back. A header takes its number
        when it comes, so a body may join behind `ordered_through`: who sets it counts whole vertices only. Checks
        neither signature, place nor body: who calls has.

        Raises:
            DiskFull: nothing was stored. Broken: as `Database.transaction`.
        """
        kept: list[StoredVertex] = []
        with self._database.transaction():
            for header, body in arrived:
                parsed = decode_header(header)
                own_id = vertex_id(parsed, self._ledger)
                stored = self.find(own_id)
                if stored is None:
                    stored = self._insert(parsed, own_id, header=header, body=body)
                elif body is not None:
                    self._database.rows(
                        "UPDATE bodies SET body = ? WHERE number = ? AND length(body) = 0",
                        (packed(body), stored.number),
                    )
                kept.append(stored)
        return kept

    def find(self, own_id: bytes) -> StoredVertex | None:
        """Return the vertex with this id, without its body."""
        return _one(self._database.rows(f"{_SELECT} WHERE id = ?", (own_id,)))

    def body(self, number: int) -> bytes | None:
        """Return the records of the vertex with this number as a CBOR sequence; None once pruned, or not here yet.

        Raises:
            DatabaseCorrupt: the row does not unpack; whether the records fit the header is the
                caller's to check.
        """
        found = self._database.row("SELECT body FROM bodies WHERE number = ?", (number,))
        return unpacked(found[0]) if found and found[0] else None

    def packed(self, own_id: bytes) -> bytes | None:
        """Return the body of the vertex with this id as it is stored, deflated; None where it is not here."""
        found = self._database.row(
            "SELECT body FROM bodies JOIN vertices USING (number) WHERE id = ?", (own_id,)
        )
        return found[0] if found and found[0] else None

    def incomplete(
        self, *, after: int = 0, limit: int = limits.LIST_ROWS_MAX
    ) -> list[StoredVertex]:
        """Return vertices behind number `after` whose body is still to come; pruned ones are not among them."""
        return _all(
            self._database.rows(
                f"{_SELECT} JOIN bodies USING (number) WHERE number > ? AND length(body) = 0"
                " ORDER BY number LIMIT ?",
                (after, limit),
            )
        )

    def at_place(self, iss: str, sub: str, *, epoch: int, seq: int) -> list[StoredVertex]:
        """Return the vertices at a place: none, one, or the two of a fork."""
        return _all(
            self._database.rows(
                f"{_SELECT} WHERE iss = ? AND sub = ? AND epoch = ? AND seq = ?"
                " ORDER BY number LIMIT ?",
                (iss, sub, epoch, seq, limits.LIST_ROWS_MAX),
            )
        )

    def arrived(self, *, after: int = 0, limit: int = limits.LIST_ROWS_MAX) -> list[StoredVertex]:
        """Return vertices in the order of arrival, behind number `after`."""
        return _all(
            self._database.rows(
                f"{_SELECT} WHERE number > ? ORDER BY number LIMIT ?",
                (after, limit),
            )
        )

    def unordered(
        self, *, after: int | None = None, limit: int = limits.LIST_ROWS_MAX
    ) -> list[StoredVertex]:
        """Return vertices that ledger.db may not have ordered yet, in the order of arrival.

        They are those behind number `after`, or behind the mark that `seal` was last given as
        `ordered_through`. The mark lags: ask `LedgerDB.order_of` about each.
        """
        if after is None:
            mark = self._database.meta(ORDERED_THROUGH)
            after = mark if isinstance(mark, int) else 0
        return self.arrived(after=after, limit=limit)

    def listed(
        self,
        author: Author | None = None,
        *,
        after: tuple[str, str, int, int] | None = None,
        limit: int = limits.LIST_ROWS_MAX,
        newest_first: bool = False,
    ) -> list[StoredVertex]:
        """Return vertices by (iss, sub, epoch, seq), of one author or of all, behind a place."""
        where, bindings = ["1"], list[object]()
        if author is not None:
            where.append("iss = ? AND sub = ?")
            bindings += author
        if after is not None:
            where.append(f"(iss, sub, epoch, seq) {'<' if newest_first else '>'} (?, ?, ?, ?)")
            bindings += after
        way = "DESC" if newest_first else "ASC"
        order = ", ".join(f"{column} {way}" for column in ("iss", "sub", "epoch", "seq", "number"))
        return _all(
            self._database.rows(
                f"{_SELECT} WHERE {' AND '.join(where)} ORDER BY {order} LIMIT ?",
                (*bindings, limit),
            )
        )

    def authors(self) -> list[Author]:
        """Return everyone who has a vertex here, sorted; the index is leapt through, not read."""
        authors: list[Author] = []
        last: Author = ("", "")
        while True:
            found = self._database.row(
                "SELECT iss, sub FROM vertices WHERE (iss, sub) > (?, ?) ORDER BY iss, sub LIMIT 1",
                last,
            )
            if found is None:
                return authors
            last = (found[0], found[1])
            authors.append(last)

    def frontier(self) -> dict[Author, StoredVertex]:
        """Return each author's last known vertex, by (epoch, seq); of a fork the first to arrive."""
        frontier: dict[Author, StoredVertex] = {}
        for author in self.authors():
            last = self.listed(author, limit=1, newest_first=True)[0]
            same = self.at_place(last.iss, last.sub, epoch=last.epoch, seq=last.seq)
            frontier[author] = same[0]
        return frontier

    def last_number(self) -> int:
        """Return the number of the vertex that arrived last, 0 where there is none."""
        found = self._database.row("SELECT max(number) FROM vertices")
        return found[0] if found and found[0] is not None else 0

    def forked_places(self, *, limit: int) -> list[tuple[str, str, int, int]]:
        """Return the places (iss, sub, epoch, seq) at which more than one vertex stands, in order.

        Reads through the whole index of places: some 0.3 s for a million vertices.
        """
        rows = self._database.rows(
            "SELECT iss, sub, epoch, seq FROM vertices GROUP BY iss, sub, epoch, seq"
            " HAVING count(*) > 1 ORDER BY iss, sub, epoch, seq LIMIT ?",
            (limit,),
        )
        return [(iss, sub, epoch, seq) for iss, sub, epoch, seq in rows]

    def prune(self, numbers: Sequence[int]) -> None:
        """Forget the bodies of vertices; their headers stay. One transaction.

        Does not check that their records are committed and kept elsewhere: who calls has.
        """
        with self._database.transaction():
            self._database.many("DELETE FROM bodies WHERE number = ?", [(n,) for n in numbers])

    @property
    def database(self) -> Database:
        """The file itself, for `fsck` and `backup`."""
        return self._database


def _all(rows: Sequence[Row]) -> list[StoredVertex]:
    return [StoredVertex(*row) for row in rows]


def _one(rows: Sequence[Row]) -> StoredVertex | None:
    return StoredVertex(*rows[0]) if rows else None
