"""The homes of `drystone demo village`: two behind each gateway, one with a roof, who trade slot by slot.

Lives here: what the homes sign and send, over HTTP to their own gateway only, and the accounts kept apart from the
contract, with which the ledger's are compared at the end.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Final, Literal, NamedTuple

from drystone.apps.trading import scenario
from drystone.apps.trading.scenario import Books, Call, Slot, Take
from drystone.cli.demo_contract import Device
from drystone.client.rest import Client
from drystone.gateway.answer import Answer

CONTRACT: Final = scenario.CONTRACT
ORGANISATION: Final = "village"
MORNING_SLOT: Final = 36
"""The demo's day begins at nine."""
LOT_WH: Final = 400
"""What one slot's offer and take are about, and ..."""
SMALLEST_WH: Final = 100
"""... the surplus below which nobody offers."""
TAKE_WH: Final = 300
LAST_WH: Final = 500
"""A surplus that is taken whole, or not at all."""
LAST_SLOT: Final = 9_600
"""The slot of that surplus, counted from the first, in a hundred days: nobody's meter gets there."""
CLEARED_AFTER: Final = 12
"""Slots with a trade that are kept before they are cleared away."""


class Home(NamedTuple):
    """One home: who signs for it, and what its connection gives and draws."""

    device: Device
    slots: Iterator[Slot]

    @property
    def address(self) -> str:
        """Its meter, as the contract names it."""
        return self.device.address

    def call(self, call: Call) -> bytes:
        """Sign a call."""
        return self.device.call(call.contract, call.function, call.args)

    def said(self, slot: Slot) -> bytes:
        """Sign what the meter says of a slot."""
        return self.device.reading(scenario.measurements([slot]))


class Trade(NamedTuple):
    """What two neighbours agreed on for a slot, and what their meters said of it."""

    slot: int
    given: int
    drawn: int
    quantity: int


class Quarter:
    """The two homes behind one gateway; only this gateway hears them."""

    def __init__(self, name: str, *, roof: Home, other: Home, first: int) -> None:
        """`name` is the gateway's; the roof sells, the other buys, from the slot `first` on."""
        self.name = name
        self.first = self.next = first
        self.roof, self.other = roof, other
        self.trades: list[Trade] = []
        self.sent = 0
        """Records sent."""
        self.refused: list[str] = []
        """Codes with which the gateway itself refused any."""

    def live(self) -> list[bytes]:
        """Let one slot pass: offer, take, both meters, settlement; give the records in order."""
        given, drawn = next(self.roof.slots), next(self.other.slots)
        self.next = given.number + 1
        slot, seller, buyer = given.number, self.roof.address, self.other.address
        if given.given < SMALLEST_WH:
            return [self.roof.said(given), self.other.said(drawn)]
        offer = scenario.offer_call(meter=seller, slot=slot, quantity=LOT_WH, price=scenario.PRICE)
        take = scenario.take_call(
            meter=buyer, seller=seller, slot=slot, quantity=TAKE_WH, price_max=scenario.PRICE
        )
        settle = scenario.settle_call(seller=seller, slot=slot)
        self.trades.append(Trade(slot, given.given, drawn.drawn, TAKE_WH))
        # Signed in this order: a stream's numbers rise in the order in which things happen.
        records = [self.roof.call(offer), self.other.call(take)]
        records += [self.roof.said(given), self.other.said(drawn)]
        return [*records, self.other.call(settle), *self._clear(seller)]

    def _clear(self, seller: str) -> list[bytes]:
        """Clear away what was settled a while ago, so that nobody's open slots become too many."""
        if len(self.trades) <= CLEARED_AFTER:
            return []
        old = scenario.close_call(seller=seller, slot=self.trades[-CLEARED_AFTER - 1].slot)
        return [self.other.call(old)]

    def ends_s(self) -> int:
        """Give the Unix time at which the next slot ends."""
        return (self.next + 1) * scenario.SLOT_MS // 1_000

    def offer_last(self, slot: int) -> bytes:
        """Let the roof offer a surplus that only one neighbour can have."""
        offer = scenario.offer_call(
            meter=self.roof.address, slot=slot, quantity=LAST_WH, price=scenario.PRICE
        )
        return self.roof.call(offer)

    def take_last(self, seller: Home, slot: int) -> bytes:
        """Let the other home take all of it, or nothing."""
        take = scenario.take_call(
            meter=self.other.address,
            seller=seller.address,
            slot=slot,
            quantity=LAST_WH,
            least=LAST_WH,
            price_max=scenario.PRICE,
        )
        return self.other.call(take)

    def send(self, gateway: Client, records: Sequence[bytes]) -> list[Answer]:
        """Hand records to the gateway: they are stored durably when this returns."""
        answers = gateway.deliver(records)
        self.sent += len(records)
        self.refused += [one.code for one in answers if one.code != "stored"]
        return answers

    def ask(self, gateway: Client, record: bytes) -> str:
        """Hand a record to the gateway and wait for the outcome that it foresees."""
        (answer,) = gateway.deliver([record], wait="provisional")
        self.sent += 1
        return answer.outcome or answer.code

    @property
    def homes(self) -> tuple[str, str]:
        """Both homes' meters."""
        return self.roof.address, self.other.address

    def settle(self, books: Books) -> None:
        """Enter all trades into accounts kept apart from the contract."""
        for slot, given, drawn, quantity in self.trades:
            books.settle(
                seller=self.roof.address,
                slot=slot,
                given=given,
                takes=[Take(self.other.address, quantity, scenario.PRICE)],
                drawn={self.other.address: drawn},
            )


def homes_of(gateway: str) -> tuple[str, str]:
    """Name the two homes of a gateway: the one with the roof first."""
    return f"{gateway}-1", f"{gateway}-2"


def build_quarters(
    devices: Mapping[str, Device], gateways: Sequence[str], *, seed: int, first: int
) -> list[Quarter]:
    """Build the quarters from the homes' devices; their slots begin at `first`."""
    quarters: list[Quarter] = []
    for number, gateway in enumerate(gateways):
        homes = [
            Home(
                devices[name],
                scenario.slots(
                    seed=seed,
                    number=2 * number + place,
                    producer=place == 0,
                    first=first,
                    days_before=days_since_june(first),
                ),
            )
            for place, name in enumerate(homes_of(gateway))
        ]
        quarters.append(Quarter(gateway, roof=homes[0], other=homes[1], first=first))
    return quarters


def first_slot(now_s: int) -> int:
    """Give the slot at nine o'clock (UTC) yesterday: all of the demo's day has passed already."""
    day = now_s // 86_400 - 1
    return day * 86_400_000 // scenario.SLOT_MS + MORNING_SLOT


def days_since_june(slot: int) -> int:
    """Count the days from a day in June to a slot: the demo's sun is always a summer's."""
    day = datetime.fromtimestamp(slot * scenario.SLOT_MS // 1_000, UTC).date()
    june = date(day.year - (day.month < 7), 6, 21)
    return (day - june).days


def balances(node: Client, *, view: Literal["final", "provisional"] = "final") -> dict[str, int]:
    """Return every home's balance as a process keeps or foresees it, by meter."""
    found = node.rows(f"/v1/contracts/{CONTRACT}/state", {"path": "home", "view": view})
    return {row["path"].removeprefix("home/"): json.loads(row["value"])["balance"] for row in found}
