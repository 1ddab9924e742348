"""mirror.db: what a gateway copies, that it goes on where it stopped, and that damage is named."""

from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from drystone import limits
from drystone.errors import DatabaseCorrupt, DatabaseForeign, DiskFailed
from drystone.proof.block import BlockEntry, encode_block
from drystone.storage.fsck.mirror import check_mirror
from drystone.storage.mirror import Last, MirrorDB, OrderedHere, SeenBlock

LEDGER = bytes(range(32))


def block(height: int) -> SeenBlock:
    """A block of two log entries."""
    entry = encode_block(BlockEntry(height, 1_000 + height, bytes(32), bytes(32), bytes(32), 1))
    return SeenBlock(height, 2 * height + 1, entry)


def vertex(number: int) -> bytes:
    return number.to_bytes(32, "big")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "mirror.db"


@pytest.fixture
def mirror(path: Path) -> Iterator[MirrorDB]:
    made = MirrorDB.create(path, LEDGER, genesis=block(0), rows={b"\x01a": b"x", b"\x02b": None})
    yield made
    made.close()


def spoil(path: Path, statement: str) -> None:
    connection = apsw.Connection(str(path))
    connection.execute(statement)
    connection.close()


def test_a_new_mirror_has_seen_the_genesis_and_its_rows(mirror: MirrorDB) -> None:
    assert mirror.last == Last(0, 1, b"")
    assert mirror.get(b"\x01a") == b"x"
    assert mirror.get(b"\x02b") is None
    assert mirror.rows_height == 0


def test_blocks_outcomes_and_checkpoint_come_together_and_stay(
    mirror: MirrorDB, path: Path
) -> None:
    ordered = [OrderedHere(vertex(1), 1, 0, {}), OrderedHere(vertex(2), 2, 0, {3: "stream-gaps"})]
    mirror.follow([block(1), block(2)], ordered=ordered, checkpoint=b"note", place=(0, 2))
    mirror.close()
    again = MirrorDB.open(path, LEDGER)
    assert again.last == Last(2, 5, b"note")
    assert again.place == (0, 2)
    assert again.order_of(vertex(2)) == ordered[1]
    assert again.order_of(vertex(3)) is None
    assert again.ordered_among([vertex(1), vertex(3)]) == {vertex(1)}
    assert again.block(1) == block(1)
    again.close()
    assert check_mirror(path, ledger=LEDGER) == []


def test_blocks_between_which_others_lie_may_come_again_and_in_any_order(
    mirror: MirrorDB, path: Path
) -> None:
    mirror.follow([block(5)], ordered=[], checkpoint=b"five", place=(0, 1))
    mirror.follow([block(3), block(5)], ordered=[], checkpoint=b"six", place=None)
    assert mirror.last == Last(5, 11, b"six")
    assert mirror.place == (0, 1)
    mirror.close()
    assert check_mirror(path, ledger=LEDGER) == []


def test_a_vertex_ordered_twice_stays_where_it_was_first(mirror: MirrorDB) -> None:
    mirror.follow(
        [block(1)], ordered=[OrderedHere(vertex(1), 1, 0, {})], checkpoint=b"", place=None
    )
    mirror.follow(
        [block(2)], ordered=[OrderedHere(vertex(1), 2, 5, {0: "x"})], checkpoint=b"", place=None
    )
    found = mirror.order_of(vertex(1))
    assert found is not None
    assert found.height == 1


def test_old_blocks_are_forgotten_and_what_they_ordered_is_not(
    mirror: MirrorDB, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "MIRROR_BLOCKS_MAX", 3)
    for height in range(1, 9):
        one = OrderedHere(vertex(height), height, 0, {})
        mirror.follow([block(height)], ordered=[one], checkpoint=b"", place=None)
    assert mirror.block(5) is None
    assert mirror.block(6) == block(6)
    assert mirror.order_of(vertex(1)) is not None
    mirror.close()
    assert check_mirror(path, ledger=LEDGER) == []


