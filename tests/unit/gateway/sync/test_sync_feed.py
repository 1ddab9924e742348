"""The ordered log over sync: blocks, registry rows and outcomes, answered when there is something, asked again when lost."""

import pytest
from sync_world import Gateway, Net

from drystone import limits
from drystone.errors import BlockForged, MessagesFlood, PeerFault
from drystone.gateway.sync.feed import check_blocks
from drystone.gateway.sync.messages import (
    Blocks,
    Done,
    Have,
    OrderedBlock,
    Part,
    Rows,
    WantBlocks,
    WantRows,
)
from drystone.gateway.sync.wire import encode_message
from drystone.proof.block import BlockEntry, encode_block

H = bytes(32)


def block(
    height: int,
    *,
    checkpoint: bytes | None = None,
    exceptions: bytes = b"",
    first: int | None = None,
) -> OrderedBlock:
    entry = encode_block(BlockEntry(height, 1_762_340_400_000 + height, H, H, H, 1))
    leaf = 10 * height if first is None else first
    return OrderedBlock(
        entry, leaf, 10 * height + 10, ((H, 9),), exceptions, False, checkpoint, (H,)
    )


def blocks(first: int, last: int) -> tuple[OrderedBlock, ...]:
    """Blocks in a row, closed by a checkpoint."""
    found = [block(height) for height in range(first, last)]
    return (*found, block(last, checkpoint=b"note"))


@pytest.fixture
def net() -> Net:
    net = Net(Gateway("g-0"), Gateway("g-1", role="node"))
    net.link("g-0", "g-1")
    net.settle()
    return net


def follower(net: Net) -> Gateway:
    return net.gateways["g-0"]


def node(net: Net) -> Gateway:
    return net.gateways["g-1"]


def ask(net: Net, after: int = 0) -> None:
    effects = follower(net).sessions["g-1"].want_blocks(after=after, limit=10, now_ms=net.now_ms)
    net.perform("g-0", "g-1", effects)
    net.settle()


def commit(net: Net, height: int) -> None:
    net.perform("g-1", "g-0", node(net).sessions["g-0"].committed(height, net.now_ms))
    net.settle()


def answer(net: Net, height: int, found: tuple[OrderedBlock, ...]) -> None:
    effects = node(net).sessions["g-0"].blocks_loaded(height, found, net.now_ms)
    net.perform("g-1", "g-0", effects)
    net.settle()


# --- blocks ----------------------------------------------------------------------------------------


def test_blocks_are_given_as_soon_as_there_are_any(net: Net) -> None:
    ask(net)
    assert node(net).asked == []
    commit(net, 3)
    assert node(net).asked == [WantBlocks(0, 10)]
    answer(net, 3, blocks(1, 3))
    assert [one.height for one in follower(net).blocks] == [1, 2, 3]
    assert follower(net).sessions["g-1"].height == 3


def test_blocks_that_are_there_are_given_at_once(net: Net) -> None:
    commit(net, 3)
    ask(net, after=1)
    assert node(net).asked == [WantBlocks(1, 10)]


def test_waiting_for_blocks_costs_nothing(net: Net) -> None:
    ask(net)
    before = len(net.sent)
    net.settle(until_ms=50_000)
    assert len(net.sent) == before


def test_a_question_that_was_lost_is_put_again_when_the_other_is_seen_to_be_higher(
    net: Net,
) -> None:
    effects = follower(net).sessions["g-1"].want_blocks(after=0, limit=10, now_ms=net.now_ms)
    assert effects.send
    commit(net, 3)
    net.settle(until_ms=40_000)
    assert node(net).asked == []
    net.settle(until_ms=30_000)  # A sign of life tells the height.
    assert set(node(net).asked) == {WantBlocks(0, 10)}


def test_a_question_before_the_greeting_is_put_after_it() -> None:
    net = Net(Gateway("g-0"), Gateway("g-1"))
    net.link("g-0", "g-1")
    ask(net)
    commit(net, 1)
    assert node(net).asked == [WantBlocks(0, 10)]


def test_blocks_that_nobody_asked_for_are_dropped(net: Net) -> None:
    net.hand("g-0", "g-1", encode_message(Blocks(3, blocks(1, 3))))
    assert follower(net).blocks == []
    ask(net, after=5)
    net.hand("g-0", "g-1", encode_message(Blocks(3, blocks(1, 3))))
    assert follower(net).blocks == []
    assert follower(net).faults == []


@pytest.mark.parametrize(
    "bad",
    [
        (block(1),),
        (block(1, checkpoint=b"n"), block(2, checkpoint=b"n")),
        (block(1), block(3, checkpoint=b"n")),
        (block(1), block(1, checkpoint=b"n")),
        (block(1), block(2, checkpoint=b"n", first=21)),
        (block(1), block(2, checkpoint=b"n", first=19)),
    ],
)
def test_blocks_that_do_not_follow_one_another_are_forged(
    net: Net, bad: tuple[OrderedBlock, ...]
) -> None:
    ask(net)
    net.hand("g-0", "g-1", encode_message(Blocks(9, bad)))
    assert isinstance(follower(net).closes["g-1"], BlockForged)
    assert follower(net).blocks == []


def test_outcomes_may_leave_blocks_out_and_not_turn_back() -> None:
    check_blocks((block(1), block(5, checkpoint=b"n")), "x", in_a_row=False)
    with pytest.raises(BlockForged):
        check_blocks((block(5), block(1, checkpoint=b"n")), "x", in_a_row=False)


