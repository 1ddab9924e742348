"""Every queue has a bound: whatever a peer does without being thrown out, nothing in memory grows beyond its limit.

Method: a hostile peer uses every message that may be repeated, thousands of times, with fresh content; time goes on
fast enough that no allowance is used up. Then every container of the session, the claims and the holdings is measured.
A container that this table does not name fails the test: whoever adds one says how large it gets.
"""

import random
from collections.abc import Iterator, Sized
from typing import Any

from sync_world import KEYS, LEDGER, START_MS, Gateway, chain_of, seal

from drystone import limits
from drystone.gateway.sync import holdings as room
from drystone.gateway.sync.announcement import sign_announcement
from drystone.gateway.sync.bodies import LATER_MAX
from drystone.gateway.sync.effects import Arrived, SyncBounds
from drystone.gateway.sync.messages import (
    VERSION,
    Announce,
    Body,
    Fork,
    Frontier,
    Have,
    Headers,
    Heads,
    Hello,
    Message,
    Part,
    Ping,
    Point,
    Want,
    WantBlocks,
    WantBodies,
    WantFrontier,
    WantRows,
)
from drystone.gateway.sync.wire import decode_message, encode_message
from drystone.records.dag import Author
from drystone.records.evidence import encode_fork

AUTHORS = limits.SYNC_AUTHORS_MAX
BOUNDS = {
    "chains.theirs": AUTHORS,
    "chains._behind": AUTHORS,
    "chains._chases": AUTHORS,
    "chains._strange": AUTHORS,
    "chains._waiting": limits.SYNC_HEADERS_WAITING_MAX,
    "chains._refused": limits.SYNC_REFUSED_MAX,
    "bodies._fetching": limits.SYNC_BODIES_MAX,
    "bodies._absent": limits.SYNC_REFUSED_MAX,
    "bodies._hoped": limits.SYNC_REFUSED_MAX,
    "bodies._serving": limits.SYNC_BODIES_MAX,
    "bodies._later": LATER_MAX,
    "bodies._cached": 2,  # an id and one body
    "telling._told": AUTHORS,
    "telling._due": AUTHORS,
    "telling._forks": 6 * limits.SYNC_FORKS_MAX,
    "telling._announced": limits.SYNC_ANNOUNCEMENTS_MAX,
    "telling._digest": 8,
    "feed._looked": 2,
    "session._parts": limits.SYNC_WHOLE_BYTES_MAX // 2**19,
    "claims._claims": AUTHORS + limits.SYNC_BODIES_MAX,
    "claims._partials": limits.SYNC_BODIES_MAX,
    "holdings._names": AUTHORS,
    "holdings._places": limits.DAG_HEADERS_MAX,
    "holdings._heads": AUTHORS,
    "holdings._tops": AUTHORS,
    "holdings._tips": AUTHORS,
    "holdings._cited": limits.DAG_HEADERS_MAX,
    "holdings._staged": limits.SYNC_STAGED_MAX,
    "holdings._staged_bodies": limits.SYNC_STAGED_MAX,
    "holdings._wanted": room.BODIES_NOTED_MAX + room.PAGE,
    "holdings._forks": limits.SYNC_FORKS_MAX,
    "holdings._announced": limits.SYNC_ANNOUNCEMENTS_MAX,
    "holdings._ledger": 32,
}
SHARED = {
    "_line",
    "_chains",
    "_telling",
    "_feed",
    "_bodies",
    "_greeting",
    "own",
    "store",
    "claims",
    "bounds",
}


def sized(name: str, part: object) -> Iterator[tuple[str, int]]:
    values: dict[str, Any] = vars(part)
    for attribute, value in values.items():
        record = hasattr(value, "_fields")  # a NamedTuple is no queue
        if isinstance(value, Sized) and attribute not in SHARED and not record:
            yield f"{name}.{attribute}", len(value)


def hello() -> Hello:
    return Hello(VERSION, LEDGER, "ewz", "g-5", "node", 1, (), 65_536, None, 0, bytes(8))


