"""vertices.db: a record is in the intake or in a vertex, never in both, never in neither."""

import hashlib
from pathlib import Path

import pytest

from drystone import limits
from drystone.errors import (
    DatabaseBusy,
    DatabaseCorrupt,
    DatabaseForeign,
    DiskFailed,
    HomeInvalid,
    InvariantBroken,
)
from drystone.formats import cose
from drystone.records.key import SecretKey
from drystone.records.vertex import decode_header, seal_vertex, vertex_id
from drystone.storage import connection, database
from drystone.storage.packing import unpacked
from drystone.storage.vertices import SCHEMA, StoredVertex, VertexDB

LEDGER = bytes(range(32))


def header_of(
    seq: int,
    *,
    epoch: int = 0,
    sub: str = "g-1",
    iss: str = "ewz",
    records: tuple[bytes, ...] = (b"\x01", b"\x02"),
) -> bytes:
    """A signed header; its parent is made up, because this store checks no chains."""
    secret = SecretKey.generate(cose.ALG_EDDSA, hashlib.sha256(f"{iss}/{sub}".encode()).digest())
    raw, _ = seal_vertex(
        secret=secret,
        iss=iss,
        sub=sub,
        epoch=epoch,
        seq=seq,
        parent=None if (epoch, seq) == (0, 0) else bytes(32),
        links=(),
        time_ms=None,
        records=records if not epoch or seq else (),
        entries=[hashlib.sha256(r).digest() for r in (records if not epoch or seq else ())],
        ledger=LEDGER,
    )
    return raw


@pytest.fixture
def store(tmp_path: Path) -> VertexDB:
    return VertexDB.create(tmp_path / "vertices.db", LEDGER)


def reopened(store: VertexDB) -> VertexDB:
    path = store.database.path
    store.close()
    return VertexDB.open(path, LEDGER)


def test_intake_survives_reopening_in_order(store: VertexDB) -> None:
    first = store.add_intake([b"\x01", b"\x02\x03"])
    second = store.add_intake([b"\x04"])

    rows = reopened(store).intake()

    assert [row.number for row in rows] == first + second
    assert [row.records for row in rows] == [b"\x01", b"\x02\x03", b"\x04"]


def test_intake_is_read_in_pages(store: VertexDB) -> None:
    numbers = store.add_intake([bytes([n]) for n in range(1, 10)])
    page = store.intake(limit=4)
    rest = store.intake(after=page[-1].number, limit=100)
    assert [row.number for row in page + rest] == numbers


def test_sealing_moves_records_from_intake_into_a_vertex(store: VertexDB) -> None:
    numbers = store.add_intake([b"\x01", b"\x02", b"\x03"])
    header = header_of(0)

    stored = store.seal(header=header, body=b"\x01\x02", intake=numbers[:2])

    store = reopened(store)
    assert [row.records for row in store.intake()] == [b"\x03"]
    found = store.find(vertex_id(decode_header(header), LEDGER))
    assert found == stored == StoredVertex(1, stored.id, "ewz", "g-1", 0, 0, header)
    assert store.body(stored.number) == b"\x01\x02"


def test_an_intake_row_is_sealed_only_once(store: VertexDB) -> None:
    numbers = store.add_intake([b"\x01"])
    store.seal(header=header_of(0), body=b"\x01", intake=numbers)

    with pytest.raises(InvariantBroken, match="sealed before"):
        store.seal(header=header_of(1), body=b"\x01", intake=numbers)
    assert store.find(vertex_id(decode_header(header_of(1)), LEDGER)) is None


def test_an_intake_row_that_never_was_rolls_the_sealing_back(store: VertexDB) -> None:
    numbers = store.add_intake([b"\x01"])
    with pytest.raises(InvariantBroken):
        store.seal(header=header_of(0), body=b"\x01", intake=[*numbers, 77])
    assert [row.number for row in store.intake()] == numbers
    assert store.arrived() == []


def test_a_vertex_that_is_there_already_stays_as_it_is(store: VertexDB) -> None:
    first = store.seal(header=header_of(0), body=b"\x01\x02")
    again = store.seal(header=header_of(0), body=b"")
    assert again == first
    assert store.body(first.number) == b"\x01\x02"
    assert len(store.arrived()) == 1


def test_a_fork_keeps_both_vertices(store: VertexDB) -> None:
    one = store.seal(header=header_of(0), body=b"\x01\x02")
    two = store.seal(header=header_of(0, records=(b"\x03",)), body=b"\x03")
    assert store.at_place("ewz", "g-1", epoch=0, seq=0) == [one, two]
    assert store.frontier() == {("ewz", "g-1"): one}


