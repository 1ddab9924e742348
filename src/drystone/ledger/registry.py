"""The calls that decide who may write: enrol, rotate, revoke, attach, profile. (`policy.py`: who may read; `forks.py`.)

Python and not a contract, because admission must not depend on an interpreter's version (design section 4). Every call
acts inside the sender's organisation, except `fork`: evidence convicts whoever signed it. Ids, profiles and kids are
never reused, so that (iss, sub, kid) names one key for ever.
"""

import re

from drystone.contracts.rules import RULES, Event
from drystone.errors import (
    AlreadyExists,
    ArgumentsMalformed,
    KeyUnknown,
    MemberUnknown,
    ProfileMismatch,
    ProfileUnknown,
    RoleMissing,
)
from drystone.formats import senml
from drystone.ledger import keyspace, rows
from drystone.ledger.arguments import Arguments
from drystone.ledger.calls import Call, CallResult, Function
from drystone.ledger.deployment import find_program
from drystone.ledger.forks import fork
from drystone.ledger.policy import set_policy
from drystone.limits import (
    ENROL_MEMBERS_MAX,
    EXPONENT_MIN,
    PROFILE_MEASUREMENTS_MAX,
)
from drystone.records.enrolment import check_enrolment

GOVERNORS_GRANT = frozenset({rows.ENROLLER, rows.GOVERNOR, rows.VALIDATOR})
"""Roles that only a governor of the organisation may give."""
ROLES_MAX = 8
ROLE = re.compile(r"[a-z][a-z0-9_]{0,31}")
"""The ledger knows the roles of `rows.py`; contracts ask for others by name."""


def enrol(call: Call, args: Arguments) -> CallResult:
    """Enrol 1 to 64 members of the sender's organisation, all or none; each brings a proof of possession.

    `members`: list of `{sub, proof, roles?, profile?}`; `proof` is `records.record.enrolment_proof` as hex.
    Needs the enroller's role; to give enroller, governor or validator also the governor's.
    """
    call.demand(rows.ENROLLER)
    members = args.items("members", most=ENROL_MEMBERS_MAX)
    args.finish()
    writes: dict[bytes, bytes | None] = {}
    events: list[Event] = []
    for index, item in enumerate(members):
        one = Arguments(item, f"members[{index}]")
        sub = one.identifier("sub")
        proof = one.octets("proof")
        roles = _roles(one) if one.has("roles") else (rows.DEVICE,)
        profile = one.identifier("profile") if one.has("profile") else None
        one.finish()
        for role in GOVERNORS_GRANT.intersection(roles):
            if rows.GOVERNOR not in call.sender.member.roles:
                raise RoleMissing(f"only a governor may give the role {role!r}")
        iss = call.sender.iss
        state_key = keyspace.member(iss, sub)
        if state_key in writes or call.view.get(state_key) is not None:
            raise AlreadyExists(f"{iss}/{sub} is enrolled already")
        if profile is not None and call.view.get(keyspace.profile(iss, profile)) is None:
            raise ProfileUnknown(f"no profile {profile!r} in {iss!r}")
        key = check_enrolment(proof, iss=iss, sub=sub, ledger=call.ledger)
        member = rows.Member(rows.ACTIVE, roles, profile, key.kid(), 0, 0)
        writes[state_key] = member.encode()
        writes[keyspace.member_key(iss, sub, key.kid())] = rows.KeyRow(
            key.cose_key(), rows.ACTIVE
        ).encode()
        events.append(Event("registry", "enrolled", {"iss": iss, "sub": sub}))
    return CallResult(writes, tuple(events))


def _roles(args: Arguments) -> tuple[str, ...]:
    names = args.items("roles", most=ROLES_MAX)
    for name in names:
        if not isinstance(name, str) or not ROLE.fullmatch(name) or name == rows.ATTESTED:
            raise ArgumentsMalformed(f"roles: {name!r} is no role a member can have")
    if len(set(names)) != len(names):
        raise ArgumentsMalformed("roles: one stands twice")
    return tuple(sorted(names))


def rotate(call: Call, args: Arguments) -> CallResult:
    """Replace a member's key by a new one that proves possession; the old one is retired from here on.

    `sub`, `proof`. The member itself may do it, or an enroller of its organisation.
    """
    sub = args.identifier("sub")
    proof = args.octets("proof")
    args.finish()
    sender = call.sender
    if sub != sender.sub:
        call.demand(rows.ENROLLER)
    member = _member(call, sub)
    _spare_governor(call, member)
    key = check_enrolment(proof, iss=sender.iss, sub=sub, ledger=call.ledger)
    new_key = keyspace.member_key(sender.iss, sub, key.kid())
    if call.view.get(new_key) is not None:
        raise AlreadyExists(f"{sender.iss}/{sub} had a key {key.kid().hex()} already")
    old_key = keyspace.member_key(sender.iss, sub, member.kid)
    old = _key_row(call, old_key)
    writes: dict[bytes, bytes | None] = {
        keyspace.member(sender.iss, sub): member._replace(kid=key.kid()).encode(),
        new_key: rows.KeyRow(key.cose_key(), rows.ACTIVE).encode(),
    }
    if old.status == rows.ACTIVE:
        writes[old_key] = old._replace(status=rows.RETIRED).encode()
    data = {"iss": sender.iss, "sub": sub, "old": member.kid.hex(), "new": key.kid().hex()}
    return CallResult(writes, (Event("registry", "rotated", data),))


