"""The append-only Merkle tree of RFC 9162 section 2: grow it by its right edge, prove, and check
proofs.

Here every accepted record gets its fixed place: its entry becomes a leaf, and the root over all
leaves is what checkpoints, receipts and the application hash commit to. The same tree serves for a
vertex's body and a block's outcomes. Nothing here reads or keeps leaves: growing needs only the
*edge* (the roots of the full subtrees that the size's binary digits name), proving asks its caller
for the hashes of full subtrees.

Source: RFC 9162 sections 2.1.1 (hash), 2.1.3 (inclusion), 2.1.4 (consistency); SHA-256. The empty
tree's root is SHA-256 of nothing; two trees of different sizes may share a root's proof, so a size
counts only where it is signed.
"""

from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import Final, NamedTuple

from drystone.errors import InvariantBroken, ProofInvalid
from drystone.limits import LOG_PATH_MAX

HASH_BYTES: Final = 32
EMPTY_ROOT: Final = sha256(b"").digest()
SIZE_MAX: Final = 1 << LOG_PATH_MAX

NodeReader = Callable[[int, int], bytes]
"""`node(level, index)`: root of the full subtree over leaves `index << level` to `(index + 1) <<
level`."""


class Edge(NamedTuple):
    """The right edge of a log: all that appending needs.

    `hashes` holds the root of one full subtree per binary one of `size`, the largest (leftmost)
    first.
    """

    size: int
    hashes: tuple[bytes, ...]


EMPTY: Final = Edge(0, ())


