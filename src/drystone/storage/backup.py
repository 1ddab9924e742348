"""Copies of a home: taken while its node runs, and brought back, checked.

The order is what makes a copy consistent: ledger.db first, vertices.db second. A vertex is stored
in vertices.db before anything can order it, and its header never leaves, so every vertex that the
copied ledger orders is in a vertices.db copied later; that one may hold more, which are simply not
ordered yet. (Bodies that pruning takes away in between are pruned in the copy, as in the home.)
Each file is one state of its database, read in one transaction while others go on writing.

A node that is restored goes on where the copy ends. It must never run beside the old one, and what
the old one sealed after the copy is lost here unless a peer has it.
Source: issue 3, item 4; sigsum's page on failover (a restored log must not go back in public).
"""

import errno
import os
import shutil
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from drystone.errors import DatabaseCorrupt, DiskFailed, DiskFull, HomeInvalid
from drystone.storage.database import Database, sync_file
from drystone.storage.files import GENESIS_FILE, LEDGER_FILE, VERTICES_FILE, ledger_id
from drystone.storage.fsck import fsck
from drystone.storage.ledger import SCHEMA as LEDGER_SCHEMA
from drystone.storage.vertices import SCHEMA as VERTICES_SCHEMA

OTHER_FILES: Final = ("trust.json", "config.toml")
KEYS_FOLDER: Final = "keys"
DEVICES_FOLDER: Final = "devices"
"""Keys of devices go along, their positions do not: an old position would be used twice."""

FINDINGS_SHOWN: Final = 5

Progress = Callable[[int, int], None]
"""Told of (bytes copied, bytes in all), file by file; or of blocks, while a copy is checked."""


def _quiet(done: int, total: int) -> None:
    """Tell nobody."""


def backup(
    home: Path, target: Path, *, with_keys: bool = True, progress: Progress = _quiet
) -> None:
    """Copy a home, while its node runs or not, to a folder that does not exist yet.

    The folder appears under its name when everything in it is on the disk.

    Args:
        home: a node's home.
        target: the folder to make; only its owner may look into it.
        with_keys: whether the secret keys go along: without them no node can be restored.
        progress: told of bytes.

    Raises:
        HomeInvalid: `home` is none, or `target` exists.
        DiskFull, DiskFailed, DatabaseCorrupt, DatabaseForeign: nothing is left at `target`.
    """
    ledger = ledger_id(home)
    with _appearing(target) as folder:
        for name, schema in ((LEDGER_FILE, LEDGER_SCHEMA), (VERTICES_FILE, VERTICES_SCHEMA)):
            database = Database.open(home / name, schema, ledger=ledger, read_only=True)
            try:
                database.copy_to(folder / name, progress)
            finally:
                database.close()
        _copy_file(home / GENESIS_FILE, folder / GENESIS_FILE)
        _copy_others(home, folder, with_keys=with_keys)


def restore(source: Path, home: Path, *, verify: bool = True, progress: Progress = _quiet) -> None:
    """Make a home from a backup; with `verify` only if `fsck` finds nothing in it.

    Args:
        source: a folder that `backup` made.
        home: the folder to make; it may not exist yet, or be empty.
        verify: whether to recompute everything first.
        progress: told of blocks, while that goes on.

    Raises:
        HomeInvalid: `source` is no backup, or `home` is taken.
        DatabaseCorrupt: the copy is damaged; the message names the first findings.
        DiskFull, DiskFailed: nothing is left at `home`.
    """
    ledger_id(source)
    if home.is_dir() and not any(home.iterdir()):
        home.rmdir()
    with _appearing(home) as folder:
        for name in (LEDGER_FILE, VERTICES_FILE, GENESIS_FILE):
            _copy_file(source / name, folder / name)
        _copy_others(source, folder, with_keys=True)
        if verify and (findings := fsck(folder, progress=progress)):
            named = "; ".join(
                f"{one.database} {one.table} {one.row} {one.column}: {one.what}"
                for one in findings[:FINDINGS_SHOWN]
            )
            raise DatabaseCorrupt(f"{source} is damaged, {len(findings)} findings: {named}")


@contextmanager
def _appearing(target: Path) -> Generator[Path]:
    """Give a folder to fill; it gets its name when the body has ended well, else it goes."""
    if target.exists():
        raise HomeInvalid(f"{target} exists already; nothing is overwritten")
    part = target.with_name(f".{target.name}.part")
    try:
        shutil.rmtree(part, ignore_errors=True)  # What an earlier attempt left behind.
        part.mkdir(mode=0o700, parents=True)
        yield part
        for folder in (part, *(path for path in part.rglob("*") if path.is_dir())):
            sync_file(folder)
        part.rename(target)
        sync_file(target.parent)
    except OSError as error:
        shutil.rmtree(part, ignore_errors=True)
        kind = DiskFull if error.errno in (errno.ENOSPC, errno.EDQUOT) else DiskFailed
        raise kind(f"{target}: {error}") from error
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise


def _copy_others(source: Path, folder: Path, *, with_keys: bool) -> None:
    """Copy what is there of settings, trust file and keys."""
    for name in OTHER_FILES:
        if (source / name).is_file():
            _copy_file(source / name, folder / name)
    if with_keys and (source / KEYS_FOLDER).is_dir():
        (folder / KEYS_FOLDER).mkdir(mode=0o700)
        for path in sorted((source / KEYS_FOLDER).iterdir()):
            if path.is_file():
                _copy_file(path, folder / KEYS_FOLDER / path.name)
    if with_keys and (source / DEVICES_FOLDER).is_dir():
        (folder / DEVICES_FOLDER).mkdir(mode=0o700)
        for path in sorted((source / DEVICES_FOLDER).glob("*/*.key")):
            (folder / DEVICES_FOLDER / path.parent.name).mkdir(mode=0o700, exist_ok=True)
            _copy_file(path, folder / DEVICES_FOLDER / path.parent.name / path.name)


def _copy_file(source: Path, target: Path) -> None:
    """Copy a file and bring it to the disk; only its owner may read the copy."""
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with source.open("rb") as file, os.fdopen(descriptor, "wb") as copy:
        shutil.copyfileobj(file, copy)
        copy.flush()
        os.fsync(copy.fileno())
