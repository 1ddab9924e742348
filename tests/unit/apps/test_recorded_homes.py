"""The recorded week of 537 homes under the metering contract, where `DRYSTONE_DATA` names the folder that has it.

Every reading is kept, the odd ones are flagged, and each bill is what the table itself comes to, to the coin.
"""

import csv
import os
from decimal import Decimal
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

from drystone.apps.metering import scenario
from drystone.apps.metering.scenario import Installation
from drystone.importer.mapping import read_mapping
from drystone.importer.rows import Pack, read_table
from drystone.workshop.chain import Chain

FILE = "swiss_537homes_15min_w44.csv"
FOLDER = Path(os.environ.get("DRYSTONE_DATA", ""))
HOMES_PER_VERTEX = 60
OFFSET_MIN = 60
"""The recordings' hours are Swiss winter time."""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not os.environ.get("DRYSTONE_DATA") or not (FOLDER / FILE).is_file(),
        reason=f"DRYSTONE_DATA names no folder with {FILE}",
    ),
]


def packs_of(homes: int) -> list[list[Pack]]:
    """Return each home's seven packs, a day each."""
    mapping = read_mapping(resources.files("drystone.sim").joinpath("swiss.toml").read_text())
    found: dict[str, list[Pack]] = {}
    with (FOLDER / FILE).open(encoding="utf-8", newline="") as file:
        for pack in read_table(file, mapping):
            assert isinstance(pack, Pack), pack
            found.setdefault(pack.device, []).append(pack)
    return list(found.values())[:homes]


def truth(homes: int) -> tuple[dict[str, int], dict[str, bool]]:
    """Return each home's exact cost, and whether it has a negative cell, from the table alone."""
    tariff = scenario.TARIFFS["electricity"]
    costs: dict[str, int] = {}
    negative: dict[str, bool] = {}
    with (FOLDER / FILE).open(encoding="utf-8", newline="") as file:
        for number, row in enumerate(csv.DictReader(file)):
            if number == homes:
                break
            cells = [int(Decimal(row[f"V{n:03d}"]).scaleb(9)) for n in range(1, 673)]
            name = f"home-{row['VID']}"
            costs[name] = sum(
                cell * tariff.price(index // 4 % 24) for index, cell in enumerate(cells)
            )
            negative[name] = min(cells) < 0
    return costs, negative


@pytest.mark.parametrize("homes", [537])
def test_week_of_all_homes_is_billed_as_the_table_says_s2_9(chain: Chain, homes: int) -> None:
    chain.deploy("metering")
    packs = packs_of(homes)
    names = [each[0].device for each in packs]
    assert len(names) == homes
    org = chain.org()
    devices = enrolled(chain, names)
    installed = [Installation(name, "interval", name) for name in names]
    setup = scenario.setup_calls(
        organisation="ewz", gateway="g-1", installed=installed, utc_offset_min=OFFSET_MIN
    )
    for call in setup:
        chain.call(org, f"{call.contract}.{call.function}", **call.args)
    for day in range(7):
        for start in range(0, homes, HOMES_PER_VERTEX):
            some = range(start, min(start + HOMES_PER_VERTEX, homes))
            batch = [(devices[n], list(packs[n][day].measurements)) for n in some]
            outcomes = chain.batch(batch)
            assert {outcome.code for outcome in outcomes} == {"accepted"}
    for call in scenario.bill_calls(organisation="ewz", households=names):
        chain.call(org, f"{call.contract}.{call.function}", **call.args)
    costs, negative = truth(homes)
    coin = scenario.coin("interval")
    bills = {name: chain.state("metering", f"bill/ewz/{name}/000001")["coins"] for name in names}
    assert bills == {name: cost // coin for name, cost in costs.items()}
    assert chain.state("metering", "payout/ewz")["coins"] == sum(bills.values())
    flagged = {
        data["meter"] for data in chain.events_of("metering.flag") if data["flag"] == "negative"
    }
    assert flagged == {f"ewz/{name}" for name, found in negative.items() if found}
    still = {data["meter"] for data in chain.events_of("metering.flag") if data["flag"] == "stuck"}
    assert len(still) >= 8, "homes that never change"


def enrolled(chain: Chain, names: list[str]) -> list[Any]:
    """Enrol all homes in a few blocks."""
    return [chain.device("interval", name) for name in names]
