"""Reads of the DAG over real files: the window follows what arrives and what is ordered, older counts, forks."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "api"))

from dag_stage import Told, make_dag

from drystone.api.dag_values import DagCursor, DagPage
from drystone.ledger import keyspace, rows
from drystone.records.dag import Dag
from drystone.records.vertex import vertex_id
from drystone.service import dag_reads
from drystone.service.dag_reads import DagReads, LedgerOrder, OrderedIn
from drystone.sim.chain import Chain, make_chain, write_home
from drystone.storage.ledger import LedgerDB
from drystone.storage.vertices import VertexDB

LEDGER = bytes(range(32))


class Order:
    """What is ordered, as a gateway's mirror would tell."""

    def __init__(self) -> None:
        self.blocks: list[OrderedIn] = []
        self.state: dict[bytes, bytes] = {}

    @property
    def height(self) -> int:
        return len(self.blocks)

    def height_of(self, vertex_id: bytes, /) -> int | None:
        return next((one.height for one in self.blocks if vertex_id in one.vertices), None)

    def ordered(self, *, after: int, limit: int) -> list[OrderedIn]:
        return self.blocks[after : after + limit]

    def get(self, key: bytes) -> bytes | None:
        return self.state.get(key)

    def scan(self, prefix: bytes, *, after: bytes | None, limit: int) -> list[tuple[bytes, bytes]]:
        assert after is None
        return sorted(pair for pair in self.state.items() if pair[0].startswith(prefix))[:limit]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[VertexDB]:
    made = VertexDB.create(tmp_path / "vertices.db", LEDGER)
    yield made
    made.close()


def fill(store: VertexDB, told: list[Told]) -> list[bytes]:
    for one in told:
        store.seal(header=one.header.raw, body=b"")
    return [vertex_id(one.header, LEDGER) for one in told]


def fresh(reads: DagReads) -> None:
    while not reads.step():
        pass


def whole_of(reads: DagReads) -> DagPage:
    fresh(reads)
    return reads.page(None, 100_000)


def test_window_follows_what_arrives(store: VertexDB) -> None:
    told = make_dag(LEDGER, vertices=150)
    reads = DagReads(store, Order(), life=1)
    fill(store, told[:100])
    assert len(whole_of(reads).vertices) == 100
    cursor = whole_of(reads).cursor
    fill(store, told[100:])
    fresh(reads)
    page = reads.page(cursor, 100_000)
    assert {row.number for row in page.vertices} >= set(range(101, len(told) + 1))
    whole = Dag(LEDGER, [one.header for one in told])
    assert reads.tips() == whole.tips()
    for row in whole_of(reads).vertices:
        assert row.witnesses == whole.witness_count(row.id)


def test_one_step_takes_a_bounded_part(store: VertexDB, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dag_reads, "STEP_VERTICES", 10)
    fill(store, make_dag(LEDGER, vertices=35, forks=0))
    reads = DagReads(store, Order(), life=1)
    assert [reads.step() for _ in range(4)] == [False, False, False, True]


