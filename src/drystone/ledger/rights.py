"""`check_rights`: may this sender put this record here? Evaluated at the ledger position, from the state alone.

Third of the three checks that are kept apart (form, signature, rights). Intake and CheckTx call the same function on a
stale view to spare work; `apply` calls it again and trusts nobody else's answer. It looks at organisation, member,
key, role, epoch and whether a reading fits its profile; it does not look at signatures or at the stream's runs.
"""

from collections.abc import Collection
from operator import itemgetter
from typing import Final, NamedTuple, cast

from drystone.errors import (
    KeyMismatch,
    KeyRevoked,
    KeyUnknown,
    LedgerForeign,
    MemberSuspended,
    MemberUnknown,
    OrganisationUnknown,
    ProfileMismatch,
    ProfileUnknown,
    RoleMissing,
)
from drystone.formats import cbor, cose, senml
from drystone.ledger import keyspace, rows
from drystone.ledger.view import Reader
from drystone.records.key import PublicKey, trusted_cose_key
from drystone.records.payload import CallValues, Reading
from drystone.records.record import Record, stream_id

LEDGER_PREFIX_BYTES = 8
"""A call names its ledger by the first bytes of the ledger's id."""

OF_MEMBERS: Final = frozenset({keyspace.MEMBER, keyspace.KEY})
"""Spaces whose rows concern the one member that their keys name."""

_FIRST_BYTE: Final = itemgetter(0)


class Sender(NamedTuple):
    """Who signs, with which key: what is the same for every record of one (iss, sub, kid)."""

    iss: str
    sub: str
    member: rows.Member
    key: PublicKey
    cose_key: bytes


class Rights(NamedTuple):
    """What a record's sender may do here. `profile` is None for senders without one (they may call only)."""

    sender: Sender
    subject: rows.Member
    profile: rows.Profile | None
    stream_key: bytes


def check_sender(view: Reader, *, iss: str, sub: str, kid: bytes) -> Sender:
    """Return who (iss, sub, kid) is, when organisation, member and key are all active at this place.

    Raises OrganisationUnknown, MemberUnknown, MemberSuspended, KeyUnknown, KeyRevoked.
    """
    row = view.get(keyspace.organisation(iss))
    if row is None:
        raise OrganisationUnknown(f"no organisation {iss!r}")
    if rows.decode_organisation(row).status != rows.ACTIVE:
        raise MemberSuspended(f"organisation {iss!r} is revoked")
    row = view.get(keyspace.member(iss, sub))
    if row is None:
        raise MemberUnknown(f"no member {sub!r} in {iss!r}")
    member = rows.decode_member(row)
    if member.status != rows.ACTIVE:
        raise MemberSuspended(f"{iss}/{sub} is revoked")
    row = view.get(keyspace.member_key(iss, sub, kid))
    if row is None:
        raise KeyUnknown(f"{iss}/{sub} never had a key {kid.hex()}")
    key = rows.decode_key_row(row)
    if key.status != rows.ACTIVE:
        raise KeyRevoked(f"key {kid.hex()} of {iss}/{sub} is {rows.STATUS_NAMES[key.status]}")
    return Sender(iss, sub, member, trusted_cose_key(key.cose_key), key.cose_key)


def find_rights(view: Reader, record: Record) -> Rights:
    """Return the rights of a record's sender: everything that does not depend on the record's content or position.

    Raises what `check_sender` raises, RoleMissing (attesting without the gateway's role), MemberUnknown and
    MemberSuspended (the attested device), ProfileUnknown.
    """
    sender = check_sender(view, iss=record.iss, sub=record.sub, kid=record.kid)
    subject = sender.member
    if record.device is not None:
        if rows.GATEWAY not in sender.member.roles:
            raise RoleMissing(f"{record.iss}/{record.sub} is no gateway and may attest nothing")
        row = view.get(keyspace.member(record.iss, record.sub, record.device))
        if row is None:
            raise MemberUnknown(
                f"no device {record.device!r} is attached to {record.iss}/{record.sub}"
            )
        subject = rows.decode_member(row)
        if subject.status != rows.ACTIVE:
            raise MemberSuspended(f"attested device {record.device!r} is revoked")
    profile = None
    if subject.profile is not None:
        row = view.get(keyspace.profile(record.iss, subject.profile))
        if row is None:
            raise ProfileUnknown(f"no profile {subject.profile!r} in {record.iss!r}")
        profile = rows.decode_profile(row)
    return Rights(sender, subject, profile, keyspace.stream(stream_id(record)))


def members_touched(keys: Collection[bytes]) -> set[tuple[str, str]] | None:
    """Return the members, (iss, sub), whose rights writing these state keys may change; None: it may be everybody's."""
    members: set[tuple[str, str]] = set()
    # Nearly every block writes streams only; a key's first byte is its space.
    if keyspace.REGISTRY.isdisjoint(map(_FIRST_BYTE, keys)):
        return members
    for key in keys:
        space = keyspace.space_of(key)
        if space not in keyspace.REGISTRY:
            continue
        if space not in OF_MEMBERS:
            return None
        _, iss, sub, *_ = cbor.split_sequence(key, items_max=8)
        members.add((str(cbor.decode(iss)), str(cbor.decode(sub))))
    return members


def check_rights(record: Record, rights: Rights, ledger: bytes) -> int | None:
    """Check one record against its sender's rights; return the register's value, or None without a register.

    Raises KeyMismatch, MemberSuspended (epoch of a suspended branch), LedgerForeign (a call for another ledger),
    ProfileUnknown, ProfileMismatch.
    """
    if record.alg != rights.sender.key.alg:
        raise KeyMismatch(f"record says algorithm {record.alg}, key has {rights.sender.key.alg}")
    if record.epoch < rights.subject.epoch_min:
        raise MemberSuspended(
            f"epoch {record.epoch} is suspended, continue with {rights.subject.epoch_min}"
        )
    if record.content_type == cose.CBOR:
        if record.device is not None:
            raise ProfileMismatch("an attested device sends readings, never calls")
        named = cast("CallValues", record.content)[0]
        if named != ledger[:LEDGER_PREFIX_BYTES]:
            raise LedgerForeign(f"the call names ledger {named.hex()}")
        return None
    profile = rights.profile
    if profile is None:
        raise ProfileUnknown(f"{record.iss}/{record.sub} has no profile and may send no readings")
    if record.content_type != cose.SENML:
        raise ProfileMismatch(f"profile is {profile.visibility}, the record is sealed")
    return _check_fit(cast("tuple[Reading, ...]", record.content), profile)


def _check_fit(content: tuple[Reading, ...], profile: rows.Profile) -> int | None:
    allowed = profile.measurements
    register = profile.register
    value = None
    for name, unit, reading, _ in content:
        if (name, unit) not in allowed:
            raise ProfileMismatch(f"measurement {name!r} in {unit!r} is not in the profile")
        if register is not None and name == register.name:
            value = reading
    if register is None:
        return None
    if type(value) is int and not register.exponent:
        return value  # What nearly every meter sends, and what the steps below come to.
    if not isinstance(value, int | tuple) or isinstance(value, bool):
        raise ProfileMismatch(f"the register {register.name!r} is missing or no number")
    scaled = senml.scale(value, register.exponent)
    if scaled is None:
        raise ProfileMismatch(f"{value} is no whole number of 10**{register.exponent}")
    return scaled
