"""The DAG: a set whose answers do not depend on arrival; links may dangle, parents may not."""

from collections.abc import Sequence
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from records_world import ES256, LEDGER, identity, vertex

from drystone.errors import VertexPlace
from drystone.records.dag import Author, Dag, Point, Range, check_follows
from drystone.records.evidence import decode_fork
from drystone.records.key import P256_N
from drystone.records.vertex import VertexHeader, decode_header, seal_vertex

A, B, C = (Author("ewz", name) for name in ("gw-a", "gw-b", "gw-c"))


def chain(author: Author, count: int) -> list[VertexHeader]:
    """An author's vertices 0 to count - 1."""
    headers: list[VertexHeader] = []
    for seq in range(count):
        parent = identity(headers[-1]) if headers else None
        headers.append(vertex(author.sub, seq, parent=parent))
    return headers


def after(
    parent: VertexHeader, *links: VertexHeader, sub: str = "", time_ms: int = 0
) -> VertexHeader:
    return vertex(
        sub or parent.sub,
        parent.seq + 1,
        epoch=parent.epoch,
        parent=identity(parent),
        links=tuple(identity(link) for link in links),
        time_ms=time_ms,
    )


def world() -> list[VertexHeader]:
    """Three authors who link to each other; gw-b forks at its number 2, gw-c starts a new epoch."""
    a, b, c = chain(A, 3), chain(B, 2), chain(C, 2)
    b2, b2_other = after(b[1], a[2]), after(b[1], time_ms=1)
    a3 = after(a[2], b2, c[1])
    c_new = vertex(C.sub, 0, epoch=1, parent=identity(c[1]), links=(identity(b2_other),))
    missing = after(c[1], time_ms=9)
    dangling = vertex(A.sub, 4, parent=identity(a3), links=(identity(missing),))
    return [*a, *b, *c, b2, b2_other, a3, c_new, dangling]


WORLD = world()
subsets = st.lists(st.sampled_from(range(len(WORLD))), max_size=20)


def dag(headers: Sequence[VertexHeader]) -> Dag:
    return Dag(LEDGER, headers)


def answers(set_: Dag) -> tuple[object, ...]:
    return (
        list(set_),
        set_.tips(),
        set_.dangling(),
        set_.frontier(),
        set_.missing_ranges({}),
        set_.forks(),
        [set_.witness_count(identity(header)) for header in WORLD],
    )


# --- a set -----------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(subsets, subsets, subsets)
def test_union_is_commutative_associative_and_idempotent(
    x: list[int], y: list[int], z: list[int]
) -> None:
    a, b, c = (dag([WORLD[index] for index in part]) for part in (x, y, z))
    assert a.union(b) == b.union(a)
    assert a.union(b).union(c) == a.union(b.union(c))
    assert a.union(a) == a
    assert answers(a.union(b)) == answers(b.union(a))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32))
def test_what_a_set_tells_does_not_depend_on_arrival(seed: int) -> None:
    shuffled = WORLD * 2
    Random(seed).shuffle(shuffled)
    assert answers(dag(shuffled)) == answers(dag(WORLD))


def test_union_changes_neither_side() -> None:
    a, b = dag(WORLD[:3]), dag(WORLD[3:5])
    a.union(b)
    assert (len(a), len(b)) == (3, 2)


def test_adding_again_changes_nothing() -> None:
    one = dag(WORLD)
    before = answers(one)
    assert one.add(WORLD[0]) == identity(WORLD[0])
    assert answers(one) == before
    assert len(one) == len(WORLD)


def test_two_spellings_of_one_vertex_are_one_element_whichever_comes_first() -> None:
    raw, _ = seal_vertex(
        secret=ES256,
        iss="ewz",
        sub="gw-a",
        epoch=0,
        seq=0,
        parent=None,
        links=(),
        time_ms=None,
        records=(),
        entries=(),
        ledger=LEDGER,
    )
    low = decode_header(raw)
    high = decode_header(raw[:-32] + (P256_N - int.from_bytes(raw[-32:])).to_bytes(32))
    assert dag([low, high]) == dag([high, low])
    assert dag([low, high]).forks() == []
    assert len(dag([low, high])) == 1


