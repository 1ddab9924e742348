"""Line e: bytes on disk per record, over the bytes that came in by wire; the node stopped, its databases closed.

What is shared among records (registry, genesis, block entries, keys of indexes) is in it; calls count as wire too.
"""

from bench.figure import Figure, at_most
from bench.flood import street_flood
from bench.stage import Stage

RATIO_MAX = 1.3
SMALL = 0.5
"""Tables below so many bytes per record share a row."""


def figures(stage: Stage) -> list[Figure]:
    """Line e."""
    run = stage.once(street_flood)
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
