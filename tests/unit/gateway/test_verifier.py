"""The verifier: what it says of a request, what it asks, what it remembers."""

import logging
import threading
from typing import Any

import pytest
from gateway_world import METER, NODE, OPERATOR, first_view, reading
from hypothesis import given
from hypothesis import strategies as st

from drystone import limits
from drystone.errors import InvariantBroken, Refused
from drystone.formats import cbor, cose
from drystone.formats.senml import Measurement, write_pack
from drystone.gateway.senders import Senders
from drystone.ledger import keyspace, rows
from drystone.records.record import check_form, write_record
from drystone.workers import channel, checked, verifier
from drystone.workers.channel import BlockingChannel
from drystone.workers.checked import Steps, checked_from_plain, rank, unpack
from drystone.workers.verifier import CHECK, FORGET, ROWS, Checker, Rows, SenderName

VIEW = first_view()


class State:
    """Rows of a state that a test may change."""

    def __init__(self) -> None:
        self.rows: dict[bytes, bytes | None] = {}
        self.asked: list[list[SenderName]] = []
        self.senders = Senders(self)
        profile = rows.Profile(
            measurements=(("e", "Wh"),),
            register=rows.Register("e", 0),
            rule="accept",
            visibility="open",
        )
        self.rows[keyspace.profile("ewz", "meter")] = profile.encode()
        member = rows.Member(rows.ACTIVE, ("device",), "meter", METER.public.kid(), 0, 0)
        self.rows[keyspace.member("ewz", "m-1")] = member.encode()
        key = rows.KeyRow(METER.public.cose_key(), rows.ACTIVE)
        self.rows[keyspace.member_key("ewz", "m-1", METER.public.kid())] = key.encode()

    def get(self, key: bytes) -> bytes | None:
        return self.rows[key] if key in self.rows else VIEW.get(key)

    def ask(self, names: list[SenderName]) -> tuple[int, Rows]:
        self.asked.append(names)
        return self.senders.rows(names)

    def revoke(self) -> dict[bytes, bytes | None]:
        member = rows.Member(rows.REVOKED, ("device",), "meter", METER.public.kid(), 0, 0)
        write: dict[bytes, bytes | None] = {keyspace.member("ewz", "m-1"): member.encode()}
        self.rows.update(write)
        return write


def make() -> tuple[Checker, State]:
    """A checker and the state it asks."""
    return Checker(VIEW.ledger), State()


def test_good_records_come_back_as_columns_and_a_packet() -> None:
    checker, state = make()
    found = checker.check(reading(0) + reading(1), state.ask)
    forms = [check_form(reading(0)), check_form(reading(1))]
    assert (found.total, found.flaws) == (2, [])
    assert found.positions == [("ewz", "m-1", None, 0, 0), ("ewz", "m-1", None, 0, 1)]
    assert found.ids == forms[0].id + forms[1].id
    assert found.entries == forms[0].entry + forms[1].entry
    assert found.steps == Steps([("ewz", "m-1", None)], [rank(0, 0) - 1], [rank(0, 1)])
    assert [item.record.raw for item in unpack(found.packet)] == [reading(0), reading(1)]
    assert {item.key for item in unpack(found.packet)} == {METER.public.cose_key()}


def test_a_sender_is_asked_for_once() -> None:
    checker, state = make()
    for seq in range(3):
        checker.check(reading(seq), state.ask)
    assert state.asked == [[("ewz", "m-1", METER.public.kid(), None)]]


def test_a_sender_without_rights_is_asked_for_each_time() -> None:
    checker, state = make()
    for _ in range(2):
        found = checker.check(reading(0, sub="m-2"), state.ask)
        assert [flaw.code for flaw in found.flaws] == ["member-unknown"]
    assert len(state.asked) == 2


def test_whoever_is_forgotten_is_judged_by_newer_rows() -> None:
    checker, state = make()
    assert not checker.check(reading(0), state.ask).flaws
    members = state.senders.change(state.revoke())
    assert members == [("ewz", "m-1")]
    assert not checker.check(reading(1), state.ask).flaws, "it was not told yet"
    checker.forget(state.senders.generation, members)
    found = checker.check(reading(1), state.ask)
    assert [flaw.code for flaw in found.flaws] == ["member-suspended"]
    assert found.generation == state.senders.generation == 1


def test_others_than_the_forgotten_are_still_known() -> None:
    checker, state = make()
    checker.check(reading(0), state.ask)
    checker.forget(1, [("ewz", "m-2")])
    checker.check(reading(1), state.ask)
    assert len(state.asked) == 1
    checker.forget(2, None)
    checker.check(reading(2), state.ask)
    assert len(state.asked) == 2


def test_a_full_memory_is_emptied_for_a_newcomer_and_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limits, "VERIFIER_KEYS_MAX", 0)
    checker, state = make()
    assert not checker.check(reading(0), state.ask).flaws
    both = checker.check(reading(1) + reading(0, sub="node", secret=NODE), state.ask)
    assert [flaw.code for flaw in both.flaws] == ["profile-unknown"]
    assert [len(names) for names in state.asked] == [1, 2]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda raw: raw[:-1] + bytes([raw[-1] ^ 1]), "signature-invalid"),
        (lambda raw: raw[:-64] + b"\x01" + bytes(31) + raw[-32:], "signature-malformed"),
        (lambda raw: raw[:-32] + b"\xff" * 32, "signature-malformed"),
        (lambda raw: b"\xd2\x84\x40\xa0\x40\x58\x40" + bytes(64), "cose-malformed"),
        (lambda raw: b"\x01", "cose-malformed"),
        (lambda raw: raw[:-1], "cbor-malformed"),
    ],
)  # fmt: skip
def test_a_bad_record_has_its_code_and_its_neighbours_are_good(change: Any, code: str) -> None:
    checker, state = make()
    found = checker.check(reading(0) + change(reading(1)), state.ask)
    assert (found.flaws[0].item, found.flaws[0].code) == (1, code)
    assert found.positions == [("ewz", "m-1", None, 0, 0)]


