"""Doubled keys: two records of one position are found among those answered `already`; copies are not."""

from pathlib import Path

import pytest

from drystone import limits
from drystone.errors import KeyUnknown
from drystone.gateway.doubles import LOOKED_AT, Doubles
from drystone.gateway.sync.holdings import member_keys
from drystone.ledger.apply import apply_genesis
from drystone.ledger.change import Change
from drystone.ledger.genesis import encode_genesis
from drystone.records.evidence import decode_fork
from drystone.records.key import PublicKey
from drystone.records.record import Record, check_form
from drystone.records.vertex import decode_vertex, vertex_id
from drystone.sim.world import Author, World
from drystone.storage.ledger import LedgerDB
from drystone.storage.memory import MemoryView
from drystone.storage.vertices import VertexDB
from drystone.workers.messages import Executed


class Stage:
    """A world whose blocks are stored, and what looks for doubles in it."""

    def __init__(self, folder: Path) -> None:
        self.world = World.begin()
        start = apply_genesis(self.world.genesis, MemoryView()).change
        self.ledger_id = self.world.view.ledger
        self.ledger = LedgerDB.create(
            folder / "ledger.db", encode_genesis(self.world.genesis), start
        )
        self.vertices = VertexDB.create(folder / "vertices.db", self.ledger_id)
        self.doubles = Doubles(
            ledger=self.ledger, vertices=self.vertices, key_of=self.key_of, ledger_id=self.ledger_id
        )
        self.second = Author(self.world.newcomer("g-2"))
        member = {
            "sub": "g-2",
            "proof": self.world.proof("ewz", "g-2", self.second.actor.secret),
            "roles": ["gateway"],
        }
        self.step(
            [self.world.call(self.world.operator, "registry", "enrol", {"members": [member]})]
        )
        profile = {
            "name": "electricity",
            "measurements": [{"name": "e", "unit": "Wh"}],
            "register": {"name": "e", "exponent": 0},
        }
        self.meter = self.world.newcomer("m-1")
        device = {
            "sub": "m-1",
            "proof": self.world.proof("ewz", "m-1", self.meter.secret),
            "profile": "electricity",
        }
        self.step([self.world.call(self.world.operator, "registry", "profile", profile)])
        self.step(
            [self.world.call(self.world.operator, "registry", "enrol", {"members": [device]})]
        )

    def key_of(self, iss: str, sub: str, kid: bytes) -> PublicKey:
        key = member_keys(self.world.view)(iss, sub, kid)
        if key is None:
            raise KeyUnknown("nobody")
        return key

    def step(self, records: list[bytes], author: Author | None = None) -> Change:
        """Seal, order, store, and tell of the commit."""
        world = self.world
        data = world.vertex(records, author)
        header, body = decode_vertex(data)
        assert body is not None
        self.vertices.keep([(header.raw, b"".join(body))])
        block = world.block(data)
        change = world.take(block)
        self.ledger.commit(change, block)
        self.doubles.note(
            Executed(
                height=change.height,
                time_ms=change.time_ms,
                first_leaf=0,
                size=change.log.size,
                root=b"",
                head=change.head,
                state_root=change.state_root,
                vertices=(vertex_id(header, self.ledger_id),),
                counts=(len(records),),
                outcomes=tuple(one for one in change.outcomes if one.code != "accepted"),
                writes=change.writes,
            )
        )
        return change


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


def test_two_records_of_one_position_at_two_gateways_are_evidence(stage: Stage) -> None:
    owner, thief = (stage.world.reading(stage.meter, wh, seq=0) for wh in (5, 7))
    stage.step([owner])
    change = stage.step([thief], stage.second)
    assert [one.code for one in change.outcomes] == ["already"]

    (evidence,) = stage.doubles.find()

    fork = decode_fork(evidence, ledger=stage.ledger_id)
    assert isinstance(fork.a, Record)
    assert {fork.a.raw, fork.b.raw} == {owner, thief}
    assert stage.doubles.waiting == 0
    call = {"kind": "record", "a": fork.a.raw.hex(), "b": fork.b.raw.hex()}
    change = stage.step([stage.world.call(stage.world.operator, "registry", "fork", call)])
    assert [one.code for one in change.outcomes] == ["accepted"]


def test_a_copy_that_a_second_gateway_heard_is_no_evidence(stage: Stage) -> None:
    record = stage.world.reading(stage.meter, 5, seq=0)
    stage.step([record])
    stage.step([record], stage.second)
    assert stage.doubles.waiting == 1
    assert stage.doubles.find() == []


def test_both_of_one_vertex_are_compared_too(stage: Stage) -> None:
    pair = [stage.world.reading(stage.meter, wh, seq=0) for wh in (5, 7)]
    stage.step(pair)
    assert len(stage.doubles.find()) == 1


def test_a_pruned_body_tells_nothing(stage: Stage) -> None:
    stage.step([stage.world.reading(stage.meter, 5, seq=0)])
    last = stage.vertices.last_number()
    stage.step([stage.world.reading(stage.meter, 7, seq=0)], stage.second)
    stage.vertices.prune([last])
    assert stage.doubles.find() == []


def test_a_key_that_convicts_nobody_gives_no_evidence(stage: Stage) -> None:
    for wh in (5, 7):
        stage.step([stage.world.reading(stage.meter, wh, seq=0)])
    stage.world.view = MemoryView.from_genesis(stage.world.genesis)
    assert stage.doubles.waiting == 1
    assert stage.doubles.find() == []


def test_what_waits_and_what_is_looked_at_in_one_go_is_bounded(stage: Stage) -> None:
    record = stage.world.reading(stage.meter, 5, seq=0)
    stage.step([record] * (LOOKED_AT + 5))
    assert stage.doubles.waiting == LOOKED_AT + 4
    stage.doubles.find()
    assert stage.doubles.waiting == 4
    for _ in range(3):
        stage.step([record] * 500, stage.second)
    assert stage.doubles.waiting == limits.DOUBLES_WAITING_MAX
    assert check_form(record)
