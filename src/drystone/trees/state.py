"""The authenticated map in memory: its root after a block's changes, and ICS-23 proofs of presence
and absence.

The flat key-value table on disk is the truth; this tree is a cache over it that can be rebuilt at
any time. `apply` asks for the root of a block's changes (`plan`, which changes nothing), the
executor writes the block and then lets the tree follow (`install`). The tree holds hashes only: 64
bytes per key in buckets by the first `depth` bits of the key's hash, about one key each, under a
`Heap`. A tree's root depends on its keys and values alone, never on `depth`, on the order of
changes or on how it was reached. It reads no database and keeps no raw key or value.

Source: ICS-23 `SmtSpec` (see `ics23.py`), tree shape of celestiaorg/smt, layout measured for ten
thousand to a million keys.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from drystone.errors import InvariantBroken, StateCollision
from drystone.limits import STATE_DEPTH_MAX
from drystone.trees.heap import HAS_NUMPY, MANY, NONE, ONE, Climb, Heap
from drystone.trees.ics23 import (
    EMPTY_CHILD,
    HASH_BYTES,
    Absence,
    Presence,
    encode,
    inner_hash,
    leaf_hash,
    root_of,
)

EMPTY_ROOT: Final = EMPTY_CHILD
_LEAF_BYTES: Final = 2 * HASH_BYTES
_HEAD_BYTES: Final = 8
_HEAD_BITS: Final = 8 * _HEAD_BYTES
_DEPTH_ROOMY: Final = 17
"""Below this depth (about 130,000 keys) one more level costs 4 MB at most."""

_SHRINK: Final = 3
"""The tree loses a level when it could lose this many; so it does not swing between two depths."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StatePlan:
    """What a block's changes do to the tree: the new `root`, the new `count`, and what `install`
    writes.

    `base` marks the very state of the very tree that it was made on.
    """

    root: bytes
    count: int
    base: object
    buckets: Mapping[int, bytes]
    climb: Climb