def test_a_set_finds_its_vertices_by_id_and_by_place() -> None:
    one = dag(WORLD)
    header = WORLD[1]
    assert one.get(identity(header)) == header
    assert identity(header) in one
    assert one.at(A, epoch=0, seq=1) == (identity(header),)
    assert one.get(bytes(32)) is None
    assert bytes(32) not in one
    assert one.at(A, epoch=9, seq=0) == one.at(Author("x", "y"), epoch=0, seq=0) == ()


def test_sets_of_two_ledgers_are_not_equal_and_a_set_has_no_hash() -> None:
    assert Dag(LEDGER) != Dag(bytes(32))
    assert Dag(LEDGER) != 1
    with pytest.raises(TypeError):
        hash(Dag(LEDGER))


# --- tips, frontier, ranges ------------------------------------------------------------------------


def test_tips_are_the_vertices_that_nobody_names_s1_16() -> None:
    a, b = chain(A, 2), chain(B, 2)
    assert dag([*a, *b]).tips() == sorted([identity(a[1]), identity(b[1])])
    joined = after(a[1], b[1])
    assert dag([*a, *b, joined]).tips() == [identity(joined)]


def test_a_link_to_a_missing_vertex_dangles_and_stops_nothing() -> None:
    a, b = chain(A, 2), chain(B, 1)
    linked = after(a[1], b[0])
    one = dag([*a, linked])
    assert one.dangling() == [identity(b[0])]
    one.check_place(linked)
    assert one.tips() == [identity(linked)]


def test_the_frontier_is_each_authors_last_vertex() -> None:
    a, b = chain(A, 3), chain(B, 1)
    assert dag([*a, *b]).frontier() == {
        A: Point(0, 2, identity(a[2])),
        B: Point(0, 0, identity(b[0])),
    }


def test_a_new_epoch_is_the_later_place() -> None:
    a = chain(A, 3)
    new = vertex(A.sub, 0, epoch=1, parent=identity(a[2]))
    assert dag([*a, new]).frontier()[A] == Point(1, 0, identity(new))


def test_an_unknown_author_misses_everything() -> None:
    a = chain(A, 3)
    assert dag(a).missing_ranges({}) == [Range(A, 0, 0, 2)]


def test_a_frontier_misses_what_lies_beyond_it_epoch_by_epoch() -> None:
    a = chain(A, 4)
    new = vertex(A.sub, 0, epoch=1, parent=identity(a[3]))
    one = dag([*a, new, *chain(B, 2)])
    theirs = {A: Point(0, 1, identity(a[1])), B: Point(0, 5, bytes(32))}
    assert one.missing_ranges(theirs) == [Range(A, 0, 2, 3), Range(A, 1, 0, 0)]


def test_equal_frontiers_miss_nothing() -> None:
    one = dag(WORLD)
    assert one.missing_ranges(one.frontier()) == []
    assert one.diverged(one.frontier()) == []


def test_a_hole_in_what_is_held_makes_two_ranges() -> None:
    a = chain(A, 5)
    assert dag([*a[:2], *a[3:]]).missing_ranges({}) == [Range(A, 0, 0, 1), Range(A, 0, 3, 4)]


def test_another_vertex_at_the_same_place_starts_a_fork_exchange() -> None:
    a = chain(A, 2)
    one, two = after(a[1]), after(a[1], time_ms=5)
    mine = dag([*a, one])
    assert mine.diverged({A: Point(0, 2, identity(two)), B: Point(0, 0, bytes(32))}) == [A]
    assert mine.union(dag([two])).diverged({A: Point(0, 2, identity(two))}) == []


@settings(max_examples=60, deadline=None)
@given(subsets, subsets)
def test_sending_the_missing_ranges_leaves_the_other_behind_in_nothing_but_forks(
    x: list[int], y: list[int]
) -> None:
    chains = [*chain(A, 4), *chain(B, 4)]
    mine = dag([header for header in chains if header.seq <= len(x) % 5 - 1])
    theirs = dag([header for header in chains if header.seq <= len(y) % 5 - 1])
    sent = [
        header
        for author, epoch, first, last in mine.missing_ranges(theirs.frontier())
        for seq in range(first, last + 1)
        for found in mine.at(author, epoch=epoch, seq=seq)
        if (header := mine.get(found))
    ]
    assert theirs.union(dag(sent)) == theirs.union(mine)


