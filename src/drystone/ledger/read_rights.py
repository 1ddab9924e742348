"""What follows from read policies for one asker: which streams, members, values it may see.

Computed from the state alone, for a member whose key was checked, for nobody known, or for a token's scopes; default
deny. Without any rule a member sees itself (a gateway also the devices it speaks for), and who speaks for an
organisation, its governors and enrollers, sees all that is the organisation's. A plain member does not speak for it:
a household is a member too. May not: know requests, or what a node serves to everybody.

Source: `policy.py` (the words of a rule), issue 4 item 2, requirements S2.5, S2.6, S2.12.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from drystone.errors import ArgumentsMalformed
from drystone.formats import cbor
from drystone.ledger import keyspace, rows
from drystone.ledger.policy import (
    ID,
    KINDS,
    LEDGER,
    ME,
    MEMBERS,
    OWN,
    RECEIPTS,
    STATES,
    STREAMS,
    fits_kind,
)
from drystone.ledger.view import Reader
from drystone.limits import READ_OWN_MAX

SPEAKERS: Final = frozenset({rows.GOVERNOR, rows.ENROLLER})
"""Roles that speak for an organisation; any other member is somebody whose data it may be."""


class Asker(NamedTuple):
    """A member who asks, its key checked, member and organisation active."""

    iss: str
    sub: str
    roles: tuple[str, ...]


class Named(NamedTuple):
    """Which streams, receipts or members somebody may see."""

    organisations: frozenset[str] = frozenset()
    """Everything of these."""
    patterns: frozenset[tuple[str, str]] = frozenset()
    """(organisation, pattern)."""
    profiles: frozenset[tuple[str, str]] = frozenset()
    """(organisation, profile)."""
    names: frozenset[str] = frozenset()
    """`ISS/SUB` or `ISS/GATEWAY/DEVICE`."""

    def allows(self, name: tuple[str, ...], profile: str | None = None) -> bool:
        """Say whether (iss, sub) or (iss, gateway, device), which has this profile, may be seen."""
        iss, rest = name[0], "/".join(name[1:])
        return (
            iss in self.organisations
            or f"{iss}/{rest}" in self.names
            or (profile is not None and (iss, profile) in self.profiles)
            or any(own == iss and fits(pattern, rest) for own, pattern in self.patterns)
        )

    def touches(self, iss: str, *, me: str = "") -> bool:
        """Say whether anything of an organisation may be seen, besides the member `me`."""
        return (
            iss in self.organisations
            or any(own == iss for own, _ in self.patterns | self.profiles)
            or any(name.startswith(f"{iss}/") and name != me for name in self.names)
        )

    def joined(self, other: "Named") -> "Named":
        """Return what may be seen by either."""
        return Named(
            self.organisations | other.organisations,
            self.patterns | other.patterns,
            self.profiles | other.profiles,
            self.names | other.names,
        )


class Below(NamedTuple):
    """Values of a contract at and below a path; a part `*` stands for any. `owner` None: whoever owns the contract."""

    owner: str | None
    contract: str
    parts: tuple[str, ...]

    def allows(self, owner: str, contract: str, parts: Sequence[str]) -> bool:
        """Say whether a value of `contract`, which `owner` owns, may be seen."""
        return (
            self.owner in (None, owner)
            and self.contract in ("*", contract)
            and len(self.parts) <= len(parts)
            and all(mine in ("*", one) for mine, one in zip(self.parts, parts, strict=False))
        )


class ReadRights(NamedTuple):
    """All that somebody may read."""

    streams: Named = Named()
    receipts: Named = Named()
    members: Named = Named()
    states: frozenset[Below] = frozenset()
    contracts_of: frozenset[str] = frozenset()
    """All values of these organisations' contracts."""
    ledger: bool = False
    me: str = ""
    """`ISS/SUB` of the member whose rights these are; nothing for a token's own."""

    def allows_value(self, owner: str, contract: str, parts: Sequence[str]) -> bool:
        """Say whether a contract's value at a path may be seen."""
        return owner in self.contracts_of or any(
            one.allows(owner, contract, parts) for one in self.states
        )

    def touches_contract(self, owner: str, contract: str) -> bool:
        """Say whether a rule or scope names any value of a contract."""
        return owner in self.contracts_of or any(
            one.contract == contract and one.owner in (None, owner) for one in self.states
        )

    def places(self, owner: str, contract: str, parts: tuple[str, ...]) -> list[tuple[str, ...]]:
        """Return the paths at or below `parts` where something may be seen, in the order of their state keys.

        None of them lies below another; what lies below them may be seen only in part.
        """
        found: set[tuple[str, ...]] = set()
        for one in self.states:
            same = one.contract in ("*", contract) and one.owner in (None, owner)
            if same and all(
                mine in ("*", part) for mine, part in zip(one.parts, parts, strict=False)
            ):
                literal = one.parts[: one.parts.index("*")] if "*" in one.parts else one.parts
                found.add(max(parts, literal, key=len))
        kept: list[tuple[str, ...]] = []
        for place in sorted(found, key=lambda one: keyspace.key(keyspace.CONTRACT_DATA, *one)):
            if not any(place[: len(above)] == above for above in kept):
                kept.append(place)
        return kept

    def touches(self, iss: str) -> bool:
        """Say whether anything of an organisation's streams, receipts or members may be seen, besides oneself."""
        kinds = (self.streams, self.receipts, self.members)
        return any(named.touches(iss, me=self.me) for named in kinds)

    def is_nothing(self) -> bool:
        """Say whether there is nothing at all to see."""
        return self == NOTHING

    def joined(self, other: "ReadRights") -> "ReadRights":
        """Return what may be read by either."""
        return ReadRights(
            self.streams.joined(other.streams),
            self.receipts.joined(other.receipts),
            self.members.joined(other.members),
            self.states | other.states,
            self.contracts_of | other.contracts_of,
            self.ledger or other.ledger,
            self.me or other.me,
        )


