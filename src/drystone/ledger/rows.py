"""The values of the registry: what stands under each key of `keyspace.py`, with its one encoding.

Decoding trusts: these bytes were written by `registry.py` and stand in the authenticated state. A value that does not
decode is `InvariantBroken`, never a refusal. Decoders remember the last rows by their bytes: profiles and
organisations, which everybody shares. What is remembered of each sender is its rights, not its rows.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple, TypeVar

from drystone.errors import InvariantBroken
from drystone.formats import cbor

ACTIVE = 0
RETIRED = 1
REVOKED = 2
STATUS_NAMES = ("active", "retired", "revoked")

GATEWAY = "gateway"
VALIDATOR = "validator"
ENROLLER = "enroller"
GOVERNOR = "governor"
DEVICE = "device"
ATTESTED = "attested"
ROLES = frozenset({GATEWAY, VALIDATOR, ENROLLER, GOVERNOR, DEVICE})
"""Roles an enrolment may grant; `attested` is given by `registry.attach` only."""


class Organisation(NamedTuple):
    """An organisation; `status` ACTIVE or REVOKED."""

    name: str
    status: int

    def encode(self) -> bytes:
        """Return the state value."""
        return cbor.encode([self.name, self.status])


class ReadRule(NamedTuple):
    """One rule of a read policy: who may read what, of whom or where (`policy.py` has the words)."""

    who: str
    what: str
    of: str


class Policy(NamedTuple):
    """Who may read what of an organisation; `own` is where a contract says which devices are whose."""

    rules: tuple[ReadRule, ...]
    own: str | None

    def encode(self) -> bytes:
        """Return the state value."""
        return cbor.encode({"own": self.own, "rules": [list(rule) for rule in self.rules]})


class Member(NamedTuple):
    """Anyone with a registered key, or an attested device (kid empty).

    `epoch_min` and `vertex_epoch_min` are the lowest epochs still accepted for its records and its vertices: a fork
    raises them past the suspended branch.
    """

    status: int
    roles: tuple[str, ...]
    profile: str | None
    kid: bytes
    epoch_min: int
    vertex_epoch_min: int

    def encode(self) -> bytes:
        """Return the state value; roles are sorted."""
        return cbor.encode(
            [
                self.status,
                sorted(self.roles),
                self.profile,
                self.kid,
                self.epoch_min,
                self.vertex_epoch_min,
            ]
        )


class KeyRow(NamedTuple):
    """One public key of a member, as COSE_Key bytes, and whether it still speaks for it."""

    cose_key: bytes
    status: int

    def encode(self) -> bytes:
        """Return the state value."""
        return cbor.encode([self.cose_key, self.status])


class Register(NamedTuple):
    """Which measurement is the device's register, as an integer at 10**exponent."""

    name: str
    exponent: int


class Profile(NamedTuple):
    """A kind of device: what it may measure in which unit, its register, the rule its readings run under."""

    measurements: tuple[tuple[str, str | None], ...]
    register: Register | None
    rule: str
    visibility: str

    def encode(self) -> bytes:
        """Return the state value."""
        return cbor.encode(
            {
                "measurements": [[name, unit] for name, unit in self.measurements],
                "register": list(self.register) if self.register else None,
                "rule": self.rule,
                "visibility": self.visibility,
            }
        )


class AuthorHead(NamedTuple):
    """The last accepted vertex of an author."""

    epoch: int
    seq: int
    vertex: bytes

    def encode(self) -> bytes:
        """Return the state value."""
        return cbor.encode([self.epoch, self.seq, self.vertex])


class Proposal(NamedTuple):
    """What organisations vote on; `status` is `open` or `done`."""

    kind: str
    args: dict[str, Any]
    approvals: tuple[str, ...]
    status: str

    def encode(self) -> bytes:
        """Return the state value; approvals are sorted."""
        return cbor.encode(
            {
                "kind": self.kind,
                "args": self.args,
                "approvals": sorted(self.approvals),
                "status": self.status,
            }
        )


class ContractRow(NamedTuple):
    """A contract: which version runs (0: none yet), its status, the organisation that submitted it first."""

    version: int
    status: str
    owner: str

    def encode(self) -> bytes:
        """Return the state value."""
        return cbor.encode(list(self))


class VersionRow(NamedTuple):
    """One version: hash of its package, who approved it, `submitted`, `deployed` or `replaced`, from which height."""

    hash: bytes
    approvals: tuple[str, ...]
    status: str
    height: int

    def encode(self) -> bytes:
        """Return the state value; approvals are sorted."""
        return cbor.encode([self.hash, sorted(self.approvals), self.status, self.height])


class Due(NamedTuple):
    """A version that starts at a height."""

    height: int
    name: str
    version: int


def encode_due(waiting: tuple[Due, ...]) -> bytes:
    """Return the state value of all versions that wait, by height and name."""
    return cbor.encode([list(due) for due in sorted(waiting)])


def encode_evidence(ids: list[bytes]) -> bytes:
    """Return the state value of fork evidence: both ids, sorted."""
    return cbor.encode(sorted(ids))


Row = TypeVar("Row")

ROWS_REMEMBERED_MAX = 512
"""Rows of each kind: more would hold every device's a second time, beside its rights."""

ROLES_REMEMBERED_MAX = 256
"""Sets of roles, each with a profile, that members share one copy of."""


def _decoder(build: Callable[[Any], Row]) -> Callable[[bytes], Row]:
    @lru_cache(maxsize=ROWS_REMEMBERED_MAX)
    def decode(value: bytes) -> Row:
        try:
            return build(cbor.decode(value))
        except Exception as error:
            raise InvariantBroken(f"state value {value.hex()[:64]} does not decode") from error

    return decode


def _build_member(value: Any) -> Member:
    status, roles, profile, kid, epoch_min, vertex_epoch_min = value
    roles, profile = _shared(tuple(roles), profile)
    return Member(status, roles, profile, kid, epoch_min, vertex_epoch_min)


@lru_cache(maxsize=ROLES_REMEMBERED_MAX)
def _shared(roles: tuple[str, ...], profile: str | None) -> tuple[tuple[str, ...], str | None]:
    """Give the one copy that all members with these roles and this profile have."""
    return roles, profile


def _build_policy(value: Any) -> Policy:
    return Policy(tuple(ReadRule(*rule) for rule in value["rules"]), value["own"])


def _build_profile(value: Any) -> Profile:
    return Profile(
        measurements=tuple((name, unit) for name, unit in value["measurements"]),
        register=Register(*value["register"]) if value["register"] else None,
        rule=value["rule"],
        visibility=value["visibility"],
    )


def _build_proposal(value: Any) -> Proposal:
    return Proposal(value["kind"], value["args"], tuple(value["approvals"]), value["status"])


decode_organisation = _decoder(lambda value: Organisation(*value))
decode_policy = _decoder(_build_policy)
decode_member = _decoder(_build_member)
decode_key_row = _decoder(lambda value: KeyRow(*value))
decode_profile = _decoder(_build_profile)
decode_author_head = _decoder(lambda value: AuthorHead(*value))
decode_contract_row = _decoder(lambda value: ContractRow(*value))
decode_version_row = _decoder(lambda value: VersionRow(value[0], tuple(value[1]), *value[2:]))
decode_due = _decoder(lambda value: tuple(Due(*item) for item in value))
decode_proposal = _decoder(_build_proposal)
