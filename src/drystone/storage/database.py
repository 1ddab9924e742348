"""One SQLite file as Drystone uses it: WAL, synced at every commit, bound to one ledger.

What lives here: opening and creating, one write transaction at a time, the translation of SQLite's
errors into ours, the `meta` table (which file this is, whose ledger, which schema), and the check
column of rows that nothing else could recompute. What may not: what the other tables mean.

Where the process dies decides nothing: a transaction is in the file when `COMMIT` has returned,
else it never was. `synchronous=FULL` makes that hold through a power loss as well, and is what an
acknowledgement waits for. Source: SQLite's documents on WAL and atomic commit; `budget.md`.
"""

import contextlib
import hashlib
import os
import threading
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple, cast

import apsw

from drystone.errors import (
    Broken,
    DatabaseBusy,
    DatabaseCorrupt,
    DatabaseForeign,
    DiskFailed,
    DiskFull,
    DrystoneError,
    HomeInvalid,
    InvariantBroken,
)
from drystone.formats import cbor
from drystone.storage.connection import Row, connect, run, translated

WAL_PAGES: Final = 250
"""Pages in the write-ahead log from which its content is moved on, after a commit."""


WAL_PATIENCE: Final = 4
"""Times `WAL_PAGES` from which readers are no longer given way to."""

WAL_PAGES_SIMULATED: Final = 16
"""The same on a test's disk, so that a short life sees checkpoints too."""


CHECK_BYTES: Final = 8
"""Bytes of a row's check: enough against accidents, which is all it is for."""

COPY_STEPS: Final = 100_000
"""Steps of SQLite between two looks at how far a copy has come."""

META_TABLE: Final = (
    'CREATE TABLE meta (name TEXT PRIMARY KEY, value BLOB NOT NULL, "check" BLOB NOT NULL)'
    " WITHOUT ROWID"
)


class Schema(NamedTuple):
    """What makes a file one of ours: its kind, its tables, and how older ones become newer ones."""

    kind: str
    version: int
    page_bytes: int
    statements: tuple[str, ...]
    migrations: Mapping[int, Sequence[str]]
    """By the version they start from; each lifts it by one."""


def row_check(table: str, *columns: cbor.Encodable) -> bytes:
    """Return the check of a row: the first bytes of a hash over the table's name and the columns."""
    return hashlib.sha256(b"drystone/row/1\n" + cbor.encode([table, *columns])).digest()[
        :CHECK_BYTES
    ]


