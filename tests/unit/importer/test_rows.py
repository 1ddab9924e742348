"""Tables become measurements digit by digit, and what does not fit is named with its line."""

import pytest

from drystone.errors import ImportMalformed
from drystone.formats.senml import Measurement
from drystone.importer.mapping import read_mapping
from drystone.importer.rows import BadRow, Pack, exact, read_table

WIDE = """
layout = "wide"
[device]
organisation = "ch"
id = "home-{VID}"
[time]
kind = "interval"
start = 2010-11-01T00:00:00Z
step_s = 900
[[measurement]]
name = "energy"
unit = "kWh"
columns = "V001..V004"
[record]
rows = 2
"""

LONG = """
layout = "long"
[device]
organisation = "lab"
id = "{cell}"
[time]
kind = "unix"
column = "t"
[[measurement]]
name = "voltage"
unit = "V"
column = "v"
[[measurement]]
name = "current"
unit = "A"
column = "i"
[record]
rows = 2
split = ["cycle"]
"""

START = 1_288_569_600


def table(text: str, *, mapping: str) -> list[Pack | BadRow]:
    return list(read_table(text.splitlines(keepends=True), read_mapping(mapping)))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", 0),
        ("-0", 0),
        ("7", 7),
        ("+7", 7),
        ("0.50", (-2, 50)),
        ("-6.37", (-2, -637)),
        (".5", (-1, 5)),
        ("5.", 5),
        ("1e3", 1000),
        ("1.5e1", 15),
        ("1.25e1", (-1, 125)),
        ("1e-05", (-5, 1)),
        ("0.000000001", (-9, 1)),
        ("0.0000000010", (-9, 1)),
        ("0.00000000000", 0),
        ("0e-99", 0),
        ("9223372036854775807", 2**63 - 1),
    ],
)
def test_a_number_keeps_the_digits_it_was_written_with(text: str, value: object) -> None:
    assert exact(text) == value


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "-",
        "NA",
        "nan",
        "inf",
        "1,5",
        "0x10",
        "1_000",
        " 1",
        "1e",
        "--1",
        "0.0000000001",
        "9223372036854775808",
        "1e19",
        "1e999",
        "1e9999",
        "٣",
        "1" * 65,
    ],
)
def test_what_is_no_exact_number_is_refused(text: str) -> None:
    with pytest.raises(ImportMalformed):
        exact(text)


def test_a_wide_row_becomes_one_pack_per_stretch() -> None:
    first, second = table("VID,V001,V002,V003,V004\n7,0.1,0.20,-6.37,4\n", mapping=WIDE)
    assert first == Pack(
        2,
        "home-7",
        (
            Measurement("energy", "kWh", (-1, 1), START),
            Measurement("energy", "kWh", (-2, 20), START + 900),
        ),
    )
    assert isinstance(second, Pack)
    assert [m.value for m in second.measurements] == [(-2, -637), 4]
    assert [m.time for m in second.measurements] == [START + 1800, START + 2700]


def test_a_missing_cell_of_a_wide_row_leaves_its_interval_out() -> None:
    first, _ = table("VID,V001,V002,V003,V004\n7,,0.2,0.3,4\n", mapping=WIDE)
    assert isinstance(first, Pack)
    assert [m.time for m in first.measurements] == [START + 900]


def test_a_wide_row_with_one_bad_cell_is_left_out_whole_and_named() -> None:
    (bad,) = table("VID,V001,V002,V003,V004\n7,1,2,3,four\n", mapping=WIDE)
    assert bad == BadRow(2, "line 2, column V004: 'four' is not a number")


def test_rows_after_a_bad_row_are_still_taken() -> None:
    text = "VID,V001,V002,V003,V004\n7,1,2,3,four\n8,1,2,3,4\n"
    assert [type(item) for item in table(text, mapping=WIDE)] == [BadRow, Pack, Pack]


def test_a_row_with_too_few_cells_is_named_by_its_line() -> None:
    (bad,) = table("VID,V001,V002,V003,V004\n7,1,2\n", mapping=WIDE)
    assert isinstance(bad, BadRow)
    assert bad.reason == "line 2: 3 cells where the header has 5"


@pytest.mark.parametrize("device", ["", "a b", "ü", "x" * 49, "../../etc"])
def test_a_cell_that_makes_no_device_id_is_named_by_its_line(device: str) -> None:
    mapping = WIDE.replace("home-{VID}", "{VID}")
    (bad,) = table(f"VID,V001,V002,V003,V004\n{device},1,2,3,4\n", mapping=mapping)
    assert isinstance(bad, BadRow)
    assert bad.reason.startswith("line 2: ")


def test_an_empty_table_is_refused() -> None:
    with pytest.raises(ImportMalformed, match="line 1: the table is empty"):
        table("", mapping=WIDE)