def test_a_place_without_a_vertex_has_none(store: VertexDB) -> None:
    assert store.at_place("ewz", "g-1", epoch=0, seq=0) == []
    assert store.find(bytes(32)) is None
    assert store.body(1) is None
    assert store.frontier() == {}


def test_frontier_is_each_authors_last_vertex(store: VertexDB) -> None:
    for seq in (0, 1, 2):
        store.seal(header=header_of(seq), body=b"\x01\x02")
    other = store.seal(header=header_of(0, sub="g-2"), body=b"\x01\x02")
    newer = store.seal(header=header_of(0, epoch=1), body=b"")
    far = store.seal(header=header_of(5, iss="axpo"), body=b"\x01\x02")

    assert store.authors() == [("axpo", "g-1"), ("ewz", "g-1"), ("ewz", "g-2")]
    assert store.frontier() == {("ewz", "g-1"): newer, ("ewz", "g-2"): other, ("axpo", "g-1"): far}


def test_vertices_are_listed_by_place_both_ways_with_a_cursor(store: VertexDB) -> None:
    stored = [store.seal(header=header_of(seq), body=b"\x01\x02") for seq in (2, 0, 1)]
    by_seq = sorted(stored, key=lambda vertex: vertex.seq)
    other = store.seal(header=header_of(0, sub="g-2"), body=b"\x01\x02")

    assert store.listed() == [*by_seq, other]
    assert store.listed(newest_first=True, limit=2) == [other, by_seq[2]]
    assert store.listed(("ewz", "g-1"), after=("ewz", "g-1", 0, 0)) == by_seq[1:]
    assert store.listed(("ewz", "g-1"), after=("ewz", "g-1", 0, 1), newest_first=True) == by_seq[:1]
    assert store.arrived(after=1) == [*stored[1:], other]


def test_unordered_starts_behind_the_mark(store: VertexDB) -> None:
    first = store.seal(header=header_of(0), body=b"\x01\x02")
    assert store.unordered() == [first]

    second = store.seal(header=header_of(1), body=b"\x01\x02", ordered_through=first.number)

    store = reopened(store)
    assert store.unordered() == [second]
    assert store.unordered(after=0) == [first, second]


def test_pruning_forgets_the_body_and_keeps_the_header(store: VertexDB) -> None:
    one = store.seal(header=header_of(0), body=b"\x01\x02")
    two = store.seal(header=header_of(1), body=b"\x01\x02")
    store.prune([one.number])
    assert store.body(one.number) is None
    assert store.find(one.id) == one
    assert store.body(two.number) == b"\x01\x02"


def test_a_batch_beyond_a_vertex_is_not_stored(store: VertexDB) -> None:
    with pytest.raises(InvariantBroken, match="no vertex takes"):
        store.add_intake([b"\x01", bytes(limits.VERTEX_BYTES_MAX + 1)])
    assert store.intake() == []


def test_an_altered_intake_row_is_corrupt(store: VertexDB) -> None:
    store.add_intake([b"\x01"])
    store.database.rows("UPDATE intake SET records = x'02'")
    with pytest.raises(DatabaseCorrupt, match="intake row 1"):
        store.intake()


def test_a_reader_sees_what_the_writer_commits(store: VertexDB) -> None:
    reader = VertexDB.open(store.database.path, LEDGER, read_only=True)
    stored = store.seal(header=header_of(0), body=b"\x01\x02")
    assert reader.find(stored.id) == stored
    with pytest.raises(DiskFailed):
        reader.add_intake([b"\x01"])


def test_another_ledgers_file_is_foreign(store: VertexDB) -> None:
    path = store.database.path
    store.close()
    with pytest.raises(DatabaseForeign, match="another ledger"):
        VertexDB.open(path, bytes(32))


def test_a_newer_schema_is_foreign(store: VertexDB) -> None:
    path = store.database.path
    with store.database.transaction():
        store.database.put_meta("schema", SCHEMA.version + 1)
    store.close()
    with pytest.raises(DatabaseForeign, match="schema 2"):
        VertexDB.open(path, LEDGER)


def test_a_file_of_another_kind_is_foreign(store: VertexDB) -> None:
    path = store.database.path
    with store.database.transaction():
        store.database.put_meta("kind", "ledger")
    store.close()
    with pytest.raises(DatabaseForeign, match="'ledger'"):
        VertexDB.open(path, LEDGER)


def test_an_older_schema_is_lifted_step_by_step(store: VertexDB) -> None:
    path = store.database.path
    store.close()
    newer = SCHEMA._replace(
        version=3,
        migrations={1: ["CREATE TABLE extra (a)"], 2: ["INSERT INTO extra VALUES (7)"]},
    )
    with pytest.raises(DatabaseForeign, match="open it for writing"):
        database.Database.open(path, newer, ledger=LEDGER, read_only=True)

    lifted = database.Database.open(path, newer, ledger=LEDGER)

    assert lifted.rows("SELECT a FROM extra") == [(7,)]
    assert lifted.meta("schema") == 3


