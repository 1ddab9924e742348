"""Whatever a peer says, in any order: a session answers or ends with a typed fault, and never raises.

Method: an honest exchange is recorded, forks, blocks, announcements and all. Its messages, whole, changed by a few bytes
or put together anew from their parts, are then handed to a fresh session in an order that hypothesis draws.
"""

import random
from functools import cache
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sync_world import KEYS, LEDGER, START_MS, Gateway, Net, chain_of, heal, seal

from drystone.errors import HeadersFlood, MessageMalformed, PeerFault, RangeAbsent
from drystone.gateway.sync.announcement import sign_announcement
from drystone.gateway.sync.effects import Arrived, SyncBounds
from drystone.gateway.sync.messages import (
    Blocks,
    Body,
    Done,
    Frontier,
    Have,
    Headers,
    Hello,
    OrderedBlock,
    Part,
    Ping,
    Rows,
    Want,
    WantBlocks,
    WantBodies,
    WantFrontier,
    WantRows,
)
from drystone.gateway.sync.peers import MILD
from drystone.gateway.sync.wire import decode_message, encode_message, type_of
from drystone.proof.block import BlockEntry, encode_block
from drystone.records.vertex import decode_header, split_body

H = bytes(32)


@cache
def recorded() -> list[bytes]:
    """Messages that `g-1` sent to `g-0` in an honest exchange, and some of the ordered log."""
    small = SyncBounds(chunk_bytes=300, burst_bytes=300, relay_ms=10, answer_ms=1_000)
    a, b = Gateway("g-0", bounds=small), Gateway("g-1", bounds=small)
    stem = chain_of("g-2", 6)
    b.put(*stem, seal("g-2", seq=3, parent=stem[2].id, records=[b"\x09"]), *chain_of("g-1", 3))
    a.put(*stem[:4])
    b.holdings.add_announcement(
        sign_announcement(
            secret=KEYS["g-2"], iss="ewz", sub="g-2", epoch=1, addresses=["x:1"], ledger=LEDGER
        )
    )
    net = Net(a, b)
    net.link("g-0", "g-1")
    heal(net)
    for _ in range(3):
        net.seal("g-1")
        net.settle(until_ms=70_000)
    entry = encode_block(BlockEntry(1, 1_762_340_400_000, H, H, H, 1))
    block = OrderedBlock(entry, 0, 3, ((H, 2),), b"", True, b"note", (H,))
    extra = [
        Blocks(1, (block,)),
        Done((0, 1), (block,), False),
        Rows(b"", 1, False, b"", ((b"a", b"b"),)),
        WantBlocks(0, 5),
        WantRows(b"", b"", b""),
        Have((0, 2)),
        Part(0, False, b"half"),
        Ping(bytes(8), 3),
        WantFrontier(),
    ]
    found = [m for of, _, m in net.sent if of == "g-1"]
    return sorted({*found, *map(encode_message, extra)})


def greeting() -> bytes:
    """The recorded greeting."""
    return next(message for message in recorded() if type_of(message) is Hello)


def mixed(draw: random.Random, message: bytes) -> bytes:
    """The message with parts of another one, or a few bytes changed."""
    try:
        one, two = decode_message(message), decode_message(draw.choice(recorded()))
    except MessageMalformed:
        return message
    kind = draw.randrange(4)
    if kind == 0 and isinstance(one, Headers) and isinstance(two, Headers):
        number = draw.choice([0, 1, 2, 3])
        return encode_message(Headers(number, draw.random() < 0.3, one.headers + two.headers))
    if kind == 1 and isinstance(one, Body) and isinstance(two, Body):
        return encode_message(one._replace(id=two.id))
    if kind == 1 and isinstance(one, Frontier) and isinstance(two, Frontier) and two.heads:
        return encode_message(Frontier(two.heads[:1], one.forks))
    if kind == 2 and isinstance(one, Want | WantBodies):
        return encode_message(one)
    changed = bytearray(message)
    changed[draw.randrange(len(changed))] ^= 1 << draw.randrange(8)
    return bytes(changed)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(seed=st.integers(0, 2**32), changed=st.sampled_from([0.0, 0.02, 0.2]))
def test_any_messages_in_any_order_are_answered_or_end_in_a_typed_fault(
    seed: int, changed: float
) -> None:
    draw = random.Random(seed)
    here = Gateway("g-0")
    here.put(*chain_of("g-2", draw.randrange(4)))
    session = here.session("g-1")
    now_ms = START_MS
    session.opened(now_ms, time_ms=1_700_000_000_000)
    session.received(greeting(), now_ms)
    pending: list[Arrived] = []
    closes: list[PeerFault] = []
    for _ in range(60):
        message = draw.choice(recorded())
        if draw.random() < changed:
            message = mixed(draw, message)
        now_ms += draw.choice([0, 1, 500, 5_000])
        calls: list[Any] = [session.received(message, now_ms)]
        if draw.random() < 0.2:
            calls.append(session.tick(now_ms))
        for effects in calls:
            pending += effects.keep
            assert effects.close is None or isinstance(effects.close, PeerFault)
            assert all(type_of(sent) is type(decode_message(sent)) for sent in effects.send)
            closes += [effects.close] if effects.close is not None else []
            for own_id in effects.load:
                session.loaded(own_id, here.disk.packed(own_id), now_ms)
        if pending and draw.random() < 0.5:
            kept, pending = pending, []
            if draw.random() < 0.2:
                here.holdings.dropped(kept)
                session.dropped([one.id for one in kept])
            else:
                here.keep(kept, now_ms)
        if session.closed:
            break
    if changed == 0.0:  # What was said is honest; only that it answers what was not asked is not.
        allowed = (*MILD, RangeAbsent, HeadersFlood)
        assert all(isinstance(fault, allowed) for fault in closes)
    # Whatever came in is sound: every kept vertex's parent is here, and every body fits.
    for one in here.disk.rows:
        header = decode_header(one.header)
        assert header.parent is None or here.disk.find(header.parent) is not None
        body = here.disk.bodies[one.number]
        assert body is None or split_body(header, body) is not None


def test_every_recorded_message_is_of_a_kind_and_nearly_every_kind_is_there() -> None:
    kinds = {type(decode_message(message)).__name__ for message in recorded()}
    assert len(kinds) >= 15