NOTHING: Final = ReadRights()


def fits(pattern: str, name: str) -> bool:
    """Say whether a name fits a pattern; `*` stands for any text without `/`, alone for everything.

    Takes time in the length of both, whatever the pattern: rules are other people's input.
    """
    if pattern == "*":
        return True
    parts, wanted = name.split("/"), pattern.split("/")
    return len(parts) == len(wanted) and all(map(_fits_part, wanted, parts))


def _fits_part(pattern: str, part: str) -> bool:
    first, *more = pattern.split("*")
    if not more:
        return part == pattern
    *middle, last = more
    if not part.startswith(first) or not part[len(first) :].endswith(last):
        return False
    at, end = len(first), len(part) - len(last)
    for piece in middle:
        found = part.find(piece, at, end)
        if found < 0:
            return False
        at = found + len(piece)
    return True


def read_rights(view: Reader, organisations: Iterable[str], asker: Asker | None) -> ReadRights:
    """Return all that `asker` (None: nobody known) may read of what `organisations` own.

    Does not check that the asker is active: whoever checked its key has.
    """
    found = NOTHING if asker is None else _always(asker)
    for iss in organisations:
        value = view.get(keyspace.policy(iss))
        if value is None:
            continue
        policy = rows.decode_policy(value)
        rules = [rule for rule in policy.rules if _is_meant(rule.who, iss, asker)]
        if rules:
            own = _own_devices(view, iss, policy.own, asker) if asker is not None else ()
            found = found.joined(_granted(rules, iss, asker, own))
    return found


def _always(asker: Asker) -> ReadRights:
    """Return what a member sees without a rule: itself; for its organisation if it speaks for it."""
    name = f"{asker.iss}/{asker.sub}"
    itself = Named(names=frozenset({name}))
    if rows.GATEWAY in asker.roles:
        itself = itself._replace(patterns=frozenset({(asker.iss, f"{asker.sub}/*")}))
    below = Below(None, "*", ("device", asker.iss, asker.sub))
    rights = ReadRights(itself, itself, itself, frozenset({below}), me=name)
    if SPEAKERS.isdisjoint(asker.roles):
        return rights
    everything = Named(frozenset({asker.iss}))
    whole = ReadRights(
        everything, everything, everything, contracts_of=frozenset({asker.iss}), ledger=True
    )
    return rights.joined(whole)


