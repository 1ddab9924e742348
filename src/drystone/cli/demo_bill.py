"""What the demos bill: the contract `metering` made ready for a street or a town, and bills whose sums agree.

Everything goes through `drystone contract call` and the REST API, as an operator would do it. The sums are made again
here, apart from the contract, from what it keeps.
"""

import json
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any, Final

from rich.table import Table

from drystone.apps.metering import scenario
from drystone.apps.metering.scenario import Call, Installation
from drystone.cli.demo_contract import kept
from drystone.cli.demo_stage import Stage
from drystone.client.rest import Client

CONTRACT: Final = scenario.CONTRACT


def prepare(stage: Stage, *, organisation: str, installed: Sequence[Installation]) -> bool:
    """Set tariff, server and groups, and put the meters into service; say whether every call was accepted."""
    tariffs = {"electricity": scenario.TARIFFS["electricity"]}
    calls = scenario.setup_calls(
        organisation=organisation, gateway="gw-1", installed=installed, tariffs=tariffs
    )
    failed = _call_all(stage, calls)
    return stage.note(
        f"drystone contract call: {len(installed)} meters in service, prices by the hour",
        held=not failed,
        detail=failed,
    )


def show_bill(
    stage: Stage, node: Client, *, organisation: str, households: Sequence[str], chosen: str
) -> None:
    """Bill all households, check that bills and payout are the same sum, and print one household's bill."""
    failed = _call_all(stage, scenario.bill_calls(organisation=organisation, households=households))
    bills = kept(node, CONTRACT, f"bill/{organisation}")
    payout = kept(node, CONTRACT, f"payout/{organisation}")
    billed = sum(bill["coins"] for bill in bills.values())
    owed = sum(one["coins"] for one in payout.values())
    stage.note(
        f"drystone contract call metering.bill: {len(bills)} bills, {money(billed)} in all,"
        f" to the supplier {money(owed)}",
        held=not failed and len(bills) == len(households) and billed == owed,
        detail=failed,
    )
    bill = next((bill for path, bill in sorted(bills.items()) if f"/{chosen}/" in f"{path}/"), None)
    if bill is None:
        stage.note(f"no bill of {chosen}", held=False)
        return
    exact = sum(line["coins"] * _coin(line) + line["carried"] for line in bill["lines"])
    again = sum(_exact(line) for line in bill["lines"])
    held = exact == again and bill["coins"] == sum(line["coins"] for line in bill["lines"])
    stage.note(f"the bill of {organisation}/{chosen}, made again from its lines", held=held)
    stage.console.print(draw(f"{organisation}/{chosen}", bill))


def draw(household: str, bill: dict[str, Any]) -> Table:
    """Draw one bill: a line per meter and price, and what it comes to."""
    table = Table(title=f"Bill of {household}", title_justify="left", pad_edge=False, box=None)
    table.add_column("meter", no_wrap=True)
    for name in ("price/kWh", "kWh", "CHF"):
        table.add_column(name, justify="right", no_wrap=True)
    for line in bill["lines"]:
        digits = scenario.EXPONENTS[line["kind"]]
        for sign, side in ((1, "use"), (-1, "fed")):
            for price, quantity in sorted(line[side].items(), key=lambda item: int(item[0])):
                name = line["meter"] if sign > 0 else f"{line['meter']} fed in"
                cost = Decimal(sign * int(price) * quantity).scaleb(
                    digits - scenario.PRICE_DECIMALS
                )
                amount = Decimal(quantity).scaleb(digits)
                table.add_row(name, str(Decimal(price).scaleb(-5)), f"{amount:.3f}", f"{cost:.5f}")
    table.add_row("[bold]to pay[/bold]", "", "", f"[bold]{money(bill['coins'])}[/bold]")
    return table


def money(coins: int) -> str:
    """Write an amount in the smallest coin as francs."""
    return f"{Decimal(coins).scaleb(-2):,.2f}"


def _coin(line: dict[str, Any]) -> int:
    return scenario.coin(line["kind"])


def _exact(line: dict[str, Any]) -> int:
    used = sum(int(price) * quantity for price, quantity in line["use"].items())
    return used - sum(int(price) * quantity for price, quantity in line["fed"].items())


def _call_all(stage: Stage, calls: Iterable[Call]) -> str:
    """Make calls one after another; return what the first that failed said."""
    for call in calls:
        arguments = [f"{name}={_spelled(value)}" for name, value in call.args.items()]
        done = stage.run("contract", "call", f"{call.contract}.{call.function}", *arguments)
        if done.code:
            return f"{call.function}: {done.stderr or done.stdout}"
    return ""


def _spelled(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)
