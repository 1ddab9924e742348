"""The log against the recursive definitions of RFC 9162 section 2.1, written here a second time and slowly."""

from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drystone.errors import InvariantBroken, ProofInvalid
from drystone.trees import log

LEAVES = [log.leaf_hash(b"entry %d" % number) for number in range(600)]


def slow_root(leaves: list[bytes]) -> bytes:
    """MTH of RFC 9162 section 2.1.1, word by word."""
    if not leaves:
        return sha256().digest()
    if len(leaves) == 1:
        return leaves[0]
    half = 1
    while half * 2 < len(leaves):
        half *= 2
    return sha256(b"\x01" + slow_root(leaves[:half]) + slow_root(leaves[half:])).digest()


def node(level: int, index: int) -> bytes:
    subtree = LEAVES[index << level : (index + 1) << level]
    assert len(subtree) == 1 << level, "a proof asked for a subtree that is not full"
    return slow_root(subtree)


ROOTS = [slow_root(LEAVES[:size]) for size in range(len(LEAVES) + 1)]


def grown(size: int) -> log.Edge:
    return log.append(log.EMPTY, LEAVES[:size])


def include(index: int, size: int) -> dict[str, object]:
    return {
        "root": ROOTS[size],
        "size": size,
        "index": index,
        "leaf": LEAVES[index],
        "path": log.inclusion_path(index, size, node),
    }


def consist(old: int, new: int) -> dict[str, object]:
    return {
        "old_size": old,
        "old_root": ROOTS[old],
        "new_size": new,
        "new_root": ROOTS[new],
        "path": log.consistency_path(old, new, node),
    }


def refused_inclusion(**proof: object) -> None:
    with pytest.raises(ProofInvalid):
        log.verify_inclusion(**proof)  # type: ignore[arg-type]


def refused_consistency(**proof: object) -> None:
    with pytest.raises(ProofInvalid):
        log.verify_consistency(**proof)  # type: ignore[arg-type]


def test_leaf_and_node_hashes_are_told_apart_by_their_first_byte() -> None:
    assert log.leaf_hash(b"x") == sha256(b"\x00x").digest()
    assert log.node_hash(LEAVES[0], LEAVES[1]) == sha256(b"\x01" + LEAVES[0] + LEAVES[1]).digest()


def test_root_of_the_empty_log_is_the_hash_of_nothing() -> None:
    assert log.root(log.EMPTY) == log.EMPTY_ROOT == sha256().digest()


@pytest.mark.parametrize("size", range(70))
def test_root_is_that_of_the_definition(size: int) -> None:
    assert log.root(grown(size)) == log.tree_root(LEAVES[:size]) == ROOTS[size]


@given(st.lists(st.integers(0, 90), max_size=8))
def test_growing_in_any_batches_equals_growing_at_once(batches: list[int]) -> None:
    edge = log.EMPTY
    for batch in batches:
        edge = log.append(edge, LEAVES[edge.size : min(edge.size + batch, 600)])
    assert edge == grown(edge.size)
    assert log.root(edge) == ROOTS[edge.size]


def test_growing_leaves_the_older_edge_as_it_was() -> None:
    edge = grown(5)
    log.append(edge, LEAVES[5:9])
    assert edge == grown(5)


@pytest.mark.parametrize("size", range(1, 40))
def test_every_leaf_of_a_small_log_has_a_proof(size: int) -> None:
    for index in range(size):
        log.verify_inclusion(**include(index, size))  # type: ignore[arg-type]


@settings(max_examples=40)
@given(st.data())
def test_any_leaf_of_a_larger_log_has_a_proof(data: st.DataObject) -> None:
    size = data.draw(st.integers(40, 600))
    log.verify_inclusion(**include(data.draw(st.integers(0, size - 1)), size))  # type: ignore[arg-type]


@pytest.mark.parametrize("new", range(34))
def test_every_pair_of_small_sizes_has_a_consistency_proof(new: int) -> None:
    for old in range(new + 1):
        log.verify_consistency(**consist(old, new))  # type: ignore[arg-type]


@settings(max_examples=40)
@given(st.data())
def test_any_pair_of_larger_sizes_has_a_consistency_proof(data: st.DataObject) -> None:
    new = data.draw(st.integers(34, 600))
    log.verify_consistency(**consist(data.draw(st.integers(0, new)), new))  # type: ignore[arg-type]