@pytest.mark.parametrize("patience", [0, 64])
def test_heights_come_with_the_blocks(
    store: VertexDB, patience: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dag_reads, "ORDER_BLOCKS", patience or 3)
    order = Order()
    ids = fill(store, make_dag(LEDGER, vertices=40))
    reads = DagReads(store, order, life=1)
    assert {row.height for row in whole_of(reads).vertices} == {None}
    cursor = whole_of(reads).cursor
    for at in range(0, 30, 3):
        order.blocks.append(OrderedIn(at // 3 + 1, ids[at : at + 3]))
    fresh(reads)
    page = reads.page(cursor, 100)
    assert {row.id: row.height for row in page.vertices} == {
        own_id: at // 3 + 1 for at, own_id in enumerate(ids[:30])
    }
    waiting = sum(one.waiting for one in reads.frontier())
    assert waiting == len(ids) - 30


def test_cursor_of_an_earlier_life_starts_again(store: VertexDB) -> None:
    fill(store, make_dag(LEDGER, vertices=20))
    reads = DagReads(store, Order(), life=2)
    count = len(whole_of(reads).vertices)
    assert len(reads.page(DagCursor(1, 10_000), 100).vertices) == count
    assert reads.page(whole_of(reads).cursor, 100).vertices == []


def test_pages_join_to_the_whole(store: VertexDB) -> None:
    fill(store, make_dag(LEDGER, vertices=50))
    reads = DagReads(store, Order(), life=1)
    found, cursor, more = [], None, True
    fresh(reads)
    while more:
        page = reads.page(cursor, 7)
        assert len(page.vertices) <= 7
        found += page.vertices
        cursor, more = page.cursor, page.more
    assert found == whole_of(reads).vertices


def test_start_in_the_middle_counts_older_vertices_too(
    store: VertexDB, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dag_reads, "PIECE_VERTICES", 16)
    told = make_dag(LEDGER, vertices=200, forks=0)
    ids = fill(store, told)
    reads = DagReads(store, Order(), life=1, size_max=40)
    assert len(whole_of(reads).vertices) == 40
    whole = Dag(LEDGER, [one.header for one in told])
    assert [reads.witnesses(one) for one in ids] == [whole.witness_count(one) for one in ids]
    assert reads.witnesses(bytes(32)) == 0
    assert reads.tips() == whole.tips()
    oldest = min(whole_of(reads).vertices, key=lambda row: row.number)
    assert oldest.dangling == 0
    assert oldest.parent is not None


def test_count_of_an_older_vertex_is_never_too_high(
    store: VertexDB, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dag_reads, "PIECE_VERTICES", 8)
    monkeypatch.setattr(dag_reads, "PIECE_BEYOND", 4)
    told = make_dag(LEDGER, vertices=200)
    ids = fill(store, told)
    reads = DagReads(store, Order(), life=1, size_max=10)
    fresh(reads)
    whole = Dag(LEDGER, [one.header for one in told])
    assert all(reads.witnesses(one) <= whole.witness_count(one) for one in ids)


def test_forks_are_found_on_disk_and_among_what_arrives(store: VertexDB) -> None:
    told = make_dag(LEDGER, vertices=150, forks=2)
    places = [one.header[3:7] for one in told]
    twice = sorted({place for place in places if places.count(place) > 1})
    seconds = sorted(len(places) - places[::-1].index(place) for place in twice)
    middle = seconds[0]
    fill(store, told[:middle])
    reads = DagReads(store, Order(), life=1)
    fresh(reads)
    before = reads.forks()
    fill(store, told[middle:])
    fresh(reads)
    found = [(one.iss, one.sub, one.epoch, one.seq) for one in reads.forks()]
    assert found == twice
    assert len(before) == 1
    assert all(one.held and not one.convicted for one in reads.forks())


def test_evidence_on_the_ledger_convicts_and_is_shown_where_nothing_is_held(
    store: VertexDB,
) -> None:
    told = make_dag(LEDGER, vertices=60, forks=1)
    order = Order()
    fill(store, told)
    reads = DagReads(store, order, life=1)
    fresh(reads)
    (seen,) = reads.forks()
    member = rows.Member(
        status=0,
        roles=("gateway",),
        profile=None,
        kid=bytes(4),
        epoch_min=0,
        vertex_epoch_min=seen.epoch + 1,
    )
    order.state[keyspace.member(seen.iss, seen.sub)] = member.encode()
    evidence = rows.encode_evidence(list(seen.ids))
    order.state[keyspace.evidence(seen.iss, seen.sub, "vertex", seen.epoch)] = evidence
    strange = rows.encode_evidence([bytes(32), b"\xff" * 32])
    order.state[keyspace.evidence("ewz", "m-1", "record", 4)] = strange
    known, other = sorted(reads.forks(), key=lambda one: one.kind, reverse=True)
    assert (known.held, known.convicted, known.epoch_min) == (True, True, seen.epoch + 1)
    assert (other.kind, other.epoch, other.seq, other.held) == ("record", 4, None, False)
    assert (other.convicted, other.epoch_min) == (True, 0)


@pytest.fixture(scope="module")
def chain() -> Chain:
    return make_chain("dag-reads", blocks=12)


def test_ledger_of_a_node_tells_the_order(chain: Chain, tmp_path: Path) -> None:
    write_home(chain, tmp_path)
    vertices = VertexDB.open(tmp_path / "vertices.db", chain.ledger, read_only=True)
    ledger = LedgerDB.open(tmp_path / "ledger.db", ledger=chain.ledger, read_only=True)
    reads = DagReads(vertices, LedgerOrder(ledger), life=1)
    rows_found = whole_of(reads).vertices
    assert len(rows_found) == len(chain.vertices)
    assert {row.height for row in rows_found} == {block.height for block in chain.blocks}
    assert [one.waiting for one in reads.frontier()] == [0] * len(reads.frontier())
    assert reads.forks() == []
    assert LedgerOrder(ledger).ordered(after=3, limit=2)[0].height == 4
    ledger.close()
    vertices.close()
