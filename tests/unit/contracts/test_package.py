"""A package: a manifest that promises what its source holds, one canonical spelling, one hash."""

from typing import Any

import pytest

from drystone.contracts.package import decode_package, make_package
from drystone.errors import ContractManifest, ContractSource, Refused
from drystone.formats import cbor

SOURCE = (
    "def on_reading(ctx, old, record):\n    return (None, [])\n\n"
    'def act(ctx, n):\n    put("n", n)\n\ndef move(ctx, version):\n    pass\n'
)
MANIFEST: dict[str, Any] = {
    "name": "street",
    "version": 1,
    "reading": {"function": "on_reading", "reads": ["settings"], "limit": 100},
    "calls": {"act": {"roles": ["governor", "anyone"], "args": {"n": "int"}, "limit": 10}},
    "exports": ["act"],
    "migrate": "move",
}


def test_package_reads_back_from_its_canonical_bytes() -> None:
    package = make_package(MANIFEST, SOURCE)
    again = decode_package(package.encode())
    assert again.encode() == package.encode()
    assert again.hash() == package.hash()
    assert again.manifest == package.manifest


def test_hash_changes_with_source_and_manifest() -> None:
    hashes = {
        make_package(MANIFEST, SOURCE).hash(),
        make_package(MANIFEST | {"version": 2}, SOURCE).hash(),
        make_package(MANIFEST, SOURCE + "# other\n").hash(),
    }
    assert len(hashes) == 3


def test_defaults_are_written_out_in_the_canonical_bytes() -> None:
    short = make_package(
        {"name": "a", "version": 1, "calls": {"act": {"args": {"n": "int"}}}}, SOURCE
    )
    assert short.manifest.calls["act"].roles == ("anyone",)
    assert decode_package(short.encode()).manifest == short.manifest


@pytest.mark.parametrize(
    "change",
    [
        {"name": "Street"},
        {"name": ""},
        {"name": "registry"},
        {"name": "accept"},
        {"name": 7},
        {"version": 0},
        {"version": True},
        {"version": 2**33},
        {"version": "1"},
        {"extra": 1},
        {"calls": []},
        {"calls": {"missing": {}}},
        {"calls": {"Act": {}}},
        {"calls": {"act-now": {"args": {"n": "int"}}}},
        {"calls": {"act": {"args": {"n ": "int"}}}},
        {"calls": {"act": {"args": {"n": "int"}, "roles": ["Governor"]}}},
        {"calls": {"act": {"args": {"n": "float"}}}},
        {"calls": {"act": {"args": {"m": "int"}}}},
        {"calls": {"act": {"args": {}}}},
        {"calls": {"act": {"args": {"n": "int"}, "limit": 0}}},
        {"calls": {"act": {"args": {"n": "int"}, "limit": 10**9}}},
        {"calls": {"act": {"args": {"n": "int"}, "roles": []}}},
        {"calls": {"act": {"args": {"n": "int"}, "roles": ["a", "a"]}}},
        {"calls": {"act": {"args": {"n": "int"}, "more": 1}}},
        {"calls": {"act": 7}},
        {"calls": {f"c{n}": {} for n in range(65)}},
        {"calls": {"on_reading": {"args": {"old": "int", "record": "list"}}}},
        {"exports": ["other"]},
        {"exports": ["act", "act"]},
        {"exports": "act"},
        {"migrate": 7},
        {"migrate": "act"},
        {"migrate": "nothing"},
        {"reading": {"function": "act"}},
        {"reading": {"function": "nothing"}},
        {"reading": {"function": "on_reading", "limit": 10**6}},
        {"reading": {"function": "on_reading", "reads": [""]}},
        {"reading": {"function": "on_reading", "reads": ["a", "a"]}},
        {"reading": {"function": "on_reading", "more": 1}},
        {"reading": {}},
        {"reading": 7},
    ],
)
def test_manifest_that_lies_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ContractManifest):
        make_package(MANIFEST | change, SOURCE)


def test_names_of_a_published_interface_keep_their_capitals_s0_52() -> None:
    source = "def PowerTransaction(ctx, battery, newValue):\n    put(battery, newValue)\n"
    call = {"args": {"battery": "id", "newValue": "map"}}
    package = make_package({"name": "a", "version": 1, "calls": {"PowerTransaction": call}}, source)
    again = decode_package(package.encode())
    assert again.manifest.calls["PowerTransaction"].args == call["args"]


def test_contract_that_does_nothing_is_refused() -> None:
    with pytest.raises(ContractManifest, match="handles readings or has calls"):
        make_package({"name": "a", "version": 1}, SOURCE)


@pytest.mark.parametrize("word", ["get", "put", "emit", "scan", "delete", "call"])
def test_reading_handler_that_asks_the_host_is_refused(word: str) -> None:
    arguments = {"get": '"a"', "delete": '"a"', "put": '"a", 1', "emit": '"a", 1', "scan": '"a", 1'}
    text = arguments.get(word, '"a", "b", {}')
    source = (
        f"def deep():\n    {word}({text})\n\n"
        "def on_reading(ctx, old, record):\n    deep()\n    return (None, [])\n"
    )
    manifest = {"name": "a", "version": 1, "reading": {"function": "on_reading"}}
    with pytest.raises(ContractManifest, match=word):
        make_package(manifest, source)


@pytest.mark.parametrize(
    "value",
    [
        [],
        ["drystone/contract/2", {}, ""],
        ["drystone/contract/1", [], ""],
        7,
        ["drystone/contract/1", {}, 7],
    ],
)
def test_other_objects_are_no_package(value: Any) -> None:
    with pytest.raises(ContractManifest):
        decode_package(cbor.encode(value))


def test_package_in_another_spelling_is_refused() -> None:
    manifest = {"name": "a", "version": 1, "calls": {"act": {"args": {"n": "int"}}}}
    with pytest.raises(ContractManifest, match="spelling"):
        decode_package(cbor.encode(["drystone/contract/1", manifest, SOURCE]))


def test_every_altered_byte_is_refused_or_another_package() -> None:
    data = make_package(MANIFEST, SOURCE).encode()
    for index in range(0, len(data), 7):
        altered = bytearray(data)
        altered[index] ^= 1
        try:
            assert decode_package(bytes(altered)).hash() != make_package(MANIFEST, SOURCE).hash()
        except Refused:
            continue


def test_source_errors_name_the_contracts_file() -> None:
    with pytest.raises(ContractSource, match=r"^street\.star:1:"):
        make_package(MANIFEST, "import os\n")
