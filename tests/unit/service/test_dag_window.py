"""The window over the DAG: witness counts as the whole set gives them, whatever comes in which order, and its bounds.

Method: seeded DAGs of several gateways that part and meet; `records/dag.py`, which sees everything and is slow, is
asked the same questions.
"""

import random
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "api"))

from dag_stage import Told, make_dag

from drystone.records.dag import Dag
from drystone.records.vertex import VertexHeader, vertex_id
from drystone.service.dag_window import DagWindow

LEDGER = bytes(range(32))


def headers(seed: str, count: int = 120, **more: int) -> list[VertexHeader]:
    return [one.header for one in make_dag(LEDGER, vertices=count, seed=seed, **more)]


def window_of(told: list[VertexHeader], size_max: int = 10_000) -> DagWindow:
    window = DagWindow(size_max=size_max)
    fill(window, told)
    return window


def fill(window: DagWindow, told: list[VertexHeader], first: int = 1) -> None:
    for at, header in enumerate(told, first):
        own_id = vertex_id(header, LEDGER)
        window.add(header, vertex_id=own_id, number=at, height=None)


@pytest.mark.parametrize("seed", ["a", "b", "c", "d"])
def test_witness_counts_and_tips_are_those_of_the_whole_set(seed: str) -> None:
    told = headers(seed)
    window, whole = window_of(told), Dag(LEDGER, told)
    assert window.tips() == whole.tips()
    assert [window.witnesses(one) for one in whole] == [whole.witness_count(one) for one in whole]


@pytest.mark.parametrize("seed", range(8))
def test_order_of_arrival_changes_no_count(seed: int) -> None:
    told = headers("order", 80)
    shuffled = random.Random(seed).sample(told, len(told))
    window, whole = window_of(shuffled), Dag(LEDGER, told)
    assert {one: window.witnesses(one) for one in whole} == {
        one: whole.witness_count(one) for one in whole
    }
    rows = window.changed(after=0, limit=1_000)
    assert all(row.dangling == 0 for row in rows)
    assert {row.id: len(row.links) for row in rows} == {
        vertex_id(header, LEDGER): len(header.links) for header in told
    }


def test_link_that_leads_nowhere_counts_for_nothing_until_it_is_here() -> None:
    told = headers("dangling", 40, authors=2, forks=0)
    linking = next(one for one in told if one.links)
    missing = linking.links[0]
    without = [one for one in told if vertex_id(one, LEDGER) != missing]
    window = window_of(without)
    assert window.witnesses(missing) is None
    rows = {row.id: row for row in window.changed(after=0, limit=1_000)}
    assert rows[vertex_id(linking, LEDGER)].dangling == 1
    stamp = window.stamp
    (late,) = [one for one in told if vertex_id(one, LEDGER) == missing]
    fill(window, [late], first=len(told))
    assert window.witnesses(missing) == Dag(LEDGER, told).witness_count(missing)
    changed = {row.id for row in window.changed(after=stamp, limit=1_000)}
    assert {missing, vertex_id(linking, LEDGER)} <= changed


def test_own_children_are_no_witnesses() -> None:
    window = window_of(headers("alone", 20, authors=1, forks=0))
    assert {row.witnesses for row in window.changed(after=0, limit=100)} == {0}
    assert len(window.tips()) == 1


def test_only_what_changed_is_told_again() -> None:
    told = headers("change", 60)
    window = window_of(told[:50])
    seen: dict[bytes, object] = {}
    stamp = 0
    for header in [None, *told[50:]]:
        if header is not None:
            fill(window, [header], first=told.index(header) + 1)
        while page := window.changed(after=stamp, limit=7):
            stamp = window.stamp_behind(page)
            seen.update({row.id: row for row in page})
    assert seen == {row.id: row for row in window.changed(after=0, limit=1_000)}
    assert window.changed(after=stamp, limit=10) == []


def test_ordered_vertex_is_told_once_and_waits_no_more() -> None:
    told = headers("ordered", 30)
    window = window_of(told)
    own_id, stamp = vertex_id(told[3], LEDGER), window.stamp
    window.order(own_id, height=9)
    window.order(own_id, height=10)
    window.order(bytes(32), height=11)
    assert [(row.id, row.height) for row in window.changed(after=stamp, limit=10)] == [(own_id, 9)]
    assert own_id not in window.waiting()
    assert sum(window.waiting_by_author().values()) == len(told) - 1


def test_two_vertices_of_one_place_are_both_called_forked() -> None:
    told = headers("forks", 120, forks=2)
    places = [(one.iss, one.sub, one.epoch, one.seq) for one in told]
    forked = {place for place in places if places.count(place) > 1}
    rows = window_of(told).changed(after=0, limit=1_000)
    assert {(row.iss, row.sub, row.epoch, row.seq) for row in rows if row.forked} == forked
    assert forked


@pytest.mark.parametrize("size_max", [1, 10, 50])
def test_window_never_holds_more_than_it_may_and_forgets_no_tip(size_max: int) -> None:
    told = headers("bound", 120)
    window = DagWindow(size_max=size_max)
    for at, header in enumerate(told, 1):
        own_id = vertex_id(header, LEDGER)
        window.add(header, vertex_id=own_id, number=at, height=None)
        window.add(header, vertex_id=own_id, number=at, height=None)
        assert len(window) == min(at, size_max)
    assert window.tips() == Dag(LEDGER, told).tips()
    assert len(window.waiting()) == size_max
    assert len(window.changed(after=0, limit=1_000)) == size_max
    whole = Dag(LEDGER, told)
    for row in window.changed(after=0, limit=1_000):
        assert row.witnesses == whole.witness_count(row.id)


def test_what_is_older_than_the_window_is_asked_for_and_not_called_missing() -> None:
    told = headers("older", 60)
    numbers = {vertex_id(header, LEDGER): at for at, header in enumerate(told, 1)}
    window = DagWindow(size_max=5, find_number=numbers.get)
    fill(window, told)
    for row in window.changed(after=0, limit=10):
        header = told[row.number - 1]
        assert row.parent == (None if header.parent is None else numbers[header.parent])
        assert row.links == tuple(numbers[one] for one in header.links)
        assert row.dangling == 0


def test_staged_dag_is_the_same_for_the_same_seed() -> None:
    first: list[Told] = make_dag(LEDGER, vertices=50, seed="same")
    assert first == make_dag(LEDGER, vertices=50, seed="same")
    assert first != make_dag(LEDGER, vertices=50, seed="other")