@given(st.data())
def test_an_inclusion_proof_with_any_bit_flipped_is_refused(data: st.DataObject) -> None:
    size = data.draw(st.integers(1, 80))
    proof = include(data.draw(st.integers(0, size - 1)), size)
    path: list[bytes] = proof["path"]  # type: ignore[assignment]
    hashes = [proof["root"], proof["leaf"], *path]
    at, bit = data.draw(st.integers(0, len(hashes) - 1)), data.draw(st.integers(0, 255))
    hashes[at] = flipped(hashes[at], bit)  # type: ignore[arg-type]
    refused_inclusion(**proof | {"root": hashes[0], "leaf": hashes[1], "path": hashes[2:]})


@given(st.data())
def test_a_consistency_proof_with_any_bit_flipped_is_refused(data: st.DataObject) -> None:
    new = data.draw(st.integers(1, 80))
    proof = consist(data.draw(st.integers(0, new)), new)
    path: list[bytes] = proof["path"]  # type: ignore[assignment]
    hashes = [proof["old_root"], proof["new_root"], *path]
    at, bit = data.draw(st.integers(0, len(hashes) - 1)), data.draw(st.integers(0, 255))
    hashes[at] = flipped(hashes[at], bit)  # type: ignore[arg-type]
    old_root, new_root, *path = hashes  # type: ignore[assignment]
    if proof["old_size"] == 0 and at == 1 and new != 0:
        return  # Every log begins with the empty one, whatever its root.
    refused_consistency(**proof | {"old_root": old_root, "new_root": new_root, "path": path})


def flipped(data: bytes, bit: int) -> bytes:
    return (int.from_bytes(data, "big") ^ 1 << bit).to_bytes(len(data), "big")


@pytest.mark.parametrize("size", range(1, 20))
def test_an_inclusion_path_longer_or_shorter_is_refused(size: int) -> None:
    for index in range(size):
        proof = include(index, size)
        path: list[bytes] = proof["path"]  # type: ignore[assignment]
        refused_inclusion(**proof | {"path": [*path, LEAVES[0]]})
        refused_inclusion(**proof | {"path": [LEAVES[0], *path]})
        if path:
            refused_inclusion(**proof | {"path": path[:-1]})
            refused_inclusion(**proof | {"path": path[1:]})


@pytest.mark.parametrize("new", range(1, 20))
def test_a_consistency_path_longer_or_shorter_is_refused(new: int) -> None:
    for old in range(1, new + 1):
        proof = consist(old, new)
        path: list[bytes] = proof["path"]  # type: ignore[assignment]
        refused_consistency(**proof | {"path": [*path, LEAVES[0]]})
        refused_consistency(**proof | {"path": [LEAVES[0], *path]})
        if path:
            refused_consistency(**proof | {"path": path[:-1]})
            refused_consistency(**proof | {"path": path[1:]})
            refused_consistency(**proof | {"path": []})


@pytest.mark.parametrize("size", range(2, 24))
def test_a_proof_for_another_leaf_is_refused(size: int) -> None:
    for index in range(size):
        for other in range(size):
            if other != index:
                refused_inclusion(**include(index, size) | {"leaf": LEAVES[other]})


def test_relabelled_sizes_can_lead_to_the_same_root_so_a_size_counts_only_where_it_is_signed() -> (
    None
):
    proof = include(1, 2)
    log.verify_inclusion(**proof)  # type: ignore[arg-type]
    log.verify_inclusion(**proof | {"size": 3, "index": 2})  # type: ignore[arg-type]
    refused_inclusion(**include(1, 3) | {"size": 2})


@pytest.mark.parametrize(("index", "size"), [(-1, 4), (4, 4), (0, 0), (0, -1), (0, 2**63 + 1)])
def test_a_leaf_outside_the_log_is_refused(index: int, size: int) -> None:
    refused_inclusion(**include(0, 4) | {"index": index, "size": size})


@pytest.mark.parametrize(("old", "new"), [(-1, 4), (5, 4), (1, 2**63 + 1)])
def test_a_shrinking_or_impossible_log_is_refused(old: int, new: int) -> None:
    refused_consistency(**consist(3, 4) | {"old_size": old, "new_size": new})


@pytest.mark.parametrize("wrong", [b"", LEAVES[0][:31], LEAVES[0] + b"\x00"])
def test_a_hash_of_another_length_is_refused(wrong: bytes) -> None:
    for member in ("root", "leaf"):
        refused_inclusion(**include(2, 5) | {member: wrong})
    refused_inclusion(**include(2, 5) | {"path": [wrong, *LEAVES[:2]]})
    for member in ("old_root", "new_root"):
        refused_consistency(**consist(3, 5) | {member: wrong})
    refused_consistency(**consist(3, 5) | {"path": [wrong, *LEAVES[:3]]})


