"""Reads a recorded table (CSV, wide or long) as measurements, by a mapping, without touching a digit.

Lives here: the walk over a table's rows, the exact reading of a number. May not: sign, send, open a file, use a
float, or repair anything: a cell that is odd but a number stays as it was recorded, a cell that is no number is an
error with its line. Place in a record's life: before it; `drystone import` signs what comes out.

*Wide*: one row per device, its columns are consecutive intervals. *Long*: one row per device and moment.
The rows of one device are gathered until a record is full. What comes out depends on the table and the mapping
alone, so an import that stopped finds its place again by counting.
"""

import csv
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final, NamedTuple

from drystone import limits
from drystone.errors import ImportMalformed
from drystone.formats.senml import Measurement, Number
from drystone.importer.mapping import COLUMNS_MAX, Table, Time, zone

CELL_LENGTH_MAX: Final = 64

_NUMBER: Final = re.compile(r"([+-]?)(\d*)(?:\.(\d*))?(?:[eE]([+-]?\d{1,3}))?", re.ASCII)
_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_PLACE: Final = re.compile(r"\{([^{}]*)\}")


class Pack(NamedTuple):
    """The content of one record to be: whose it is, its measurements, and the last line it came from."""

    line: int
    device: str
    measurements: tuple[Measurement, ...]


class BadRow(NamedTuple):
    """A row of which nothing was taken, and why."""

    line: int
    reason: str


def read_table(lines: Iterable[str], table: Table) -> Iterator[Pack | BadRow]:
    """Yield the packs of a table in an order that depends on it alone, and a `BadRow` for each row left out.

    Checks that the columns exist once, that each number is one, that ids are ids. Does not check units, rising
    times or a profile: the ledger does.
    Raises: ImportMalformed when the header row does not fit the mapping.
    """
    rows = csv.reader(lines, delimiter=table.delimiter, strict=True)
    try:
        header = next(rows)
    except StopIteration:
        raise ImportMalformed("line 1: the table is empty") from None
    except csv.Error as error:
        raise ImportMalformed(f"line 1: {error}") from error
    places = _check_header(header, table)
    gathered: dict[str, _Gathered] = {}
    while True:
        try:
            row = next(rows, None)
            if row is None:
                break
            if not row:
                continue
            yield from _take_row(row, rows.line_num, places, table, gathered)
        except csv.Error as error:
            yield BadRow(rows.line_num, f"line {rows.line_num}: {error}")
        except ImportMalformed as error:
            yield BadRow(rows.line_num, str(error))
    for device, open_record in gathered.items():
        if open_record.measurements:
            yield Pack(open_record.line, device, tuple(open_record.measurements))


