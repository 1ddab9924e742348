"""The state tree against a slow second writing of the sparse Merkle tree's definition."""

import itertools
import subprocess
import sys
from collections.abc import Iterator, Mapping
from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drystone.errors import InvariantBroken, StateCollision
from drystone.limits import STATE_DEPTH_MAX
from drystone.trees import heap, ics23, state
from drystone.trees.state import StateTree, absence_proof, existence_proof

WAYS = pytest.mark.parametrize("arrays", [True, False], ids=["numpy", "plain"])
Changes = dict[bytes, bytes | None]


def h(data: bytes) -> bytes:
    return sha256(data).digest()


def slow_root(pairs: Mapping[bytes, bytes]) -> bytes:
    """Root over raw keys and values: no leaf is zeros, one leaf is that leaf, else both halves hashed."""
    return slow_subtree([(h(k), h(b"\x00" + h(k) + h(v))) for k, v in pairs.items()], 0)


def slow_subtree(leaves: list[tuple[bytes, bytes]], level: int) -> bytes:
    if not leaves:
        return bytes(32)
    if len(leaves) == 1:
        return leaves[0][1]
    turn = {0: [], 1: []}  # type: dict[int, list[tuple[bytes, bytes]]]
    for leaf in leaves:
        turn[leaf[0][level // 8] >> (7 - level % 8) & 1].append(leaf)
    return h(b"\x01" + slow_subtree(turn[0], level + 1) + slow_subtree(turn[1], level + 1))


def pairs_of(count: int) -> dict[bytes, bytes]:
    return {b"key %d" % number: b"value %d" % number for number in range(count)}


def built(pairs: Mapping[bytes, bytes], *, arrays: bool = True) -> StateTree:
    return StateTree.build(((h(k), h(v)) for k, v in pairs.items()), arrays=arrays)


def changed(tree: StateTree, changes: Mapping[bytes, bytes | None]) -> StateTree:
    tree.install(tree.plan(changes))
    return tree


def apply_to(pairs: Mapping[bytes, bytes], changes: Changes) -> dict[bytes, bytes]:
    merged: Changes = {**pairs, **changes}
    return {key: value for key, value in merged.items() if value is not None}


def keys_by_hash(pairs: Mapping[bytes, bytes]) -> dict[bytes, tuple[bytes, bytes]]:
    return {h(key): (key, value) for key, value in pairs.items()}


def prove_absent(tree: StateTree, pairs: Mapping[bytes, bytes], key: bytes) -> bytes:
    by_hash = keys_by_hash(pairs)
    left, right = tree.neighbours(h(key))
    return absence_proof(
        tree,
        key,
        left=None if left is None else by_hash[left],
        right=None if right is None else by_hash[right],
    )


KEYS = st.integers(0, 400).map(lambda number: b"key %d" % number)
CHANGES: st.SearchStrategy[Changes] = st.dictionaries(
    KEYS, st.one_of(st.none(), st.binary(min_size=1, max_size=3)), max_size=120
)


@WAYS
@pytest.mark.parametrize("count", [0, 1, 2, 3, 5, 31, 200, 1000])
def test_a_built_tree_has_the_root_of_the_definition(arrays: bool, count: int) -> None:
    tree = built(pairs_of(count), arrays=arrays)
    assert (tree.root, tree.count) == (slow_root(pairs_of(count)), count)


def test_the_empty_tree_has_zeros_as_root() -> None:
    assert StateTree().root == state.EMPTY_ROOT == bytes(32)


@WAYS
@settings(max_examples=60)
@given(blocks=st.lists(CHANGES, max_size=6))
def test_changing_block_by_block_equals_building_from_scratch(
    arrays: bool, blocks: list[Changes]
) -> None:
    tree, pairs = StateTree(arrays=arrays), dict[bytes, bytes]()
    for changes in blocks:
        pairs = apply_to(pairs, changes)
        changed(tree, changes)
        assert (tree.root, tree.count) == (slow_root(pairs), len(pairs))
    assert built(pairs, arrays=arrays).root == tree.root


@settings(max_examples=40)
@given(start=CHANGES, changes=CHANGES)
def test_numpy_and_plain_python_give_one_root_and_do_the_same_hashes(
    start: Changes, changes: Changes
) -> None:
    pairs = apply_to({}, start)
    with_arrays, plain = built(pairs), built(pairs, arrays=False)
    assert with_arrays.plan(changes).root == plain.plan(changes).root
    assert with_arrays.hashes_done == plain.hashes_done
    assert changed(with_arrays, changes).root == changed(plain, changes).root


@settings(max_examples=40)
@given(changes=CHANGES, data=st.data())
def test_the_order_of_changes_and_how_they_are_cut_into_blocks_do_not_matter(
    changes: Changes, data: st.DataObject
) -> None:
    pairs = pairs_of(150)
    whole = changed(built(pairs), changes)
    shuffled = data.draw(st.permutations(list(changes.items())))
    cut = data.draw(st.integers(0, len(shuffled)))
    pieces = changed(changed(built(pairs), dict(shuffled[:cut])), dict(shuffled[cut:]))
    assert pieces.root == whole.root


@WAYS
def test_growing_key_by_key_to_a_thousand_and_back_keeps_every_root(arrays: bool) -> None:
    tree, pairs, roots = StateTree(arrays=arrays), pairs_of(1000), [bytes(32)]
    for key, value in pairs.items():
        roots.append(changed(tree, {key: value}).root)
    assert tree.root == slow_root(pairs)
    for number, key in enumerate(reversed(pairs)):
        assert changed(tree, {key: None}).root == roots[999 - number]
    assert tree.count == 0


@WAYS
def test_a_large_block_on_a_small_tree_and_its_undoing_keep_the_root(arrays: bool) -> None:
    tree = built(pairs_of(3), arrays=arrays)
    root = tree.root
    more: Changes = {b"more %d" % number: b"x" for number in range(3000)}
    changed(tree, more)
    assert tree.root == slow_root(apply_to(pairs_of(3), more))
    assert changed(tree, dict.fromkeys(more)).root == root


def test_a_tree_that_shrank_needs_less_room() -> None:
    tree = built(pairs_of(2000))
    deepest = tree._heap.depth
    changed(tree, dict.fromkeys(list(pairs_of(2000))[5:]))
    assert tree._heap.depth < deepest
    assert len(tree._buckets) == 1 << tree._heap.depth
    assert tree.root == slow_root(pairs_of(5))


@WAYS
def test_a_plan_changes_nothing_and_may_be_dropped(arrays: bool) -> None:
    pairs = pairs_of(300)
    tree = built(pairs, arrays=arrays)
    buckets, heap_bytes = list(tree._buckets), bytes(tree._heap._hashes)
    for size in (1, 100):
        tree.plan({b"key %d" % number: b"new" for number in range(size)})
    assert (tree._buckets, bytes(tree._heap._hashes)) == (buckets, heap_bytes)
    assert (tree.root, tree.count) == (slow_root(pairs), 300)


def test_two_plans_on_one_state_may_be_made_and_one_installed() -> None:
    tree = built(pairs_of(100))
    first, second = tree.plan({b"a": b"1"}), tree.plan({b"b": b"2"})
    tree.install(second)
    assert tree.root == slow_root({**pairs_of(100), b"b": b"2"})
    with pytest.raises(InvariantBroken):
        tree.install(first)


def test_a_plan_of_another_tree_is_not_installed() -> None:
    with pytest.raises(InvariantBroken):
        built(pairs_of(5)).install(built(pairs_of(5)).plan({}))


def test_a_plan_that_does_not_lead_to_its_root_is_not_accepted() -> None:
    tree = built(pairs_of(100))
    plan = tree.plan({b"a": b"1"})
    forged = state.StatePlan(
        root=bytes(32), count=plan.count, base=plan.base, buckets=plan.buckets, climb=plan.climb
    )
    with pytest.raises(InvariantBroken):
        tree.install(forged)


@WAYS
def test_changes_that_change_nothing_keep_the_root(arrays: bool) -> None:
    tree = built(pairs_of(100), arrays=arrays)
    plan = tree.plan({**pairs_of(50), b"absent": None})
    assert (plan.root, plan.count, plan.buckets) == (tree.root, 100, {})
    assert tree.plan({}).root == tree.root
    assert StateTree(arrays=arrays).plan({b"absent": None}).root == bytes(32)


@pytest.mark.parametrize("changes", [{b"": b"x"}, {b"": None}, {b"x": b""}])
def test_an_empty_key_or_value_is_our_own_fault(changes: Changes) -> None:
    with pytest.raises(InvariantBroken):
        StateTree().plan(changes)


def test_one_key_with_two_values_is_not_built() -> None:
    with pytest.raises(InvariantBroken):
        StateTree.build([(h(b"a"), h(b"1")), (h(b"b"), h(b"1")), (h(b"a"), h(b"2"))])


def alike(bits: int) -> list[bytes]:
    """Two key hashes that share exactly `bits` leading bits."""
    first = h(b"alike")
    return [first, (int.from_bytes(first, "big") ^ 1 << 255 - bits).to_bytes(32, "big")]


@pytest.mark.parametrize("bits", [0, 1, 7, 60, 64, 65, STATE_DEPTH_MAX - 1])
def test_keys_that_share_few_enough_bits_have_a_root_and_a_path(bits: int) -> None:
    hashes = alike(bits)
    tree = StateTree.build([(key_hash, h(b"v")) for key_hash in hashes])
    leaves = [(key_hash, ics23.leaf_hash(key_hash, h(b"v"))) for key_hash in hashes]
    assert tree.root == slow_subtree(leaves, 0)
    others = [(h(b"%d" % number), h(b"w")) for number in range(500)]
    crowded = StateTree.build([*others, *((key_hash, h(b"v")) for key_hash in hashes)])
    leaves += [(key_hash, ics23.leaf_hash(key_hash, value)) for key_hash, value in others]
    assert crowded.root == slow_subtree(leaves, 0)


def test_the_deepest_path_is_proved_and_verified(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys alike in 127 bits cannot be found, so their hashes are put in the place of SHA-256."""
    names = dict(zip((b"left", b"right"), sorted(alike(STATE_DEPTH_MAX - 1)), strict=True))

    class Chosen:
        def __init__(self, data: bytes) -> None:
            self.data = data

        def digest(self) -> bytes:
            return names.get(self.data) or h(self.data)

    monkeypatch.setattr(state, "sha256", Chosen)
    monkeypatch.setattr(ics23, "sha256", Chosen)
    tree = changed(StateTree(), {b"left": b"1", b"right": b"2"})
    assert len(tree.path(b"left")) == STATE_DEPTH_MAX
    ics23.verify_presence(tree.root, b"left", b"1", existence_proof(tree, b"left", b"1"))
    for key in (b"a", b"b", b"c", b"d"):
        left, right = tree.neighbours(h(key))
        proof = absence_proof(
            tree,
            key,
            left=(b"right", b"2") if left else None,
            right=(b"left", b"1") if right else None,
        )
        ics23.verify_absence(tree.root, key, proof)


@pytest.mark.parametrize("bits", [STATE_DEPTH_MAX, STATE_DEPTH_MAX + 1, 255])
def test_keys_that_share_more_bits_than_a_proof_has_levels_are_refused(bits: int) -> None:
    with pytest.raises(StateCollision):
        StateTree.build([(key_hash, h(b"v")) for key_hash in alike(bits)])


@WAYS
@pytest.mark.parametrize("count", [1, 2, 3, 40, 1000])
def test_every_key_has_a_proof_of_presence_that_verifies(arrays: bool, count: int) -> None:
    pairs = pairs_of(count)
    tree = built(pairs, arrays=arrays)
    for key, value in itertools.islice(pairs.items(), 100):
        proof = existence_proof(tree, key, value)
        ics23.verify_presence(tree.root, key, value, proof)


@WAYS
@pytest.mark.parametrize("count", [1, 2, 3, 40, 1000])
def test_every_absent_key_has_a_proof_of_absence_that_verifies(arrays: bool, count: int) -> None:
    pairs = pairs_of(count)
    tree = built(pairs, arrays=arrays)
    for number in range(100):
        key = b"absent %d" % number
        ics23.verify_absence(tree.root, key, prove_absent(tree, pairs, key))


@settings(max_examples=40)
@given(blocks=st.lists(CHANGES, min_size=1, max_size=3))
def test_after_any_changes_proofs_of_both_kinds_hold(blocks: list[Changes]) -> None:
    tree, pairs = built({b"genesis": b"1"}), {b"genesis": b"1"}
    for changes in blocks:
        pairs = apply_to(pairs, changes)
        changed(tree, changes)
    for number in range(0, 400, 13):
        key = b"key %d" % number
        if key in pairs:
            ics23.verify_presence(
                tree.root, key, pairs[key], existence_proof(tree, key, pairs[key])
            )
        else:
            ics23.verify_absence(tree.root, key, prove_absent(tree, pairs, key))


def test_a_proof_at_a_thousand_keys_is_small() -> None:
    tree, pairs = built(pairs_of(1000)), pairs_of(1000)
    assert max(len(existence_proof(tree, key, pairs[key])) for key in list(pairs)[:200]) < 1000
    absences = [prove_absent(tree, pairs, b"absent %d" % number) for number in range(200)]
    assert max(map(len, absences)) < 2000


@WAYS
@settings(max_examples=60)
@given(changes=CHANGES, number=st.integers(0, 400))
def test_neighbours_are_the_nearest_key_hashes_on_each_side(
    arrays: bool, changes: Changes, number: int
) -> None:
    pairs = apply_to({}, changes)
    tree = built(pairs, arrays=arrays)
    key_hash = h(b"key %d" % number)
    hashes = sorted(h(key) for key in pairs)
    left = max((other for other in hashes if other < key_hash), default=None)
    right = min((other for other in hashes if other > key_hash), default=None)
    assert tree.neighbours(key_hash) == (left, right)
    assert tree.holds(key_hash=key_hash) == (key_hash in hashes)


def test_neighbours_are_found_in_a_tree_that_is_nearly_empty() -> None:
    tree = built(pairs_of(1000))
    left, right = min(pairs_of(1000), key=h), max(pairs_of(1000), key=h)
    changed(tree, {key: None for key in pairs_of(1000) if key not in (left, right)})
    assert tree.neighbours(h(left)) == (None, h(right))
    assert tree.neighbours(h(right)) == (h(left), None)


def test_the_empty_tree_has_no_neighbours_and_proves_nothing() -> None:
    tree = StateTree()
    assert tree.neighbours(h(b"a")) == (None, None)
    with pytest.raises(InvariantBroken):
        absence_proof(tree, b"a", left=None, right=None)


def test_a_key_that_is_not_there_has_no_path() -> None:
    for tree in (StateTree(), built(pairs_of(1)), built(pairs_of(100))):
        with pytest.raises(InvariantBroken):
            tree.path(b"absent")


def test_a_value_other_than_the_tree_s_is_not_proved() -> None:
    tree = built(pairs_of(10))
    with pytest.raises(InvariantBroken):
        existence_proof(tree, b"key 1", b"value 2")


def test_a_key_that_is_there_is_not_proved_absent() -> None:
    pairs = pairs_of(10)
    with pytest.raises(InvariantBroken):
        prove_absent(built(pairs), pairs, b"key 1")


def test_absence_is_not_proved_from_keys_that_are_not_the_neighbours() -> None:
    pairs = pairs_of(10)
    tree = built(pairs)
    by_hash = keys_by_hash(pairs)
    left, right = (by_hash.get(near or b"") for near in tree.neighbours(h(b"absent")))
    assert left is not None
    assert right is not None
    absence_proof(tree, b"absent", left=left, right=right)
    others = [pair for pair in pairs.items() if pair not in (left, right)]
    for wrong_left, wrong_right in ((None, right), (left, None), (right, left), (left, others[0])):
        with pytest.raises(InvariantBroken):
            absence_proof(tree, b"absent", left=wrong_left, right=wrong_right)


def test_hashes_per_changed_key_grow_with_the_depth_only() -> None:
    per_key: list[int] = []
    for count in (1 << 6, 1 << 12):
        tree = built(pairs_of(count))
        before = tree.hashes_done
        for number in range(50):
            changed(tree, {b"key %d" % number: b"new"})
        per_key.append(tree.hashes_done - before)
    small, large = per_key
    assert small < large < 2 * small + 50


@pytest.fixture
def few_rows(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(heap, "_ROWS_AT_ONCE", 7)
    return


@pytest.mark.usefixtures("few_rows")
def test_hashing_a_level_in_parts_gives_the_same_root() -> None:
    pairs = pairs_of(500)
    changes: Changes = {b"key %d" % number: b"new" for number in range(0, 500, 3)}
    assert changed(built(pairs), changes).root == slow_root(apply_to(pairs, changes))


def test_numpy_is_loaded_only_by_a_batch_that_pays_for_it() -> None:
    program = (
        "import sys; from drystone.trees import state, ics23; tree = state.StateTree(arrays=True)\n"
        "tree.install(tree.plan({b'k%d' % n: b'v' for n in range(29)})); print('numpy' in sys.modules)"
    )
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert run.stdout.strip() == "False"


def test_without_numpy_the_tree_works_in_plain_python() -> None:
    """A process in which importing numpy fails builds, changes and proves as any other."""
    program = (
        "import sys; sys.modules['numpy'] = None\n"
        "import importlib.util as u; found = u.find_spec\n"
        "u.find_spec = lambda name, *a: None if name == 'numpy' else found(name, *a)\n"
        "from drystone.trees import state\n"
        "tree = state.StateTree()\n"
        "tree.install(tree.plan({b'k%d' % n: b'v' for n in range(200)})); print(tree.root.hex())"
    )
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert run.stdout.strip() == slow_root({b"k%d" % n: b"v" for n in range(200)}).hex()