class StateTree:
    """Hash tree over a map from keys to values. `root` 32 bytes, `count` keys, `hashes_done` tree
    nodes hashed so far.
    """

    def __init__(self, *, arrays: bool = HAS_NUMPY) -> None:
        """Start empty; `arrays` False keeps to plain Python whatever is installed."""
        self.root = EMPTY_ROOT
        self.count = 0
        self.hashes_done = 0
        self._base = object()
        self._heap = Heap(0, arrays=arrays)
        self._buckets = [b""]

    @classmethod
    def build(
        cls, items: Iterable[tuple[bytes, bytes]], *, arrays: bool = HAS_NUMPY
    ) -> "StateTree":
        """Build from (SHA-256 of key, SHA-256 of value), in any order, each key once.

        Raises InvariantBroken for a key hash that comes twice, StateCollision for two that share
        too many bits.
        """
        leaves = [key_hash + leaf_hash(key_hash, value_hash) for key_hash, value_hash in items]
        leaves.sort()
        tree = cls(arrays=arrays)
        tree.count = len(leaves)
        depth = _depth_for(tree.count)
        heap = tree._heap = Heap(depth, arrays=arrays)
        buckets = tree._buckets = [b""] * (1 << depth)
        previous = b""
        for leaf in leaves:
            if leaf[:HASH_BYTES] == previous:
                raise InvariantBroken(f"two values of the state key {previous.hex()}")
            previous = leaf[:HASH_BYTES]
            number = _bucket_of(leaf, depth)
            buckets[number] = buckets[number] + leaf if buckets[number] else leaf
        del leaves
        for number, data in enumerate(buckets):
            if data:
                hash_, kind = tree._fold(data)
                heap.put((1 << depth) + number, hash_=hash_, kind=kind)
        tree.hashes_done += tree.count + heap.fill()
        tree.root = heap.root
        return tree

    def plan(self, changes: Mapping[bytes, bytes | None]) -> StatePlan:
        """Compute the root after `changes` (key -> new value, None deletes); the tree stays as it
        is.

        Deleting a key that is not there changes nothing. Besides the counter nothing is touched, so
        a plan may be dropped. Does not check that keys and values fit their limits.

        Raises InvariantBroken for an empty key or value, StateCollision for keys that share too
        many bits.
        """
        depth = self._heap.depth
        shift = _HEAD_BITS - depth
        before = self._buckets
        buckets: dict[int, bytes] = {}
        for key, value in changes.items():
            if not key or value == b"":
                raise InvariantBroken("a state key or value is empty")
            key_hash = sha256(key).digest()
            leaf = b""
            if value is not None:
                leaf = sha256(b"\x00" + key_hash + sha256(value).digest()).digest()
                self.hashes_done += 1
            number = int.from_bytes(key_hash[:_HEAD_BYTES]) >> shift
            packed = buckets[number] if number in buckets else before[number]
            if not packed:
                buckets[number] = key_hash + leaf if leaf else packed
            else:
                buckets[number] = _edited(packed, key_hash=key_hash, leaf=leaf)
        buckets = {at: new for at, new in buckets.items() if new != before[at]}
        count = self.count
        nodes: dict[int, tuple[bytes, int]] = {}
        first = 1 << depth
        for number, new in buckets.items():
            count += (len(new) - len(before[number])) // _LEAF_BYTES
            alone = len(new) == _LEAF_BYTES
            nodes[first + number] = (new[HASH_BYTES:], ONE) if alone else self._fold(new)
        climb = self._heap.climb(nodes)
        self.hashes_done += climb.hashes
        return StatePlan(
            root=climb.root, count=count, base=self._base, buckets=buckets, climb=climb
        )

    def install(self, plan: StatePlan) -> None:
        """Let the tree follow a plan that was made on its present state; the only change there is.

        Raises InvariantBroken for a plan made before another one was installed, or made by another
        tree.
        """
        if plan.base is not self._base:
            raise InvariantBroken("the state tree has moved on since this plan was made")
        for number, data in plan.buckets.items():
            self._buckets[number] = data
        self._heap.install(plan.climb)
        self._base = object()
        self.count = plan.count
        self.root = plan.root
        wanted = _depth_for(self.count)
        while self._heap.depth < wanted:
            self._grow()
        while self._heap.depth >= wanted + _SHRINK:
            self._shrink()
        if self._heap.root != plan.root:
            raise InvariantBroken("the state tree does not have the root that was planned")

    def path(self, key: bytes) -> tuple[bytes, ...]:
        """Return the siblings of a key's leaf from the leaf up to the root; `EMPTY_CHILD` where
        nothing is.

        Raises InvariantBroken if the key is not there.
        """
        key_hash = sha256(key).digest()
        depth = self._heap.depth
        number = _bucket_of(key_hash, depth)
        leaves = self._buckets[number]
        if key_hash not in _leaves(leaves):
            raise InvariantBroken("no path: the state tree does not hold this key")
        siblings: list[bytes] = []
        level = depth
        while len(leaves) > _LEAF_BYTES:
            left, right = _split(leaves, level)
            inside, outside = (right, left) if _bit(key_hash, level) else (left, right)
            level += 1
            siblings.append(self._fold(outside, level)[0])
            leaves = inside
        siblings.reverse()
        node = (1 << depth) + number
        while node > 1:
            if self._heap.kind_of(node >> 1) == MANY:
                siblings.append(self._heap.hash_of(node ^ 1))
            node >>= 1
        return tuple(siblings)

    def holds(self, *, key_hash: bytes) -> bool:
        """Tell whether a key with this hash is there."""
        return key_hash in _leaves(self._buckets[_bucket_of(key_hash, self._heap.depth)])

    def neighbours(self, key_hash: bytes) -> tuple[bytes | None, bytes | None]:
        """Return the key hashes nearest to the left and right of `key_hash` (itself excluded), None
        at an edge.
        """
        number = _bucket_of(key_hash, self._heap.depth)
        own = _leaves(self._buckets[number])
        left = max((other for other in own if other < key_hash), default=None)
        right = min((other for other in own if other > key_hash), default=None)
        if left is None:
            at = self._next_bucket(number, step=-1)
            left = None if at is None else max(_leaves(self._buckets[at]))
        if right is None:
            at = self._next_bucket(number, step=1)
            right = None if at is None else min(_leaves(self._buckets[at]))
        return left, right

    def _next_bucket(self, number: int, *, step: int) -> int | None:
        """Return the next bucket with leaves to the left (step -1) or right (1): up to a node
        beside us, then down.
        """
        heap = self._heap
        away = 1 if step > 0 else 0
        node = (1 << heap.depth) + number
        while node > 1 and (node & 1 == away or heap.kind_of(node ^ 1) == NONE):
            node >>= 1
        if node == 1:
            return None
        node ^= 1
        while node < 1 << heap.depth:
            near = 2 * node + 1 - away
            node = near if heap.kind_of(near) != NONE else near ^ 1
        return node - (1 << heap.depth)

    def _fold(self, leaves: bytes, level: int | None = None) -> tuple[bytes, int]:
        """Hash the subtree of packed leaves whose keys share their first `level` bits (a bucket's
        by default).
        """
        if len(leaves) <= _LEAF_BYTES:
            return (leaves[HASH_BYTES:], ONE) if leaves else (EMPTY_CHILD, NONE)
        if level is None:
            level = self._heap.depth
        fork = _shared_bits(leaves)
        if fork >= STATE_DEPTH_MAX:
            raise StateCollision(f"two state keys share {fork} bits of their hashes")
        left, right = _split(leaves, fork)
        hash_ = inner_hash(self._fold(left, fork + 1)[0], self._fold(right, fork + 1)[0])
        self.hashes_done += fork - level + 1
        while fork > level:
            fork -= 1
            hash_ = (
                inner_hash(EMPTY_CHILD, hash_)
                if _bit(leaves, fork)
                else inner_hash(hash_, EMPTY_CHILD)
            )
        return hash_, MANY

    def _grow(self) -> None:
        """Split every bucket in two under a heap one level deeper."""
        old, depth = self._buckets, self._heap.depth
        heap = self._heap.grown()
        buckets = [b""] * (2 * len(old))
        node = 2 << depth
        for number, leaves in enumerate(old):
            if leaves:
                for side, part in enumerate(_split(leaves, depth)):
                    at = 2 * number + side
                    hash_, kind = self._fold(part, depth + 1)
                    heap.put(node + at, hash_=hash_, kind=kind)
                    buckets[at] = part
        self._heap, self._buckets = heap, buckets

    def _shrink(self) -> None:
        """Join every two buckets under a heap one level lower."""
        pairs = iter(self._buckets)
        self._buckets = [left + right for left, right in zip(pairs, pairs, strict=True)]
        self._heap = self._heap.shrunk()