def exact(text: str) -> Number:
    """Read a decimal number as integer, or as (exponent, mantissa) with the digits it was written with.

    "0.50" is (-2, 50), "1e3" is 1000, "-6.37" is (-2, -637).
    Raises: ImportMalformed when it is no number, or has more than 9 decimals or 63 bits.
    """
    match = _NUMBER.fullmatch(text) if len(text) <= CELL_LENGTH_MAX else None
    if match is None or not (match[2] or match[3]):
        raise ImportMalformed(f"{text[:CELL_LENGTH_MAX]!r} is not a number")
    decimals = match[3] or ""
    exponent = int(match[4] or 0) - len(decimals)
    mantissa = int((match[2] or "") + decimals)
    while exponent < limits.EXPONENT_MIN and mantissa % 10 == 0 and exponent < 0:
        mantissa, exponent = (mantissa // 10, exponent + 1) if mantissa else (0, 0)
    if exponent < limits.EXPONENT_MIN:
        raise ImportMalformed(f"{text!r} has more than {-limits.EXPONENT_MIN} decimals")
    if exponent > 0:
        mantissa, exponent = mantissa * 10 ** min(exponent, 64), 0
    if mantissa.bit_length() > limits.INTEGER_BITS_MAX:
        raise ImportMalformed(f"{text!r} has more than {limits.INTEGER_BITS_MAX} bits")
    mantissa = -mantissa if match[1] == "-" else mantissa
    return mantissa if exponent == 0 else (exponent, mantissa)


# --- rows ------------------------------------------------------------------------------------------


class _Gathered:
    """The rows of one device that wait for their record to fill."""

    __slots__ = ("line", "measurements", "rows", "split")

    def __init__(self) -> None:
        self.line = 0
        self.rows = 0
        self.split: tuple[str, ...] = ()
        self.measurements: list[Measurement] = []


def _take_row(
    row: Sequence[str],
    line: int,
    places: Mapping[str, int],
    table: Table,
    gathered: dict[str, _Gathered],
) -> Iterator[Pack]:
    if len(row) != len(places):
        raise ImportMalformed(f"line {line}: {len(row)} cells where the header has {len(places)}")
    cells = {name: row[index].strip() for name, index in places.items()}
    device = _device_id(cells, table, line)
    if table.layout == "wide":
        yield from _wide_packs(cells, device, line, table)
        return
    measurements = _long_row(cells, line, table)
    split = tuple(cells[name] for name in table.split)
    waiting = gathered.setdefault(device, _Gathered())
    if waiting.measurements and waiting.split != split:
        yield _close(waiting, device)
    waiting.line, waiting.split = line, split
    waiting.rows += 1
    waiting.measurements += measurements
    if waiting.rows >= table.rows_per_record and waiting.measurements:
        yield _close(waiting, device)


def _close(waiting: _Gathered, device: str) -> Pack:
    pack = Pack(waiting.line, device, tuple(waiting.measurements))
    waiting.rows, waiting.measurements = 0, []
    return pack


def _wide_packs(cells: Mapping[str, str], device: str, line: int, table: Table) -> list[Pack]:
    """All packs of a row, or an error: a row counts whole."""
    packs: list[Pack] = []
    for column in table.measurements:
        for begin in range(0, len(column.columns), table.rows_per_record):
            measurements: list[Measurement] = []
            for index, name in enumerate(
                column.columns[begin : begin + table.rows_per_record], begin
            ):
                if cells[name] in table.missing:
                    continue
                value = _number(cells[name], line, name)
                time: Number | None = None
                if table.time.kind == "interval":
                    time = table.time.start_s + index * table.time.step_s
                measurements.append(Measurement(column.name, column.unit, value, time))
            if measurements:
                packs.append(Pack(line, device, tuple(measurements)))
    return packs


def _long_row(cells: Mapping[str, str], line: int, table: Table) -> list[Measurement]:
    time = _row_time(cells, line, table.time)
    return [
        Measurement(
            column.name,
            column.unit,
            _number(cells[column.columns[0]], line, column.columns[0]),
            time,
        )
        for column in table.measurements
        if cells[column.columns[0]] not in table.missing
    ]


def _row_time(cells: Mapping[str, str], line: int, time: Time) -> Number | None:
    if time.kind == "none":
        return None
    text = cells[time.column]
    if time.kind == "text":
        return _parse_time(text, line, time)
    value = _number(text, line, time.column)
    if time.kind == "unix":
        return value
    if isinstance(value, int):
        return time.start_s + value * time.step_s
    exponent, mantissa = value
    return exponent, time.start_s * 10**-exponent + mantissa * time.step_s


def _parse_time(text: str, line: int, time: Time) -> Number:
    try:
        moment = (
            datetime.strptime(text, time.format)  # noqa: DTZ007 - the offset follows below
            if time.format
            else datetime.fromisoformat(text)
        )
    except ValueError as error:
        raise ImportMalformed(f"line {line}, column {time.column}: {error}") from error
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=zone(time.utc_offset))
    since = moment - datetime(1970, 1, 1, tzinfo=UTC)
    seconds = since.days * 86_400 + since.seconds
    return (-6, seconds * 10**6 + since.microseconds) if since.microseconds else seconds


def _number(text: str, line: int, column: str) -> Number:
    try:
        return exact(text)
    except ImportMalformed as error:
        raise ImportMalformed(f"line {line}, column {column}: {error}") from error


def _device_id(cells: Mapping[str, str], table: Table, line: int) -> str:
    device = _PLACE.sub(lambda match: cells[match[1]], table.device)
    if not _ID.fullmatch(device) or len(device) > limits.ID_LENGTH_MAX:
        raise ImportMalformed(
            f"line {line}: {device[:80]!r} is no device id (1 to {limits.ID_LENGTH_MAX} of A-Z a-z 0-9 . _ -)"
        )
    return device


def _check_header(header: Sequence[str], table: Table) -> dict[str, int]:
    names = [name.strip() for name in header]
    if len(names) > COLUMNS_MAX:
        raise ImportMalformed(f"line 1: more than {COLUMNS_MAX} columns")
    twice = sorted(name for name, count in Counter(names).items() if count > 1)
    if twice:
        raise ImportMalformed(f"line 1: column twice: {', '.join(twice[:5])}")
    wanted = [name for column in table.measurements for name in column.columns]
    wanted += [*_PLACE.findall(table.device), *table.split]
    wanted += [table.time.column] if table.time.column else []
    absent = sorted(set(wanted) - set(names))
    if absent:
        raise ImportMalformed(f"line 1: the table has no column {', '.join(absent[:5])}")
    return {name: index for index, name in enumerate(names)}