def test_a_page_of_rows_replaces_what_lay_between_its_ends_and_tells_what_changed(
    mirror: MirrorDB,
) -> None:
    first = [(b"\x01b", b"y"), (b"\x02c", b"z")]
    assert mirror.put_rows(first, after=b"\x01a", last=b"\x02c", height=7) == dict(first)
    assert mirror.rows_height == 0
    assert mirror.scan(b"\x01") == [(b"\x01a", b"x"), (b"\x01b", b"y")]
    page = [(b"\x01a", b"x"), (b"\x02c", b"new")]
    changed = mirror.put_rows(page, after=b"", last=b"", height=8)
    assert changed == {b"\x01b": None, b"\x02c": b"new"}
    assert mirror.rows_height == 8
    assert mirror.scan(b"", after=b"\x01a") == [(b"\x02c", b"new")]
    mirror.rows_whole(height=9)
    assert mirror.rows_height == 9


def test_streams_are_kept_with_the_vertex_they_are_as_of(mirror: MirrorDB) -> None:
    assert mirror.streams_through == 0
    mirror.put_streams({b"s": b"1"}, through=4)
    mirror.put_streams({b"s": b"2", b"t": b"3"}, through=9)
    assert (mirror.stream(b"s"), mirror.stream(b"t"), mirror.stream(b"u")) == (b"2", b"3", None)
    assert mirror.streams_through == 9


def test_a_missing_or_foreign_mirror_is_refused(path: Path, mirror: MirrorDB) -> None:
    mirror.close()
    with pytest.raises(DatabaseForeign):
        MirrorDB.open(path, bytes(32))
    with pytest.raises(DiskFailed):
        MirrorDB.open(path.with_name("none.db"), LEDGER)


@pytest.mark.parametrize(
    ("statement", "table"),
    [
        ("UPDATE rows SET value = x'00'", "rows"),
        ("UPDATE streams SET value = x'00'", "streams"),
        ("UPDATE ordered SET position = 7", "ordered"),
        ("UPDATE ordered SET height = 'one'", "ordered"),
        ("UPDATE blocks SET entry = x'00' WHERE height = 1", "blocks"),
        ("UPDATE blocks SET size = 1 WHERE height = 2", "blocks"),
        ("DELETE FROM blocks WHERE height = 3", "meta"),
        ("UPDATE meta SET value = x'83050500' WHERE name = 'last'", "meta"),
    ],
)
def test_fsck_names_what_is_damaged(
    mirror: MirrorDB, path: Path, statement: str, table: str
) -> None:
    ordered = [OrderedHere(vertex(n), n, 0, {}) for n in (1, 2, 3)]
    mirror.follow([block(1), block(2), block(3)], ordered=ordered, checkpoint=b"", place=None)
    mirror.put_streams({b"s": b"1"}, through=1)
    mirror.close()
    spoil(path, statement)
    assert table in {finding.table for finding in check_mirror(path, ledger=LEDGER)}


@pytest.mark.parametrize(
    ("statement", "look"),
    [
        ("UPDATE rows SET value = x'00'", lambda m: m.get(b"\x01a")),
        ("UPDATE blocks SET size = 9", lambda m: m.block(0)),
        ("UPDATE ordered SET position = 7", lambda m: m.order_of(vertex(1))),
        ("UPDATE streams SET value = x'00'", lambda m: m.stream(b"s")),
        ("DELETE FROM meta WHERE name = 'last'", lambda m: m.last),
        ("UPDATE meta SET value = x'83010203' WHERE name = 'last'", lambda m: m.last),
    ],
)
def test_a_damaged_row_is_never_believed(
    mirror: MirrorDB, path: Path, statement: str, look: object
) -> None:
    mirror.follow(
        [block(1)], ordered=[OrderedHere(vertex(1), 1, 0, {})], checkpoint=b"", place=None
    )
    mirror.put_streams({b"s": b"1"}, through=1)
    mirror.close()
    spoil(path, statement)
    again = MirrorDB.open(path, LEDGER)
    with pytest.raises(DatabaseCorrupt):
        look(again)  # type: ignore[operator]
    again.close()


def test_fsck_of_a_file_that_is_none_is_a_finding(path: Path) -> None:
    path.write_bytes(b"no database" * 1_000)
    assert check_mirror(path, ledger=LEDGER)
    path.unlink()
    assert check_mirror(path, ledger=LEDGER)