class Database:
    """One connection. Threads take turns; a thread that finds it taken waits."""

    def __init__(self, path: Path, *, read_only: bool, vfs: str | None) -> None:
        """Connect to a file, whatever is in it; `create`, `open` and `inspect` are the ways in."""
        connection = connect(path, read_only=read_only, vfs=vfs)
        self._connection = connection
        self._turn = threading.RLock()
        self._wal_pages = 0
        self._wal_pages_max = WAL_PAGES if vfs is None else WAL_PAGES_SIMULATED
        connection.set_wal_hook(self._note_wal)
        self.path = path

    @classmethod
    def create(
        cls, path: Path, schema: Schema, *, ledger: bytes, vfs: str | None = None
    ) -> "Database":
        """Make a new file with the schema's tables, for the ledger with this id (32 bytes).

        A process that dies in here leaves a file that `open` refuses: begin again without it.

        Args:
            path: of the file, which may not exist yet.
            schema: its tables.
            ledger: id of the ledger it belongs to.
            vfs: a test's file system under SQLite; it alone has the file (exclusive locking).

        Raises:
            HomeInvalid: the file exists.
            DiskFull, DiskFailed: it cannot be written.
        """
        if vfs is None:
            try:
                path.touch(mode=0o600, exist_ok=False)
            except FileExistsError as error:
                raise HomeInvalid(f"{path} exists already") from error
            except OSError as error:
                raise DiskFailed(f"{path}: {error}") from error
        database = cls(path, read_only=False, vfs=vfs)
        with database.closing_on_error():
            # A page size counts only before anything is written, WAL mode only outside of a
            # transaction.
            database.rows(f"PRAGMA page_size={schema.page_bytes}")
            database.rows("PRAGMA journal_mode=WAL")
            with database.transaction():
                for statement in (META_TABLE, *schema.statements):
                    database.rows(statement)
                database.put_meta("kind", schema.kind)
                database.put_meta("ledger", ledger)
                database.put_meta("schema", schema.version)
        return database

    @classmethod
    def open(
        cls,
        path: Path,
        schema: Schema,
        *,
        ledger: bytes | None,
        read_only: bool = False,
        vfs: str | None = None,
    ) -> "Database":
        """Open an existing file, and lift it to the newest schema where it may be written.

        Checks kind, schema and ledger (with None any ledger is welcome); not the rows.

        Raises:
            DatabaseForeign: another ledger's or kind's file, or a schema this program cannot read.
            DatabaseCorrupt: not a database, or one without the tables that say what it is.
            DiskFailed: it is not there or cannot be read.
        """
        if vfs is None and not path.is_file():
            raise DiskFailed(f"{path} is missing")
        database = cls(path, read_only=read_only, vfs=vfs)
        with database.closing_on_error():
            database._check(schema, ledger=ledger, read_only=read_only)
            if not read_only:
                database.rows("PRAGMA journal_mode=WAL")  # A copy out of a backup has none.
        return database

    @contextmanager
    def closing_on_error(self) -> Generator[None]:
        """Close the connection where the body fails: nobody else will."""
        try:
            yield
        except BaseException:
            with contextlib.suppress(Broken):
                self.close()
            raise

    @classmethod
    def inspect(cls, path: Path, *, vfs: str | None = None) -> "Database":
        """Open a file for reading whatever it is, for `fsck`. Raises: DiskFailed."""
        if vfs is None and not path.is_file():
            raise DiskFailed(f"{path} is missing")
        return cls(path, read_only=True, vfs=vfs)

    def _check(self, schema: Schema, *, ledger: bytes | None, read_only: bool) -> None:
        kind, version = self.meta("kind"), self.meta("schema")
        if kind != schema.kind or not isinstance(version, int):
            raise DatabaseForeign(f"{self.path} holds {kind!r}, not {schema.kind!r}")
        found = self.meta("ledger")
        if ledger is not None and found != ledger:
            raise DatabaseForeign(f"{self.path} belongs to another ledger")
        if version > schema.version:
            raise DatabaseForeign(f"{self.path} has schema {version}, known is {schema.version}")
        if version < schema.version and read_only:
            raise DatabaseForeign(f"{self.path} has schema {version}: open it for writing first")
        while version < schema.version:
            # Each step is one transaction: a process that dies between two goes on from there.
            with self.transaction():
                for statement in schema.migrations[version]:
                    self.rows(statement)
                version += 1
                self.put_meta("schema", version)

    def rows(self, sql: str, bindings: Sequence[object] = ()) -> list[Row]:
        """Run one statement and return all its rows: the caller bounds them (`LIMIT`).

        Raises:
            DatabaseCorrupt, DiskFull, DiskFailed, DatabaseBusy, InvariantBroken: as `translated`.
        """
        with self._turn:
            try:
                # All rows at once: a statement left standing would hold its snapshot open.
                return run(self._connection, sql, bindings)
            except apsw.Error as error:
                raise translated(error, self._connection, self.path) from error

    def row(self, sql: str, bindings: Sequence[object] = ()) -> Row | None:
        """Run one statement and return its first row; raises as `rows`."""
        found = self.rows(sql, bindings)
        return found[0] if found else None

    def many(self, sql: str, bindings: Iterable[Sequence[object]]) -> None:
        """Run one statement for each item, inside a transaction; raises as `rows`."""
        with self._turn:
            try:
                cast("Any", self._connection).executemany(sql, bindings).fetchall()
            except apsw.Error as error:
                raise translated(error, self._connection, self.path) from error

    @contextmanager
    def transaction(self) -> Generator[None]:
        """Write all of the body or nothing; on return it survives power loss.

        Raises:
            DiskFull: nothing was changed, the connection goes on.
            DiskFailed: it is not known whether the body is in the file. Stop, open again, look.
        """
        with self._turn:
            self.rows("BEGIN IMMEDIATE")
            try:
                yield
                self.rows("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self.rows("ROLLBACK")
                raise
            if self._wal_pages >= self._wal_pages_max:
                self._checkpoint()

    def _note_wal(self, _connection: apsw.Connection, _name: str, pages: int) -> int:
        self._wal_pages = pages
        return apsw.SQLITE_OK

    def _checkpoint(self) -> None:
        """Move what the write-ahead log holds into the file.

        Not SQLite's own automatism, so that a commit's result is the commit's alone: this may find
        no room, or readers in its way, and nothing is lost by that. Where readers have been in the
        way for long, it waits for them, or the log would grow for ever.
        """
        way = "PASSIVE" if self._wal_pages < WAL_PATIENCE * self._wal_pages_max else "RESTART"
        with contextlib.suppress(DiskFull, DatabaseBusy):
            self.rows(f"PRAGMA wal_checkpoint({way})")

    @contextmanager
    def turn(self) -> Generator[None]:
        """Keep other threads away through the body."""
        with self._turn:
            yield

    @contextmanager
    def snapshot(self) -> Generator[None]:
        """See one state of the file through all reads of the body. May be nested."""
        with self._turn:
            if self._connection.in_transaction:
                yield
                return
            self.rows("BEGIN")
            try:
                yield
            finally:
                if self._connection.in_transaction:
                    self.rows("COMMIT")

    def data_version(self) -> int:
        """Return a number that changes whenever another connection has committed."""
        return self.rows("PRAGMA data_version")[0][0]

    def changes(self) -> int:
        """Return how many rows were changed since the connection was opened."""
        return self._connection.total_changes()

    def meta(self, name: str) -> cbor.Value:
        """Return a fact about the file; None if it says nothing of this name. Not its check."""
        try:
            found = self.row("SELECT value FROM meta WHERE name = ?", (name,))
        except InvariantBroken as error:
            raise DatabaseCorrupt(f"{self.path} is no database of Drystone: {error}") from error
        if found is None:
            return None
        try:
            return cbor.decode(found[0])
        except (DrystoneError, TypeError) as error:
            raise DatabaseCorrupt(f"{self.path}: meta {name!r} does not decode") from error

    def put_meta(self, name: str, value: cbor.Encodable) -> None:
        """Set a fact about the file, inside a transaction."""
        data = cbor.encode(value)
        self.rows(
            "INSERT OR REPLACE INTO meta VALUES (?, ?, ?)",
            (name, data, row_check("meta", name, data)),
        )

    def copy_to(self, target: Path, progress: Callable[[int, int], None]) -> None:
        """Write one consistent state of this file to a new one while others go on writing here.

        The rows are read within one transaction and laid down afresh: what was deleted here, a
        pruned body for instance, is not in the copy's free pages either. Calls `progress` with
        bytes written and bytes expected.

        Raises:
            DiskFull, DiskFailed, DatabaseCorrupt: the copy is of no use.
        """
        with self._turn:
            pages = self.rows("PRAGMA page_count")[0][0]
            total = pages * self.rows("PRAGMA page_size")[0][0]

            def tell() -> bool:
                with contextlib.suppress(OSError):
                    progress(min(target.stat().st_size, total), total)
                return False

            self._connection.set_progress_handler(tell, COPY_STEPS)
            try:
                self.rows("VACUUM INTO ?", (str(target),))
                target.chmod(0o600)
                sync_file(target)
            except OSError as error:
                raise DiskFailed(f"{target}: {error}") from error
            finally:
                self._connection.set_progress_handler(None)
        progress(total, total)

    def close(self) -> None:
        """Close the connection; the last one to leave folds the write-ahead log into the file."""
        with self._turn:
            try:
                self._connection.close()
            except apsw.Error as error:
                raise DiskFailed(f"{self.path} was not closed cleanly: {error}") from error


def sync_file(path: Path) -> None:
    """Bring a file, or a folder's names, to the disk. Raises: OSError."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
