"""All peers of a process: counted, named, left alone when they misbehave; the others go on."""

import pytest
from sync_world import LEDGER, START_MS, Gateway, chain_of, key_of, seal

from drystone import errors, limits
from drystone.errors import BodyMismatch, LinkSilent, PeerFault, PeerSilent, RangeAbsent
from drystone.gateway.sync.effects import Arrived, Own, SyncBounds
from drystone.gateway.sync.holdings import VertexHoldings
from drystone.gateway.sync.messages import (
    VERSION,
    Fork,
    Frontier,
    Headers,
    Heads,
    Hello,
    Message,
    Ping,
    Point,
    Want,
)
from drystone.gateway.sync.peers import FORGIVEN_MS, PEERS_REMEMBERED_MAX, Peers
from drystone.gateway.sync.session import Session
from drystone.gateway.sync.wire import decode_message, encode_message
from drystone.records.dag import Author

ONE, TWO = Author("ewz", "g-1"), Author("ewz", "g-2")


class Stage:
    """Peers over a gateway's memory."""

    def __init__(self) -> None:
        self.disk = Gateway("g-0").disk
        self.store = VertexHoldings(store=self.disk, ledger=LEDGER, key_of=key_of)
        self.peers = Peers(
            own=Own(ledger=LEDGER, iss="ewz", sub="g-0", role="gateway", instance=1),
            store=self.store,
            bounds=SyncBounds(relay_ms=10, answer_ms=1_000),
        )

    def linked(self, name: Author, now_ms: int = START_MS, *, uplink: bool = False) -> Session:
        session = self.peers.session(name, now_ms=now_ms, uplink=uplink)
        session.opened(now_ms)
        hello = Hello(
            VERSION, LEDGER, *name, "node", 1, (), 65_536, None, 12,
            self.store.announced_digest(),
        )  # fmt: skip
        hand(session, hello, Frontier((), ()))
        return session

    def keep(self, *arrived: Arrived) -> dict[Author, list[Message]]:
        """Store, and give what each peer is sent."""
        self.disk.keep([(one.header.raw, one.body) for one in arrived])
        told = self.peers.kept(arrived, START_MS)
        return {name: list(map(decode_message, one.send)) for name, one in told.items()}


@pytest.fixture
def stage() -> Stage:
    return Stage()


def hand(session: Session, *messages: Message, now_ms: int = START_MS) -> list[Message]:
    sent: list[Message] = []
    for message in messages:
        effects = session.received(encode_message(message), now_ms)
        sent += map(decode_message, effects.send)
    return sent


def test_an_own_vertex_is_pushed_to_every_peer(stage: Stage) -> None:
    stage.linked(ONE)
    stage.linked(TWO)
    (one,) = chain_of("g-0", 1)
    told = stage.keep(Arrived(one.header, one.body, one.id))
    assert told.keys() == {ONE, TWO}
    assert all(isinstance(sent[0], Headers) for sent in told.values())


def test_an_author_is_asked_of_one_peer_and_of_the_next_when_that_one_is_gone(
    stage: Stage,
) -> None:
    chain = chain_of("g-3", 3)
    frontier = Frontier((Heads(Author("ewz", "g-3"), (Point(0, 2, chain[-1].id),)),), ())
    one, two = stage.linked(ONE), stage.linked(TWO)
    assert any(isinstance(sent, Want) for sent in hand(one, frontier))
    assert not any(isinstance(sent, Want) for sent in hand(two, frontier))

    told = stage.peers.closed(one, START_MS)

    assert told.keys() == {TWO}
    assert any(isinstance(decode_message(sent), Want) for sent in told[TWO].send)
    assert one.closed


def test_a_serious_fault_leaves_the_peer_alone_for_a_time_that_doubles(stage: Stage) -> None:
    now_ms = START_MS
    for expected in (1, 2, 4, 8):
        session = stage.linked(ONE, now_ms)
        effects = session.received(b"\xff", now_ms)
        assert isinstance(effects.close, errors.MessageMalformed)
        stage.peers.closed(session, now_ms)
        pause_ms = expected * limits.PEER_BACKOFF_MS
        assert not stage.peers.admits(ONE, now_ms + pause_ms - 1)
        assert stage.peers.admits(TWO, now_ms)
        now_ms += pause_ms
        assert stage.peers.admits(ONE, now_ms)
    (status,) = stage.peers.status(START_MS)
    assert status.faults == {"message-malformed": 4}
    assert status.last_fault is not None
    assert "ewz/g-1" in status.last_fault