def leaf_hash(entry: bytes) -> bytes:
    """Hash one entry as a leaf: SHA-256(0x00 | entry)."""
    return sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Hash two subtrees: SHA-256(0x01 | left | right). Does not check that both are 32 bytes."""
    return sha256(b"\x01" + left + right).digest()


def append(edge: Edge, leaves: Sequence[bytes]) -> Edge:
    """Return the edge after `leaves` (leaf hashes of 32 bytes, oldest first); the given edge stays
    as it is.

    A hot path: works level by level over the whole batch, one hash per pair. Checks nothing about
    its input.
    """
    rest = list(edge.hashes)
    size = edge.size
    row = list(leaves)
    grown: list[bytes] = []
    digits = size
    while row or digits:
        if digits & 1:
            row.insert(0, rest.pop())
        if len(row) & 1:
            grown.append(row.pop())
        pairs = iter(row)
        row = [
            sha256(b"\x01" + left + right).digest()
            for left, right in zip(pairs, pairs, strict=True)
        ]
        digits >>= 1
    grown.reverse()
    return Edge(size + len(leaves), tuple(grown))


def root(edge: Edge) -> bytes:
    """Return the root over all leaves that led to this edge; `EMPTY_ROOT` for none."""
    if not edge.hashes:
        return EMPTY_ROOT
    right = edge.hashes[-1]
    for left in reversed(edge.hashes[:-1]):
        right = node_hash(left, right)
    return right


def tree_root(leaves: Sequence[bytes]) -> bytes:
    """Return the root over leaf hashes at once (a vertex's body, a block's outcomes)."""
    return root(append(EMPTY, leaves))


def inclusion_path(index: int, size: int, node: NodeReader) -> list[bytes]:
    """Return the siblings of leaf `index` (from 0) in the tree of `size` leaves, from the leaf
    upwards.

    Asks `node` only for full subtrees, so that tiles or rows of any kind can answer.

    Raises InvariantBroken if `index` is not below `size`: who serves proofs checks the request
    first.
    """
    if not 0 <= index < size:
        raise InvariantBroken(f"leaf {index} of a log of {size}")
    path: list[bytes] = []
    first, end = 0, size
    while end - first > 1:
        middle = first + _split(end - first)
        if index < middle:
            path.append(_range_root(middle, end, node))
            end = middle
        else:
            path.append(_range_root(first, middle, node))
            first = middle
    path.reverse()
    return path


def consistency_path(old: int, new: int, node: NodeReader) -> list[bytes]:
    """Return the proof that the log of `new` leaves begins with the log of `old` leaves; empty if
    either is trivial.

    Raises InvariantBroken unless 0 <= old <= new.
    """
    if not 0 <= old <= new:
        raise InvariantBroken(f"no consistency from size {old} to {new}")
    if old in (0, new):
        return []
    path: list[bytes] = []
    first, end, whole = 0, new, True
    while old != end:
        middle = first + _split(end - first)
        if old <= middle:
            path.append(_range_root(middle, end, node))
            end = middle
        else:
            path.append(_range_root(first, middle, node))
            first, whole = middle, False
    if not whole:
        path.append(_range_root(first, end, node))
    path.reverse()
    return path


def verify_inclusion(
    *, root: bytes, size: int, index: int, leaf: bytes, path: Sequence[bytes]
) -> None:
    """Check that `leaf` (a leaf hash) is leaf `index` of the log of `size` leaves under `root`.

    RFC 9162 section 2.1.3.2. Does not check who vouches for `root` and `size`: a relabelled (size,
    index) can lead to the same root, so the size must come from what was signed.

    Raises ProofInvalid.
    """
    if not 0 <= index < size <= SIZE_MAX:
        raise ProofInvalid(f"no leaf {index} in a log of {size}")
    _check_hashes((root, leaf, *path[: LOG_PATH_MAX + 1]))
    position, last, hash_ = index, size - 1, leaf
    for sibling in path:
        if last == 0:
            raise ProofInvalid("the inclusion path is too long")
        if position & 1 or position == last:
            hash_ = node_hash(sibling, hash_)
            while not position & 1:
                position >>= 1
                last >>= 1
        else:
            hash_ = node_hash(hash_, sibling)
        position >>= 1
        last >>= 1
    if last != 0:
        raise ProofInvalid("the inclusion path is too short")
    if hash_ != root:
        raise ProofInvalid("the inclusion path leads to another root")


def verify_consistency(
    *, old_size: int, old_root: bytes, new_size: int, new_root: bytes, path: Sequence[bytes]
) -> None:
    """Check that the log of `new_size` leaves under `new_root` begins with the log of `old_size`
    under `old_root`.

    RFC 9162 section 2.1.4.2; equal sizes need equal roots and, as the empty log, an empty path.
    Does not check who vouches for the roots and sizes.

    Raises ProofInvalid.
    """
    if not 0 <= old_size <= new_size <= SIZE_MAX:
        raise ProofInvalid(f"a log does not shrink from {old_size} to {new_size}")
    _check_hashes((old_root, new_root, *path[: LOG_PATH_MAX + 2]))
    if old_size in (0, new_size):
        expected = EMPTY_ROOT if old_size == 0 else new_root
        empty_new = new_size == 0 and new_root != EMPTY_ROOT
        if path or old_root != expected or empty_new:
            raise ProofInvalid("the roots of a trivial consistency proof do not fit")
        return
    if not path:
        raise ProofInvalid("the consistency path is empty")
    position, last = old_size - 1, new_size - 1
    while position & 1:
        position >>= 1
        last >>= 1
    steps = iter(path)
    old_hash = new_hash = old_root if position == 0 else next(steps)
    for sibling in steps:
        if last == 0:
            raise ProofInvalid("the consistency path is too long")
        if position & 1 or position == last:
            old_hash = node_hash(sibling, old_hash)
            new_hash = node_hash(sibling, new_hash)
            while position and not position & 1:
                position >>= 1
                last >>= 1
        else:
            new_hash = node_hash(new_hash, sibling)
        position >>= 1
        last >>= 1
    if last != 0:
        raise ProofInvalid("the consistency path is too short")
    if old_hash != old_root or new_hash != new_root:
        raise ProofInvalid("the consistency path leads to other roots")


def _split(width: int) -> int:
    """Return the largest power of two below `width` (at least 2)."""
    return 1 << ((width - 1).bit_length() - 1)


def _range_root(first: int, end: int, node: NodeReader) -> bytes:
    """Fold the full subtrees that make up the leaves from `first` to `end`; `first` is aligned as
    in the RFC.
    """
    subtrees: list[bytes] = []
    while first < end:
        level = (end - first).bit_length() - 1
        subtrees.append(node(level, first >> level))
        first += 1 << level
    hash_ = subtrees.pop()
    while subtrees:
        hash_ = node_hash(subtrees.pop(), hash_)
    return hash_


def _check_hashes(hashes: Sequence[bytes]) -> None:
    if any(len(hash_) != HASH_BYTES for hash_ in hashes):
        raise ProofInvalid("a hash of the proof is not 32 bytes")
