"""Genesis: one file, one spelling, every key proved; the ledger's id follows from all of it."""

import dataclasses
import hashlib
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drystone.errors import GenesisInvalid
from drystone.formats import cbor
from drystone.ledger.genesis import Genesis, decode_genesis, encode_genesis, prove, validators_hash
from drystone.sim.world import World
from drystone.storage.memory import MemoryView

WORLD = World.begin()
DATA = encode_genesis(WORLD.genesis)


def test_file_reads_back_as_it_was_written() -> None:
    assert decode_genesis(DATA) == WORLD.genesis


def test_ledger_id_is_the_hash_of_the_genesis_block_entry() -> None:
    entry_leaf = WORLD.view.log.hashes[0]
    assert WORLD.view.log.size == 1
    view = MemoryView.from_genesis(WORLD.genesis)
    assert view.ledger == WORLD.view.ledger
    assert view.log.hashes[0] == entry_leaf


def test_validators_hash_ignores_the_order_of_the_keys() -> None:
    assert validators_hash((b"a", b"b")) == validators_hash((b"b", b"a"))
    expected = b"drystone/nodes/1\n" + cbor.encode([b"a", b"b"])
    assert validators_hash((b"b", b"a")) == hashlib.sha256(expected).digest()


@pytest.mark.parametrize("field", ["origin", "time_ms", "approvals", "organisations"])
def test_ledger_id_changes_with_every_field(field: str) -> None:
    values: dict[str, object] = {
        "origin": "ledger.example/other",
        "time_ms": 1,
        "approvals": 2,
        "organisations": (("ewz", "Another name"),),
    }
    other = dataclasses.replace(WORLD.genesis, **{field: values[field]})
    assert MemoryView.from_genesis(other).ledger != WORLD.view.ledger


def changed(change: Callable[[dict[str, Any]], object]) -> bytes:
    value: Any = cbor.decode(DATA)
    change(value)
    return cbor.encode(value)


BROKEN: dict[str, Callable[[dict[str, Any]], object]] = {
    "a field too many": lambda v: v.update(extra=1),
    "a field too few": lambda v: v.pop("origin"),
    "another format": lambda v: v.update(format="drystone/genesis/2"),
    "another protocol": lambda v: v.update(protocol=2),
    "other limits": lambda v: v["limits"].update({"record-bytes": 1}),
    "no organisation": lambda v: v.update(organisations=[]),
    "an organisation twice": lambda v: v["organisations"].append(v["organisations"][0]),
    "a bad alias": lambda v: v["organisations"].append(["-x", "X"]),
    "an empty name": lambda v: v["organisations"].append(["x", ""]),
    "a control character in a name": lambda v: v["organisations"].append(["x", "a\nb"]),
    "a space in the origin": lambda v: v.update(origin="a b"),
    "a plus sign in the origin": lambda v: v.update(origin="a+b"),
    "no approvals": lambda v: v.update(approvals=0),
    "more approvals than organisations": lambda v: v.update(approvals=9),
    "a negative time": lambda v: v.update({"time-ms": -1}),
    "a time that is no number": lambda v: v.update({"time-ms": "now"}),
    "a time that is true": lambda v: v.update({"time-ms": True}),
    "a proof too few": lambda v: v["proofs"].pop(),
    "proofs in another order": lambda v: v["proofs"].reverse(),
    "a member of no organisation": lambda v: v["members"][0].__setitem__(0, "nobody"),
    "a member twice": lambda v: v["members"].append(v["members"][0]),
    "an unknown role": lambda v: v["members"][0].__setitem__(2, ["king"]),
    "a role twice": lambda v: v["members"][0].__setitem__(2, ["governor", "governor"]),
    "a key that is none": lambda v: v["members"][0].__setitem__(3, b"\x00"),
    "a member that is no array": lambda v: v["members"].__setitem__(0, 7),
    "one key for two members": lambda v: v["members"][0].__setitem__(3, v["members"][1][3]),
    "an altered name": lambda v: v["organisations"][0].__setitem__(1, "Other"),
    "no validator": lambda v: [m.__setitem__(2, ["gateway"]) for m in v["members"]],
    "unsorted roles": lambda v: v["members"][0].__setitem__(2, ["governor", "enroller"]),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_genesis_is_refused(name: str) -> None:
    with pytest.raises(GenesisInvalid):
        decode_genesis(changed(BROKEN[name]))


def test_oversize_genesis_is_refused_before_it_is_parsed() -> None:
    with pytest.raises(GenesisInvalid, match="at most"):
        decode_genesis(bytes(4_194_305))


def test_proof_by_another_key_is_refused() -> None:
    other = World.begin("other")
    places = [(m.iss, m.sub) for m in WORLD.genesis.members]
    secrets = {place: other.actors["/".join(place)].secret for place in places}
    with pytest.raises(GenesisInvalid):
        decode_genesis(encode_genesis(prove(WORLD.genesis, secrets)))


@settings(max_examples=300, deadline=None)
@given(st.integers(0, len(DATA) - 1), st.integers(1, 255))
def test_every_altered_byte_is_refused(index: int, flip: int) -> None:
    data = bytearray(DATA)
    data[index] ^= flip
    with pytest.raises(GenesisInvalid):
        decode_genesis(bytes(data))


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_noise_is_refused_with_a_typed_error(data: bytes) -> None:
    with pytest.raises(GenesisInvalid):
        decode_genesis(data)


def test_genesis_is_a_value() -> None:
    assert isinstance(WORLD.genesis, Genesis)
    with pytest.raises(dataclasses.FrozenInstanceError):
        WORLD.genesis.origin = "x"  # type: ignore[misc]
