"""What a peer may do wrong: each fault is typed, counted under the peer's name, bounded, and nobody else notices."""

import hashlib
import zlib
from typing import NamedTuple

import pytest
from sync_world import KEYS, LEDGER, START_MS, Gateway, Net, Sealed, chain_of, ids, seal

from drystone import errors, limits
from drystone.errors import PeerFault
from drystone.formats import cbor
from drystone.gateway.sync.announcement import sign_announcement
from drystone.gateway.sync.effects import Effects
from drystone.gateway.sync.messages import (
    VERSION,
    Announce,
    Body,
    Bye,
    Fork,
    Frontier,
    Headers,
    Heads,
    Hello,
    Message,
    Ping,
    Point,
    Want,
    WantBodies,
)
from drystone.gateway.sync.session import Session
from drystone.gateway.sync.wire import decode_message, encode_message
from drystone.records.dag import Author
from drystone.records.key import PublicKey
from drystone.records.vertex import decode_header

AUTHOR = Author("ewz", "g-2")


class Stage(NamedTuple):
    """A gateway `g-0` with an honest peer `g-1`, and a session with `g-5`, whom the test plays."""

    net: Net
    here: Gateway
    honest: Gateway
    bad: Session

    def hand(self, *messages: Message) -> Effects:
        """Let the played peer say something; give the last effects."""
        return self.hand_bytes(*map(encode_message, messages))

    def hand_bytes(self, *messages: bytes) -> Effects:
        effects = Effects.none()
        for message in messages:
            effects = self.bad.received(message, self.net.now_ms)
            self.here.faults += effects.faults
            self.net.tell("g-0", self.here.keep(effects.keep, self.net.now_ms))
            if effects.close is not None:
                break
        return effects

    def answers(self, effects: Effects, kind: type[Message]) -> list[Message]:
        return [one for one in map(decode_message, effects.send) if isinstance(one, kind)]

    def check_closed(self, effects: Effects, fault: type[PeerFault]) -> None:
        """The session ended with this fault, says so to the peer, and names it; the honest peer goes on."""
        assert isinstance(effects.close, fault)
        assert effects.close in effects.faults
        assert "ewz/g-5" in str(effects.close)
        (bye,) = self.answers(effects, Bye)
        assert isinstance(bye, Bye)
        assert bye.code == fault.code
        assert self.bad.closed
        assert self.bad.tick(self.net.now_ms) == Effects.none()
        self.check_honest()

    def check_honest(self) -> None:
        """A vertex sealed now reaches the honest peer, and one of its own comes here."""
        self.net.seal("g-1")
        self.net.seal("g-0")
        self.net.settle()
        assert self.honest.closes == {}
        assert self.honest.whole == self.here.whole
        assert "g-1" not in self.here.closes


def by_name(_iss: str, sub: str, _kid: bytes) -> PublicKey:
    """A member's key, whatever kid is named."""
    return KEYS[sub].public


def hello(**fields: object) -> Hello:
    plain = Hello(
        version=VERSION,
        ledger=LEDGER,
        iss="ewz",
        sub="g-5",
        role="gateway",
        instance=1,
        features=(),
        chunk=65_536,
        time_ms=None,
        height=0,
        announced=hashlib.sha256(b"").digest()[:8],
    )
    return plain._replace(**fields)  # pyright: ignore[reportArgumentType] - fields of a test


@pytest.fixture
def stage() -> Stage:
    here, honest = Gateway("g-0"), Gateway("g-1")
    net = Net(here, honest)
    net.link("g-0", "g-1")
    net.settle()
    bad = here.session("g-5")
    bad.opened(net.now_ms, time_ms=1_700_000_000_000)
    return Stage(net, here, honest, bad)


@pytest.fixture
def greeted(stage: Stage) -> Stage:
    assert stage.hand(hello(), Frontier((), ())).close is None
    return stage


def heads(*points: Point, author: Author = AUTHOR) -> Frontier:
    return Frontier((Heads(author, tuple(sorted(points))),), ())


