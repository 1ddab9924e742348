"""Many readings in one crossing, or one by one: equal outcomes, events, steps and state root, whatever fails between."""

import random

import pytest

from drystone.contracts import runtime
from drystone.formats import senml
from drystone.ledger.apply import apply
from drystone.ledger.change import Change
from drystone.sim.world import World

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
        for at_once in (256, 1, 7):
            monkeypatch.setattr(runtime, "READINGS_CROSSING_MAX", at_once)
            changes.append(apply(world.view, block))
        assert changes[0] == changes[1] == changes[2]
        world.take(block)
        codes.update(outcome.code for outcome in changes[0].outcomes)
    assert {"accepted", "mixed.odd", "contract-failed"} <= codes
