"""What a node weighs: bytes of its files when it has stopped, bytes of its processes while it runs.

Scales and lines are apart: whoever runs a node weighs it, and lines e and f read what was weighed.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import apsw

KIB = 1024
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


class Memory(NamedTuple):
    """Bytes at one moment."""

    processes: dict[str, int]
    """Proportional set size per kind of process."""
    node: int
    """All of them, as if nothing else ran here."""


def measure(pids: Mapping[str, Sequence[int]]) -> Memory:
    """Look at processes, by kind."""
    processes: dict[str, int] = {}
    files: dict[str, int] = {}
    anonymous = 0
    for kind, group in pids.items():
        for pid in group:
            rollup = _fields(Path(f"/proc/{pid}/smaps_rollup").read_text())
            processes[kind] = processes.get(kind, 0) + rollup["Pss"]
            anonymous += rollup["Pss_Anon"] + rollup.get("Pss_Shmem", 0)
            for place, size in _file_pages(Path(f"/proc/{pid}/smaps").read_text()).items():
                files[place] = max(files.get(place, 0), size)
    return Memory(processes, anonymous + sum(files.values()))


def _fields(text: str) -> dict[str, int]:
    """The sizes of a `smaps` text, in bytes."""
    found: dict[str, int] = {}
    for line in text.splitlines():
        words = line.split()
        if len(words) == 3 and words[2] == "kB":
            found[words[0].rstrip(":")] = int(words[1]) * KIB
    return found


def _file_pages(text: str) -> dict[str, int]:
    """Bytes of each mapped file's pages that are in memory and were not written to."""
    found: dict[str, int] = {}
    place = ""
    pages = 0
    for line in text.splitlines():
        words = line.split()
        if "-" in words[0] and not words[0].endswith(":"):
            place = f"{words[5]} {words[2]}" if len(words) > 5 and words[5].startswith("/") else ""
        elif words[0] == "Rss:":
            pages = int(words[1]) * KIB
        elif words[0] == "Anonymous:" and place:
            found[place] = found.get(place, 0) + pages - int(words[1]) * KIB
    return found
