"""What a contract keeps: fast spellings that are exactly the plain ones."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drystone.errors import ContractSize
from drystone.formats import cbor
from drystone.ledger import values

kept = st.recursive(
    st.integers(-(2**63), 2**63 - 1) | st.text(max_size=40) | st.booleans(),
    lambda inner: (
        st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=30), inner, max_size=6)
    ),
    max_leaves=20,
)


@given(kept)
def test_bytes_are_those_of_the_codec(value: object) -> None:
    assert values.encode_value(value) == cbor.encode(value)  # type: ignore[arg-type]


@given(kept)
def test_text_of_bytes_means_the_same_value(value: object) -> None:
    data = values.encode_value(value)
    assert json.loads(values.text_of(data)) == value
    assert values.text_of(data) == values.text_of(bytes(data)), "remembered"


@given(st.text())
def test_quoted_text_is_json(text: str) -> None:
    assert json.loads(values.quoted(text)) == text


def test_nothing_is_null() -> None:
    assert values.text_of(None) == "null"


def test_same_keys_in_another_order_are_the_same_bytes() -> None:
    assert values.encode_value({"b": 1, "aa": 2}) == values.encode_value({"aa": 2, "b": 1})


@pytest.mark.parametrize(
    "number", [23, 24, 2**16 - 1, 2**16, 2**32 - 1, 2**32, 2**63 - 1, -1, -(2**63)]
)
def test_numbers_at_the_edges_of_their_heads(number: int) -> None:
    for value in (number, [number], {"n": number}):
        assert values.encode_value(value) == cbor.encode(value)  # type: ignore[arg-type]


def test_value_that_is_too_large_is_refused() -> None:
    with pytest.raises(ContractSize):
        values.encode_value("x" * 16_384)


def test_memory_has_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(values, "MEMO_ROWS_MAX", 3)
    for number in range(10):
        data = values.encode_value({f"key-{number}": number})
        assert json.loads(values.text_of(data)) == {f"key-{number}": number}
    assert len(values._texts) <= 3
    for number in range(10):
        values.encode_value(f"word-{number}")
    assert len(values._shapes) <= 3
    assert len(values._words) <= 3
    long = values.encode_value("x" * 5_000)
    values.text_of(long)
    assert long not in values._texts
