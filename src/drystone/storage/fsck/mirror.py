"""mirror.db checked: every row against its check, the chain of blocks against itself, vertices against what is held.

The mirror is a copy, and nothing is lost with it: what is found here is mended by removing the file and starting the
gateway, which asks its uplink again. Reads only. Source: design.md sections 3.2 and 8.
"""

from pathlib import Path
from typing import Final

from drystone.errors import DrystoneError
from drystone.proof.block import decode_block
from drystone.storage.database import Database, row_check
from drystone.storage.fsck.files import check_meta, open_file
from drystone.storage.fsck.report import Finding, Report, Unreadable, quoted
from drystone.storage.mirror import LAST, PLACE, ROWS_HEIGHT, SCHEMA, STREAMS_THROUGH

TABLES: Final = (
    ("rows", (("key", bytes), ("value", bytes), ("check", bytes))),
    ("blocks", (("height", int), ("size", int), ("entry", bytes), ("check", bytes))),
    (
        "ordered",
        (("vertex", bytes), ("height", int), ("position", int), ("codes", bytes), ("check", bytes)),
    ),
    ("streams", (("key", bytes), ("value", bytes), ("check", bytes))),
)


def check_mirror(path: Path, *, ledger: bytes, vfs: str | None = None) -> list[Finding]:
    """Check a gateway's mirror while it does not run; return what is damaged. Never raises for what the file holds."""
    report = Report()
    try:
        database = open_file(report, path, vfs)
    except Unreadable:
        return report.findings
    try:
        expected = {"kind": SCHEMA.kind, "ledger": ledger, "schema": SCHEMA.version}
        optional = frozenset({LAST, PLACE, ROWS_HEIGHT, STREAMS_THROUGH})
        meta = check_meta(report, database, expected, optional=optional)
        for table, columns in TABLES:
            for row in database.rows(f"SELECT * FROM {table}"):  # noqa: S608 - from the list above
                name = quoted(row[:1])
                if report.types_fit(path.name, table, name, columns, row) and (
                    row_check(table, *row[:-1]) != row[-1]
                ):
                    report.add(path.name, table, name, "any", "the check is not the row's")
        _check_chain(report, database, meta.get(LAST))
    except (DrystoneError, TypeError, ValueError, LookupError) as error:
        report.add(path.name, "", "", "", f"cannot be read: {type(error).__name__}: {error}")
    finally:
        database.close()
    return report.findings


def _check_chain(report: Report, database: Database, last: object) -> None:
    """Hold the blocks against one another, and the vertices' heights against how far the chain was followed."""
    name = database.path.name
    before: tuple[int, int] | None = None
    for height, size, entry in database.rows("SELECT height, size, entry FROM blocks ORDER BY 1"):
        try:
            fits = decode_block(entry).height == height
        except DrystoneError:
            fits = False
        if not fits:
            report.add(name, "blocks", height, "entry", "not the block's")
        if before is not None and size <= before[1]:
            report.add(name, "blocks", height, "size", "not larger than the one before")
        before = height, size
    if not isinstance(last, list) or before is None or (last[0], last[1]) != before:
        report.add(name, "meta", LAST, "value", "is not the last block")
        return
    for vertex, height in database.rows(
        "SELECT vertex, height FROM ordered WHERE height > ?", (before[0],)
    ):
        what = f"block {height} was not seen"
        report.add(name, "ordered", quoted((vertex,)), "height", what)