def existence_proof(tree: StateTree, key: bytes, value: bytes) -> bytes:
    """Return the ICS-23 proof that `key` has `value` in the tree.

    Raises InvariantBroken if it does not: then the table and its tree disagree.
    """
    return encode(_presence(tree, key, value))


def absence_proof(
    tree: StateTree,
    key: bytes,
    *,
    left: tuple[bytes, bytes] | None,
    right: tuple[bytes, bytes] | None,
) -> bytes:
    """Return the ICS-23 proof that `key` is not in the tree, from its neighbours' raw keys and
    values.

    The neighbours are those that `neighbours` names by hash; None where it says None.

    Raises InvariantBroken if the key is there, the neighbours are others, or the tree is empty
    (nothing proves that).
    """
    key_hash = sha256(key).digest()
    if tree.holds(key_hash=key_hash):
        raise InvariantBroken("no proof of absence: the key is there")
    given = tuple(None if near is None else sha256(near[0]).digest() for near in (left, right))
    if given != tree.neighbours(key_hash):
        raise InvariantBroken("the neighbours given are not the key's neighbours in the tree")
    near = [None if pair is None else _presence(tree, *pair) for pair in (left, right)]
    return encode(Absence(key, *near))


def _presence(tree: StateTree, key: bytes, value: bytes) -> Presence:
    presence = Presence(key, value, tree.path(key))
    if root_of(presence) != tree.root:
        raise InvariantBroken("the value is not the one whose hash is in the state tree")
    return presence


def _depth_for(count: int) -> int:
    """Return the depth at which a bucket holds half a key to one key; half of that in a small tree.

    Whatever shares a bucket is hashed one by one, so a small tree spends memory instead.
    """
    depth = (count - 1).bit_length() if count > 1 else 0
    return depth + 1 if count > 1 and depth < _DEPTH_ROOMY else depth


def _bucket_of(key_hash: bytes, depth: int) -> int:
    """Return the number that a key hash's first `depth` bits (at most 64) write."""
    return int.from_bytes(key_hash[:_HEAD_BYTES], "big") >> (_HEAD_BITS - depth)


def _bit(key_hash: bytes, level: int) -> int:
    """Return a key hash's turn (0 left, 1 right) at a level, counted from the root."""
    return key_hash[level >> 3] >> (7 - (level & 7)) & 1


def _leaves(packed: bytes) -> dict[bytes, bytes]:
    """Unpack a bucket: key hash -> leaf hash, ascending."""
    return {
        packed[at : at + HASH_BYTES]: packed[at + HASH_BYTES : at + _LEAF_BYTES]
        for at in range(0, len(packed), _LEAF_BYTES)
    }


def _edited(packed: bytes, *, key_hash: bytes, leaf: bytes) -> bytes:
    """Return a bucket with one key's leaf hash set; empty to delete it."""
    at = packed.find(key_hash)
    if leaf and at >= 0 and not at % _LEAF_BYTES:
        return packed[: at + HASH_BYTES] + leaf + packed[at + _LEAF_BYTES :]
    leaves = _leaves(packed)
    leaves[key_hash] = leaf
    return b"".join([other + leaves[other] for other in sorted(leaves) if leaves[other]])


def _shared_bits(packed: bytes) -> int:
    """Return how many leading bits all key hashes of a bucket share: the first and last decide, as
    they are sorted.
    """
    first = int.from_bytes(packed[:HASH_BYTES], "big")
    last = int.from_bytes(packed[-_LEAF_BYTES:-HASH_BYTES], "big")
    return 8 * HASH_BYTES - (first ^ last).bit_length()


def _split(packed: bytes, level: int) -> tuple[bytes, bytes]:
    """Part a bucket's leaves by their turn at a level; they share all turns before it."""
    at = 0
    while at < len(packed) and not _bit(packed[at : at + HASH_BYTES], level):
        at += _LEAF_BYTES
    return packed[:at], packed[at:]
