"""Who is there in the tests of maintenance: a machine, the unit that runs it, and who serves it, elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import pytest

if TYPE_CHECKING:
    from drystone.sim.world import Actor
    from drystone.workshop.actors import Device, Organisation
    from drystone.workshop.chain import Chain

MACHINE: Final = "ewz/press-1"
UNIT: Final = "ewz/hall-3"
PROVIDER: Final = "bkw/service"
EQUIPMENT: Final = {"equipment_type": "press", "details": "40 t", "produced": "2019-05"}


def declared(**other: Any) -> dict[str, Any]:
    """Return the arguments that declare the machine, some of them replaced."""
    row: dict[str, Any] = {"machine": MACHINE, "unit": UNIT, "provider": PROVIDER}
    return row | {"equipment": EQUIPMENT} | other


def limited(channel: str, *, count: int, **other: Any) -> dict[str, Any]:
    """Return the arguments that let a channel of the machine count from 100 up."""
    row: dict[str, Any] = {"machine": MACHINE, "channel": channel, "lower": "", "upper": "100"}
    return row | {"count": count, "window_s": 0} | other


@pytest.fixture
def deployed(chain: Chain) -> Chain:
    """A chain with the contract."""
    chain.deploy()
    return chain


@pytest.fixture
def unit(deployed: Chain) -> Actor:
    """Whose the machine is."""
    return deployed.member("hall-3", roles=("unit",))


@pytest.fixture
def machine(chain: Chain, device: Callable[..., Device], unit: Actor) -> Device:
    """A machine that signs, declared with its unit and a provider of another organisation."""
    one = device("machine", "press-1")
    chain.call(unit, "maintenance.declare_machine", **declared())
    return one


@pytest.fixture
def provider(deployed: Chain) -> Actor:
    """Who serves the machine, in another organisation; two bearings in stock, 40 tokens each."""
    one = deployed.member("service", roles=("provider",), org="bkw")
    deployed.call(one, "maintenance.stock_part", part="bearing", stock=2, price=40)
    return one


@pytest.fixture
def asking(chain: Chain, unit: Actor, machine: Device) -> Device:
    """The machine, whose vibration asks for service, as order 1, with its second exceedance."""
    chain.call(unit, "maintenance.set_limits", **limited("vibration", count=1))
    for _ in range(2):
        chain.reading(machine, {"vibration": 101})
    return machine


@pytest.fixture
def paying(chain: Chain, unit: Actor, provider: Actor, org: Organisation, machine: Device) -> None:
    """Parts are paid with tokens; the unit has 100 and lets the contract move as many."""
    assert (provider.sub, machine.sub) == ("service", "press-1")
    contract = chain.deploy("token").name
    chain.call(org, "token.create", name="Service", symbol="SRV", decimals=0)
    chain.call(org, "token.mint", receiver=UNIT, amount=100)
    chain.call(unit, "token.allow", contract="maintenance", amount=100)
    chain.call(org, "maintenance.configure", token=contract)