# --- forks -----------------------------------------------------------------------------------------


def test_two_vertices_at_one_place_are_evidence() -> None:
    [evidence] = dag(WORLD).forks()
    fork = decode_fork(evidence, ledger=LEDGER)
    assert {(h.sub, h.epoch, h.seq) for h in fork} == {("gw-b", 0, 2)}


def test_a_set_without_forks_has_no_evidence() -> None:
    assert dag([*chain(A, 3), *chain(B, 2)]).forks() == []


# --- witnesses -------------------------------------------------------------------------------------


def test_a_vertex_that_nobody_built_on_has_no_witness() -> None:
    a = chain(A, 3)
    assert dag([*a, *chain(B, 1)]).witness_count(identity(a[2])) == 0


def test_an_authors_own_vertices_are_no_witnesses() -> None:
    a = chain(A, 3)
    assert dag(a).witness_count(identity(a[0])) == 0


def test_each_other_author_counts_once_also_through_what_was_built_on_it() -> None:
    a, b, c = chain(A, 2), chain(B, 1), chain(C, 1)
    b1 = after(b[0], a[1])
    b2 = after(b1)
    c1 = after(c[0], b2)
    one = dag([*a, *b, *c, b1, b2, c1])
    assert one.witness_count(identity(a[0])) == 2
    assert one.witness_count(identity(b2)) == 1
    assert one.witness_count(identity(c1)) == 0


def test_a_path_through_a_missing_vertex_is_no_path() -> None:
    a, b, c = chain(A, 1), chain(B, 1), chain(C, 1)
    b1 = after(b[0], a[0])
    c1 = after(c[0], b1)
    assert dag([*a, *b, *c, c1]).witness_count(identity(a[0])) == 0
    assert dag([*a, *b, *c, b1, c1]).witness_count(identity(a[0])) == 2


def test_a_vertex_that_is_not_here_has_no_witnesses() -> None:
    b = chain(B, 1)
    missing = chain(A, 1)[0]
    assert dag([*b, after(b[0], missing)]).witness_count(identity(missing)) == 0


# --- places ----------------------------------------------------------------------------------------


def test_a_vertex_after_its_parent_has_its_place() -> None:
    a = chain(A, 3)
    one = dag(a)
    for header in a:
        one.check_place(header)
    one.check_place(vertex(A.sub, 0, epoch=4, parent=identity(a[2])))


def test_a_vertex_with_an_unknown_parent_has_no_place() -> None:
    with pytest.raises(VertexPlace):
        dag([]).check_place(vertex(A.sub, 1, parent=bytes(32)))


def test_a_vertex_with_another_authors_parent_has_no_place() -> None:
    a = chain(A, 1)
    with pytest.raises(VertexPlace):
        dag(a).check_place(vertex(B.sub, 1, parent=identity(a[0])))


@pytest.mark.parametrize(("epoch", "seq"), [(0, 1), (0, 2), (0, 4), (1, 3), (1, 1)])
def test_a_vertex_that_does_not_follow_its_parent_has_no_place(epoch: int, seq: int) -> None:
    a = chain(A, 3)  # the parent is number 2
    with pytest.raises(VertexPlace):
        dag(a).check_place(vertex(A.sub, seq, epoch=epoch, parent=identity(a[2])))


def test_a_new_epoch_cannot_continue_a_later_one() -> None:
    later = vertex(A.sub, 0, epoch=2, parent=bytes(32))
    for epoch in (1, 2):
        with pytest.raises(VertexPlace):
            check_follows(vertex(A.sub, 0, epoch=epoch, parent=identity(later)), later)


def test_a_vertex_whose_parent_is_its_own_child_has_no_place() -> None:
    a = chain(A, 3)
    with pytest.raises(VertexPlace):
        dag(a).check_place(vertex(A.sub, 1, parent=identity(a[2])))
