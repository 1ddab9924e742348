"""Structured fields (RFC 9651): what the readers take, and every other spelling refused."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drystone.errors import FieldMalformed
from drystone.formats.http_fields import (
    InnerList,
    Item,
    Token,
    parse_dictionary,
    serialize_bare,
    serialize_inner_list,
    serialize_item,
)


def test_dictionary_of_the_rfcs_examples_is_read() -> None:
    assert parse_dictionary('en="Applepie", da=:w4ZibGV0w6ZydGU=:') == {
        "en": Item("Applepie", {}),
        "da": Item("Æbletærte".encode(), {}),
    }
    assert parse_dictionary("a=?0, b, c; foo=bar") == {
        "a": Item(False, {}),
        "b": Item(True, {}),
        "c": Item(True, {"foo": Token("bar")}),
    }
    assert parse_dictionary("rating=-15, feelings=(joy sadness)") == {
        "rating": Item(-15, {}),
        "feelings": InnerList((Item(Token("joy"), {}), Item(Token("sadness"), {})), {}),
    }


def test_inner_list_keeps_parameters_of_items_and_of_itself() -> None:
    (found,) = parse_dictionary('s=("a";req "@method";x=1);created=5;tag="t"').values()
    assert isinstance(found, InnerList)
    assert found.items == (Item("a", {"req": True}), Item("@method", {"x": 1}))
    assert found.params == {"created": 5, "tag": "t"}


@pytest.mark.parametrize("text", ["", " ", "a=()", "a=( 1 2 )", "a=1 , b=2", "a=1\t,\tb"])
def test_spaces_where_the_rfc_allows_them_are_read(text: str) -> None:
    parse_dictionary(text)


@pytest.mark.parametrize(
    "text",
    [
        *("a=", "=1", "A=1", "a=1,", ",a=1", "a=1 b=2", "a=1;;b", "a=1;B=2", "a=(1", "a=1)"),
        *('a="x', 'a="\\x"', 'a="\t"', "a='x'", "a=:x", "a=:x:", "a=:====:", "a=?2", "a=?"),
        *("a=1.5", "a=1234567890123456", "a=--1", "a=(1,2)", 'a=("x""y")', "a=1, a=2", "a=1;b;b"),
        *("a=@1659578233", 'a=%"x"', "ä=1", 'a="ä"', "a=1\n", "a=\x00"),
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(FieldMalformed):
        parse_dictionary(text)


@pytest.mark.parametrize(
    "text",
    [
        ", ".join(f"a{n}" for n in range(33)),
        f"a=({' '.join('1' for _ in range(33))})",
        "a" + "".join(f";b{n}" for n in range(33)),
        "a=" + "1" * 9_000,
    ],
)
def test_more_than_is_bounded_is_refused(text: str) -> None:
    with pytest.raises(FieldMalformed):
        parse_dictionary(text)


@pytest.mark.parametrize("text", ["ä", "\n", "\x7f", "\x00"])
def test_text_that_no_string_holds_is_not_written(text: str) -> None:
    with pytest.raises(FieldMalformed):
        serialize_bare(text)


PRINTABLE = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=12)
BARE = st.one_of(
    st.integers(-(10**15) + 1, 10**15 - 1),
    st.booleans(),
    st.binary(max_size=12),
    PRINTABLE,
    st.from_regex(r"\A[A-Za-z*][A-Za-z0-9:/.-]{0,8}\Z").map(Token),
)
PARAMS = st.dictionaries(st.from_regex(r"\A[a-z*][a-z0-9_.*-]{0,8}\Z"), BARE, max_size=3)
ITEMS = st.builds(Item, BARE, PARAMS)


@settings(max_examples=100, deadline=None)
@given(item=ITEMS, items=st.lists(ITEMS, max_size=4), params=PARAMS)
def test_what_is_written_is_read_again(
    item: Item, items: list[Item], params: dict[str, object]
) -> None:
    text = f"a={serialize_item(item)}, b={serialize_inner_list(tuple(items), params)}"  # type: ignore[arg-type]
    read = parse_dictionary(text)
    assert read == {"a": item, "b": InnerList(tuple(items), params)}  # type: ignore[arg-type]
    assert type(read["a"][0]) is type(item.value)


@settings(max_examples=200, deadline=None)
@given(text=st.text(st.characters(max_codepoint=0x7F), max_size=60))
def test_no_text_breaks_the_reader(text: str) -> None:
    try:
        parse_dictionary(text)
    except FieldMalformed:
        return