def test_no_peer_is_left_alone_for_longer_than_the_bound(stage: Stage) -> None:
    for _ in range(40):
        stage.peers.fault(ONE, RangeAbsent("x"), START_MS)
    assert not stage.peers.admits(ONE, START_MS + limits.PEER_BACKOFF_MS_MAX - 1)
    assert stage.peers.admits(ONE, START_MS + limits.PEER_BACKOFF_MS_MAX)


@pytest.mark.parametrize("fault", [PeerSilent("x"), LinkSilent("x"), errors.ClockAbsurd("x")])
def test_what_a_bad_link_or_clock_explains_is_counted_and_forgiven(
    stage: Stage, fault: PeerFault
) -> None:
    stage.peers.fault(ONE, fault, START_MS)
    assert stage.peers.admits(ONE, START_MS)
    (status,) = stage.peers.status(START_MS)
    assert status.faults == {fault.code: 1}
    assert status.degraded_ms == 0


def test_a_fault_that_two_report_is_counted_once(stage: Stage) -> None:
    session = stage.linked(ONE)
    close = session.received(b"\xff", START_MS).close
    assert close is not None
    stage.peers.fault(ONE, close, START_MS)
    (status,) = stage.peers.status(START_MS)
    assert status.faults == {"message-malformed": 1}


def test_after_a_long_good_time_a_peer_begins_anew(stage: Stage) -> None:
    for _ in range(5):
        stage.peers.fault(ONE, BodyMismatch("x"), START_MS)
    later_ms = START_MS + limits.PEER_BACKOFF_MS_MAX + FORGIVEN_MS + 1
    stage.peers.fault(ONE, BodyMismatch("y"), later_ms)
    assert stage.peers.admits(ONE, later_ms + limits.PEER_BACKOFF_MS)


def test_status_tells_of_linked_and_gone_peers_s0_51(stage: Stage) -> None:
    one = stage.linked(ONE, uplink=True)
    hand(one, Ping(bytes(8), 40))
    stage.linked(TWO)
    stage.peers.closed(one, START_MS)
    gone, here = stage.peers.status(START_MS)
    assert (gone.name, gone.linked, gone.uplink, gone.height, gone.role) == (
        ONE, False, True, 40, "node",
    )  # fmt: skip
    assert (here.name, here.linked, here.height, here.authors_behind) == (TWO, True, 12, 0)
    assert gone.messages_in == 3
    assert gone.bytes_out > 60


def test_a_second_link_of_a_peer_replaces_the_first_and_numbers_go_on(stage: Stage) -> None:
    first = stage.linked(ONE)
    second = stage.linked(ONE)
    assert first.closed
    assert not second.closed
    stage.peers.closed(first, START_MS)
    assert not second.closed
    (status,) = stage.peers.status(START_MS)
    assert status.messages_in == 4


def test_peers_remembered_are_bounded(stage: Stage) -> None:
    for number in range(PEERS_REMEMBERED_MAX + 10):
        stage.peers.fault(Author("ewz", f"x-{number}"), LinkSilent("x"), START_MS)
    assert len(stage.peers.status(START_MS)) == PEERS_REMEMBERED_MAX


def test_evidence_that_kept_vertices_reveal_goes_to_every_peer_and_to_the_process(
    stage: Stage,
) -> None:
    stage.linked(ONE)
    one, two = (seal("g-3", seq=0, parent=None, records=[bytes([n])]) for n in (1, 2))
    stage.keep(Arrived(one.header, one.body, one.id))
    told = stage.keep(Arrived(two.header, two.body, two.id))
    (evidence,) = stage.peers.evidence()
    assert Fork(evidence) in told[ONE]
    assert stage.peers.evidence() == []


def test_what_could_not_be_stored_is_as_if_it_had_never_come(stage: Stage) -> None:
    session = stage.linked(ONE)
    (one,) = chain_of("g-3", 1)
    push = Headers(0, False, (one.header.raw,))
    effects = session.received(encode_message(push), START_MS)
    assert stage.store.find(one.id) is not None
    stage.peers.dropped(effects.keep, START_MS)
    assert stage.store.find(one.id) is None
    assert effects.wake_ms is not None
    again = stage.peers.tick(effects.wake_ms)[ONE]
    assert any(isinstance(decode_message(sent), Want) for sent in again.send)