def end_of(vertex: Sealed) -> Point:
    return Point(vertex.header.epoch, vertex.header.seq, vertex.id)


def number_of(stage: Stage, effects: Effects) -> int:
    (want,) = stage.answers(effects, Want)
    assert isinstance(want, Want)
    return want.number


def push(*vertices: Sealed) -> Headers:
    return Headers(0, False, tuple(one.header.raw for one in vertices))


def answer(number: int, *vertices: Sealed, more: bool = False) -> Headers:
    return Headers(number, more, tuple(one.header.raw for one in vertices))


# --- the greeting ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wrong",
    [
        {"version": 2},
        {"ledger": bytes(32)},
        {"sub": "g-6"},
        {"iss": "iwb"},
    ],
)
def test_a_peer_of_another_ledger_version_or_name_is_foreign(
    stage: Stage, wrong: dict[str, object]
) -> None:
    stage.check_closed(stage.hand(hello(**wrong)), errors.PeerForeign)


def test_a_peer_with_this_gateways_own_name_is_foreign() -> None:
    here = Gateway("g-0")
    session = here.session("g-0")
    session.opened(START_MS)
    effects = session.received(encode_message(hello(sub="g-0")), START_MS)
    assert isinstance(effects.close, errors.PeerForeign)


def test_a_clock_off_by_years_is_counted_and_nothing_stops(stage: Stage) -> None:
    effects = stage.hand(hello(time_ms=1_700_000_000_000 - 5 * 365 * 86_400_000))
    assert [type(one) for one in effects.faults] == [errors.ClockAbsurd]
    assert "1825 days" in str(effects.faults[0])
    assert effects.close is None
    stage.check_honest()


def test_a_clock_off_by_a_day_is_no_fault(stage: Stage) -> None:
    assert stage.hand(hello(time_ms=1_700_000_000_000 + 86_400_000)).faults == []


def test_a_vertex_sealed_years_ahead_is_taken_and_its_sealer_counted(greeted: Stage) -> None:
    ahead = 1_700_000_000_000 + 9 * 365 * 86_400_000
    one = seal("g-5", seq=0, parent=None, time_ms=ahead)
    two = seal("g-5", seq=1, parent=one.id, time_ms=ahead)
    greeted.hand(push(one), push(two))
    assert ids([one, two]) <= greeted.here.vertices
    assert [one.code for one in greeted.here.faults] == ["clock-absurd"]


def test_an_old_vertex_is_no_absurd_clock(greeted: Stage) -> None:
    greeted.hand(push(seal("g-5", seq=0, parent=None, time_ms=5)))
    assert greeted.here.faults == []


def test_whatever_comes_before_the_greeting_is_dropped_and_bounded(stage: Stage) -> None:
    ping = encode_message(Ping(bytes(8), 0))
    assert stage.hand_bytes(*[ping] * 100).close is None
    effects = stage.hand_bytes(*[ping] * (2 * limits.SYNC_MESSAGES_SECOND_MAX))
    stage.check_closed(effects, errors.MessagesFlood)


# --- half a message and silence --------------------------------------------------------------------


def test_a_peer_that_says_nothing_more_is_silent(greeted: Stage) -> None:
    silent_ms = greeted.here.bounds.silent_ms
    assert greeted.bad.tick(greeted.net.now_ms + silent_ms - 1).close is None
    effects = greeted.bad.tick(greeted.net.now_ms + silent_ms)
    assert isinstance(effects.close, errors.PeerSilent)
    assert "ewz/g-5" in str(effects.close)


def test_a_peer_that_never_greets_is_silent(stage: Stage) -> None:
    effects = stage.bad.tick(stage.net.now_ms + stage.here.bounds.silent_ms)
    assert isinstance(effects.close, errors.PeerSilent)


def test_a_peer_that_lives_and_does_not_answer_is_silent(greeted: Stage) -> None:
    greeted.hand(heads(end_of(chain_of("g-2", 3)[-1])))
    now_ms = greeted.net.now_ms
    close = None
    for _ in range(12):
        now_ms += greeted.here.bounds.answer_ms
        greeted.bad.received(encode_message(Ping(bytes(8), 0)), now_ms)
        close = close or greeted.bad.tick(now_ms).close
        if greeted.bad.closed:
            break
    assert greeted.bad.closed
    greeted.check_honest()


