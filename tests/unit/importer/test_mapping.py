"""A mapping file is read strictly: every member is known, every value is of its kind."""

import pytest

from drystone.errors import ImportMalformed
from drystone.importer.mapping import read_mapping

WIDE = """
layout = "wide"
[device]
organisation = "ch"
id = "home-{VID}"
profile = "interval-meter"
[time]
kind = "interval"
start = 2010-11-01T00:00:00+01:00
step_s = 900
[[measurement]]
name = "energy"
unit = "kWh"
columns = "V001..V672"
[record]
rows = 96
"""


def test_a_range_of_columns_is_spelt_out_with_its_zeros() -> None:
    columns = read_mapping(WIDE).measurements[0].columns
    assert (columns[0], columns[9], columns[-1], len(columns)) == ("V001", "V010", "V672", 672)


def test_a_range_without_zeros_is_spelt_out_without() -> None:
    mapping = read_mapping(WIDE.replace("V001..V672", "V8..V11"))
    assert mapping.measurements[0].columns == ("V8", "V9", "V10", "V11")


def test_a_list_of_columns_is_taken_in_its_order() -> None:
    mapping = read_mapping(WIDE.replace("V001..V672", "b, a"))
    assert mapping.measurements[0].columns == ("b", "a")


def test_the_start_is_unix_time_whatever_its_offset() -> None:
    assert read_mapping(WIDE).time.start_s == 1_288_569_600 - 3_600


def test_a_measurement_without_a_unit_has_none() -> None:
    assert read_mapping(WIDE.replace('unit = "kWh"\n', "")).measurements[0].unit is None


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ('layout = "wide"', "layout = ", "not TOML"),
        ('layout = "wide"', "", "layout: a text is needed"),
        ('layout = "wide"', 'layout = "tall"', "layout: expected one of wide, long"),
        ("[record]", "[recrod]", "unknown member 'recrod'"),
        ("rows = 96", "row = 96", "record: unknown member 'row'"),
        ("rows = 96", "rows = 0", "rows: a whole number from 1"),
        ("rows = 96", "rows = true", "rows: a whole number from 1"),
        ("rows = 96", "rows = 1.5", "rows: a whole number from 1"),
        ("rows = 96", "rows = 257", "at most 256 measurements"),
        ("rows = 96", 'split = "a"', "split: a list of texts"),
        ('organisation = "ch"', "organisation = 7", "organisation: a text"),
        ('id = "home-{VID}"', "", "id: a text is needed"),
        ('kind = "interval"', 'kind = "unix"', "kind: expected one of none, interval"),
        ("start = 2010-11-01T00:00:00+01:00", "", "time.start"),
        ("start = 2010-11-01T00:00:00+01:00", "start = 2010-11-01T00:00:00", "time.start"),
        ("step_s = 900", "", "step_s: a whole number"),
        ("step_s = 900", 'utc_offset = "CET"\nstep_s = 900', "utc_offset"),
        ("step_s = 900", 'utc_offset = "+25:00"\nstep_s = 900', "utc_offset"),
        ("V001..V672", "V672..V001", "not a range"),
        ("V001..V672", "V001..W672", "not a range"),
        ("V001..V672", "..", "not a range"),
        ("V001..V672", "V0..V99999999", "more than 65536"),
        ('columns = "V001..V672"', 'column = "V001"', "unknown member 'column'"),
        ('[[measurement]]\nname = "energy"', '[x]\nname = "energy"', "unknown member 'x'"),
        ("[record]", "[[record]]", "record: expected a table"),
        ("[device]", "missing = [1]\n[device]", "missing: a list of texts"),
        ("[[measurement]]", "[measurement]", "at least one"),
    ],
)
def test_a_mapping_with_a_fault_is_refused_by_name(old: str, new: str, reason: str) -> None:
    with pytest.raises(ImportMalformed, match=reason):
        read_mapping(WIDE.replace(old, new))


def test_a_list_that_holds_no_table_is_refused() -> None:
    text = WIDE.replace(
        '[[measurement]]\nname = "energy"\nunit = "kWh"\ncolumns = "V001..V672"\n', ""
    )
    with pytest.raises(ImportMalformed, match=r"expected \[\[measurement\]\]"):
        read_mapping("measurement = [1]\n" + text)
