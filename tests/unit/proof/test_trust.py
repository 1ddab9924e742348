"""Trust files that we write are read back, and say the same to other programs."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from proof_stage import NODE, ORIGIN, OTHER_NODE, TRUST, WITNESS, verifier
from proof_vectors import trust_vectors

from drystone.errors import TrustMalformed
from drystone.formats import note
from drystone.proof import trust

FULL = replace(
    TRUST,
    nodes=(verifier(NODE), verifier(OTHER_NODE)),
    need=2,
    witnesses=(verifier(WITNESS, name="w.example", kind=note.TYPE_COSIGNATURE),),
    need_witnesses=1,
    cometbft=trust.CometTrust("drystone-1", ((trust.ValidatorPower(bytes(32), 10),),)),
)


@pytest.mark.parametrize("value", [TRUST, FULL, replace(FULL, cometbft=None)])
def test_trust_file_round_trips(value: trust.Trust) -> None:
    assert trust.parse_trust(trust.format_trust(value)) == value


def test_trust_file_is_plain_json_with_the_documented_members() -> None:
    members = json.loads(trust.format_trust(FULL))
    assert list(members) == [
        "drystone-trust",
        "origin",
        "ledger",
        "nodes",
        "need",
        "witnesses",
        "need-witnesses",
        "cometbft",
    ]
    assert members["nodes"][0].startswith(f"{ORIGIN}+")


def test_unknown_member_of_a_trust_file_is_refused_by_name() -> None:
    members = {**json.loads(trust.format_trust(TRUST)), "comment": "hello"}
    with pytest.raises(TrustMalformed, match="comment"):
        trust.parse_trust(json.dumps(members).encode())


def test_trust_file_that_is_no_utf8_is_refused() -> None:
    with pytest.raises(TrustMalformed):
        trust.parse_trust(b"\xff{}")


def test_trust_file_with_a_number_of_five_thousand_digits_is_refused() -> None:
    text = trust.format_trust(TRUST).replace(b'"need": 1', b'"need": ' + b"1" * 5000)
    with pytest.raises(TrustMalformed):
        trust.parse_trust(text)


@pytest.mark.parametrize("vector", [v for v in trust_vectors() if "error" not in v])
def test_trust_file_of_another_program_round_trips_through_ours(vector: dict[str, Any]) -> None:
    parsed = trust.parse_trust(vector["trust"].encode())
    assert trust.parse_trust(trust.format_trust(parsed)) == parsed


def test_the_example_in_the_specification_is_a_trust_file() -> None:
    page = Path(__file__).parents[3] / "docs" / "spec" / "trust.md"
    (example,) = re.findall(r"```json\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    assert trust.parse_trust(example.encode()).origin == ORIGIN


def test_node_key_is_the_key_of_its_receipts() -> None:
    assert trust.node_key(verifier(NODE)) == NODE.public