def _is_meant(who: str, iss: str, asker: Asker | None) -> bool:
    if who == "anyone":
        return True
    if asker is None:
        return False
    kind, _, name = who.partition(":")
    if kind == "members":
        return True
    if kind == "organisation":
        return asker.iss == name
    if kind == "member":
        return f"{asker.iss}/{asker.sub}" == name
    organisation, _, role = name.rpartition("/")
    return asker.iss == (organisation or iss) and role in asker.roles


def _own_devices(
    view: Reader, iss: str, place: str | None, asker: Asker
) -> tuple[tuple[str, ...], ...]:
    """Return the devices of `iss` that a contract has under the asker's name; nobody else's, whatever it says."""
    if place is None:
        return ()
    contract, _, path = place.partition("/")
    value = view.get(keyspace.contract_data(contract, f"{path}/{asker.iss}/{asker.sub}"))
    if value is None:
        return ()
    kept = cbor.decode(value)
    fields = list(kept.values()) if isinstance(kept, dict) else [kept]
    found: list[tuple[str, ...]] = []
    for field in fields:
        for name in field if isinstance(field, list) else ():
            parts = name.split("/") if isinstance(name, str) else []
            if len(parts) in {2, 3} and parts[0] == iss:
                found.append(tuple(parts))
    return tuple(found[:READ_OWN_MAX])


def _granted(
    rules: Iterable[rows.ReadRule],
    iss: str,
    asker: Asker | None,
    own: tuple[tuple[str, ...], ...],
) -> ReadRights:
    named = {STREAMS: Named(), RECEIPTS: Named(), MEMBERS: Named()}
    states: set[Below] = set()
    ledger = False
    for rule in rules:
        if rule.what == LEDGER:
            # Nobody decides for others' members whether they see the whole ledger.
            ledger = ledger or (asker is not None and asker.iss == iss)
        elif rule.what == STATES:
            contract, *parts = rule.of.split("/")
            states |= {Below(iss, contract, path) for path in _paths(parts, asker, own)}
        else:
            named[rule.what] = named[rule.what].joined(_named(rule.of, iss, own))
    return ReadRights(
        named[STREAMS], named[RECEIPTS], named[MEMBERS], frozenset(states), ledger=ledger
    )


def _named(of: str, iss: str, own: tuple[tuple[str, ...], ...]) -> Named:
    if of == "*":
        return Named(organisations=frozenset({iss}))
    if of == OWN:
        return Named(names=frozenset("/".join(parts) for parts in own))
    kind, _, profile = of.partition(":")
    if kind == "profile" and profile:
        return Named(profiles=frozenset({(iss, profile)}))
    return Named(patterns=frozenset({(iss, of)}))


def _paths(
    parts: Sequence[str], asker: Asker | None, own: tuple[tuple[str, ...], ...]
) -> list[tuple[str, ...]]:
    """Return the paths that a rule's parts stand for: one for each of the asker's own devices."""
    found: list[tuple[str, ...]] = [()]
    for part in parts:
        if part == ME:
            mine: list[tuple[str, ...]] = [] if asker is None else [(asker.iss, asker.sub)]
        elif part == OWN:
            mine = list(own)
        else:
            mine = [(part,)]
        found = [(*path, *more) for path in found for more in mine]
    return found[:READ_OWN_MAX]


def scoped_rights(scope: str) -> ReadRights:
    """Return what a token's scope lets read: `WHAT:ISS/PATTERN`, `states:CONTRACT/PATH`, `ledger`.

    `ISS/*` is everything of an organisation, `ISS/profile:NAME` its devices of a kind. Raises ArgumentsMalformed.
    """
    what, _, of = scope.partition(":")
    if scope == LEDGER:
        return ReadRights(ledger=True)
    if what == STATES and fits_kind(STATES, of) and "{" not in of:
        contract, *parts = of.split("/")
        return ReadRights(states=frozenset({Below(None, contract, tuple(parts))}))
    iss, _, pattern = of.partition("/")
    known = what in KINDS - {STATES, LEDGER} and re.fullmatch(ID, iss, re.ASCII)
    if not known or OWN in pattern or not fits_kind(what, pattern):
        raise ArgumentsMalformed(f"{scope!r} is no scope")
    return NOTHING._replace(**{what: _named(pattern, iss, ())})
