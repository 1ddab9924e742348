"""A connection to SQLite with a node's settings, and SQLite's errors as ours.

Everything that `database.py` asks of the driver goes through here. Source: SQLite's documents on
pragmas, WAL and result codes.
"""

import contextlib
import errno
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, TypeAlias, cast

import apsw

from drystone.errors import (
    Broken,
    DatabaseBusy,
    DatabaseCorrupt,
    DiskFailed,
    DiskFull,
    DrystoneError,
    InvariantBroken,
)

Row: TypeAlias = tuple[Any, ...]

BUSY_MS_MAX: Final = 5_000
"""How long a writer waits for another one; in a healthy node there is none."""

WAL_BYTES_KEPT: Final = 1_048_576
"""Bytes of the write-ahead log that are kept for use again; a larger one is cut back."""

CACHE_KIB: Final = 2_048
"""Memory for pages of a connection that writes; more made no record cheaper (10,000 devices, `make bench`)."""

READER_CACHE_KIB: Final = 512
"""And of one that only reads: a front has three of them, and what they read the system has in memory."""

_WRITING: Final = frozenset({apsw.SQLITE_IOERR_WRITE, apsw.SQLITE_IOERR_SHMSIZE})


def run(connection: apsw.Connection, sql: str, bindings: Sequence[object] = ()) -> list[Row]:
    """Run one statement to its end. The driver's types name what Python 3.11 does not have: Any."""
    return cast("Any", connection).execute(sql, tuple(bindings)).fetchall()


def connect(path: Path, *, read_only: bool, vfs: str | None) -> apsw.Connection:
    """Open a connection, whatever is in the file, with every setting that a node relies on.

    Args:
        path: of the file.
        read_only: whether nothing may be written.
        vfs: a test's file system; it makes the file where there is none, and has it alone.

    Raises:
        DiskFailed, DatabaseCorrupt, DatabaseBusy: as `translated`.
    """
    access = apsw.SQLITE_OPEN_READONLY if read_only else apsw.SQLITE_OPEN_READWRITE
    if vfs is not None:
        access = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE
    try:
        connection = apsw.Connection(str(path), flags=access, vfs=vfs)
    except apsw.Error as error:
        raise DiskFailed(f"{path} cannot be opened: {error}") from error
    try:
        connection.set_busy_timeout(BUSY_MS_MAX)
        # One by one: `execute("a; b")` stops at the first that gives a row.
        if vfs is not None:
            run(connection, "PRAGMA locking_mode=EXCLUSIVE")
        run(connection, "PRAGMA synchronous=FULL")
        run(connection, f"PRAGMA cache_size=-{READER_CACHE_KIB if read_only else CACHE_KIB}")
        run(connection, f"PRAGMA journal_size_limit={WAL_BYTES_KEPT}")
        run(connection, "PRAGMA temp_store=MEMORY")
        # A file from elsewhere may hold triggers and views: nothing in it is run.
        run(connection, "PRAGMA trusted_schema=OFF")
    except apsw.Error as error:
        failure = translated(error, connection, path)
        with contextlib.suppress(apsw.Error):
            connection.close()
        raise failure from error
    return connection


def translated(error: apsw.Error, connection: apsw.Connection, path: Path) -> DrystoneError:
    """Return our error for one of SQLite's.

    `DiskFull` where there is no room, `DatabaseCorrupt` where the file is not what it was,
    `DatabaseBusy` where another process writes, `DiskFailed` where the system failed, and
    `InvariantBroken` for the rest: a statement or a constraint of ours.
    """
    message = f"{path}: {type(error).__name__}: {error}"
    if isinstance(error, apsw.FullError):
        return DiskFull(message)
    kinds: tuple[tuple[type[apsw.Error] | tuple[type[apsw.Error], ...], type[Broken]], ...] = (
        ((apsw.CorruptError, apsw.NotADBError, apsw.FormatError), DatabaseCorrupt),
        ((apsw.BusyError, apsw.LockedError), DatabaseBusy),
        ((apsw.IOError, apsw.CantOpenError, apsw.ReadOnlyError, apsw.PermissionsError), DiskFailed),
    )
    for classes, ours in kinds:
        if isinstance(error, classes):
            extended = getattr(error, "extendedresult", 0)
            # Only where a write found no room: after a sync that failed nobody knows what is there.
            if extended in _WRITING and connection.system_errno in (errno.ENOSPC, errno.EDQUOT):
                return DiskFull(message)
            return ours(message)
    return InvariantBroken(message)
