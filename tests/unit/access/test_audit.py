"""The audit log: what is written, in which bounds, and that nothing written breaks its reader."""

from pathlib import Path

import pytest

from drystone import limits
from drystone.home.audit import AuditLog, Denial, read_entries


class Clock:
    def __init__(self) -> None:
        self.ms = 1_762_340_400_000

    def __call__(self) -> int:
        return self.ms


def denial(number: int = 0, why: str = "no rule") -> Denial:
    return Denial(
        who="ewz/house-7",
        origin="127.0.0.1",
        what=f"GET /v1/streams/ewz/m-{number}",
        code="read-denied",
        why=why,
    )


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "audit.jsonl"


def numbers(path: Path, before: int | None = None, limit: int = 10_000) -> list[int]:
    return [one.number for one in read_entries(path, before=before, limit=limit)]


def test_denials_are_read_back_the_newest_first(path: Path, clock: Clock) -> None:
    log = AuditLog(path, now_ms=clock)
    for number in range(3):
        log.write(denial(number))
    entries = log.entries(before=None, limit=2)
    assert [one.number for one in entries] == [3, 2]
    assert entries[0].denial == denial(2)
    assert entries[0].time_ms == clock.ms
    assert numbers(path, before=2) == [1]


def test_file_is_its_owners_only(path: Path, clock: Clock) -> None:
    AuditLog(path, now_ms=clock).write(denial())
    assert path.stat().st_mode & 0o777 == 0o600


def test_numbers_go_on_after_a_restart(path: Path, clock: Clock) -> None:
    AuditLog(path, now_ms=clock).write(denial())
    AuditLog(path, now_ms=clock).write(denial())
    assert numbers(path) == [2, 1]


def test_log_without_a_file_is_empty(path: Path, clock: Clock) -> None:
    assert AuditLog(path, now_ms=clock).entries(before=None, limit=9) == []


def test_flood_is_counted_and_not_written(path: Path, clock: Clock) -> None:
    log = AuditLog(path, now_ms=clock)
    for _ in range(limits.AUDIT_LINES_SECOND_MAX + 7):
        log.write(denial())
    clock.ms += 1_000
    log.write(denial())
    assert len(numbers(path)) == limits.AUDIT_LINES_SECOND_MAX + 1
    assert [one.missed for one in log.entries(before=None, limit=2)] == [7, 0]


def test_log_never_outgrows_its_bound(
    path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "AUDIT_BYTES_MAX", 1_000)
    log = AuditLog(path, now_ms=clock)
    for number in range(60):
        clock.ms += 1_000
        log.write(denial(number))
    files = sorted(path.parent.iterdir())
    assert len(files) == limits.AUDIT_FILES_MAX
    assert all(file.stat().st_size <= 1_000 for file in files)
    kept = numbers(path)
    assert kept == list(range(60, 60 - len(kept), -1))
    assert 12 < len(kept) < 60
    assert AuditLog(path, now_ms=clock).entries(before=50, limit=1)[0].number == 49


def test_long_texts_are_cut_and_what_moves_a_terminal_is_marked(path: Path, clock: Clock) -> None:
    log = AuditLog(path, now_ms=clock)
    log.write(denial(why="x" * 5_000))
    log.write(denial(why='a\nb "c"\u2028\x1b[2J\x9b\udcff'))
    assert path.read_bytes().count(b"\n") == 2
    assert [one.denial.why for one in log.entries(before=None, limit=2)] == [
        'a\ufffdb "c"\ufffd\ufffd[2J\ufffd\ufffd',
        "x" * 200,
    ]


@pytest.mark.parametrize(
    "line", [b"", b"{", b"[]", b"5", b'{"number": 1}', b"\xff\xfe", b'{"number": "x"}', b"null"]
)
def test_line_that_is_none_is_passed_over(path: Path, clock: Clock, line: bytes) -> None:
    log = AuditLog(path, now_ms=clock)
    log.write(denial())
    path.write_bytes(path.read_bytes() + line + b"\n")
    assert numbers(path) == [1]
    assert AuditLog(path, now_ms=clock).entries(before=None, limit=5)[0].number == 1


def test_log_that_cannot_be_written_counts_and_goes_on(
    path: Path, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    log = AuditLog(path, now_ms=clock)
    path.mkdir()
    log.write(denial())
    assert "cannot be written" in caplog.text
    path.rmdir()
    log.write(denial())
    assert log.entries(before=None, limit=1)[0].missed == 1
