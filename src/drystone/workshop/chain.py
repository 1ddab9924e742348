"""A whole ledger in a test, driven by plain words: the fixture `chain`, its `Clock`, its `Expected`.

Lives here: who is there, contracts, calls and readings. What a word sends is a signed record in a gateway's
vertex, one block each, through the real pipeline (`ground.py`). What the ledger refuses is an `AssertionError`
here, unless the test said so with `chain.refused(code)`. May not: reach into the state to change it.

Place in a contract's life: its tests.
"""

import json
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias, cast

from drystone.formats import senml
from drystone.formats.senml import Measurement
from drystone.ledger import keyspace, rows
from drystone.ledger.change import Outcome
from drystone.records.record import check_form
from drystone.sim.world import Actor, Author, World
from drystone.workshop.actors import Device, Organisation, Sender, actor_of
from drystone.workshop.folder import SOURCE, ContractFolder, find_folder, read_folder
from drystone.workshop.ground import Ground, LedgerRefused
from drystone.workshop.journal import Changed, plain, tell

FIRST: Final = "ewz"
"""The organisation that a chain begins with."""

Value: TypeAlias = "int | str | bool | Decimal | tuple[int, int]"
Values: TypeAlias = "Value | Mapping[str, Value] | Sequence[Measurement]"
Moment: TypeAlias = "int | Literal['now'] | None"


class Clock:
    """The time of blocks. Each block is a second after the one before; `tick` lets more time pass."""

    def __init__(self, world: World) -> None:
        self._world = world

    @property
    def ms(self) -> int:
        """Time of the next block, in Unix milliseconds."""
        return self._world.time_ms(self._world.view.height + 1)

    def tick(self, seconds: int) -> None:
        """Let time pass before the next block."""
        self._world.offset_ms += seconds * 1000

    def set(self, ms: int) -> None:
        """Let the next block happen at this time; may lie before the last one, as a wrong clock's does."""
        self._world.offset_ms += ms - self.ms


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What `chain.refused` found, once its block has ended."""

    found: list[LedgerRefused]

    @property
    def outcome(self) -> Outcome:
        """The refusal's outcome."""
        return self.found[0].outcome


