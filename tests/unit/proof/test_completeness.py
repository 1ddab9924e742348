"""Completeness proofs: encoding, bounds, and the chain between two points against an oracle."""

from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from proof_vectors import named, run

from drystone import limits
from drystone.errors import ReceiptMalformed, StreamIncomplete
from drystone.formats import cbor
from drystone.ledger import keyspace
from drystone.proof import completeness
from drystone.proof.verdict import Item, Range
from drystone.records import stream

POINT = completeness.Point(b"v", b"p", b"b", b"r")
FORK = completeness.ForkPoint(1, b"e", b"p")


@pytest.mark.parametrize("device", [None, "pulse-3"])
@pytest.mark.parametrize("start", [None, POINT, POINT._replace(value=None)])
@pytest.mark.parametrize("forks", [(), (FORK,), (FORK, FORK._replace(epoch=4))])
def test_completeness_proof_round_trips(
    device: str | None,
    start: completeness.Point | None,
    forks: tuple[completeness.ForkPoint, ...],
) -> None:
    items = (Item(0, 1, bytes(32)), Item(2, 3, bytes(32)))
    proof = completeness.Completeness("ewz", "gw-01", device, start, items, POINT, forks)
    assert completeness.decode_completeness(completeness.encode_completeness(proof)) == proof


def test_point_round_trips() -> None:
    assert completeness.decode_point(completeness.encode_point(POINT)) == POINT


def test_more_items_than_the_limit_are_refused() -> None:
    items = [[0, 0, bytes(32)]] * (limits.COMPLETENESS_ITEMS_MAX + 1)
    data = cbor.encode([completeness.COMPLETENESS_TAG, "a", "b", None, items, list(POINT)])
    with pytest.raises(ReceiptMalformed, match="at most 100000 items"):
        completeness.decode_completeness(data)


def test_file_beyond_the_limit_is_refused_before_it_is_parsed() -> None:
    with pytest.raises(ReceiptMalformed, match="at most"):
        completeness.decode_point(b"\xff" * (limits.PROOF_BYTES_MAX + 1))


def test_keys_are_the_ledgers_own() -> None:
    """The proof room may not import the ledger; both must build one key."""
    assert completeness.stream_key(iss="a", sub="b", device=None) == keyspace.stream(("a", "b"))
    assert completeness.stream_key(iss="a", sub="b", device="c") == keyspace.stream(("a", "b", "c"))
    for device, subject in ((None, "b"), ("c", "c")):
        found = completeness.evidence_key(iss="a", sub="b", device=device, epoch=3)
        assert found == keyspace.evidence("a", subject, "record", 3)
    wanted = keyspace.member_key("a", "b", b"kid1")
    assert completeness.device_key(iss="a", sub="b", kid=b"kid1") == wanted


positions = st.lists(
    st.tuples(st.integers(0, 2), st.integers(0, 12)), unique=True, min_size=1, max_size=30
)


def grown(places: list[tuple[int, int]], start: stream.Stream) -> tuple[list[Item], stream.Stream]:
    items: list[Item] = []
    for epoch, seq in places:
        item = Item(epoch, seq, sha256(b"%d %d" % (epoch, seq)).digest())
        placed = stream.place(
            start, epoch=epoch, seq=seq, record_id=item.record_id, register=100 * epoch + seq
        )
        start = placed.stream
        items.append(item)
    return items, start


@settings(max_examples=150, deadline=None)
@given(places=positions, cut=st.integers(0, 30))
def test_chain_from_any_point_holds_and_names_exactly_the_missing_numbers(
    places: list[tuple[int, int]], cut: int
) -> None:
    _, before = grown(places[:cut], stream.EMPTY)
    items, after = grown(places[cut:], before)
    completeness.check_chain(start=before, items=items, end=after)
    here = set(places)
    expected = {
        (epoch, seq)
        for epoch, last in {e: max(s for f, s in places if f == e) for e, _ in places}.items()
        for seq in range(last)
        if (epoch, seq) not in here
    }
    named_missing = {
        (gap.epoch, seq) for gap in stream.gaps(after) for seq in range(gap.first, gap.last + 1)
    }
    assert named_missing == expected


@settings(max_examples=150, deadline=None)
@given(places=positions, at=st.integers(0, 29))
def test_chain_with_a_record_left_out_does_not_hold(places: list[tuple[int, int]], at: int) -> None:
    items, after = grown(places, stream.EMPTY)
    del items[at % len(items)]
    with pytest.raises(StreamIncomplete):
        completeness.check_chain(start=stream.EMPTY, items=items, end=after)


@settings(max_examples=150, deadline=None)
@given(places=positions, data=st.data())
def test_chain_in_another_order_does_not_hold(
    places: list[tuple[int, int]], data: st.DataObject
) -> None:
    items, after = grown(places, stream.EMPTY)
    other = data.draw(st.permutations(items))
    if other != items:
        with pytest.raises(StreamIncomplete):
            completeness.check_chain(start=stream.EMPTY, items=other, end=after)


def test_gaps_and_runs_of_a_verdict_cover_the_stream() -> None:
    verdict = run(named("a late record fills a gap, another opens", among="completeness"))
    assert verdict.stretch is not None
    assert verdict.stretch.gaps == (Range(0, 6, 6),)
    assert verdict.stretch.runs == (Range(0, 0, 5), Range(0, 7, 7))