def test_a_peer_that_leaves_says_why_and_is_not_blamed_further(greeted: Stage) -> None:
    effects = greeted.hand(Bye("disk-full", "no room"))
    assert isinstance(effects.close, errors.PeerLeft)
    assert "disk-full: no room" in str(effects.close)
    assert effects.send == []
    greeted.check_honest()


# --- bytes -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x00",
        b"\x80",
        b"\x81\x18\x20",
        b"\x82\x00\x00",
        b"\xff" * 40,
        cbor.encode([15, bytes(8)]),
        cbor.encode([15, bytes(7), 0]),
        cbor.encode([99]),
        cbor.encode({1: 2}),
        b"\x83\x0f\x48" + bytes(8) + b"\x18\x00",  # another spelling of 0
    ],
)
def test_bytes_that_are_no_message_end_the_session(greeted: Stage, data: bytes) -> None:
    greeted.check_closed(greeted.hand_bytes(data), errors.MessageMalformed)


def test_a_message_of_very_many_items_is_refused_before_it_is_built(greeted: Stage) -> None:
    nested = cbor.head(cbor.ARRAY, 3) + b"\x02\x00" + cbor.head(cbor.ARRAY, 500_000)
    greeted.check_closed(greeted.hand_bytes(nested + b"\x80" * 500_000), errors.MessageMalformed)


def test_a_message_too_long_is_refused(greeted: Stage) -> None:
    greeted.check_closed(
        greeted.hand_bytes(bytes(limits.SYNC_MESSAGE_BYTES_MAX + 1)), errors.MessageMalformed
    )


# --- ranges and frontiers --------------------------------------------------------------------------


def test_a_range_that_the_peer_does_not_have_is_its_fault(greeted: Stage) -> None:
    number = number_of(greeted, greeted.hand(heads(end_of(chain_of("g-2", 3)[-1]))))
    greeted.check_closed(greeted.hand(answer(number)), errors.RangeAbsent)


def test_a_range_that_ends_before_what_was_claimed_is_its_fault(greeted: Stage) -> None:
    chain = chain_of("g-2", 6)
    effects = greeted.hand(heads(end_of(chain[-1])))
    effects = greeted.hand(answer(number_of(greeted, effects), *chain[:3]))
    assert effects.close is None
    assert ids(chain[:3]) <= greeted.here.vertices
    greeted.check_closed(greeted.hand(answer(number_of(greeted, effects))), errors.RangeAbsent)


def test_a_range_with_a_hole_is_its_fault(greeted: Stage) -> None:
    chain = chain_of("g-2", 6)
    effects = greeted.hand(heads(end_of(chain[-1])))
    effects = greeted.hand(answer(number_of(greeted, effects), *chain[:2], *chain[4:]))
    assert effects.close is None
    effects = greeted.hand(answer(number_of(greeted, effects), *chain[4:]))
    greeted.check_closed(effects, errors.RangeAbsent)


def test_an_answer_that_claims_more_and_holds_nothing_is_its_fault(greeted: Stage) -> None:
    effects = greeted.hand(heads(end_of(chain_of("g-2", 3)[-1])))
    greeted.check_closed(
        greeted.hand(answer(number_of(greeted, effects), more=True)), errors.RangeAbsent
    )


def test_a_frontier_from_the_future_is_impossible(greeted: Stage) -> None:
    effects = greeted.hand(heads(Point(0, limits.SYNC_AHEAD_MAX + 1, bytes(32))))
    greeted.check_closed(effects, errors.FrontierImpossible)


def test_a_frontier_of_too_many_authors_is_impossible(greeted: Stage) -> None:
    names = [f"x-{number:05}" for number in range(limits.SYNC_AUTHORS_MAX + 1)]
    point = Point(0, 0, bytes(32))
    effects = Effects.none()
    for at in range(0, len(names), 500):
        page = tuple(Heads(Author("ewz", name), (point,)) for name in names[at : at + 500])
        effects = greeted.hand(Frontier(page, ()))
    greeted.check_closed(effects, errors.FrontierImpossible)


