"""Every vector of tree.json, tiles.json and state-proof.json: values of foreign programs, bytes they refuse.

The second half checks the files themselves: each names its programs, and refuses at least as much as it accepts.
"""

import json
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from drystone import errors
from drystone.trees import ics23, log, state, tiles

FOLDER = Path(__file__).parents[3] / "vectors"
FILES = {name: json.loads((FOLDER / name).read_text()) for name in ("tree.json", "tiles.json")}
FILES["state-proof.json"] = json.loads((FOLDER / "state-proof.json").read_text())
TREE, TILES, STATE = FILES.values()
CODES: Mapping[str, type[errors.DrystoneError]] = {
    "proof-invalid": errors.ProofInvalid,
    "tile-malformed": errors.TileMalformed,
}


def unhex(texts: list[str]) -> list[bytes]:
    return [bytes.fromhex(text) for text in texts]


def verify_inclusion(vector: dict[str, Any]) -> None:
    log.verify_inclusion(
        root=bytes.fromhex(vector["root"]),
        size=vector["size"],
        index=vector["index"],
        leaf=bytes.fromhex(vector["leaf"]),
        path=unhex(vector["path"]),
    )


def verify_consistency(vector: dict[str, Any]) -> None:
    log.verify_consistency(
        old_size=vector["old_size"],
        old_root=bytes.fromhex(vector["old_root"]),
        new_size=vector["new_size"],
        new_root=bytes.fromhex(vector["new_root"]),
        path=unhex(vector["path"]),
    )


def verify_state(vector: dict[str, Any]) -> None:
    root, key, proof = (bytes.fromhex(vector[name]) for name in ("root", "key", "proof"))
    if "value" in vector:
        ics23.verify_presence(root, key, bytes.fromhex(vector["value"]), proof)
    else:
        ics23.verify_absence(root, key, proof)


def parse_path(vector: dict[str, Any]) -> None:
    tiles.parse_tile_path(vector["path"])


def parse_bundle(vector: dict[str, Any]) -> None:
    tiles.parse_entry_bundle(bytes.fromhex(vector["bundle"]))


CHECKS = [
    (TREE, "inclusion", verify_inclusion),
    (TREE, "consistency", verify_consistency),
    (TILES, "paths", parse_path),
    (TILES, "bundles", parse_bundle),
    (STATE, "presence", verify_state),
    (STATE, "absence", verify_state),
]
IDS = [name for _, name, _ in CHECKS]


@pytest.mark.parametrize(("file", "name", "check"), CHECKS, ids=IDS)
def test_every_valid_vector_is_accepted(file: dict[str, Any], name: str, check: Any) -> None:
    for vector in file[name]:
        check(vector)


@pytest.mark.parametrize(("file", "name", "check"), CHECKS, ids=IDS)
def test_every_other_vector_is_refused_with_its_code(
    file: dict[str, Any], name: str, check: Any
) -> None:
    for vector in file[f"{name}_refused"]:
        with pytest.raises(CODES[vector["error"]]):
            check(vector)


@pytest.mark.parametrize(("file", "name", "check"), CHECKS, ids=IDS)
def test_at_least_as_many_vectors_are_refused_as_accepted(
    file: dict[str, Any], name: str, check: Any
) -> None:
    assert len(file[f"{name}_refused"]) >= len(file[name]) > 0


@pytest.mark.parametrize("name", FILES)
def test_a_vector_file_names_the_programs_it_comes_from(name: str) -> None:
    file = FILES[name]
    assert (FOLDER.parent / file["generator"].split()[0] / "main.go").is_file()
    assert file["command"]
    for program, role in file["programs"].items():
        assert program
        assert role.startswith("v")


def leaf(index: int) -> bytes:
    return log.leaf_hash(index.to_bytes(4, "big"))


LEAVES = [leaf(index) for index in range(66_000)]
SUBTREES: dict[tuple[int, int], bytes] = {}


def node(level: int, index: int) -> bytes:
    if level == 0:
        return LEAVES[index]
    if (level, index) not in SUBTREES:
        below = node(level - 1, 2 * index), node(level - 1, 2 * index + 1)
        SUBTREES[level, index] = log.node_hash(*below)
    return SUBTREES[level, index]


def test_leaves_and_roots_of_the_log_are_the_foreign_program_s() -> None:
    for vector in TREE["leaves"]:
        assert log.leaf_hash(bytes.fromhex(vector["entry"])).hex() == vector["leaf"]
    for vector in TREE["roots"]:
        assert log.tree_root(LEAVES[: vector["size"]]).hex() == vector["root"]


