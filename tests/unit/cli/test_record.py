"""Words of the command line become exact measurements; what is no measurement is refused."""

import pytest

from drystone.cli.node_access import read_stream
from drystone.cli.record import read_measurements, read_time, show_answers, split_records
from drystone.client.messages import StreamName
from drystone.errors import (
    CborMalformed,
    ImportMalformed,
    MemberUnknown,
    ProfileMismatch,
    RequestMalformed,
)
from drystone.formats.senml import Measurement
from drystone.gateway.answer import Answer


@pytest.mark.parametrize(
    ("word", "measurement"),
    [
        ("import=48211337Wh", Measurement("import", "Wh", 48_211_337, None)),
        ("t=21.50Cel", Measurement("t", "Cel", (-2, 2150), None)),
        ("t=-0.5", Measurement("t", None, (-1, -5), None)),
        ("fill=3/100", Measurement("fill", "/100", 3, None)),
        ("open=true", Measurement("open", None, True, None)),
        ("state=idle", Measurement("state", None, "idle", None)),
    ],
)
def test_a_word_is_a_measurement(word: str, measurement: Measurement) -> None:
    assert read_measurements([word], "none") == [measurement]


@pytest.mark.parametrize("word", ["import", "=5", "import=", ""])
def test_a_word_that_is_no_measurement_is_refused(word: str) -> None:
    with pytest.raises(RequestMalformed):
        read_measurements([word], "none")


@pytest.mark.parametrize("word", ["t=1.2.3", "t=.", "t=0.00000000001"])
def test_a_number_that_is_not_exact_is_refused(word: str) -> None:
    with pytest.raises(ImportMalformed):
        read_measurements([word], "none")


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("none", None),
        ("1762340400", 1_762_340_400),
        ("1762340400.5", (-1, 17_623_404_005)),
        ("2025-11-05T11:00:00Z", 1_762_340_400),
        ("2025-11-05T12:00:00.25+01:00", (-6, 1_762_340_400_250_000)),
    ],
)
def test_a_time_is_read_exactly(text: str, time: object) -> None:
    assert read_time(text) == time


@pytest.mark.parametrize("text", ["", "soon", "2025-11-05T11:00:00", "2025-13-01T00:00:00Z"])
def test_a_time_that_is_none_or_has_no_offset_is_refused(text: str) -> None:
    with pytest.raises(RequestMalformed):
        read_time(text)


def test_now_is_a_whole_second() -> None:
    assert isinstance(read_time("now"), int)


def test_a_sequence_is_cut_at_its_items() -> None:
    assert split_records(b"\x01\x82\x01\x02\x43abc") == [b"\x01", b"\x82\x01\x02", b"\x43abc"]
    assert split_records(b"") == []


@pytest.mark.parametrize("data", [b"\x82\x01", b"\xff", b"\x43ab"])
def test_a_sequence_that_ends_within_an_item_is_refused(data: bytes) -> None:
    with pytest.raises(CborMalformed):
        split_records(data)


@pytest.mark.parametrize(
    ("text", "stream"),
    [
        ("ewz/m-1", StreamName("ewz", "m-1", None)),
        ("ewz/gw-1/water-7", StreamName("ewz", "gw-1", "water-7")),
    ],
)
def test_a_stream_is_named_by_its_parts(text: str, stream: StreamName, tmp_path) -> None:
    assert read_stream(text, tmp_path) == stream


@pytest.mark.parametrize("text", ["", "/", "a/", "/a", "a/b/c/d"])
def test_a_name_with_other_parts_is_refused(text: str, tmp_path) -> None:
    with pytest.raises(RequestMalformed):
        read_stream(text, tmp_path)


def test_a_single_refused_record_is_the_command_s_error() -> None:
    with pytest.raises(MemberUnknown, match="no m-9"):
        show_answers([Answer("member-unknown", "no m-9")], as_json=False)


def test_a_record_that_the_ledger_refused_is_the_command_s_error() -> None:
    with pytest.raises(ProfileMismatch):
        show_answers([Answer("stored", outcome="profile-mismatch")], as_json=False)


def test_a_record_that_was_there_already_is_no_error(capsys: pytest.CaptureFixture[str]) -> None:
    show_answers([Answer("already", place=("a", "b", 0, 1, 2))], as_json=False)
    assert "index 2" in capsys.readouterr().out
