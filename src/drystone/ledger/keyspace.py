"""The one table of what stands where in the authenticated state.

A state key is a CBOR sequence `(space, part, ...)`: deterministic, so that the order of keys is the order of their
bytes and every prefix of parts is a prefix of bytes. Nothing else in the tree builds a key. Values are deterministic
CBOR, never empty (`rows.py`).

| space | key parts | value |
|---|---|---|
| 0 meta | name | protocol, origin, hash of the genesis file |
| 1 organisation | iss | `Organisation`; (iss, "policy"): who may read what of it |
| 2 member | iss, sub (, device) | `Member`; with a device: an unsigned device that this gateway attests |
| 3 key | iss, sub, kid | `KeyRow` |
| 4 stream | iss, sub (, device) | `Stream` (records/stream.py) |
| 5 profile | iss, name | `Profile` |
| 6 author's head | iss, sub | `AuthorHead` |
| 7 contract | name | `ContractRow`; (name, version): `VersionRow`; (name, version, "package"): its bytes; (): due |
| 8 contract data | name, path parts | what a contract keeps, any CBOR value |
| 9 governance | name (, proposal) | threshold, `Proposal` |
| 10 group | id | members of a shared secret (later stone) |
| 11 evidence | iss, sub, kind, epoch | the two record or vertex ids of a fork |
"""

from drystone.formats import cbor

META = 0
ORGANISATION = 1
MEMBER = 2
KEY = 3
STREAM = 4
PROFILE = 5
HEAD = 6
CONTRACT = 7
CONTRACT_DATA = 8
GOVERNANCE = 9
GROUP = 10
EVIDENCE = 11

REGISTRY = frozenset({META, ORGANISATION, MEMBER, KEY, PROFILE, CONTRACT})
"""Spaces whose change can change what a sender may do; writing one empties every cache of rights."""

Part = int | str | bytes


def key(space: int, *parts: Part) -> bytes:
    """Return the state key of `parts` in `space`; also a scan prefix when parts are left out."""
    return b"".join(map(cbor.encode, (space, *parts)))


def space_of(state_key: bytes) -> int:
    """Return the space of a key that this module built (spaces are below 24: one byte)."""
    return state_key[0]


def meta(name: str) -> bytes:
    """Return the key of a fact about the ledger itself."""
    return key(META, name)


def organisation(iss: str) -> bytes:
    """Return the key of an organisation."""
    return key(ORGANISATION, iss)


def policy(iss: str) -> bytes:
    """Return the key of the rules by which an organisation lets others read."""
    return key(ORGANISATION, iss, "policy")


def member(iss: str, sub: str, device: str | None = None) -> bytes:
    """Return the key of a member, or of a device that the gateway `sub` attests."""
    return key(MEMBER, iss, sub) if device is None else key(MEMBER, iss, sub, device)


def member_key(iss: str, sub: str, kid: bytes) -> bytes:
    """Return the key of one public key of a member."""
    return key(KEY, iss, sub, kid)


def stream(stream_id: tuple[str, ...]) -> bytes:
    """Return the key of a stream, `(iss, sub)` or `(iss, sub, device)`."""
    return key(STREAM, *stream_id)


def profile(iss: str, name: str) -> bytes:
    """Return the key of a device profile."""
    return key(PROFILE, iss, name)


def head(iss: str, sub: str) -> bytes:
    """Return the key of an author's last accepted vertex."""
    return key(HEAD, iss, sub)


def threshold() -> bytes:
    """Return the key of the number of organisations that must approve a proposal."""
    return key(GOVERNANCE, "threshold")


def proposal(proposal_id: bytes) -> bytes:
    """Return the key of a governance proposal."""
    return key(GOVERNANCE, "proposal", proposal_id)


def evidence(iss: str, sub: str, kind: str, epoch: int) -> bytes:
    """Return the key of stored fork evidence; `kind` is `record` or `vertex`."""
    return key(EVIDENCE, iss, sub, kind, epoch)


def contract(name: str) -> bytes:
    """Return the key of a contract's status."""
    return key(CONTRACT, name)


def contract_version(name: str, version: int) -> bytes:
    """Return the key of one version of a contract."""
    return key(CONTRACT, name, version)


def contract_package(name: str, version: int) -> bytes:
    """Return the key of a version's package bytes."""
    return key(CONTRACT, name, version, "package")


def contracts_due() -> bytes:
    """Return the key of the list of versions that wait for their activation height."""
    return key(CONTRACT, 0)


def contract_data(name: str, path: str) -> bytes:
    """Return the key of one value that a contract keeps; each part of the path is a part of the key."""
    return key(CONTRACT_DATA, name, *path.split("/"))


def data_path(state_key: bytes) -> str:
    """Return the path of a value that a contract keeps, from its state key."""
    parts: list[str] = []
    at = 1
    while at < len(state_key):
        part, at = cbor.decode_prefix(state_key, at)
        parts.append(str(part))
    return "/".join(parts[1:])
