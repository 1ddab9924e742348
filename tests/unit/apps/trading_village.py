"""A village for tests of trading: three homes behind two gateways, on a chain with the contract; what they sign."""

from pathlib import Path
from typing import Any, Final

import drystone.apps.trading
from drystone.apps.trading import scenario
from drystone.sim.world import Author
from drystone.workshop.actors import Device
from drystone.workshop.chain import Chain

HOMES: Final = ("ewz/home-1", "ewz/home-2", "ewz/home-3")
"""The first two behind one gateway, the third behind another."""

PRICE: Final = 14_500


class Village:
    """Three homes on a chain, and a snapshot of the moment before anything happens."""

    def __init__(self) -> None:
        self.chain = Chain(near=Path(drystone.apps.trading.__file__).parent)
        self.chain.deploy()
        gateways = [self.chain.gateway(f"g-{number}") for number in (1, 2)]
        self.gateways: dict[str, Author] = dict(zip(HOMES, [gateways[0], *gateways], strict=True))
        self.homes: dict[str, Device] = {
            home: self.chain.device("prosumer", home[4:], gateway=self.gateways[home])
            for home in HOMES
        }
        names = {home[4:]: "family" for home in HOMES}
        self.chain.member("family")
        limits = {"settled_h": 1, "keep_h": 1_440, "debt_max": 800 * PRICE}
        for call in scenario.setup_calls(organisation="ewz", homes=names, settings=limits):
            self.chain.call(self.chain.org(), f"trading.{call.function}", **call.args)
        self.first = self.chain.clock.ms // scenario.SLOT_MS + 1
        self.empty = self.chain.snapshot()

    def sign(self, home: str, function: str, **args: Any) -> bytes:
        """Return a signed call of a home."""
        return self.chain.sign_call(self.homes[home], f"trading.{function}", **args)

    def said(self, home: str, slot: int, given: int, drawn: int) -> bytes:
        """Return a meter's signed reading."""
        slots = [scenario.Slot(self.first + slot, given, drawn)]
        return self.chain.sign_reading(self.homes[home], scenario.measurements(slots))

    def ordered(self, *vertices: tuple[str, list[bytes]]) -> list[list[str]]:
        """Put vertices in this order, each by the gateway of a home; return their outcomes' codes."""
        codes: list[list[str]] = []
        for home, records in vertices:
            done = self.chain.batch(records, gateway=self.gateways[home])
            codes.append([outcome.code for outcome in done])
        return codes

    def state(self) -> dict[str, Any]:
        """Return everything that the contract keeps."""
        return self.chain.states("trading")
