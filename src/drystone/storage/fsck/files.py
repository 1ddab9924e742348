"""The files as SQLite sees them, and what each says about itself."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from drystone.errors import Broken, DrystoneError
from drystone.formats import cbor
from drystone.storage.database import Database, row_check
from drystone.storage.fsck.report import Report, Unreadable

PROBLEMS_MAX: Final = 100

_META: Final = (("name", str), ("value", bytes), ("check", bytes))


def open_file(report: Report, path: Path, vfs: str | None) -> Database:
    """Open a database for looking at it and let SQLite check its pages and indexes.

    Raises:
        Unreadable: it cannot be opened at all.
    """
    try:
        database = Database.inspect(path, vfs=vfs)
    except DrystoneError as error:
        report.add(path.name, "", "", "", str(error))
        raise Unreadable from error
    try:
        problems = database.rows(f"PRAGMA integrity_check({PROBLEMS_MAX})")
        for (problem,) in problems:
            if problem != "ok":
                report.add(path.name, "sqlite", "", "", f"integrity check: {problem}")
    except Broken as error:
        report.add(path.name, "sqlite", "", "", f"integrity check: {error}")
    return database


def check_meta(
    report: Report,
    database: Database,
    expected: Mapping[str, cbor.Encodable],
    *,
    optional: frozenset[str] = frozenset(),
) -> dict[str, cbor.Value]:
    """Check every row of `meta`: name, value and check; return the values of the optional ones."""
    name_of_file = database.path.name
    found: dict[str, cbor.Value] = {}
    for name, value, check in database.rows('SELECT name, value, "check" FROM meta ORDER BY name'):
        if not report.types_fit(name_of_file, "meta", name, _META, (name, value, check)):
            found[name] = None
            continue
        found[name] = None
        sound = row_check("meta", name, value) == check
        if name in expected:
            if cbor.encode(expected[name]) != value:
                report.add(name_of_file, "meta", name, "value", f"{value.hex()} is not expected")
            elif not sound:
                report.add(name_of_file, "meta", name, "check", "the check is not the row's")
            continue
        if name not in optional:
            report.add(name_of_file, "meta", name, "name", "nothing has this name")
        elif not sound:
            report.add(name_of_file, "meta", name, "value or check", "the check is not the row's")
        else:
            found[name] = cbor.decode(value)
    for name in expected.keys() - found.keys():
        report.add(name_of_file, "meta", name, "name", "the row is missing")
    return {name: value for name, value in found.items() if name in optional}