def test_a_file_that_is_no_database_is_corrupt(tmp_path: Path) -> None:
    path = tmp_path / "vertices.db"
    path.write_bytes(b"no database at all" * 100)
    with pytest.raises(DatabaseCorrupt):
        VertexDB.open(path, LEDGER)


def test_a_database_without_our_tables_is_corrupt(tmp_path: Path) -> None:
    path = tmp_path / "vertices.db"
    path.touch()
    with pytest.raises(DatabaseCorrupt):
        VertexDB.open(path, LEDGER)


def test_a_meta_value_that_does_not_decode_is_corrupt(store: VertexDB) -> None:
    path = store.database.path
    store.database.rows("UPDATE meta SET value = x'ff' WHERE name = 'ledger'")
    store.close()
    with pytest.raises(DatabaseCorrupt, match="'ledger'"):
        VertexDB.open(path, LEDGER)


def test_a_missing_file_says_so(tmp_path: Path) -> None:
    with pytest.raises(DiskFailed, match="missing"):
        VertexDB.open(tmp_path / "vertices.db", LEDGER)


def test_a_file_is_never_made_over_another(store: VertexDB) -> None:
    with pytest.raises(HomeInvalid):
        VertexDB.create(store.database.path, LEDGER)


def test_a_folder_that_is_not_there_fails(tmp_path: Path) -> None:
    with pytest.raises(DiskFailed):
        VertexDB.create(tmp_path / "missing" / "vertices.db", LEDGER)


def test_two_writers_of_one_file_are_told_apart(
    store: VertexDB, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "BUSY_MS_MAX", 10)
    other = VertexDB.open(store.database.path, LEDGER)
    with store.database.transaction(), pytest.raises(DatabaseBusy):
        other.add_intake([b"\x01"])


def test_the_file_is_the_owners_alone(store: VertexDB) -> None:
    assert store.database.path.stat().st_mode & 0o777 == 0o600


def test_every_commit_is_synced_in_wal_mode(store: VertexDB) -> None:
    store = reopened(store)
    assert store.database.rows("PRAGMA synchronous") == [(2,)]
    assert store.database.rows("PRAGMA journal_mode") == [("wal",)]
    assert store.database.rows("PRAGMA page_size") == [(SCHEMA.page_bytes,)]


def test_a_transaction_that_fails_leaves_nothing(store: VertexDB) -> None:
    with pytest.raises(ZeroDivisionError), store.database.transaction():  # noqa: PT012
        store.database.put_meta("half", 1)
        raise ZeroDivisionError
    assert store.database.meta("half") is None


def test_a_snapshot_sees_one_state_and_may_be_nested(store: VertexDB) -> None:
    reader = VertexDB.open(store.database.path, LEDGER, read_only=True)
    with reader.database.snapshot():
        assert reader.arrived() == []
        store.seal(header=header_of(0), body=b"\x01\x02")
        with reader.database.snapshot():
            assert reader.arrived() == []
    assert len(reader.arrived()) == 1


def test_a_header_is_kept_before_its_body_and_the_body_joins_it(store: VertexDB) -> None:
    (first,) = store.keep([(header_of(0), None)])
    assert store.body(first.number) is None
    assert store.packed(first.id) is None
    assert store.incomplete() == [first]

    assert store.keep([(header_of(0), b"\x01\x02")]) == [first]

    store = reopened(store)
    assert store.body(first.number) == b"\x01\x02"
    assert store.incomplete() == []
    assert len(store.arrived()) == 1


def test_a_header_without_its_body_is_kept_once(store: VertexDB) -> None:
    first, again = store.keep([(header_of(0), None), (header_of(0), None)])
    assert first == again
    assert store.incomplete() == [first]


def test_a_pruned_body_does_not_come_back(store: VertexDB) -> None:
    (kept,) = store.keep([(header_of(0), b"\x01\x02")])
    store.prune([kept.number])
    store.keep([(header_of(0), b"\x01\x02")])
    assert store.body(kept.number) is None
    assert store.incomplete() == []


def test_a_body_that_is_here_is_never_replaced(store: VertexDB) -> None:
    (kept,) = store.keep([(header_of(0), b"\x01\x02")])
    store.keep([(header_of(0), b"\x03")])
    assert store.body(kept.number) == b"\x01\x02"


def test_a_stored_body_is_passed_on_as_it_lies_there(store: VertexDB) -> None:
    (kept,) = store.keep([(header_of(0), b"\x01\x02")])
    data = store.packed(kept.id)
    assert data is not None
    assert unpacked(data) == b"\x01\x02"
    assert store.packed(bytes(32)) is None