def test_paths_of_the_log_are_the_foreign_program_s() -> None:
    for vector in TREE["inclusion"]:
        if not vector["name"]:
            path = log.inclusion_path(vector["index"], vector["size"], node)
            assert path == unhex(vector["path"])
    for vector in TREE["consistency"]:
        path = log.consistency_path(vector["old_size"], vector["new_size"], node)
        assert path == unhex(vector["path"])


def test_names_of_tiles_are_the_foreign_program_s() -> None:
    for vector in TILES["paths"]:
        tile = tiles.parse_tile_path(vector["path"])
        assert (tile.level, tile.index, tile.width) == (
            vector["level"],
            vector["index"],
            vector["width"],
        )
        assert tiles.tile_path(tile.level, tile.index, tile.width) == vector["path"]


def test_growth_and_content_of_tiles_are_the_foreign_program_s() -> None:
    for vector in TILES["growth"]:
        grown = tiles.grown_tiles(old=vector["old"], new=vector["new"])
        assert [tiles.tile_path(t.level, t.index, t.width) for t in grown] == vector["tiles"]
    for vector in TILES["tiles"]:
        tile = tiles.parse_tile_path(vector["path"])
        assert tile.level is not None
        first = tile.index * 256
        hashes = [node(8 * tile.level, at) for at in range(first, first + tile.width)]
        assert hashes[0].hex() == vector["first"]
        assert hashes[-1].hex() == vector["last"]
        assert sha256(b"".join(hashes)).hexdigest() == vector["sha256"]


def test_bundles_of_entries_are_the_foreign_program_s() -> None:
    for vector in TILES["bundles"]:
        entries = unhex(vector["entries"])
        assert tiles.parse_entry_bundle(bytes.fromhex(vector["bundle"])) == entries
        assert tiles.entry_bundle(entries).hex() == vector["bundle"]


def state_of(count: int, *, arrays: bool) -> tuple[state.StateTree, dict[bytes, bytes]]:
    pairs = {b"key %d" % number: b"value %d" % number for number in range(count)}
    hashes = ((sha256(key).digest(), sha256(value).digest()) for key, value in pairs.items())
    return state.StateTree.build(hashes, arrays=arrays), pairs


@pytest.mark.parametrize("arrays", [True, False], ids=["numpy", "plain"])
def test_state_roots_are_the_foreign_program_s(arrays: bool) -> None:
    for vector in STATE["states"]:
        tree, _ = state_of(vector["count"], arrays=arrays)
        assert tree.root.hex() == vector["root"]
    tree = state.StateTree(arrays=arrays)
    for block in STATE["blocks"]:
        changes = {
            bytes.fromhex(change["key"]): bytes.fromhex(change["value"])
            if change["value"]
            else None
            for change in block["changes"]
        }
        tree.install(tree.plan(changes))
        assert tree.root.hex() == block["root"]


def test_bytes_of_state_proofs_are_the_foreign_program_s() -> None:
    states = [state_of(vector["count"], arrays=False) for vector in STATE["states"]]
    by_root = {tree.root.hex(): (tree, pairs) for tree, pairs in states}
    for vector in STATE["presence"]:
        tree, pairs = by_root[vector["root"]]
        key = bytes.fromhex(vector["key"])
        assert state.existence_proof(tree, key, pairs[key]).hex() == vector["proof"]
    for vector in STATE["absence"]:
        tree, pairs = by_root[vector["root"]]
        key = bytes.fromhex(vector["key"])
        by_hash = {sha256(near).digest(): (near, value) for near, value in pairs.items()}
        near = tree.neighbours(sha256(key).digest())
        left, right = (None if at is None else by_hash[at] for at in near)
        assert state.absence_proof(tree, key, left=left, right=right).hex() == vector["proof"]


def test_what_ics23_accepts_and_we_refuse_is_another_spelling_or_kind_of_the_same() -> None:
    """No lie is among them: a strict reader may refuse what a lenient one takes, never the reverse."""
    spellings = ("unknown field", "length in five bytes", "default spelled out", "value before key")
    kinds = ("batch of one", "another key in the proof", "key spelled twice")
    for vector in STATE["presence_refused"] + STATE["absence_refused"]:
        if vector["ics23"] == "accepted":
            assert any(word in vector["name"] for word in (*spellings, *kinds)), vector["name"]