def hostile(draw: random.Random, number: int) -> list[Message]:
    """One of everything, with fresh content."""
    fresh = draw.randbytes
    author = Author("ewz", f"x-{number % (AUTHORS - 10)}")
    points = tuple(sorted(Point(0, draw.randrange(99), fresh(32)) for _ in range(3)))
    orphan = seal("g-3", seq=1 + number, parent=fresh(32))
    epoch = 1 + number // 7
    signed = sign_announcement(
        secret=KEYS["g-3"], iss="ewz", sub="g-3", epoch=epoch, addresses=["x:1"], ledger=LEDGER
    )
    return [
        Frontier((Heads(author, points),), tuple(sorted(fresh(8) for _ in range(20)))),
        Headers(0, False, (orphan.header.raw,)),
        Headers(10**6 + number, False, ()),
        WantBodies(tuple((fresh(32), 0, 10) for _ in range(20))),
        Body(fresh(32), 0, 3, b"abc"),
        Body(fresh(32), 0, 0, b""),
        Want(number, (), tuple(fresh(32) for _ in range(5))),
        WantBlocks(number, 5),
        WantRows(fresh(4), b"", b""),
        Have((0, number)),
        Announce(signed),
        Ping(fresh(8), number),
        WantFrontier(),
        Part(0, False, bytes(1_000)),
    ]


def test_no_queue_grows_beyond_its_limit() -> None:
    # It never answers, and has all the time in the world.
    here = Gateway("g-0", bounds=SyncBounds(answer_ms=10**7, silent_ms=10**8))
    here.put(*chain_of("g-0", 20))
    session = here.session("g-5")
    now_ms = START_MS
    session.opened(now_ms)
    session.received(encode_message(hello()), now_ms)
    draw = random.Random("hostile")
    for number in range(400):
        now_ms += 200
        for message in hostile(draw, number):
            effects = session.received(encode_message(message), now_ms)
            assert effects.close is None, effects.close
            here.holdings.kept(effects.keep)
    forks: list[bytes] = []
    for number in range(limits.SYNC_FORKS_MAX + 20):
        pair = [
            seal("g-4", epoch=number + 1, seq=0, parent=bytes([n]) * 32, records=[]) for n in (1, 2)
        ]
        evidence = encode_fork(*(one.header for one in pair), ledger=LEDGER)
        forks += session.received(encode_message(Fork(evidence)), now_ms + number).forks
    assert len(forks) == limits.SYNC_FORKS_MAX

    parts = vars(session)
    measured = [
        *sized("session", session),
        *(one for name in ("chains", "bodies", "telling", "feed", "greeting", "line")
          for one in sized(name, parts[f"_{name}"])),
        *sized("claims", here.claims),
        *sized("holdings", here.holdings),
    ]  # fmt: skip
    for name, size in measured:
        assert name in BOUNDS, f"{name} has no bound"
        assert size <= BOUNDS[name], (name, size, BOUNDS[name])
    assert vars(parts["_chains"])["_waiting_count"] <= limits.SYNC_HEADERS_WAITING_MAX


def test_what_is_on_its_way_to_the_disk_is_bounded_and_nothing_is_lost() -> None:
    here, there = Gateway("g-0"), Gateway("g-5")
    chain = chain_of("g-5", limits.SYNC_STAGED_MAX + 300)
    there.put(*chain)
    session = here.session("g-5")
    session.opened(START_MS)
    session.received(encode_message(hello()), START_MS)
    kept: list[Arrived] = []
    for at in range(0, len(chain), 500):
        page = tuple(one.header.raw for one in chain[at : at + 500])
        effects = session.received(encode_message(Headers(0, False, page)), START_MS + at)
        assert effects.close is None
        kept += effects.keep
    assert len(kept) == limits.SYNC_STAGED_MAX
    assert here.holdings.room == 0
    here.keep(kept, START_MS)
    assert here.holdings.room == limits.SYNC_STAGED_MAX
    asked = session.tick(START_MS + 5_000)
    assert session.behind == 1
    assert asked.send


def test_a_room_that_is_full_when_an_answer_comes_ends_the_answer_there() -> None:
    here = Gateway("g-0")
    chain = chain_of("g-5", 40)
    session = here.session("g-5")
    session.opened(START_MS)
    session.received(encode_message(hello()), START_MS)
    point = Point(0, 39, chain[-1].id)
    session.received(
        encode_message(Frontier((Heads(Author("ewz", "g-5"), (point,)),), ())), START_MS
    )
    others = chain_of("g-4", limits.SYNC_STAGED_MAX - 10)
    staged = [Arrived(one.header, None, one.id) for one in others]
    for one in staged:
        here.holdings.stage(one)

    answer = Headers(1, False, tuple(one.header.raw for one in chain))
    effects = session.received(encode_message(answer), START_MS)

    assert effects.close is None
    assert [one.id for one in effects.keep] == [one.id for one in chain[:10]]
    told = here.keep([*staged, *effects.keep], START_MS)["g-5"]
    (want,) = [one for one in map(decode_message, told.send) if isinstance(one, Want)]
    assert [one.first for one in want.stretches] == [(0, 10)]
