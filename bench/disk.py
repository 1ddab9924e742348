"""Line e: bytes on disk per record, over the bytes that came in by wire; the node stopped, its databases closed.

What is shared among records (registry, genesis, block entries, keys of indexes) is in it; calls count as wire too.
"""

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import apsw

from bench.figure import Figure, at_most

if TYPE_CHECKING:
    from bench.stage import Stage

RATIO_MAX = 1.3
SMALL = 0.5
"""Tables below so many bytes per record share a row."""

FILES = ("vertices.db", "ledger.db")


class Disk(NamedTuple):
    """Bytes of a stopped node."""

    files: int
    tables: dict[str, int]
    """By `file table`, indexes under their table; what is left is free pages."""


def weigh(home: Path) -> Disk:
    """Weigh the databases of a home whose node has stopped."""
    tables: dict[str, int] = {}
    for name in FILES:
        connection = apsw.Connection(str(home / name), flags=apsw.SQLITE_OPEN_READONLY)
        owners = dict(connection.execute("SELECT name, tbl_name FROM sqlite_schema").fetchall())
        query = "SELECT name, sum(pgsize) FROM dbstat GROUP BY name"
        for table, size in connection.execute(query).fetchall():
            key = f"{name} {owners.get(table, table)}"
            tables[key] = tables.get(key, 0) + size
        connection.close()
    return Disk(sum(path.stat().st_size for path in home.glob("*.db*")), tables)


def figures(stage: "Stage") -> list[Figure]:
    """Line e."""
    run = stage.flood
    found = [
        Figure(
            "e", "disk bytes / wire bytes", run.disk.files / run.wire_bytes, "", at_most(RATIO_MAX)
        ),
        Figure("e", "one record on the wire", run.record_bytes, "B"),
        Figure("e", "disk per record", run.disk.files / run.records, "B"),
    ]
    rest = run.disk.files
    for table, size in sorted(run.disk.tables.items(), key=lambda pair: -pair[1]):
        if size / run.records >= SMALL:
            rest -= size
            found.append(Figure("e", f"  of it {table}", size / run.records, "B"))
    found.append(Figure("e", "  of it all other tables, free pages", rest / run.records, "B"))
    return found