def test_a_reading_that_does_not_fit_its_profile_is_a_flaw() -> None:
    checker, state = make()
    pack = write_pack([Measurement("e", "W", 1, None)])
    raw = write_record(
        secret=METER, iss="ewz", sub="m-1", epoch=0, seq=0, payload=pack, content_type=cose.SENML
    )
    assert [flaw.code for flaw in checker.check(raw, state.ask).flaws] == ["profile-mismatch"]


def test_a_key_of_somebody_else_is_a_flaw() -> None:
    checker, state = make()
    for secret in (NODE, OPERATOR):
        found = checker.check(reading(0, secret=secret), state.ask)
        assert [flaw.code for flaw in found.flaws] == ["key-unknown"]


@pytest.mark.parametrize(
    ("seqs", "regular"),
    [
        ([0, 1, 2], True),
        ([7], True),
        ([0, 2], False),
        ([1, 0], False),
        ([0, 0], False),
    ],
)
def test_steps_say_whether_each_stream_moves_on_without_gap_or_return(
    seqs: list[int], regular: bool
) -> None:
    checker, state = make()
    found = checker.check(b"".join(reading(seq) for seq in seqs), state.ask)
    assert (found.steps is not None) == regular


def test_more_items_than_a_request_may_have_are_refused_behind_the_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limits, "REQUEST_RECORDS_MAX", 2)
    checker, state = make()
    found = checker.check(b"".join(reading(seq) for seq in range(3)), state.ask)
    assert [(flaw.item, flaw.code) for flaw in found.flaws] == [(2, "too-large")]


@given(
    st.lists(st.sampled_from([reading(0), reading(1)[:-1], b"\x01", b"\xd2\x84\x58", b"\xff", b""]))
)
def test_splitting_agrees_with_the_strict_splitter(parts: list[bytes]) -> None:
    sequence = b"".join(parts)
    raws, broken_off = verifier._split(sequence)
    try:
        strict = cbor.split_sequence(sequence, items_max=limits.REQUEST_RECORDS_MAX)
    except Refused:
        # Either it sees the same, or what it cut out does not pass the form check.
        assert broken_off is not None or any(not passes(raw) for raw in raws)
    else:
        assert broken_off is None
        assert raws == strict or [r for r in raws if passes(r)] == [r for r in strict if passes(r)]


def passes(raw: bytes) -> bool:
    """Whether these bytes are a record."""
    try:
        check_form(raw)
    except Refused:
        return False
    return True


@given(st.binary(max_size=300), st.integers(0, 300))
def test_nothing_that_a_request_holds_makes_a_verifier_raise(noise: bytes, at: int) -> None:
    checker, state = make()
    raw = reading(0)
    sequence = raw[:at] + noise + raw[at:]
    found = checker.check(sequence, state.ask)
    assert found.total == len(found.flaws) + len(found.positions)


def test_columns_survive_the_channel() -> None:
    checker, state = make()
    found = checker.check(reading(0) + b"\xff", state.ask)
    left, right = channel.pair()
    sender, receiver = BlockingChannel(left.detach()), BlockingChannel(right.detach())
    sender.send(checked.checked_to_plain(found))
    assert checked_from_plain(receiver.receive()) == found
    sender.close()
    receiver.close()


class Served:
    """A verifier's loop in a thread, behind a channel."""

    def __init__(self, checker: Checker) -> None:
        own, other = channel.pair()
        self.channel = BlockingChannel(own.detach())
        end = BlockingChannel(other.detach())
        self.thread = threading.Thread(target=self._run, args=(end, checker))
        self.thread.start()

    @staticmethod
    def _run(end: BlockingChannel, checker: Checker) -> None:
        try:
            verifier.serve(end, checker)
        except SystemExit:
            pass
        finally:
            end.close()

    def end(self) -> None:
        """Close the channel and wait for the loop's end."""
        self.channel.close()
        self.thread.join(10)
        assert not self.thread.is_alive()


def test_requests_that_come_while_rows_are_awaited_are_answered_in_order() -> None:
    checker, state = make()
    served = Served(checker)
    served.channel.send((CHECK, 1, reading(0)))
    served.channel.send((CHECK, 2, reading(1)))
    kind, names = served.channel.receive()
    assert kind == ROWS
    served.channel.send((FORGET, 0, None))
    generation, found = state.ask(names)
    served.channel.send((ROWS, generation, found))
    answers = [served.channel.receive() for _ in range(2)]
    assert [answer[1] for answer in answers] == [1, 2]
    assert all(not checked_from_plain(answer[2]).flaws for answer in answers)
    served.end()


def test_a_verifier_whose_front_is_gone_ends_even_while_it_asks() -> None:
    served = Served(make()[0])
    served.channel.send((CHECK, 1, reading(0)))
    assert served.channel.receive()[0] == ROWS
    served.end()


def test_a_defect_refuses_the_request_and_the_verifier_goes_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Broken(Checker):
        def check(self, sequence: bytes, ask: Any) -> Any:
            raise ZeroDivisionError

    served = Served(Broken(bytes(32)))
    with caplog.at_level(logging.ERROR):
        for number in range(2):
            served.channel.send((CHECK, number, b""))
            answer = checked_from_plain(served.channel.receive()[2])
            assert [flaw.code for flaw in answer.flaws] == [InvariantBroken.code]
    assert "broke the verifier" in caplog.text
    served.end()