class Chain(Ground):
    """One ledger with organisations, gateways, devices and contracts; `near` is the folder of the test's file."""

    def __init__(self, *, seed: str = "drystone", near: Path | None = None) -> None:
        super().__init__(seed=seed, first=FIRST)
        self.clock = Clock(self.world)
        self._near = near
        self._profiles: dict[str, dict[str, Any]] = {}
        self._devices = 0

    def __repr__(self) -> str:
        return f"<chain at block {self.world.view.height}>"

    # --- who is there ------------------------------------------------------------------------------

    def org(self, name: str | Organisation = FIRST) -> Organisation:
        """Return an organisation; one that is new is admitted by the votes of those who are there."""
        if isinstance(name, Organisation):
            return name
        found = self.organisations.get(name)
        if found is None:
            operator = self.world.newcomer("ops", iss=name)
            proof = self.world.proof(name, "ops", operator.secret)
            details = {"organisation": name, "name": name.upper(), "sub": "ops", "proof": proof}
            self.vote("admit", **details)
            found = self.organisations[name] = Organisation(name, operator)
        return found

    def member(
        self, sub: str, *, roles: Sequence[str] = ("device",), org: str | Organisation = FIRST
    ) -> Actor:
        """Enrol somebody with these roles and no profile: a household, an engineer, a server."""
        return self._enrol(self.org(org), sub, roles=sorted(roles))

    def gateway(self, sub: str = "g-1", *, org: str | Organisation = FIRST) -> Author:
        """Return a gateway of an organisation, enrolled if it is new."""
        home = self.org(org)
        if sub not in home.gateways:
            home.gateways[sub] = Author(self.member(sub, roles=("gateway",), org=home))
        return home.gateways[sub]

    def device(
        self,
        profile: str,
        sub: str | None = None,
        *,
        org: str | Organisation = FIRST,
        gateway: str | Author | None = None,
        attested: bool = False,
        roles: Sequence[str] = ("device",),
    ) -> Device:
        """Enrol a device of a profile (of a deployed folder, or registered before); without `sub` its name is
        made up.

        `gateway` seals its records. An attested device signs nothing itself: the gateway, of the same organisation,
        signs for it.
        """
        home = self.org(org)
        self._devices += 1
        sub = sub or f"{profile}-{self._devices}"
        author = self._author(home, gateway)
        self._register(home, profile)
        row = self.world.view.get(keyspace.profile(home.name, profile))
        units = dict(rows.decode_profile(row).measurements) if row is not None else {}
        if not attested:
            actor = self._enrol(home, sub, profile=profile, roles=sorted(roles))
            return Device(actor, profile, units, author)
        args = {"gateway": author.actor.sub, "device": sub, "profile": profile}
        self.builtin(home.operator, "registry.attach", args, told=sub)
        device = Device(author.actor, profile, units, author, attested=sub)
        self.attested.append(device)
        return device

    def vote(self, kind: str, **details: Any) -> Outcome:
        """Let every organisation vote for a proposal of `governance.propose`; return the last vote's outcome."""
        first, *others = self.organisations.values()
        args = {"kind": kind, **details}
        raw = self.world.call(first.operator, "governance", "propose", args)
        done = self.one(raw, f"governance.propose({kind})")
        proposal = check_form(raw).id[:16]
        for voter in others:
            value = self.world.view.get(keyspace.proposal(proposal))
            if value is None or rows.decode_proposal(value).status != "open":
                break
            args = {"proposal": proposal.hex()}
            done = self.builtin(voter.operator, "governance.approve", args, told=kind)
        return done

    # --- contracts ---------------------------------------------------------------------------------

    def deploy(
        self,
        what: str | Path | ContractFolder | None = None,
        *,
        version: int | None = None,
        source: str | None = None,
        by: str | Organisation = FIRST,
    ) -> ContractFolder:
        """Submit a contract, approve it by all organisations, deploy it, let it start; register its profiles.

        Without `what`: the contract in the test's own folder. `version` and `source` replace the folder's, to test
        upgrades. Raises LedgerRefused, and what `read_folder` raises.
        """
        folder = self._folder(what)
        owner = self.org(by)
        submitted = folder.arguments(version=version)
        if source is not None:
            submitted["source"] = source
        name, number = folder.name, int(submitted["manifest"]["version"])
        self.sources[name] = folder.path / SOURCE
        which: dict[str, Any] = {"name": name, "version": number}
        told = f"{name} {number}"
        self.builtin(owner.operator, "contracts.submit", submitted, told=told)
        row = self.world.view.get(keyspace.contract_version(name, number))
        assert row is not None, "it was accepted"
        approval = {**which, "hash": rows.decode_version_row(row).hash.hex()}
        for other in self.organisations.values():
            if other is not owner:
                self.builtin(other.operator, "contracts.approve", approval, told=told)
        self.builtin(owner.operator, "contracts.deploy", which, told=told)
        self.step([], [])
        for profile in folder.profiles:
            self._profiles[profile["name"]] = profile
            self._register(owner, profile["name"])
        return folder

    def call(self, sender: Sender, what: str, **args: Any) -> Outcome:
        """Call `contract.function` as a member; return its outcome. Raises LedgerRefused when it is refused."""
        __tracebackhide__ = True
        actor = actor_of(sender)
        title = f"{what}({_shown(args)}) by {actor.iss}/{actor.sub}"
        return self.one(self.sign_call(sender, what, **args), title)

    def reading(
        self,
        device: Device,
        value: Values,
        *,
        seq: int | None = None,
        at: Moment = "now",
        gateway: Author | None = None,
    ) -> Outcome:
        """Send one reading; return its outcome. Raises LedgerRefused when it is refused.

        `value` is the profile's first measurement, a map name -> value, or measurements as they are signed. Fractions
        are `Decimal` or (exponent, mantissa). `seq` is its number in the stream (default: the next), `at` the time
        that the device claims, in Unix ms (None: none), `gateway` who seals it.
        """
        __tracebackhide__ = True
        raw = self.sign_reading(device, value, seq=seq, at=at)
        return self.one(raw, _reading_title(device, value), gateway or device.gateway)

    def batch(
        self,
        items: Sequence[bytes | tuple[Device, Values]],
        *,
        gateway: Author | None = None,
    ) -> list[Outcome]:
        """Send records in one vertex: (device, value) pairs, or records made by `sign_reading` and `sign_call`.

        Returns one outcome each, refused or not.
        """
        records = [i if isinstance(i, bytes) else self.sign_reading(*i) for i in items]
        titles = [
            "a record of a batch" if isinstance(i, bytes) else _reading_title(*i) for i in items
        ]
        return [act.outcome for act in self.step(records, titles, gateway)]

    def sign_reading(
        self, device: Device, value: Values, *, seq: int | None = None, at: Moment = "now"
    ) -> bytes:
        """Return a signed reading for `batch`; without `seq` at the device's next position."""
        pack = senml.write_pack(self._measurements(device, value, at))
        if device.attested is None:
            return self.world.sign(device.actor, pack, seq=seq)
        if seq is None:
            seq, device.seq = device.seq, device.seq + 1
        header = {"epoch": device.epoch, "device": device.attested}
        return self.world.sign(device.actor, pack, seq=seq, **header)

    def sign_call(self, sender: Sender, what: str, **args: Any) -> bytes:
        """Return a signed call for `batch`."""
        contract, _, function = what.partition(".")
        return self.world.call(actor_of(sender), contract, function, args)

    @contextmanager
    def refused(self, code: str) -> Generator[Expected]:
        """Expect that the ledger refuses something in this block with exactly this code."""
        __tracebackhide__ = True
        expected = Expected(found=[])
        try:
            yield expected
        except LedgerRefused as refusal:
            if refusal.code != code:
                raise AssertionError(f"expected {code}, but {refusal}") from None
            expected.found.append(refusal)
            return
        last = f"; the last outcome is {self.outcome.code!r}" if self.acts else ""
        raise AssertionError(f"expected {code}, but nothing was refused{last}")

    # --- what can be seen --------------------------------------------------------------------------

    @property
    def changes(self) -> tuple[Changed, ...]:
        """What the last block changed among contracts' values."""
        return self.acts[-1].changes

    def state(self, contract: str, path: str | Device) -> Any:
        """Return the value that a contract keeps at a path, or for a device; None: there is none."""
        where = path.path if isinstance(path, Device) else path
        return plain(self.world.view.get(keyspace.contract_data(contract, where)))

    def states(self, contract: str, below: str = "") -> dict[str, Any]:
        """Return every value that a contract keeps below a path, by its whole path."""
        parts = below.split("/") if below else []
        prefix = keyspace.key(keyspace.CONTRACT_DATA, contract, *parts)
        return {keyspace.data_path(key): plain(v) for key, v in self.world.view.scan(prefix)}

    def tell(self) -> str:
        """Tell what happened last, for people."""
        return tell(self.acts, self.sources)

    # --- inside ------------------------------------------------------------------------------------

    def _folder(self, what: str | Path | ContractFolder | None) -> ContractFolder:
        if isinstance(what, ContractFolder):
            return what
        if what is None:
            what = self._near or Path()
        return read_folder(find_folder(what, near=self._near))

    def _author(self, home: Organisation, gateway: str | Author | None) -> Author:
        if isinstance(gateway, Author):
            return gateway
        if gateway is None:
            return next(iter(home.gateways.values()), None) or self.gateway(org=home)
        return self.gateway(gateway, org=home)

    def _enrol(self, home: Organisation, sub: str, **more: Any) -> Actor:
        actor = self.world.newcomer(sub, iss=home.name)
        member = {"sub": sub, "proof": self.world.proof(home.name, sub, actor.secret), **more}
        self.builtin(home.operator, "registry.enrol", {"members": [member]}, told=sub)
        return actor

    def _register(self, home: Organisation, profile: str) -> None:
        """Register a deployed folder's profile for an organisation that does not have it."""
        known = self._profiles.get(profile)
        if known is not None and (
            self.world.view.get(keyspace.profile(home.name, profile)) is None
        ):
            self.builtin(home.operator, "registry.profile", known, told=profile)

    def _measurements(self, device: Device, value: Values, at: Moment) -> list[Measurement]:
        moment = self.clock.ms if at == "now" else at
        time = None if moment is None else _seconds(moment)
        if isinstance(value, Sequence) and not isinstance(value, str | tuple):
            return list(value)
        if not isinstance(value, Mapping):
            value = {next(iter(device.measurements)): cast("Value", value)}
        return [
            Measurement(name, device.measurements.get(name), _number(one), time)
            for name, one in value.items()
        ]


def _seconds(ms: int) -> int | tuple[int, int]:
    return (-3, ms) if ms % 1000 else ms // 1000


def _number(value: Value) -> Any:
    """Return a value as it is signed: every digit of a Decimal kept."""
    if not isinstance(value, Decimal):
        return value
    sign, digits, exponent = value.as_tuple()
    mantissa = int("".join(map(str, digits))) * (-1 if sign else 1)
    if not isinstance(exponent, int) or exponent >= 0:
        return int(value)
    return (exponent, mantissa)


def _reading_title(device: Device, value: Values, **_: Any) -> str:
    return f"reading {_plain(value)} of {device.iss}/{device.sub}"


def _plain(value: object) -> str:
    if isinstance(value, Mapping):
        return _shown(cast("Mapping[str, Any]", value))
    return str(value)[:80]


def _shown(args: Mapping[str, Any]) -> str:
    texts = [f"{name}={json.dumps(value, default=str)}" for name, value in args.items()]
    return ", ".join(text if len(text) <= 60 else text[:57] + "..." for text in texts)
