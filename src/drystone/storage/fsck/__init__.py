"""`fsck`: the whole ledger recomputed from genesis, vertices and blocks, and every row compared.

It names the damaged vertex, record, row, column or tile, and says nothing about a sound home. Four
steps: SQLite's own check of pages and indexes; every row of vertices.db against its header; every
block applied once more, and every table of ledger.db against what comes out; behind a height at
which that cannot go on, what holds without bodies. It reads only, and believes only genesis.cbor
and signatures. The state and the streams' open rows are held in memory.

Source: issue 3, item 4; design.md section 8.
"""

from collections.abc import Callable
from pathlib import Path

from drystone.errors import DrystoneError
from drystone.ledger.apply import apply_genesis
from drystone.ledger.genesis import Genesis
from drystone.storage.files import (
    GENESIS_FILE,
    LEDGER_FILE,
    MIRROR_FILE,
    VERTICES_FILE,
    read_genesis,
)
from drystone.storage.fsck.files import check_meta, open_file
from drystone.storage.fsck.mirror import check_mirror
from drystone.storage.fsck.replay import Replay
from drystone.storage.fsck.report import Finding, Progress, Report, Unreadable
from drystone.storage.fsck.structure import check_structure
from drystone.storage.fsck.vertices import VertexSource
from drystone.storage.ledger import SCHEMA
from drystone.storage.memory import MemoryView

__all__ = ["Finding", "check_files", "check_gateway", "fsck"]


def _quiet(done: int, total: int) -> None:
    """Tell nobody."""


def fsck(home: Path, *, progress: Progress = _quiet) -> list[Finding]:
    """Check a home folder whose node does not run, or a backup; return what is damaged.

    Reads `genesis.cbor`, `vertices.db` and `ledger.db`; of a gateway, which has no ledger, `mirror.db`. Never raises
    for what the files hold.

    Args:
        home: the folder.
        progress: told of blocks recomputed and blocks in all.
    """
    report = Report()
    try:
        genesis = read_genesis(home)
    except DrystoneError as error:
        report.add(GENESIS_FILE, "", "", "", str(error))
        return report.findings
    if (home / MIRROR_FILE).exists() and not (home / LEDGER_FILE).exists():
        return check_gateway(genesis, mirror=home / MIRROR_FILE, vertices=home / VERTICES_FILE)
    return check_files(
        genesis, ledger=home / LEDGER_FILE, vertices=home / VERTICES_FILE, progress=progress
    )


def check_gateway(
    genesis: Genesis, *, mirror: Path, vertices: Path, vfs: str | None = None
) -> list[Finding]:
    """Do as `fsck` for the two files of a gateway: every row, every vertex against its header."""
    report = Report()
    ledger = apply_genesis(genesis, MemoryView()).ledger
    try:
        vertices_file = open_file(report, vertices, vfs)
    except Unreadable:
        return report.findings
    try:
        source = VertexSource(vertices_file, report, ledger)
        _part(report, vertices.name, source.check_rows)
    finally:
        vertices_file.close()
    return report.findings + check_mirror(mirror, ledger=ledger, vfs=vfs)


def check_files(
    genesis: Genesis,
    *,
    ledger: Path,
    vertices: Path,
    progress: Progress = _quiet,
    vfs: str | None = None,
) -> list[Finding]:
    """Do as `fsck` for two files of one genesis; `vfs` names a test's file system."""
    report = Report()
    view = MemoryView()
    start = apply_genesis(genesis, view)
    view.ledger = start.ledger
    view.install(start.change)
    try:
        vertices_file = open_file(report, vertices, vfs)
    except Unreadable:
        return report.findings
    try:
        ledger_file = open_file(report, ledger, vfs)
    except Unreadable:
        vertices_file.close()
        return report.findings
    try:
        source = VertexSource(vertices_file, report, start.ledger)
        _part(report, vertices.name, source.check_rows)
        expected = {"kind": SCHEMA.kind, "ledger": start.ledger, "schema": SCHEMA.version}
        _part(report, ledger.name, lambda: check_meta(report, ledger_file, expected))

        def replay() -> None:
            run = Replay(ledger_file, report, source, view)
            try:
                run.run(start.change, progress)
            finally:
                if run.done < run.height:
                    behind, flushed = run.done, run.flushed
                    check_structure(ledger_file, report, behind=behind, flushed=flushed)

        _part(report, ledger.name, replay)
    finally:
        ledger_file.close()
        vertices_file.close()
    return report.findings


def _part(report: Report, database: str, part: Callable[[], object]) -> None:
    """Run one part of the check; what it cannot read is a finding, and the next part goes on.

    A damaged file may hold anything anywhere, so a type or value that no row of ours has counts
    as damage here, not as a defect of the program.
    """
    try:
        part()
    except (DrystoneError, TypeError, ValueError, LookupError) as error:
        report.add(database, "", "", "", f"cannot be read: {type(error).__name__}: {error}")
