"""Genesis: the file from which a ledger starts, the same for every engine; block entry 0.

A deterministic CBOR map. Each key in it proves possession by a signature over the hash of the file without the proofs,
so that nobody can be written into a ledger against their will. The ledger's id is the hash of the genesis block entry,
which commits through the state root to all of it. Source: design section 3.6, formats.md (hashes).
"""

import hashlib
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

from drystone import limits
from drystone.errors import GenesisInvalid, Refused
from drystone.formats import cbor
from drystone.ledger import keyspace, rows
from drystone.ledger.arguments import ID
from drystone.records.key import PublicKey, SecretKey, parse_cose_key

FORMAT = "drystone/genesis/1"
PROTOCOL = 1
_FIELDS = {
    "format", "origin", "time-ms", "protocol", "approvals", "limits", "organisations", "members",
    "proofs",
}  # fmt: skip
LIMITS = {
    "record-bytes": limits.RECORD_BYTES_MAX,
    "stream-runs": limits.STREAM_RUNS_MAX,
    "vertex-bytes": limits.VERTEX_BYTES_MAX,
    "vertex-records": limits.VERTEX_RECORDS_MAX,
}
"""Protocol 1's bounds, written into the file so that a reader need not have this source."""


class FirstMember(NamedTuple):
    """A member that exists from the start."""

    iss: str
    sub: str
    roles: tuple[str, ...]
    key: PublicKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Genesis:
    """A checked genesis file. `organisations` are (alias, name); `proofs` stand in the order of `members`."""

    origin: str
    time_ms: int
    protocol: int
    approvals: int
    organisations: tuple[tuple[str, str], ...]
    members: tuple[FirstMember, ...]
    proofs: tuple[bytes, ...]

    def validators(self) -> tuple[bytes, ...]:
        """Return the COSE_Key bytes of the members with the validator's role, sorted."""
        return tuple(sorted(m.key.cose_key() for m in self.members if rows.VALIDATOR in m.roles))


def _body(genesis: Genesis) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "origin": genesis.origin,
        "time-ms": genesis.time_ms,
        "protocol": genesis.protocol,
        "approvals": genesis.approvals,
        "limits": LIMITS,
        "organisations": [list(item) for item in genesis.organisations],
        "members": [[m.iss, m.sub, sorted(m.roles), m.key.cose_key()] for m in genesis.members],
    }


def proof_message(genesis: Genesis) -> bytes:
    """Return the 32 bytes that every key of the file signs."""
    return hashlib.sha256(b"drystone/genesis/1\n" + cbor.encode(_body(genesis))).digest()


def prove(genesis: Genesis, secrets: dict[tuple[str, str], SecretKey]) -> Genesis:
    """Return the genesis with the proofs of all its members; `secrets` by (iss, sub)."""
    message = proof_message(genesis)
    proofs = tuple(secrets[m.iss, m.sub].sign(message) for m in genesis.members)
    return Genesis(
        origin=genesis.origin,
        time_ms=genesis.time_ms,
        protocol=genesis.protocol,
        approvals=genesis.approvals,
        organisations=genesis.organisations,
        members=genesis.members,
        proofs=proofs,
    )


def encode_genesis(genesis: Genesis) -> bytes:
    """Return the file's bytes."""
    return cbor.encode({**_body(genesis), "proofs": list(genesis.proofs)})


def decode_genesis(data: bytes) -> Genesis:
    """Read and check a genesis file: form, bounds, names, roles, every key and its proof of possession.

    Raises GenesisInvalid with the reason; nothing else.
    """
    if len(data) > limits.GENESIS_BYTES_MAX:
        raise GenesisInvalid(f"{len(data)} bytes, at most {limits.GENESIS_BYTES_MAX}")
    try:
        genesis = _read(cbor.decode(data))
        _check(genesis)
        message = proof_message(genesis)
        for member, proof in zip(genesis.members, genesis.proofs, strict=True):
            member.key.verify(message, proof)
    except GenesisInvalid:
        raise
    except (Refused, TypeError, ValueError, KeyError, AttributeError) as error:
        raise GenesisInvalid(f"not a genesis file: {error}") from error
    if encode_genesis(genesis) != data:
        raise GenesisInvalid("the file has another spelling than its content")
    return genesis


