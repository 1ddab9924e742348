"""Who is there in the tests of trading: three homes of one quarter, and the market they trade in."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import pytest

from drystone.apps.trading import scenario

if TYPE_CHECKING:
    from drystone.workshop.actors import Device
    from drystone.workshop.chain import Chain

SELLER: Final = "ewz/home-1"
BUYER: Final = "ewz/home-2"
THIRD: Final = "ewz/home-3"
PRICE: Final = 14_500


class Market:
    """A chain with the contract, three homes, and the words that its tests use; slots count from the first to come."""

    def __init__(self, chain: Chain, device: Callable[..., Device]) -> None:
        self.chain = chain
        chain.deploy()
        names = ["home-1", "home-2", "home-3"]
        self.meters = {f"ewz/{name}": device("prosumer", name) for name in names}
        self.households = {f"ewz/{name}": chain.member(f"family-{name[-1]}") for name in names}
        homes = {name: f"family-{name[-1]}" for name in names}
        for call in scenario.setup_calls(organisation="ewz", homes=homes):
            chain.call(chain.org(), f"trading.{call.function}", **call.args)
        self.first = chain.clock.ms // scenario.SLOT_MS + 1

    def to_slot(self, slot: int) -> None:
        """Let time pass until a slot, counted from the first, has begun."""
        self.chain.clock.set((self.first + slot) * scenario.SLOT_MS + 1_000)

    def act(self, who: str, function: str, **args: Any) -> Any:
        """Let a home's meter call the contract."""
        return self.chain.call(self.meters[who], f"trading.{function}", **args)

    def offer(self, quantity: int, *, by: str = SELLER, slot: int = 0, **more: Any) -> Any:
        """Offer surplus."""
        args = {"meter": by, "slot": self.first + slot, "quantity": quantity}
        return self.act(by, "offer", **{**args, "price": PRICE, "until_ms": 0, **more})

    def take(self, quantity: int, *, by: str = BUYER, of: str = SELLER, **more: Any) -> Any:
        """Take surplus."""
        slot = self.first + more.pop("slot", 0)
        args = {"meter": by, "seller": of, "slot": slot, "quantity": quantity}
        return self.act(by, "take", **{**args, "least": 1, "price_max": PRICE, **more})

    def read(
        self, who: str, given: int, drawn: int, *, slot: int = 0, seq: int | None = None
    ) -> Any:
        """Let a meter say what went through in a slot, once the slot has begun."""
        if self.chain.clock.ms < (self.first + slot) * scenario.SLOT_MS:
            self.to_slot(slot)
        said = scenario.measurements([scenario.Slot(self.first + slot, given, drawn)])
        return self.chain.reading(self.meters[who], said, seq=seq)

    def settle(self, *, of: str = SELLER, slot: int = 0, by: str = BUYER) -> Any:
        """Ask for a settlement."""
        return self.act(by, "settle", seller=of, slot=self.first + slot)

    def row(self, *, of: str = SELLER, slot: int = 0) -> Any:
        """Return what is kept of an offer."""
        return self.chain.state("trading", f"offer/{of}/{self.first + slot}")

    def home(self, who: str) -> Any:
        """Return what is kept of a home."""
        return self.chain.state("trading", f"home/{who}")

    def needed(self, who: str, *, slot: int = 0) -> Any:
        """Return what is kept of a home's slot."""
        return self.chain.state("trading", self.meters[who])["slots"].get(str(self.first + slot))

    @property
    def balances(self) -> list[int]:
        """Balances of the three homes."""
        return [self.home(who)["balance"] for who in (SELLER, BUYER, THIRD)]


@pytest.fixture
def market(chain: Chain, device: Callable[..., Device]) -> Market:
    """Return a market with three homes and no offer."""
    return Market(chain, device)