def test_a_table_without_a_mapped_column_is_refused() -> None:
    with pytest.raises(ImportMalformed, match="no column V004"):
        table("VID,V001,V002,V003\n", mapping=WIDE)


def test_a_table_with_a_column_twice_is_refused() -> None:
    with pytest.raises(ImportMalformed, match="column twice: V001"):
        table("VID,V001,V001,V002,V003,V004\n", mapping=WIDE)


def test_a_byte_that_is_no_text_makes_a_bad_row_not_a_crash() -> None:
    (bad,) = table('VID,V001,V002,V003,V004\n7,"1"x,2,3,4\n', mapping=WIDE)
    assert isinstance(bad, BadRow)


def test_long_rows_of_two_devices_are_gathered_apart() -> None:
    text = (
        "cell,cycle,t,v,i\nA,1,2000000000,3.9,-1\nB,1,2000000000,3.8,0\nA,1,2000000001.5,3.7,-1\n"
    )
    first, second = table(text, mapping=LONG)
    assert isinstance(first, Pack)
    assert isinstance(second, Pack)
    assert (first.device, first.line, len(first.measurements)) == ("A", 4, 4)
    assert first.measurements[3] == Measurement("current", "A", -1, (-1, 20_000_000_015))
    assert (second.device, second.line, len(second.measurements)) == ("B", 3, 2)


def test_a_new_value_in_a_split_column_begins_a_new_record() -> None:
    text = "cell,cycle,t,v,i\nA,1,2000000000,3.9,-1\nA,2,2000000001,3.7,-1\n"
    assert [len(pack.measurements) for pack in table(text, mapping=LONG) if isinstance(pack, Pack)] == [2, 2]  # fmt: skip


def test_the_same_table_gives_the_same_packs() -> None:
    text = "cell,cycle,t,v,i\n" + "".join(
        f"{'AB'[n % 2]},1,{2 * 10**9 + n},3.9,-1\n" for n in range(40)
    )
    assert table(text, mapping=LONG) == table(text, mapping=LONG)


@pytest.mark.parametrize(
    ("cell", "time"),
    [
        ("2020-02-08 13:30:47", 1_581_168_647),
        ("2020-02-08T14:30:47+01:00", 1_581_168_647),
        ("2020-02-08 13:30:47.250", (-6, 1_581_168_647_250_000)),
    ],
)
def test_a_text_time_is_read_exactly(cell: str, time: object) -> None:
    mapping = LONG.replace('"unix"', '"text"')
    (pack,) = table(f"cell,cycle,t,v,i\nA,1,{cell},1,2\n", mapping=mapping)
    assert isinstance(pack, Pack)
    assert pack.measurements[0].time == time


def test_a_text_time_without_offset_is_taken_at_the_mapping_s_offset() -> None:
    mapping = LONG.replace('"unix"', '"text"\nutc_offset = "+01:00"')
    (pack,) = table("cell,cycle,t,v,i\nA,1,2020-02-08 14:30:47,1,2\n", mapping=mapping)
    assert isinstance(pack, Pack)
    assert pack.measurements[0].time == 1_581_168_647


def test_a_text_time_of_another_format_is_named_by_line_and_column() -> None:
    mapping = LONG.replace('"unix"', '"text"\nformat = "%d.%m.%Y"')
    (bad,) = table("cell,cycle,t,v,i\nA,1,2020-02-08,1,2\n", mapping=mapping)
    assert isinstance(bad, BadRow)
    assert bad.reason.startswith("line 2, column t: ")


def test_an_index_counts_steps_from_the_start() -> None:
    mapping = LONG.replace('"unix"', '"index"\nstart = 2010-11-01T00:00:00Z\nstep_s = 3600')
    (pack,) = table("cell,cycle,t,v,i\nA,1,24,1,2\n", mapping=mapping)
    assert isinstance(pack, Pack)
    assert pack.measurements[0].time == START + 86_400


def test_a_fractional_index_stays_exact() -> None:
    mapping = LONG.replace('"unix"', '"index"\nstart = 2010-11-01T00:00:00Z\nstep_s = 1')
    (pack,) = table("cell,cycle,t,v,i\nA,1,16.781,1,2\n", mapping=mapping)
    assert isinstance(pack, Pack)
    assert pack.measurements[0].time == (-3, START * 1000 + 16_781)


def test_a_table_without_times_claims_none() -> None:
    mapping = LONG.replace('kind = "unix"\ncolumn = "t"', 'kind = "none"')
    (pack,) = table("cell,cycle,t,v,i\nA,1,x,1,2\n", mapping=mapping)
    assert isinstance(pack, Pack)
    assert pack.measurements[0].time is None