def _read(value: Any) -> Genesis:
    if not isinstance(value, dict):
        raise GenesisInvalid("a map is expected")
    fields = cast("dict[str, Any]", value)
    if set(fields) != _FIELDS or fields["format"] != FORMAT:
        raise GenesisInvalid("a map with exactly the fields of docs/spec/genesis.cddl is expected")
    if fields["limits"] != LIMITS:
        raise GenesisInvalid("the limits are not those of protocol 1")
    members: list[FirstMember] = []
    for iss, sub, roles, key in fields["members"]:
        if len(set(roles)) != len(roles) or not set(roles) <= rows.ROLES:
            raise GenesisInvalid(f"roles of {iss}/{sub}: {roles}")
        members.append(FirstMember(iss, sub, tuple(roles), parse_cose_key(key)))
    genesis = Genesis(
        origin=fields["origin"],
        time_ms=fields["time-ms"],
        protocol=fields["protocol"],
        approvals=fields["approvals"],
        organisations=tuple((iss, name) for iss, name in fields["organisations"]),
        members=tuple(members),
        proofs=tuple(fields["proofs"]),
    )
    for number in (genesis.time_ms, genesis.protocol, genesis.approvals):
        if isinstance(number, bool) or not 0 <= number < 2**53:
            raise GenesisInvalid(f"{number!r} is no number of this file")
    return genesis


def _check(genesis: Genesis) -> None:
    if genesis.protocol != PROTOCOL:
        raise GenesisInvalid(f"protocol {genesis.protocol}, this program speaks {PROTOCOL}")
    aliases = [iss for iss, _ in genesis.organisations]
    if not 1 <= len(aliases) <= limits.ORGANISATIONS_MAX or len(set(aliases)) != len(aliases):
        raise GenesisInvalid("no organisation, too many, or one twice")
    if not 1 <= genesis.approvals <= len(aliases):
        raise GenesisInvalid(f"{genesis.approvals} approvals of {len(aliases)} organisations")
    for name in (genesis.origin, *(name for _, name in genesis.organisations)):
        if not 0 < len(name) <= 256 or not name.isprintable():
            raise GenesisInvalid(f"name {name!r}")
    if any(c in genesis.origin for c in " +"):
        raise GenesisInvalid("an origin has no space and no plus sign (C2SP signed-note)")
    for name in (*aliases, *(m.sub for m in genesis.members)):
        if not ID.fullmatch(name):
            raise GenesisInvalid(f"id {name!r}")
    places = [(m.iss, m.sub) for m in genesis.members]
    if len(set(places)) != len(places) or not {iss for iss, _ in places} <= set(aliases):
        raise GenesisInvalid("a member stands twice or belongs to no organisation")
    keys = [m.key for m in genesis.members]
    if len(set(keys)) != len(keys):
        raise GenesisInvalid("one key stands for two members")
    if not genesis.validators():
        raise GenesisInvalid("no member has the validator's role")


def genesis_writes(genesis: Genesis, data: bytes) -> dict[bytes, bytes | None]:
    """Return what genesis puts into the state; `data` is the file it was read from."""
    writes: dict[bytes, bytes | None] = {
        keyspace.meta("genesis"): cbor.encode(hashlib.sha256(data).digest()),
        keyspace.meta("origin"): cbor.encode(genesis.origin),
        keyspace.meta("protocol"): cbor.encode(genesis.protocol),
        keyspace.threshold(): cbor.encode(genesis.approvals),
    }
    for iss, name in genesis.organisations:
        writes[keyspace.organisation(iss)] = rows.Organisation(name, rows.ACTIVE).encode()
    for one in genesis.members:
        kid = one.key.kid()
        member = rows.Member(rows.ACTIVE, one.roles, None, kid, 0, 0)
        writes[keyspace.member(one.iss, one.sub)] = member.encode()
        row = rows.KeyRow(one.key.cose_key(), rows.ACTIVE)
        writes[keyspace.member_key(one.iss, one.sub, kid)] = row.encode()
    return dict(sorted(writes.items()))


def validators_hash(cose_keys: tuple[bytes, ...]) -> bytes:
    """Return the hash that stands in a block entry for a `local` engine's validators."""
    return hashlib.sha256(b"drystone/nodes/1\n" + cbor.encode(sorted(cose_keys))).digest()
