"""docs/spec/sync.cddl against every sync message that a foreign encoder made, and against neighbours that are none."""

import contextlib
import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from cddl_subset import Specification

from drystone.errors import Refused
from drystone.formats import cbor
from drystone.gateway.sync.announcement import sign_announcement
from drystone.records.key import SecretKey

ROOT = Path(__file__).parents[2]
SUITE: dict[str, Any] = json.loads((ROOT / "vectors" / "sync.json").read_text())
BOUNDS_ONLY = {
    "features that are not sorted", "feature that stands twice", "chunk beyond a message",
    "authors that are not sorted", "author that stands twice", "points that are not sorted",
    "nine branches", "stretch that ends before it begins", "too many stretches",
    "header too long", "too many headers", "too many bodies", "offset beyond a body",
    "piece beyond its body", "piece without data", "total beyond a body", "announcement too long",
    "limit beyond a page", "block entry that is none", "block that adds nothing to the log",
    "vertex of too many records", "path too long", "rows that are not sorted",
    "row at the key asked behind", "rows beyond the last", "rows although they are the same",
    "key too long", "code too long",
}  # fmt: skip
"""Refused by rules that CDDL cannot say, or that are limits."""


@cache
def specification() -> Specification:
    folder = ROOT / "docs" / "spec"
    return Specification("\n".join(p.read_text() for p in sorted(folder.glob("*.cddl"))))


@pytest.mark.parametrize("vector", SUITE["valid"], ids=lambda one: one["name"])
def test_every_message_is_what_the_specification_says(vector: dict[str, Any]) -> None:
    assert specification().holds("sync-message", bytes.fromhex(vector["message"]))


@pytest.mark.parametrize(
    "vector",
    [one for one in SUITE["invalid"] if one["name"] not in BOUNDS_ONLY],
    ids=lambda one: one["name"],
)
def test_what_is_no_message_is_none_by_the_specification_either(vector: dict[str, Any]) -> None:
    with contextlib.suppress(Refused):  # Not even CBOR.
        assert not specification().holds("sync-message", bytes.fromhex(vector["message"]))


def test_names_of_the_exceptions_exist() -> None:
    assert {one["name"] for one in SUITE["invalid"]} >= BOUNDS_ONLY


def test_an_announcement_is_what_the_specification_says() -> None:
    secret = SecretKey.from_bytes(bytes(32))
    raw = sign_announcement(
        secret=secret, iss="ewz", sub="g-1", epoch=3, addresses=["h:1"], ledger=bytes(32)
    )
    assert specification().holds("announcement", raw)
    assert not specification().holds("announcement", cbor.encode([3, ["h:1"]]))