def revoke(call: Call, args: Arguments) -> CallResult:
    """Revoke a member, one of its keys (`kid`), or a device attached to it (`device`). Needs the enroller's role."""
    call.demand(rows.ENROLLER)
    sub = args.identifier("sub")
    device = args.identifier("device") if args.has("device") else None
    kid = args.octets("kid") if args.has("kid") else None
    args.finish()
    if device is not None and kid is not None:
        raise ArgumentsMalformed("an attested device has no kid")
    iss = call.sender.iss
    data = {"iss": iss, "sub": sub}
    member = _member(call, sub, device)
    _spare_governor(call, member)
    if kid is not None:
        state_key = keyspace.member_key(iss, sub, kid)
        value = _key_row(call, state_key)._replace(status=rows.REVOKED).encode()
        data["kid"] = kid.hex()
    else:
        state_key = keyspace.member(iss, sub, device)
        value = member._replace(status=rows.REVOKED).encode()
        if device is not None:
            data["device"] = device
    return CallResult({state_key: value}, (Event("registry", "revoked", data),))


def _spare_governor(call: Call, member: rows.Member) -> None:
    """An enroller's stolen key must not be able to lock out or replace the governors."""
    if GOVERNORS_GRANT.intersection(member.roles) and rows.GOVERNOR not in call.sender.member.roles:
        raise RoleMissing("only a governor may change a member with a governing role")


def attach(call: Call, args: Arguments) -> CallResult:
    """Attach an unsigned device to a gateway, which from now on may attest its readings. Needs the enroller's role.

    `gateway`, `device`, `profile`. Its records say for ever that the gateway, not the device, signed them.
    """
    call.demand(rows.ENROLLER)
    gateway = args.identifier("gateway")
    device = args.identifier("device")
    profile = args.identifier("profile")
    args.finish()
    iss = call.sender.iss
    if rows.GATEWAY not in _member(call, gateway).roles:
        raise RoleMissing(f"{iss}/{gateway} is no gateway")
    state_key = keyspace.member(iss, gateway, device)
    if call.view.get(state_key) is not None:
        raise AlreadyExists(f"{device!r} is attached to {iss}/{gateway} already")
    if call.view.get(keyspace.profile(iss, profile)) is None:
        raise ProfileUnknown(f"no profile {profile!r} in {iss!r}")
    value = rows.Member(rows.ACTIVE, (rows.ATTESTED,), profile, b"", 0, 0).encode()
    data = {"iss": iss, "sub": gateway, "device": device}
    return CallResult({state_key: value}, (Event("registry", "attached", data),))


def profile(call: Call, args: Arguments) -> CallResult:
    """Register a profile of the sender's organisation; a name is registered once. Needs the enroller's role.

    `name`, `measurements` (list of `{name, unit?}`), `register?` (`{name, exponent}`), `rule?`, `visibility?`.
    """
    call.demand(rows.ENROLLER)
    name = args.identifier("name")
    listed = args.items("measurements", most=PROFILE_MEASUREMENTS_MAX)
    register = _register(args) if args.has("register") else None
    rule = args.identifier("rule") if args.has("rule") else "accept"
    visibility = args.text("visibility") if args.has("visibility") else "open"
    args.finish()
    if rule not in RULES:
        handler = find_program(call.view, rule).program.package.manifest.reading
        if handler is None:
            raise ProfileMismatch(f"contract {rule!r} handles no readings")
    if visibility != "open":
        raise ProfileMismatch(f"visibility {visibility!r}: sealed profiles come with groups")
    measurements: list[tuple[str, str | None]] = []
    for index, item in enumerate(listed):
        one = Arguments(item, f"measurements[{index}]")
        measurement = one.text("name")
        unit = one.text("unit") if one.has("unit") else None
        one.finish()
        if unit is not None and unit not in senml.UNITS and unit not in senml.SECONDARY:
            raise ArgumentsMalformed(f"measurements[{index}]: {unit!r} is no SenML unit")
        measurements.append((measurement, unit))
    if register is not None and register.name not in [m for m, _ in measurements]:
        raise ArgumentsMalformed(f"register {register.name!r} is not among the measurements")
    state_key = keyspace.profile(call.sender.iss, name)
    if call.view.get(state_key) is not None:
        raise AlreadyExists(f"profile {name!r} exists in {call.sender.iss!r}; choose a new name")
    value = rows.Profile(tuple(measurements), register, rule, visibility).encode()
    data = {"iss": call.sender.iss, "name": name}
    return CallResult({state_key: value}, (Event("registry", "profile", data),))


def _register(args: Arguments) -> rows.Register:
    one = Arguments(args.mapping("register"), "register")
    register = rows.Register(
        one.text("name"), one.integer("exponent", low=EXPONENT_MIN, high=-EXPONENT_MIN)
    )
    one.finish()
    return register


def _member(call: Call, sub: str, device: str | None = None) -> rows.Member:
    value = call.view.get(keyspace.member(call.sender.iss, sub, device))
    if value is None:
        raise MemberUnknown(f"no member {sub!r} in {call.sender.iss!r}")
    return rows.decode_member(value)


def _key_row(call: Call, state_key: bytes) -> rows.KeyRow:
    value = call.view.get(state_key)
    if value is None:
        raise KeyUnknown("the member never had this key")
    return rows.decode_key_row(value)


FUNCTIONS: dict[str, Function] = {
    "enrol": enrol,
    "rotate": rotate,
    "revoke": revoke,
    "attach": attach,
    "profile": profile,
    "policy": set_policy,
    "fork": fork,
}
