"""Many readings in one crossing, or one by one: equal outcomes, events, steps and state root, whatever fails between."""

import random

import pytest

from drystone.contracts import runtime
from drystone.formats import senml
from drystone.ledger import apply as pipeline
from drystone.ledger.apply import Memory, apply
from drystone.ledger.change import Block, Change
from drystone.ledger.readings import Gathered
from drystone.ledger.work import Work
from drystone.records.record import Record, Verified
from drystone.sim.world import Author, World

SOURCE = """
def on_reading(ctx, old, record):
    value = record[0]["value"]
    count = old["count"] + 1 if old != None else 1
    if value % 11 == 3:
        return "odd"
    if value % 13 == 4:
        fail("worse")
    if value % 17 == 5:
        return 1 // 0
    if value % 19 == 6:
        for i in range(60000):
            value += i
    if value % 23 == 7:
        return ({"t": "x" * 20000}, [])
    if value % 29 == 8:
        return (None, [("seen", {"n": count})])
    events = [("many", {"n": n}) for n in range(value % 4)]
    return ({"count": count, "limit": ctx["reads"]["limit"] or 0, "value": value}, events)

def set_limit(ctx, value):
    put("limit", value)
"""
MANIFEST = {
    "name": "mixed",
    "version": 1,
    "reading": {"function": "on_reading", "reads": ["limit"], "limit": 3000},
    "calls": {"set_limit": {"args": {"value": "int"}}},
}
DEVICES = 12


def world_with_devices() -> World:
    world = World.begin()
    submit = {"manifest": MANIFEST, "source": SOURCE}
    world.step([world.call(world.operator, "contracts", "submit", submit)])
    deploy = {"name": "mixed", "version": 1}
    world.step([world.call(world.operator, "contracts", "deploy", deploy)])
    profile = {"name": "mixed", "rule": "mixed", "measurements": [{"name": "e", "unit": "Wh"}]}
    world.step([world.call(world.operator, "registry", "profile", profile)])
    world.enrolled(*[f"x-{n}" for n in range(DEVICES)], profile="mixed")
    world.enrolled("plain")
    return world


def random_records(world: World, rng: random.Random, count: int) -> list[bytes]:
    records: list[bytes] = []
    for _ in range(count):
        kind = rng.random()
        if kind < 0.05:
            value = {"value": rng.randrange(100)}
            records.append(world.call(world.operator, "mixed", "set_limit", value))
        elif kind < 0.1 and records:
            records.append(rng.choice(records))
        elif kind < 0.15:
            records.append(world.reading(world.actors["ewz/plain"], 10 * len(records)))
        else:
            device = world.actors[f"ewz/x-{rng.randrange(DEVICES)}"]
            device.seq += rng.random() < 0.1
            pack = [senml.Measurement("e", "Wh", rng.randrange(2_000), None)]
            records.append(world.sign(device, senml.write_pack(pack)))
    return records


@pytest.mark.parametrize("seed", range(12))
def test_crossing_together_equals_crossing_one_by_one(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    world, rng = world_with_devices(), random.Random(seed)
    codes: set[str] = set()
    for _ in range(3):
        vertices = [world.vertex(random_records(world, rng, rng.randint(1, 60))) for _ in range(2)]
        block = world.block(*vertices)
        changes: list[Change] = []
        for at_once in (256, 1, 7, 40):
            monkeypatch.setattr(runtime, "READINGS_CROSSING_MAX", at_once)
            changes.append(apply(world.view, block))
        assert all(change == changes[0] for change in changes)
        world.take(block)
        codes.update(outcome.code for outcome in changes[0].outcomes)
    assert {"accepted", "mixed.odd", "contract-failed"} <= codes


def second_gateway(world: World) -> Author:
    actor = world.newcomer("g-2")
    proof = world.proof(actor.iss, actor.sub, actor.secret)
    members = [{"sub": actor.sub, "proof": proof, "roles": ["gateway"]}]
    world.step([world.call(world.operator, "registry", "enrol", {"members": members})])
    return Author(actor)


def as_verified(world: World, block: Block) -> Block:
    """The block as the executor gets it: each record with the key that its signature was checked against."""

    def one(item: object) -> Verified:
        assert isinstance(item, Record)
        return Verified(item, world.actors[f"{item.iss}/{item.sub}"].secret.public.cose_key())

    vertices = [v._replace(records=[one(item) for item in v.records]) for v in block.vertices]
    return block._replace(vertices=vertices)


@pytest.mark.parametrize("seed", range(10))
def test_gathering_over_a_block_equals_running_each_reading_at_once(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    world, rng = world_with_devices(), random.Random(100 + seed)
    authors = [world.author, second_gateway(world)]
    memory = Memory()
    gather, short_way = Work.gather, pipeline._take_plain

    def at_once(work: Work, contract: str, item: Gathered) -> None:
        gather(work, contract, item)
        pipeline._run_gathered(work)

    ran: list[int] = []
    for _ in range(4):
        vertices = [
            world.vertex(random_records(world, rng, rng.randint(1, 12)), rng.choice(authors))
            for _ in range(5)
        ]
        block = as_verified(world, world.block(*vertices))
        changes: list[Change] = []
        for way in (short_way, lambda *_: False):
            for how in (gather, at_once):
                monkeypatch.setattr(pipeline, "_take_plain", way)
                monkeypatch.setattr(Work, "gather", how)
                changes.append(apply(world.view, block, memory))
                changes.append(apply(world.view, block))
        assert all(change == changes[0] for change in changes)
        world.view.install(changes[0])
        world.blocks.append(block)
        ran += [outcome.steps for outcome in changes[0].outcomes]
    assert any(ran)
