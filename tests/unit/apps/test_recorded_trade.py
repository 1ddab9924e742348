"""Seventeen recorded homes trade their recorded surplus, where `DRYSTONE_DATA` names the folder that has them.

Every home's hour, load and roof as recorded; what each comes to owe is worked out apart from the contract.
"""

import csv
import os
from collections import defaultdict
from pathlib import Path

import pytest

import drystone.apps.trading
from drystone.apps.trading import scenario
from drystone.apps.trading.scenario import Books, Slot, Take
from drystone.workshop.actors import Device
from drystone.workshop.chain import Chain

FILE = "citylearn2022_17homes_hourly.csv"
FOLDER = Path(os.environ.get("DRYSTONE_DATA", ""))
HOUR_MS = 3_600_000
HOURS = 14 * 24
CLOSED_AFTER_HOURS = 26
LOT_WH = 600
PRICE = scenario.PRICE

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not os.environ.get("DRYSTONE_DATA") or not (FOLDER / FILE).is_file(),
        reason=f"DRYSTONE_DATA names no folder with {FILE}",
    ),
]


def recorded() -> dict[str, list[tuple[int, int]]]:
    """Return each home's hours as (given, drawn) in Wh: what is left of roof less load, cut to whole Wh."""
    found: dict[str, list[tuple[int, int]]] = defaultdict(list)
    with (FOLDER / FILE).open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            load_wh = round(float(row["non_shiftable_load_kwh"]) * 1_000)
            roof_wh = round(float(row["solar_generation_w_per_kw"]) * float(row["pv_nominal_kw"]))
            net = load_wh - roof_wh
            found[row["building_id"].lower().replace("_", "-")].append((max(0, -net), max(0, net)))
    return found


def test_recorded_homes_settle_to_the_books_and_to_zero_s1_8() -> None:
    """Each hour who has surplus offers it, who lacks takes lots in turn; readings, settlement, hour by hour.

    Two weeks; what is a day old and settled is cleared away.
    """
    homes = recorded()
    assert len(homes) == 17
    chain = Chain(near=Path(drystone.apps.trading.__file__).parent)
    chain.deploy()
    chain.member("family")
    meters: dict[str, Device] = {name: chain.device("prosumer", name) for name in homes}
    settings = {"slot_s": 3_600, "ahead_s": 7_200, "settled_h": 24, "debt_max": 10**15}
    joining = dict.fromkeys(homes, "family")
    for call in scenario.setup_calls(organisation="ewz", homes=joining, settings=settings):
        chain.call(chain.org(), f"trading.{call.function}", **call.args)
    first = chain.clock.ms // HOUR_MS + 1
    books = Books()
    offered: list[list[str]] = []
    for hour in range(HOURS):
        slot = first + hour
        chain.clock.set(slot * HOUR_MS + 1_000)
        given = {name: hours[hour][0] for name, hours in homes.items()}
        drawn = {f"ewz/{name}": hours[hour][1] for name, hours in homes.items()}
        sellers = [name for name in homes if given[name]]
        takes: dict[str, list[Take]] = {}
        records: list[bytes] = []
        for name in sellers:
            args = {"slot": slot, "quantity": given[name] + 50, "price": PRICE, "until_ms": 0}
            offer = {"meter": f"ewz/{name}", **args}
            records.append(chain.sign_call(meters[name], "trading.offer", **offer))
            takes[name] = []
            left = given[name] + 50
            for buyer in (one for one in homes if drawn[f"ewz/{one}"]):
                quantity = min(LOT_WH, left)
                if not quantity:
                    break
                left -= quantity
                takes[name].append(Take(f"ewz/{buyer}", quantity, PRICE))
                want = {"seller": f"ewz/{name}", "slot": slot, "quantity": LOT_WH, "least": 1}
                take = {"meter": f"ewz/{buyer}", **want, "price_max": PRICE}
                records.append(chain.sign_call(meters[buyer], "trading.take", **take))
        for name, meter in meters.items():
            said = Slot(slot, *homes[name][hour])
            pack = scenario.measurements([said], slot_ms=HOUR_MS)
            records.append(chain.sign_reading(meter, pack))
        for name in sellers:
            if takes[name]:
                settle = {"seller": f"ewz/{name}", "slot": slot}
                records.append(chain.sign_call(meters[name], "trading.settle", **settle))
                books.settle(
                    seller=f"ewz/{name}",
                    slot=slot,
                    given=given[name],
                    takes=takes[name],
                    drawn=drawn,
                )
        offered.append(sellers)
        if hour >= CLOSED_AFTER_HOURS:
            for name in offered[hour - CLOSED_AFTER_HOURS]:
                old = {"seller": f"ewz/{name}", "slot": slot - CLOSED_AFTER_HOURS}
                records.append(chain.sign_call(meters[name], "trading.close", **old))
        assert {outcome.code for outcome in chain.batch(records)} == {"accepted"}
    kept = chain.states("trading", "home")
    balances = {path.removeprefix("home/"): row["balance"] for path, row in kept.items()}
    assert balances == {f"ewz/{name}": books.balances[f"ewz/{name}"] for name in homes}
    assert sum(balances.values()) == 0
    assert books.delivered > 100_000
    assert len(chain.states("trading", "offer")) <= CLOSED_AFTER_HOURS * len(homes)