def test_authors_whose_key_is_unknown_wait_and_are_looked_at_again(greeted: Stage) -> None:
    chain = chain_of("g-2", 3)
    greeted.here.key_of = lambda _iss, _sub, _kid: None
    effects = greeted.hand(heads(end_of(chain[-1])))
    effects = greeted.hand(answer(number_of(greeted, effects), *chain))
    assert effects.close is None
    assert effects.faults == []
    assert greeted.bad.behind == 0
    assert greeted.here.vertices.isdisjoint(ids(chain))

    greeted.here.key_of = by_name
    greeted.here.holdings.registry_changed()
    effects = greeted.bad.tick(greeted.net.now_ms)
    greeted.hand(answer(number_of(greeted, effects), *chain))
    assert ids(chain) <= greeted.here.vertices


# --- headers ---------------------------------------------------------------------------------------


def altered(vertex: Sealed) -> bytes:
    """The header with one byte of what was signed changed: somebody else's vertex with changed bytes."""
    raw = bytearray(vertex.header.raw)
    at = vertex.header.raw.index(vertex.header.root)
    raw[at] ^= 1
    decode_header(bytes(raw))
    return bytes(raw)


def test_somebody_elses_vertex_with_changed_bytes_is_altered(greeted: Stage) -> None:
    (vertex,) = chain_of("g-2", 1)
    effects = greeted.hand(Headers(0, False, (altered(vertex),)))
    greeted.check_closed(effects, errors.VertexAltered)
    assert vertex.id not in greeted.here.vertices


def test_an_altered_vertex_in_an_answer_is_altered_too(greeted: Stage) -> None:
    chain = chain_of("g-2", 2)
    number = number_of(greeted, greeted.hand(heads(end_of(chain[-1]))))
    bad = Headers(number, False, (chain[0].header.raw, altered(chain[1])))
    greeted.check_closed(greeted.hand(bad), errors.VertexAltered)


def test_a_header_that_is_none_is_altered(greeted: Stage) -> None:
    effects = greeted.hand(Headers(0, False, (b"\xd2\x80",)))
    greeted.check_closed(effects, errors.VertexAltered)


def test_a_thief_without_the_key_cannot_seal_in_anothers_name(greeted: Stage) -> None:
    forged = seal("g-2", seq=0, parent=None, secret=KEYS["thief"])
    greeted.here.key_of = by_name
    greeted.check_closed(greeted.hand(push(forged)), errors.VertexAltered)


@pytest.mark.parametrize("place", [(0, 2), (0, 5), (3, 4)])
def test_a_vertex_whose_parent_does_not_precede_it_is_forged(
    greeted: Stage, place: tuple[int, int]
) -> None:
    (first,) = chain_of("g-2", 1)
    epoch, seq = place
    forged = seal("g-2", epoch=epoch, seq=seq, parent=first.id)
    greeted.check_closed(greeted.hand(push(first, forged)), errors.ParentForged)
    assert first.id in greeted.here.vertices
    assert forged.id not in greeted.here.vertices


def test_a_vertex_that_follows_another_authors_is_forged(greeted: Stage) -> None:
    (other,) = chain_of("g-3", 1)
    forged = seal("g-2", seq=1, parent=other.id)
    greeted.check_closed(greeted.hand(push(other, forged)), errors.ParentForged)


def test_a_new_epoch_that_does_not_follow_an_earlier_one_is_forged(greeted: Stage) -> None:
    (first,) = chain_of("g-2", 1)
    second = seal("g-2", epoch=2, seq=0, parent=first.id, records=[])
    back = seal("g-2", epoch=1, seq=0, parent=second.id, records=[])
    greeted.check_closed(greeted.hand(push(first, second, back)), errors.ParentForged)


