"""The mapping file of an import: how the rows of a recorded table become records of devices.

Lives here: the TOML file's members, each checked. May not: read the table. Place in a record's life: before it.
docs/reference/mapping.md describes every member.
"""

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from typing import Final, Literal, cast

from drystone import limits
from drystone.errors import ImportMalformed

COLUMNS_MAX: Final = 65_536
MAPPING_BYTES_MAX: Final = 65_536

_OFFSET: Final = re.compile(r"([+-])(\d\d):(\d\d)")

TimeKind = Literal["none", "interval", "index", "unix", "text"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Time:
    """How a row or column tells its time, in Unix seconds.

    `interval` (wide): column k began at start + k * step. `index` (long): start + cell * step.
    `unix`: the cell is seconds, fractions allowed. `text`: by `format`, or ISO 8601 where it is empty; a text
    without an offset is taken at `utc_offset`. `none`: no time is claimed.
    """

    kind: TimeKind = "none"
    column: str = ""
    start_s: int = 0
    step_s: int = 0
    format: str = ""
    utc_offset: str = "+00:00"


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One measurement: its SenML name and unit, and the column (long) or columns (wide) that hold it."""

    name: str
    unit: str | None
    columns: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A whole mapping: how the rows of a file become records of devices."""

    layout: Literal["wide", "long"]
    organisation: str
    device: str
    profile: str
    time: Time
    measurements: tuple[Column, ...]
    rows_per_record: int
    split: tuple[str, ...]
    missing: frozenset[str]
    delimiter: str


def read_mapping(text: str) -> Table:
    """Parse a mapping file and check every member of it; docs/reference/mapping.md describes them.

    Does not check that the table has the columns: `read_table` does.
    Raises: ImportMalformed, naming the member.
    """
    try:
        root = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ImportMalformed(f"mapping: not TOML: {error}") from error
    _only(root, "mapping", "layout delimiter missing device time measurement record")
    layout = _text(root, "layout", choices=("wide", "long"))
    device = _section(root, "device", "organisation id profile")
    record = _section(root, "record", "rows split")
    columns = _measurements(root, wide=layout == "wide")
    rows = _whole(record, "rows", default=1, least=1)
    if rows * (1 if layout == "wide" else len(columns)) > limits.PACK_MEASUREMENTS_MAX:
        raise ImportMalformed(
            f"mapping: record.rows: a record holds at most {limits.PACK_MEASUREMENTS_MAX} measurements"
        )
    return Table(
        layout=cast("Literal['wide', 'long']", layout),
        organisation=_text(device, "organisation"),
        device=_text(device, "id"),
        profile=_text(device, "profile", default=""),
        time=_time(_section(root, "time", "kind column start step_s format utc_offset"), layout),
        measurements=columns,
        rows_per_record=rows,
        split=_texts(record, "split", default=()),
        missing=frozenset(_texts(root, "missing", default=("",))),
        delimiter=_text(root, "delimiter", default=","),
    )


def _measurements(root: Mapping[str, object], *, wide: bool) -> tuple[Column, ...]:
    listed = root.get("measurement")
    if not isinstance(listed, list) or not listed:
        raise ImportMalformed("mapping: at least one [[measurement]] is needed")
    columns: list[Column] = []
    for entry in cast("list[object]", listed):
        if not isinstance(entry, dict):
            raise ImportMalformed("mapping: measurement: expected [[measurement]]")
        member = cast("dict[str, object]", entry)
        key = "columns" if wide else "column"
        _only(member, "measurement", f"name unit {key}")
        text = _text(member, key)
        columns.append(
            Column(
                name=_text(member, "name", default=""),
                unit=_text(member, "unit", default="") or None,
                columns=_column_range(text) if wide else (text,),
            )
        )
    return tuple(columns)


def _column_range(text: str) -> tuple[str, ...]:
    """Give the names of `V001..V672`, or of a list `a, b, c`."""
    first, dots, last = text.partition("..")
    if not dots:
        return tuple(name.strip() for name in text.split(","))
    begin, end = (
        re.fullmatch(r"(.*?)(\d+)", first.strip()),
        re.fullmatch(r"(.*?)(\d+)", last.strip()),
    )
    if begin is None or end is None or begin[1] != end[1] or int(begin[2]) > int(end[2]):
        raise ImportMalformed(f"mapping: columns: {text!r} is not a range such as V001..V672")
    if int(end[2]) - int(begin[2]) >= COLUMNS_MAX:
        raise ImportMalformed(f"mapping: columns: more than {COLUMNS_MAX} in {text!r}")
    width = len(begin[2]) if begin[2].startswith("0") else 0
    numbers = range(int(begin[2]), int(end[2]) + 1)
    return tuple(f"{begin[1]}{number:0{width}d}" for number in numbers)


def _time(section: Mapping[str, object], layout: str) -> Time:
    kinds = ("none", "interval") if layout == "wide" else ("none", "index", "unix", "text")
    kind = _text(section, "kind", default="none", choices=kinds)
    needs_start = kind in ("interval", "index")
    start = section.get("start")
    if needs_start and (not isinstance(start, datetime) or start.tzinfo is None):
        raise ImportMalformed(
            "mapping: time.start: expected a date-time with offset, as 2010-11-01T00:00:00Z"
        )
    offset = _text(section, "utc_offset", default="+00:00")
    zone(offset)
    return Time(
        kind=cast("TimeKind", kind),
        column="" if kind in ("none", "interval") else _text(section, "column"),
        start_s=_unix_s(cast("datetime", start)) if needs_start else 0,
        step_s=_whole(section, "step_s", default=None, least=1) if needs_start else 0,
        format=_text(section, "format", default=""),
        utc_offset=offset,
    )


def zone(text: str) -> timezone:
    """Give the zone of an offset such as +01:00. Raises: ImportMalformed."""
    match = _OFFSET.fullmatch(text)
    if match is None or int(match[2]) > 23 or int(match[3]) > 59:
        raise ImportMalformed(f"mapping: time.utc_offset: expected +01:00, not {text!r}")
    offset = timedelta(hours=int(match[2]), minutes=int(match[3]))
    return timezone(-offset if match[1] == "-" else offset)


def _unix_s(moment: datetime) -> int:
    since = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return since.days * 86_400 + since.seconds


def _only(section: Mapping[str, object], where: str, names: str) -> None:
    unknown = sorted(set(section) - set(names.split()))
    if unknown:
        raise ImportMalformed(f"mapping: {where}: unknown member {unknown[0]!r}")


def _section(root: Mapping[str, object], name: str, members: str) -> Mapping[str, object]:
    section = root.get(name, {})
    if not isinstance(section, dict):
        raise ImportMalformed(f"mapping: {name}: expected a table [{name}]")
    known = cast("dict[str, object]", section)
    _only(known, name, members)
    return known


def _text(
    section: Mapping[str, object],
    name: str,
    *,
    default: str | None = None,
    choices: Sequence[str] = (),
) -> str:
    value = section.get(name, default)
    if not isinstance(value, str):
        raise ImportMalformed(f"mapping: {name}: a text is needed")
    if choices and value not in choices:
        raise ImportMalformed(
            f"mapping: {name}: expected one of {', '.join(choices)}, not {value!r}"
        )
    return value


def _texts(
    section: Mapping[str, object], name: str, *, default: tuple[str, ...]
) -> tuple[str, ...]:
    value = section.get(name, list(default))
    if not isinstance(value, list) or not all(
        isinstance(item, str) for item in cast("list[object]", value)
    ):
        raise ImportMalformed(f"mapping: {name}: a list of texts is needed")
    return tuple(cast("list[str]", value))


def _whole(section: Mapping[str, object], name: str, *, default: int | None, least: int) -> int:
    value = section.get(name, default)
    if type(value) is not int or value < least:
        raise ImportMalformed(f"mapping: {name}: a whole number from {least} is needed")
    return value