def test_the_longest_path_is_followed_and_one_hash_more_is_refused() -> None:
    index, size = 0, 1 << 63
    path = [LEAVES[0]] * 63
    root = LEAVES[1]
    for sibling in path:
        root = log.node_hash(root, sibling)
    log.verify_inclusion(root=root, size=size, index=index, leaf=LEAVES[1], path=path)
    refused_inclusion(root=root, size=size, index=index, leaf=LEAVES[1], path=[*path, b"short"])
    refused_inclusion(root=root, size=size, index=index, leaf=LEAVES[1], path=path * 1000)


def test_trivial_consistency_needs_an_empty_path_and_the_right_roots() -> None:
    log.verify_consistency(**consist(0, 0))  # type: ignore[arg-type]
    refused_consistency(**consist(0, 7) | {"path": [LEAVES[0]]})
    refused_consistency(**consist(0, 7) | {"old_root": LEAVES[0]})
    refused_consistency(**consist(0, 0) | {"new_root": LEAVES[0]})
    refused_consistency(**consist(7, 7) | {"path": [LEAVES[0]]})
    refused_consistency(**consist(7, 7) | {"old_root": LEAVES[0]})


def test_a_proof_nobody_can_make_is_our_own_fault() -> None:
    for index, size in ((-1, 3), (3, 3), (0, 0)):
        with pytest.raises(InvariantBroken):
            log.inclusion_path(index, size, node)
    for old, new in ((-1, 3), (4, 3)):
        with pytest.raises(InvariantBroken):
            log.consistency_path(old, new, node)


@pytest.mark.parametrize("size", [2, 3, 4, 5, 8, 9, 100])
def test_a_path_that_ends_early_is_refused_even_under_the_root_it_leads_to(size: int) -> None:
    proof = include(0, size)
    path: list[bytes] = proof["path"]  # type: ignore[assignment]
    for length in range(len(path)):
        hash_ = LEAVES[0]
        for sibling in path[:length]:
            hash_ = log.node_hash(hash_, sibling)
        refused_inclusion(**proof | {"path": path[:length], "root": hash_})


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 8, 9, 100])
def test_a_path_that_goes_on_is_refused_even_under_the_root_it_leads_to(size: int) -> None:
    proof = include(size - 1, size)
    path: list[bytes] = proof["path"]  # type: ignore[assignment]
    for above in (log.node_hash(ROOTS[size], LEAVES[0]), log.node_hash(LEAVES[0], ROOTS[size])):
        refused_inclusion(**proof | {"path": [*path, LEAVES[0]], "root": above})


@pytest.mark.parametrize(("old", "new"), [(1, 2), (1, 4), (2, 4), (2, 3), (3, 8), (4, 8), (3, 100)])
def test_a_consistency_path_that_ends_early_or_goes_on_is_refused_under_the_roots_it_leads_to(
    old: int, new: int
) -> None:
    proof = consist(old, new)
    path: list[bytes] = proof["path"]  # type: ignore[assignment]
    more = LEAVES[0]
    roots = {
        name: log.node_hash(more, ROOTS[size])
        for name, size in (("old_root", old), ("new_root", new))
    }
    refused_consistency(**proof | roots | {"path": [*path, more]})
    one_sided = {"new_root": log.node_hash(ROOTS[new], more)}
    refused_consistency(**proof | one_sided | {"path": [*path, more]})
    for shorter in range(old, new):
        lower = consist(old, shorter)
        kept: list[bytes] = lower["path"]  # type: ignore[assignment]
        if len(kept) < len(path):
            refused_consistency(**lower | {"new_size": new})


def test_a_byte_moved_from_one_hash_to_its_sibling_is_refused() -> None:
    """Both spellings hash alike: only the length of each hash tells them apart."""
    left, right = LEAVES[0], LEAVES[1]
    root = log.node_hash(left, right)
    for cut in (0, 31):
        moved = left[:cut], left[cut:] + right
        refused_inclusion(root=root, size=2, index=0, leaf=moved[0], path=[moved[1]])
        refused_inclusion(root=root, size=2, index=1, leaf=moved[1], path=[moved[0]])
    refused_consistency(
        old_size=1, old_root=left[:31], new_size=2, new_root=root, path=[left[31:] + right]
    )