def test_a_long_block_comes_in_parts(net: Net) -> None:
    ask(net)
    long = block(1, checkpoint=b"n", exceptions=bytes(3 * limits.SYNC_MESSAGE_BYTES_MAX))
    commit(net, 1)
    answer(net, 1, (long,))
    assert net.kinds("g-1", "g-0").count("Part") == 7
    assert follower(net).blocks == [long]
    sent = [m for of, _, m in net.sent if of == "g-1"]
    assert max(map(len, sent)) <= limits.SYNC_MESSAGE_BYTES_MAX


def test_a_part_that_was_lost_costs_the_whole_and_no_more(net: Net) -> None:
    ask(net)
    long = encode_message(Blocks(1, (block(1, checkpoint=b"n", exceptions=bytes(100)),)))
    pieces = [Part(n, n == 2, long[n * 150 : n * 150 + 150]) for n in range(3)]
    for one in (pieces[0], pieces[2], pieces[1], *pieces[:2], *pieces):
        net.hand("g-0", "g-1", encode_message(one))
    assert len(follower(net).blocks) == 1
    assert follower(net).faults == []


@pytest.mark.parametrize("endless", [True, False])
def test_parts_without_an_end_or_without_need_are_a_flood(net: Net, endless: bool) -> None:
    if endless:
        for number in range(40):
            part = Part(number, False, bytes(1_000_000))
            net.hand("g-0", "g-1", encode_message(part))
    else:
        short = encode_message(WantRows(b"", b"", b""))
        net.hand("g-0", "g-1", encode_message(Part(0, True, short)))
    assert isinstance(follower(net).closes["g-1"], MessagesFlood)


def test_a_question_that_is_repeated_at_once_is_looked_at_once(net: Net) -> None:
    commit(net, 3)
    for _ in range(50):
        net.hand("g-1", "g-0", encode_message(WantBlocks(0, 10)))
        net.hand("g-1", "g-0", encode_message(Have((0, 1))))
    assert sorted(type(one).__name__ for one in node(net).asked) == ["Have", "WantBlocks"]


# --- rows ------------------------------------------------------------------------------------------


def want_rows(net: Net, after: bytes = b"", last: bytes = b"", digest: bytes = b"") -> None:
    session = follower(net).sessions["g-1"]
    effects = session.want_rows(after=after, last=last, digest=digest, now_ms=net.now_ms)
    net.perform("g-0", "g-1", effects)
    net.settle()


def test_rows_are_asked_and_answered(net: Net) -> None:
    want_rows(net, b"a", b"m", b"12345678")
    assert node(net).asked == [WantRows(b"a", b"m", b"12345678")]
    found = Rows(b"a", 7, False, b"m", ((b"b", b"1"),))
    net.perform("g-1", "g-0", node(net).sessions["g-0"].rows_loaded(found, net.now_ms))
    net.settle()
    assert follower(net).rows == [found]


def test_rows_that_were_not_asked_for_are_dropped(net: Net) -> None:
    net.hand("g-0", "g-1", encode_message(Rows(b"a", 7, False, b"", ())))
    want_rows(net, b"b")
    net.hand("g-0", "g-1", encode_message(Rows(b"a", 7, False, b"", ())))
    net.hand("g-0", "g-1", encode_message(Rows(b"b", 7, True, b"", ())))
    assert follower(net).rows == []


def test_a_question_for_rows_that_is_never_answered_is_asked_again_and_then_the_peer_is_silent(
    net: Net,
) -> None:
    want_rows(net)
    net.settle(until_ms=30_000)
    assert len([one for one in node(net).asked if isinstance(one, WantRows)]) == 1
    assert net.kinds("g-0", "g-1").count("WantRows") > 3
    assert follower(net).closes["g-1"].code == "peer-silent"


# --- outcomes --------------------------------------------------------------------------------------


def have(net: Net, place: tuple[int, int] | None) -> None:
    effects = follower(net).sessions["g-1"].have(place, net.now_ms)
    net.perform("g-0", "g-1", effects)
    net.settle()


def done(net: Net, message: Done) -> None:
    net.perform("g-1", "g-0", node(net).sessions["g-0"].done_loaded(message, net.now_ms))
    net.settle()


def test_outcomes_come_when_there_are_any(net: Net) -> None:
    have(net, None)
    assert node(net).asked == [Have(None)]
    done(net, Done((0, 0), (), False))  # Nothing to tell: the question stays open.
    commit(net, 5)
    assert node(net).asked == [Have(None), Have(None)]
    told = Done((0, 3), (block(2), block(5, checkpoint=b"n")), False)
    done(net, told)
    assert follower(net).done == [told]
    commit(net, 6)
    assert len(node(net).asked) == 2


def test_outcomes_behind_the_place_asked_for_are_dropped(net: Net) -> None:
    have(net, (0, 9))
    done(net, Done((0, 3), (block(5, checkpoint=b"n"),), False))
    assert "Done" not in net.kinds("g-1", "g-0")
    stale = Done((0, 9), (block(5, checkpoint=b"n"),), False)
    net.hand("g-0", "g-1", encode_message(stale))
    assert follower(net).done == []


def test_outcomes_that_turn_back_are_forged(net: Net) -> None:
    have(net, None)
    bad = Done((0, 3), (block(5), block(2, checkpoint=b"n")), False)
    net.hand("g-0", "g-1", encode_message(bad))
    assert isinstance(follower(net).closes["g-1"], PeerFault)
    assert follower(net).done == []


def test_a_lost_question_for_outcomes_is_put_again_when_the_ledger_grows(net: Net) -> None:
    follower(net).sessions["g-1"].have(None, net.now_ms)
    commit(net, 4)
    net.settle(until_ms=90_000)
    assert set(node(net).asked) == {Have(None)}
