"""The usual reading of a counter has a way of its own: it gives what the long way gives, whatever comes before it."""

import random
from pathlib import Path
from typing import Any

import pytest

from drystone.apps.metering import scenario
from drystone.apps.metering.town import home_group, installed
from drystone.formats.senml import Measurement
from drystone.ledger.change import Outcome
from drystone.workshop.actors import Device
from drystone.workshop.chain import Chain

FOLDER = Path(__file__).parent
KINDS = [("electricity", "import", "Wh"), ("water", "volume", "m3"), ("heat", "heat", "kWh")]
USUAL = "if len(record) == 1 and take_usual("


def town_of(source: str) -> Chain:
    town = Chain(seed="usual", near=FOLDER)
    town.deploy(FOLDER, source=source)
    for call in scenario.setup_calls(organisation="ewz", gateway="g-1", installed=[]):
        town.call(town.org(), f"{call.contract}.{call.function}", **call.args)
    home_group(town, "north", "ewz/g-1")
    return town


def meters_of(town: Chain, **more: int) -> list[Device]:
    def device(kind: str, sub: str) -> Device:
        return town.device(kind, sub, gateway="g-1")

    return [installed(town, device, kind, f"m-{kind}", **more) for kind, _, _ in KINDS]


def told(outcome: Outcome) -> tuple[Any, ...]:
    """Return an outcome without its steps."""
    return (outcome.code, outcome.events)


@pytest.mark.parametrize("seed", range(4))
def test_usual_way_gives_what_the_long_way_gives(seed: int) -> None:
    source = FOLDER.joinpath("contract.star").read_text()
    assert USUAL in source
    towns = [town_of(text) for text in (source, source.replace(USUAL, "if False and take_usual("))]
    start = {"start": 500_000} if seed % 2 else {}
    meters = [meters_of(town, **start) for town in towns]
    rng = random.Random(seed)
    values = [500_000, 500_000, 500_000]
    codes: set[str] = set()
    steps: set[tuple[int, ...]] = set()
    for _ in range(120):
        at = rng.randrange(3)
        if rng.random() < 0.3:
            # What was flagged goes the long way until somebody has looked at it.
            for town in towns:
                meter = f"ewz/m-{KINDS[at][0]}"
                town.batch([town.sign_call(town.org(), "metering.clear", meter=meter, why="seen")])
        kind, name, unit = KINDS[at]
        seconds = rng.choice([1, 900, 900, 900, 3_600, 90_000])
        claimed = rng.choice(["now"] * 8 + ["none", "ahead", "back"])
        values[at] += rng.choice([0, 1, 100, 1_000, 1_000, 1_000, 1_000, 1_000, -50, 10**6])
        value: Any = (-3, values[at] * 10) if rng.random() < 0.05 else values[at]
        if kind == "water":
            value = (-3, values[at])
        results: list[tuple[Any, ...]] = []
        spent: list[int] = []
        for town, devices in zip(towns, meters, strict=True):
            town.clock.tick(seconds)
            now = town.clock.ms // 1_000
            moment = {"now": now, "none": None, "ahead": now + 5_000, "back": now - 50_000}[claimed]
            raw = town.sign_reading(devices[at], [Measurement(name, unit, value, moment)])
            (outcome,) = town.batch([raw])
            state = town.state("metering", devices[at])
            results.append((*told(outcome), state))
            spent.append(outcome.steps)
            codes.add(outcome.code)
        assert results[0] == results[1]
        values[at] = max(values[at], 0)
        steps.add(tuple(spent))
    assert "accepted" in codes
    assert any(usual < long for usual, long in steps), "the usual way was gone"
    assert any(usual > long for usual, long in steps), "and the long one"
