"""Verdicts in words: every figure is there, and what is not proved is said."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from proof_vectors import named, run

from drystone.proof import moments, report
from drystone.proof.verdict import Range


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (17, "17"),
        (-17, "-17"),
        ((-3, 3899), "3.899"),
        ((-3, -5), "-0.005"),
        ((-1, 10), "1.0"),
        ((-9, 1), "0.000000001"),
        (True, "true"),
        (False, "false"),
        ("grün", "grün"),
        (b"\x01\xff", "01ff"),
    ],
)
def test_a_value_is_shown_as_it_was_signed(value: object, text: str) -> None:
    assert report.number(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "1970-01-01 00:00:00 UTC"),
        (253402300799, "9999-12-31 23:59:59 UTC"),
        (253402300800, "Unix time 253402300800"),
        (-1, "Unix time -1"),
        (2**64 - 1, "Unix time 18446744073709551615"),
    ],
)
def test_a_time_is_shown_or_named_as_a_number(seconds: int, text: str) -> None:
    assert moments.unix_time(seconds) == text


@settings(deadline=None)
@given(seconds=st.integers(0, moments.TIME_MAX))
def test_a_time_is_the_calendars(seconds: int) -> None:
    calendar = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
    assert moments.unix_time(seconds) == calendar.strftime("%Y-%m-%d %H:%M:%S UTC")


def test_unchecked_signature_is_said_in_words_and_in_json() -> None:
    verdict = run(named("the same without a proved key"))
    assert any("was not checked here" in sentence for sentence in report.unproved(verdict))
    assert report.as_json(verdict)["signature"] == {"checked": False, "signed_by": "device"}


def test_checked_signature_is_said_in_words_and_in_json() -> None:
    verdict = run(named("the worked record in a log of three entries, its key proved"))
    assert any("own signature is valid" in sentence for sentence in report.proved(verdict))
    assert not any("was not checked" in sentence for sentence in report.unproved(verdict))
    assert json.loads(json.dumps(report.as_json(verdict)))["signature"]["checked"] is True


def test_revoked_key_is_said() -> None:
    verdict = run(named("a sealed record under a key that was revoked later"))
    assert any("lists it as revoked" in sentence for sentence in report.unproved(verdict))


def test_unknown_status_of_a_key_is_said_as_a_number() -> None:
    verdict = run(named("a sealed record under a key that was revoked later"))
    assert verdict.signature is not None
    changed = replace(verdict, signature=replace(verdict.signature, key_status=9))
    assert any("lists it as status 9" in sentence for sentence in report.unproved(changed))


def test_attested_reading_names_the_gateway_that_signed() -> None:
    text = report.as_text(run(named("a device that does not sign: the gateway attests")))
    assert "ewz/pulse-3 (attested by gw-01)" in text
    assert "this device does not sign, gw-01 signs for it" in text


def test_call_is_shown_with_its_function() -> None:
    text = report.as_text(run(named("a call of this ledger")))
    assert "registry.registry.rotate" in text


def test_many_measurements_are_cut_with_their_number() -> None:
    assert "and 40 more" in report.as_text(run(named("sixty measurements")))


def test_time_with_a_fraction_is_shown_as_a_number() -> None:
    verdict = run(named("the same without a proved key"))
    assert verdict.record is not None
    changed = replace(
        verdict, record=replace(verdict.record, measurements=(("e", None, 1, (-1, 17623404005)),))
    )
    assert "at Unix time 1762340400.5 (claimed)" in report.as_text(changed)


def test_many_gaps_are_cut_with_their_number() -> None:
    verdict = run(named("two hundred and seventy records in thirty runs", among="completeness"))
    assert "29 numbers had not arrived by then (epoch/number)" in report.as_text(verdict)
    assert "0/199 and 9 more" in report.as_text(verdict)


def test_gap_of_several_numbers_is_shown_as_a_range() -> None:
    verdict = run(named("from the beginning, one gap", among="completeness"))
    assert verdict.stretch is not None
    wide = replace(verdict.stretch, gaps=(Range(0, 3, 9),))
    assert "7 numbers had not arrived by then (epoch/number): 0/3-9." in report.as_text(
        replace(verdict, stretch=wide)
    )


@pytest.mark.parametrize(
    ("key", "text"),
    [
        (bytes.fromhex("0163") + b"ewz", "organisation / ewz"),
        (bytes.fromhex("0361616162") + b"\x42\x01\x02", "key / a / b / 0102"),
        (b"\x18\x20", "32"),
        (b"", ""),
        (b"\xff", "ff"),
    ],
)
def test_state_key_is_shown_in_words_or_as_bytes(key: bytes, text: str) -> None:
    if key.startswith(b"\x03"):
        key = bytes.fromhex("03") + b"\x61a\x61b\x42\x01\x02"
    assert report.state_key(key) == text


def test_absent_value_is_said() -> None:
    text = report.as_text(run(named("no organisation iwb", among="point")))
    assert "held no value" in text
    assert "the key has no value" in text
