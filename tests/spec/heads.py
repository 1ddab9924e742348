"""A scripted ledger whose heads are printed: run under another interpreter, hash seed or cache, they must be the same.

Usage: python heads.py [cold] [lists]. `cold` forgets everything before each block, `lists` does without numpy.
"""

import hashlib
import json
import sys

from drystone.formats import cose
from drystone.ledger.apply import Memory
from drystone.sim.world import Actor, World
from drystone.trees.state import StateTree

CONTRACT = """
def on_reading(ctx, old, record):
    value = record[0]["value"]
    count = old["count"] if old != None else 0
    if value % 13 == 7:
        return "unlucky"
    return ({"value": value, "count": count + 1}, [("seen", {"n": count})] if count % 3 == 0 else [])

def note(ctx, text):
    put("notes/" + ctx["sub"], text)
    emit("note", {"all": [path for path, value in scan("notes", 10)]})
"""
MANIFEST = {
    "name": "counted",
    "version": 1,
    "reading": {"function": "on_reading"},
    "calls": {"note": {"args": {"text": "text"}}},
}
ROUNDS = 12


def heads(*, cold: bool, lists: bool) -> list[str]:
    """Return the head after each block of the script."""
    world = World.begin("everywhere", ("ewz", "bkw"))
    if lists:
        tree = StateTree(arrays=False)
        tree.install(tree.plan(dict(world.view.scan(b""))))
        world.view.tree = tree
    found: list[str] = []

    def step(records: list[bytes]) -> None:
        if cold:
            world.memory = Memory()
        found.append(world.step(records).head.hex())

    operator = world.operator
    step([world.call(operator, "contracts", "submit", {"manifest": MANIFEST, "source": CONTRACT})])
    step([world.call(operator, "contracts", "deploy", {"name": "counted", "version": 1})])
    devices = world.enrolled(*[f"m-{n}" for n in range(70)])
    step([world.call(operator, "registry", "profile", {
        "name": "counted", "rule": "counted", "measurements": [{"name": "e", "unit": "Wh"}],
        "register": {"name": "e", "exponent": 0},
    })])  # fmt: skip
    devices += world.enrolled(*[f"c-{n}" for n in range(70)], profile="counted")
    devices += world.enrolled("p256", alg=cose.ALG_ES256)
    for number in range(ROUNDS):
        step(_round(world, devices, number))
    return found


def _round(world: World, devices: list[Actor], number: int) -> list[bytes]:
    records: list[bytes] = []
    for index, device in enumerate(devices):
        chance = hashlib.sha256(f"{number}/{index}".encode()).digest()
        if chance[0] < 40:
            device.seq += 1 + chance[1] % 3
        if chance[0] < 220:
            records.append(world.reading(device, 1_000 * number + chance[2]))
        if chance[0] > 240 and records:
            records.append(records[chance[3] % len(records)])
    text = {"text": f"round {number}"}
    return [*records, world.call(world.operator, "counted", "note", text)]


if __name__ == "__main__":
    print(json.dumps(heads(cold="cold" in sys.argv, lists="lists" in sys.argv)))
