"""Reading a pack by its shape gives what reading it item by item gives, or leaves it alone."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drystone.errors import Refused
from drystone.formats import cbor, rows, senml
from drystone.formats.cbor import Tag

NOW = 1762340400
BIG = 2**63 - 1


def item_by_item(payload: bytes) -> object:
    try:
        return [tuple(m) for m in senml._resolve(cbor.decode(payload))]
    except Refused as error:
        return type(error)


def check(payload: bytes) -> bool:
    """Assert that both ways agree; return whether the fast way took the pack."""
    fast = rows.read_rows(payload)
    if fast is None:
        return False
    assert repr(fast) == repr(item_by_item(payload)), payload.hex()
    return True


integers = st.integers(-(2**64), 2**64 - 1) | st.sampled_from(
    [0, 23, 24, 255, 256, 65535, 65536, 2**32 - 1, 2**32, BIG, BIG + 1, -BIG, -BIG - 1]
)
mantissas = st.integers(-99, 10**6) | integers
stamps = st.sampled_from([NOW, NOW + 60, 2**28, 2**28 - 1, 0, BIG])
names = st.sampled_from(["e", "f", "a:b", "x" * 23, "x" * 24, "-", "", "a b", "é", "0"])
units = st.sampled_from(["W", "J", "Wh", "kWh", "/100", "%", "beat/min", "no", "/"])


@st.composite
def packs(draw: st.DrawFn) -> bytes:
    """Draw packs that are mostly uniform, so that many of them have a shape."""
    labels = draw(st.sets(st.sampled_from([0, 1, 6])))
    exponent = draw(st.none() | st.integers(-10, 0))
    name, unit = draw(names), draw(units)
    pack: list[dict[int, cbor.Encodable]] = []
    for _ in range(draw(st.sampled_from([1, 1, 2, 3, 5, 23, 24, 30]))):
        mantissa = draw(mantissas)
        entry: dict[int, cbor.Encodable] = {
            2: mantissa if exponent is None else Tag(4, [exponent, mantissa])
        }
        if 0 in labels:
            entry[0] = name if draw(st.integers(0, 9)) else draw(names)
        if 1 in labels:
            entry[1] = unit if draw(st.integers(0, 9)) else draw(units)
        if 6 in labels:
            entry[6] = NOW + len(pack) if draw(st.integers(0, 19)) else draw(stamps)
        pack.append(entry)
    bases: dict[int, st.SearchStrategy[object]] = {
        -1: st.sampled_from([26, 26, 26, 10]),
        -2: names,
        -3: st.sampled_from([NOW, NOW, 5, BIG]),
        -4: units,
        -5: mantissas if exponent is None else mantissas.map(lambda m: Tag(4, [exponent, m])),
    }
    for label in draw(st.sets(st.sampled_from(sorted(bases)))):
        pack[0 if draw(st.integers(0, 9)) else -1][label] = draw(bases[label])  # type: ignore[assignment]
    try:
        return cbor.encode(pack)
    except Refused:
        return b""


@given(packs())
@settings(max_examples=600)
def test_both_ways_agree_on_packs(payload: bytes) -> None:
    check(payload)


@given(packs(), st.randoms(use_true_random=False))
@settings(max_examples=400)
def test_both_ways_agree_on_mutated_packs(payload: bytes, rng: random.Random) -> None:
    for _ in range(10):
        mutant = bytearray(payload or b"\x81")
        at = rng.randrange(len(mutant))
        kind = rng.randrange(3)
        if kind == 0:
            mutant[at] ^= 1 << rng.randrange(8)
        elif kind == 1:
            del mutant[at : at + rng.randint(1, 2)]
        else:
            mutant[at:at] = rng.randbytes(rng.randint(1, 2))
        check(bytes(mutant))


def test_usual_packs_are_taken_by_the_fast_way() -> None:
    """Else the tests above would prove nothing."""
    usual: list[list[dict[int, cbor.Encodable]]] = [
        [{0: "e", 1: "Wh", 2: 48211337, 6: NOW, -1: 26}],
        [{0: "e", 2: -5}],
        [{0: "t", 1: "Cel", 2: Tag(4, [-1, -215]), 6: NOW}],
        [{2: i, 6: i, **({-3: NOW, -2: "e", -4: "J", -5: 7} if not i else {})} for i in range(60)],
        [{2: i, **({-2: "e"} if not i else {})} for i in range(30)],
        [{0: f"p{i}", 1: "W", 2: i, **({-3: NOW} if not i else {})} for i in range(24)],
        [{0: "e", 2: Tag(4, [-3, i]), 6: NOW + i} for i in range(4)],
        [{2: 1, -2: "e", -3: NOW}, {2: 2}, {2: 3}],
        [{1: "Wh", 2: 1, -1: 26, -2: "e"}, {1: "J", 2: 2}],
        [{2: Tag(4, [-2, 1]), -5: Tag(4, [-2, 9]), -2: "e"}, {2: Tag(4, [-2, 2])}],
    ]
    for pack in usual:
        assert check(cbor.encode(pack)), pack


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\x81",
        b"\x80",
        b"\x98",
        b"\x98\x17" + b"\xa1\x02\x00" * 23,
        cbor.encode([{0: "e", 2: 1}]) + b"\x00",
        cbor.encode([{0: "e", 2: 1}, {0: "e", 2: 1}]) + b"\x00",
        cbor.encode([{0: "e", 2: 1}, {0: "e", 3: "x"}]),
        cbor.encode([{0: "e", 2: 1}, {0: "e", 2: 1}, {0: "e", 3: "x"}]),
        cbor.encode([{0: "e", 2: 1}, {0: "e", 2: Tag(4, [-1, 1])}]),
        cbor.encode([{0: "e", 2: 1, -5: Tag(4, [-1, 1])}]),
        cbor.encode([{0: "e", 2: 1, -5: 2**63}]),
        cbor.encode([{0: "e", 2: 1, -5: 2**63 - 1}]),
        cbor.encode([{0: "e", 2: 1, 6: NOW}, {0: "e", 2: 1}]),
        cbor.encode([{0: "e", 2: 1}, {0: "e", 2: 1, 6: NOW}]),
        bytes.fromhex("82a2006165020182"),
        bytes.fromhex("81a3006165 0201"),
        bytes.fromhex("82a20061650201 a3006165 0201"),
        bytes.fromhex("81a2006265 0201"),
        bytes.fromhex("81a2006165 021801"),
        bytes.fromhex("81a2006165 02190018"),
        bytes.fromhex("81a2006165 021a00001000"),
    ],
)
def test_what_is_unusual_or_wrong_is_left_to_the_slow_way(payload: bytes) -> None:
    assert not check(payload)
