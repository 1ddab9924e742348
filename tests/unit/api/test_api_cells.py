"""Numbers and times on their way out: digit for digit, never rounded."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drystone.api.cells import decimal_text, iso_ms, iso_seconds, plain, value_cell
from drystone.formats.cbor import Tag


@given(st.integers(-9, -1), st.integers(-(2**63), 2**63))
def test_decimal_fraction_keeps_value_and_digits(exponent: int, mantissa: int) -> None:
    text = decimal_text((exponent, mantissa))
    assert Decimal(text) == Decimal(mantissa).scaleb(exponent)
    assert len(text.partition(".")[2]) == -exponent


@pytest.mark.parametrize(
    ("number", "text"),
    [((-1, 215), "21.5"), ((-2, 2150), "21.50"), ((-3, -7), "-0.007"), (0, "0"), (-5, "-5")],
)
def test_decimal_fraction_is_written_as_people_do(number: int | tuple[int, int], text: str) -> None:
    assert decimal_text(number) == text


def test_integer_that_javascript_would_round_becomes_text() -> None:
    assert value_cell(2**53 - 1) == 2**53 - 1
    assert value_cell(2**53) == "9007199254740992"


def test_truth_stays_truth_and_bytes_become_hex() -> None:
    assert value_cell(True) is True
    assert value_cell(b"\x00\xff") == "00ff"


@given(st.integers(0, 253_402_300_799))
def test_time_is_the_calendars(seconds: int) -> None:
    text = iso_seconds(seconds)
    assert text is not None
    assert datetime.fromisoformat(text) == datetime.fromtimestamp(seconds, UTC)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        ((-3, 1_762_340_400_250), "2025-11-05T11:00:00.250Z"),
        (253_402_300_800, "253402300800"),
        (-1, "-1"),
        (2**63, "9223372036854775808"),
        (None, None),
    ],
)
def test_time_keeps_its_fraction_and_no_calendar_is_forced(
    seconds: int | tuple[int, int] | None, text: str | None
) -> None:
    assert iso_seconds(seconds) == text


def test_milliseconds_of_a_block_are_shown() -> None:
    assert iso_ms(1_762_340_400_007) == "2025-11-05T11:00:00.007Z"
    assert iso_ms(None) is None


def test_cbor_values_become_json_values() -> None:
    value = {1: b"\x01", "a": [2**60, Tag(4, [-1, 5]), True, None], b"\x02": "x"}
    assert plain(value) == {
        "1": "01",
        "a": [str(2**60), {"tag": 4, "value": [-1, 5]}, True, None],
        "02": "x",
    }
