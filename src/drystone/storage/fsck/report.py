"""What `fsck` says: findings, each with table, row and column, and how far it has come."""

from collections.abc import Callable, Iterable, Sequence
from typing import Final, NamedTuple

from drystone.storage.connection import Row

FINDINGS_MAX: Final = 1_000
"""Findings that are kept; one damaged page can bring thousands."""

Progress = Callable[[int, int], None]
"""Told of (blocks recomputed, blocks in all)."""


class Finding(NamedTuple):
    """One thing that is not what it must be."""

    database: str
    """`vertices.db`, `ledger.db` or `genesis.cbor`."""
    table: str
    row: str
    """Its key, as a person can look it up."""
    column: str
    """The damaged column, or the few among which it is."""
    what: str


class Unreadable(Exception):  # noqa: N818 - ends one part of a check, not the program
    """The rest of a part cannot be checked; why is in the findings."""


class Report:
    """Gathers findings, up to `FINDINGS_MAX`."""

    def __init__(self) -> None:
        self.findings: list[Finding] = []

    def add(self, database: str, table: str, row: object, column: str, what: str) -> None:
        """Note one finding."""
        finding = Finding(database, table, str(row), column, what)
        if len(self.findings) < FINDINGS_MAX and finding not in self.findings[-3:]:
            self.findings.append(finding)

    def types_fit(
        self,
        database: str,
        table: str,
        row: object,
        columns: Sequence[tuple[str, type]],
        values: Row,
    ) -> bool:
        """Note every column that holds another type than its own; tell whether all fit."""
        wrong = [
            (name, kind, value)
            for (name, kind), value in zip(columns, values, strict=True)
            if type(value) is not kind
        ]
        for name, kind, value in wrong:
            self.add(database, table, row, name, f"{kind.__name__} expected, not {value!r:.40}")
        return not wrong


def quoted(parts: Iterable[object]) -> str:
    """Join the parts of a key for a person: text as it is, bytes as hex."""
    return " ".join(part.hex() if isinstance(part, bytes) else str(part) for part in parts)
