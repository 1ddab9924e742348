"""What commands print: facts in two columns, tables that fit 80 columns, one JSON document for programs.

Plain text first: everything reads well without colour and in a log. `rich` is imported only where it draws.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import typer

Json = Mapping[str, Any]
INDENT: Final = 1


def emit(value: Json, *, as_json: bool, text: Callable[[], str]) -> None:
    """Print `value` as JSON, or what `text` makes of it."""
    if as_json:
        typer.echo(json.dumps(value, indent=INDENT, ensure_ascii=False, default=_plain))
        return
    shown = text()
    if shown:
        typer.echo(shown)


def facts(pairs: Sequence[tuple[str, object]]) -> str:
    """Lay out `label  value` lines; a None is left out."""
    shown = [(label, value) for label, value in pairs if value is not None]
    width = max((len(label) for label, _ in shown), default=0)
    return "\n".join(f"{label:<{width}}  {value}" for label, value in shown)


def table(
    columns: Sequence[str], rows: Sequence[Sequence[object]], *, right: frozenset[str] = frozenset()
) -> str:
    """Lay out rows under their columns, as wide as they need; `right` names columns of numbers."""
    cells = [[_cell(value) for value in row] for row in rows]
    widths = [
        max([len(name), *(len(row[index]) for row in cells)]) for index, name in enumerate(columns)
    ]
    flush = [name in right for name in columns]

    def line(row: Sequence[str]) -> str:
        parts = [
            f"{cell:>{width}}" if to_right else f"{cell:<{width}}"
            for cell, width, to_right in zip(row, widths, flush, strict=True)
        ]
        return "  ".join(parts).rstrip()

    return "\n".join([line(columns), *(line(row) for row in cells)])


def size(count: int) -> str:
    """Bytes for a person: 812 B, 4.1 kB, 12.9 MB."""
    if count < 1000:
        return f"{count} B"
    for unit in ("kB", "MB", "GB"):
        count_tenths = count // 100
        if count_tenths < 10_000:
            return f"{count_tenths // 10}.{count_tenths % 10} {unit}"
        count //= 1000
    return f"{count} TB"


def number(count: int) -> str:
    """A count with thin groups: 360,864."""
    return f"{count:,}"


def _cell(value: object) -> str:
    if value is None:
        return "-"
    return value.hex() if isinstance(value, bytes) else str(value)


def _plain(value: object) -> Any:
    if isinstance(value, bytes):
        return value.hex()
    raise TypeError(f"{type(value).__name__} has no JSON form")