def test_forged_parents_of_vertices_that_wait_are_found_when_the_parent_comes(
    greeted: Stage,
) -> None:
    chain = chain_of("g-2", 2)
    forged = seal("g-2", seq=9, parent=chain[1].id)
    number = number_of(greeted, greeted.hand(heads(end_of(forged))))
    effects = greeted.hand(answer(number, forged, *chain))
    greeted.check_closed(effects, errors.ParentForged)
    assert forged.id not in greeted.here.vertices


def test_headers_that_nobody_asked_for_are_a_flood_when_they_are_many(greeted: Stage) -> None:
    chain = chain_of("g-2", 2)
    greeted.hand(push(*chain))
    effects = Effects.none()
    for _ in range(2 * limits.SYNC_HEADERS_PUSHED_MAX // 500 + 1):
        effects = greeted.hand(push(*([chain[0]] * 500)))
        if effects.close is not None:
            break
    greeted.check_closed(effects, errors.HeadersFlood)


def test_a_million_headers_without_a_parent_are_bounded(greeted: Stage) -> None:
    orphans = [seal("g-2", seq=seq, parent=bytes(32)) for seq in range(5, 405)]
    effects = Effects.none()
    for _ in range(20):
        effects = greeted.hand(push(*orphans))
        if effects.close is not None:
            break
    greeted.check_closed(effects, errors.HeadersFlood)
    assert greeted.here.vertices.isdisjoint(ids(orphans))


def test_an_answer_with_what_was_not_asked_is_a_flood(greeted: Stage) -> None:
    chain = chain_of("g-2", 2)
    number = number_of(greeted, greeted.hand(heads(end_of(chain[-1]))))
    effects = greeted.hand(answer(number, *chain, *chain_of("g-3", 1)))
    greeted.check_closed(effects, errors.HeadersFlood)


def test_the_answer_to_a_question_that_was_not_put_is_dropped(greeted: Stage) -> None:
    effects = greeted.hand(answer(77, *chain_of("g-2", 2)))
    assert effects.close is None
    assert greeted.here.vertices.isdisjoint(ids(chain_of("g-2", 2)))


# --- bodies ----------------------------------------------------------------------------------------


def with_header(stage: Stage, *, size: int = 20) -> Sealed:
    """A vertex of `g-2` whose header is here and whose body is being asked for."""
    (vertex,) = chain_of("g-2", 1, size=size)
    effects = stage.hand(push(vertex))
    assert effects.close is None
    sent = [one for a, b, one in stage.net.sent if (a, b) == ("g-0", "g-5")]
    assert not sent
    asked = stage.bad.tick(stage.net.now_ms)
    assert stage.bad.fetching == 1, asked
    return vertex


def whole(vertex: Sealed, packed: bytes) -> Body:
    return Body(vertex.id, 0, len(packed), packed)


@pytest.mark.parametrize(
    "damage",
    ["root", "short", "empty", "cut", "longer", "no-deflate", "plain"],
)
def test_a_body_that_does_not_fit_its_header_is_a_mismatch(greeted: Stage, damage: str) -> None:
    vertex = with_header(greeted)
    body = vertex.body
    damaged = {
        "root": zlib.compress(body[:-1] + b"\x02"),  # the length fits, the root does not
        "short": zlib.compress(body[:-1]),
        "empty": zlib.compress(b""),
        "cut": zlib.compress(body)[:-1],
        "longer": zlib.compress(body) + b"\x00",
        "no-deflate": bytes(20),
        "plain": body,
    }
    effects = greeted.hand(whole(vertex, damaged[damage]))
    greeted.check_closed(effects, errors.BodyMismatch)
    assert vertex.id not in greeted.here.whole


def test_a_compressed_bomb_is_unpacked_no_further_than_its_header_says(greeted: Stage) -> None:
    vertex = with_header(greeted, size=4_000)
    bomb = zlib.compress(bytes(4_000_000), 9)
    assert len(bomb) < 4_000
    greeted.check_closed(greeted.hand(whole(vertex, bomb)), errors.BodyBomb)


def test_a_body_that_would_be_longer_than_deflating_makes_it_is_a_mismatch(
    greeted: Stage,
) -> None:
    vertex = with_header(greeted)
    effects = greeted.hand(Body(vertex.id, 0, limits.PACKED_BYTES_MAX, b"x"))
    greeted.check_closed(effects, errors.BodyMismatch)


def test_a_bad_body_from_one_peer_is_fetched_from_another(greeted: Stage) -> None:
    vertex = with_header(greeted)
    greeted.check_closed(greeted.hand(whole(vertex, bytes(9))), errors.BodyMismatch)
    greeted.honest.put(vertex)
    greeted.net.cut("g-0", "g-1")
    greeted.net.link("g-0", "g-1")
    greeted.net.settle(until_ms=60_000)
    assert vertex.id in greeted.here.whole


def test_a_body_that_nobody_asked_for_is_dropped(greeted: Stage) -> None:
    (vertex,) = chain_of("g-2", 1)
    assert greeted.hand(whole(vertex, zlib.compress(vertex.body))).close is None
    assert vertex.id not in greeted.here.vertices


def test_a_peer_that_asks_for_more_bytes_than_any_window_holds_floods(greeted: Stage) -> None:
    much = [(bytes([n]) * 32, 0, limits.PACKED_BYTES_MAX) for n in range(30)]
    greeted.check_closed(greeted.hand(WantBodies(tuple(much))), errors.MessagesFlood)


def test_bodies_that_are_not_here_are_answered_at_once(greeted: Stage) -> None:
    effects = greeted.hand(WantBodies(((bytes(32), 0, 100),)))
    assert greeted.answers(effects, Body) == [Body(bytes(32), 0, 0, b"")]


# --- evidence and announcements --------------------------------------------------------------------


def test_evidence_that_convicts_nobody_is_forged(greeted: Stage) -> None:
    greeted.check_closed(greeted.hand(Fork(b"\x80")), errors.EvidenceForged)


def test_evidence_with_a_bad_signature_is_forged(greeted: Stage) -> None:
    one, two = (chain_of("g-2", 1, note=note)[0] for note in (1, 2))
    pair = sorted([one, two], key=lambda vertex: vertex.id)
    raws = [bytearray(vertex.header.raw) for vertex in pair]
    raws[0][-1] ^= 1
    evidence = cbor.encode(["drystone/fork/1", *map(bytes, raws)])
    greeted.check_closed(greeted.hand(Fork(evidence)), errors.EvidenceForged)
    assert greeted.here.holdings.forks() == {}


def announcement(epoch: int, *, name: str = "g-2", key: str | None = None) -> bytes:
    return sign_announcement(
        secret=KEYS[key or name],
        iss="ewz",
        sub=name,
        epoch=epoch,
        addresses=[f"192.0.2.1:{epoch}"],
        ledger=LEDGER,
    )


def test_a_replayed_announcement_is_counted_and_many_end_the_session(greeted: Stage) -> None:
    greeted.hand(Announce(announcement(7)))
    for number in range(limits.SYNC_REPLAYS_MAX):
        effects = greeted.hand(Announce(announcement(6)))
        assert [one.code for one in effects.faults] == ["announcement-replayed"], number
        assert effects.close is None
    greeted.check_closed(greeted.hand(Announce(announcement(6))), errors.AnnouncementReplayed)
    (known,) = greeted.here.holdings.announcements().values()
    assert known.epoch == 7


@pytest.mark.parametrize("raw", [b"\xd2\x80", b"", announcement(1, key="thief")])
def test_an_announcement_that_its_member_did_not_sign_is_forged(greeted: Stage, raw: bytes) -> None:
    greeted.here.key_of = by_name
    greeted.check_closed(greeted.hand(Announce(raw)), errors.AnnouncementForged)


def test_every_fault_of_a_peer_has_a_code_and_a_mend_of_its_own() -> None:
    faults = [
        one for one in vars(errors).values() if isinstance(one, type) and issubclass(one, PeerFault)
    ]
    assert len({one.code for one in faults}) == len(faults) > 20
    assert all(one.fix and one.__doc__ for one in faults)
