"""What is printed reads well at 80 columns and keeps every digit."""

from hashlib import sha256

import pytest

from drystone.cli.demo_proofs import flip_bit
from drystone.cli.demo_table import Rate, StreetTable, sparkline
from drystone.cli.output import emit, facts, number, size, table
from drystone.cli.proofs import wrap_report
from drystone.sim import meters


def test_facts_stand_in_two_columns_and_leave_out_what_is_not_there() -> None:
    assert facts([("a", 1), ("longer", "x"), ("gone", None)]) == "a       1\nlonger  x"


def test_a_table_is_as_wide_as_its_cells_and_numbers_are_flush_right() -> None:
    shown = table(("name", "n"), [("m-1", 7), ("m-10", 1234)], right=frozenset({"n"}))
    assert shown == "name     n\nm-1      7\nm-10  1234"


def test_a_cell_that_is_not_there_is_a_dash() -> None:
    assert table(("a",), [(None,)]) == "a\n-"


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (999, "999 B"), (1_155, "1.1 kB"), (12_900_000, "12.9 MB"), (999_999, "999.9 kB")],
)
def test_sizes_are_short(count: int, text: str) -> None:
    assert size(count) == text


def test_counts_are_grouped() -> None:
    assert number(360_864) == "360,864"


def test_bytes_are_hex_in_json(capsys: pytest.CaptureFixture[str]) -> None:
    emit({"id": b"\xab"}, as_json=True, text=lambda: "")
    assert '"id": "ab"' in capsys.readouterr().out


def test_what_has_no_json_form_is_a_mistake_of_ours() -> None:
    with pytest.raises(TypeError):
        emit({"id": object()}, as_json=True, text=lambda: "")


def test_a_report_is_wrapped_at_words_and_hangs_behind_its_label() -> None:
    line = "  from:         " + "word " * 20
    wrapped = wrap_report(line + "\n").split("\n")
    assert all(len(part) <= 80 for part in wrapped)
    assert wrapped[1].startswith(" " * 16 + "word")


def test_a_hash_in_a_report_stays_whole() -> None:
    digest = "ab" * 40
    assert digest in wrap_report(f"  root:         {digest}\n")


def test_a_sparkline_spans_from_least_to_greatest() -> None:
    assert sparkline([0, 50, 100]) == "▁▄█"
    assert sparkline([5, 5]) == "▁▁"
    assert sparkline([]) == ""


def test_a_rate_looks_back_over_its_window_only() -> None:
    rate = Rate(window_s=2.0)
    assert rate.add(0.0, 100) == 400
    assert rate.add(1.0, 100) == 200
    assert rate.add(10.0, 8) == 32


def test_the_street_table_shows_meters_that_have_shown_something() -> None:
    street = meters.street(seed=7, count=24)
    shown = StreetTable(street)
    assert shown.draw().row_count == 0
    shown.update({m.device: meters.Reading(None, 10, 2, -5) for m in street})
    assert shown.draw().row_count == 8


def test_one_bit_of_a_record_s_leaf_is_flipped_where_it_lies(tmp_path) -> None:
    record = bytes(range(100, 200))
    leaf = sha256(b"\0" + sha256(record).digest()).digest()
    before = b"\0" * 50 + leaf + b"\0" * 50
    (tmp_path / "ledger.db").write_bytes(before)
    assert flip_bit(tmp_path, record) == "ledger.db, byte 55"
    after = (tmp_path / "ledger.db").read_bytes()
    assert sum((a ^ b).bit_count() for a, b in zip(before, after, strict=True)) == 1


def test_a_bit_in_the_middle_is_flipped_where_the_leaf_is_not_found(tmp_path) -> None:
    (tmp_path / "ledger.db").write_bytes(bytes(100))
    assert flip_bit(tmp_path, b"x") == "ledger.db, byte 50"
