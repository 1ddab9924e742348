"""Who acts in a contract's tests: organisations with their operators, members, gateways, and devices with a profile.

Lives here: the nouns, thin and typed; `chain.py` moves them. Each has a real key of the test's seed.
"""

from dataclasses import dataclass, field
from typing import TypeAlias

from drystone.sim.world import Actor, Author

MeasuredUnit: TypeAlias = "str | None"


@dataclass(slots=True, eq=False, repr=False)
class Organisation:
    """An organisation on the ledger; whatever takes an actor takes it too and means its operator."""

    name: str
    operator: Actor
    gateways: dict[str, Author] = field(default_factory=dict[str, Author])

    def __repr__(self) -> str:
        return f"<organisation {self.name}>"

    @property
    def iss(self) -> str:
        """Its alias on the ledger, as `ctx["iss"]` shows it."""
        return self.name


@dataclass(slots=True, eq=False, repr=False)
class Device:
    """A device: who signs for it, its profile's measurements, the gateway that seals its records.

    `attested` is its name when it signs nothing itself and the gateway `actor` does.
    """

    actor: Actor
    profile: str
    measurements: dict[str, MeasuredUnit]
    gateway: Author
    attested: str | None = None
    epoch: int = 0
    seq: int = 0

    def __repr__(self) -> str:
        return f"<device {self.path.removeprefix('device/')}>"

    @property
    def iss(self) -> str:
        """Its organisation, as `ctx["iss"]` shows it."""
        return self.actor.iss

    @property
    def sub(self) -> str:
        """Its name, as `ctx["sub"]` shows it."""
        return self.attested or self.actor.sub

    @property
    def path(self) -> str:
        """Where a contract keeps the device's value."""
        own = f"device/{self.actor.iss}/{self.actor.sub}"
        return own if self.attested is None else f"{own}/{self.attested}"


Sender: TypeAlias = "Actor | Organisation | Device"


def actor_of(sender: Sender) -> Actor:
    """Return who signs for `sender`."""
    if isinstance(sender, Organisation):
        return sender.operator
    return sender.actor if isinstance(sender, Device) else sender
