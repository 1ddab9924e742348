"""The values that cross the border between a node and its REST API: plain, frozen, complete.

They hold what a node knows, not how it is shown: `views.py` turns them into rows. Nothing here has
behaviour. Bytes are verbatim: a record's `raw` is what the device signed. Heights, sizes and
indexes are integers; times are Unix milliseconds. Source: design.md sections 3, 7 and 8.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from drystone.errors import Refused
    from drystone.formats.cbor import Value
    from drystone.ledger.read_rights import Asker
    from drystone.records.key import PublicKey
    from drystone.records.stream import Stream

StreamKey: TypeAlias = tuple[str, ...]
"""`(iss, sub)` or `(iss, sub, device)`."""


class StreamCursor(NamedTuple):
    """A position in a stream; records are listed by position, not by arrival."""

    epoch: int
    seq: int


class VertexCursor(NamedTuple):
    """A vertex's address; vertices are listed by it."""

    iss: str
    sub: str
    epoch: int
    seq: int


class EventCursor(NamedTuple):
    """An event's address: block, and number within the block. Stored blocks yield the same events
    for ever.
    """

    height: int
    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerInfo:
    """What never changes while a node runs."""

    origin: str
    ledger: bytes
    """32 bytes; its first 8 stand in calls."""
    iss: str
    """The organisation this node works for."""
    node: str
    """The node's member id: author of its vertices."""
    vkey: str
    """C2SP verifier key of this node's checkpoints."""
    engine: str
    protocol: int
    version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """The last commit."""

    height: int
    time_ms: int
    size: int
    root: bytes
    head: bytes
    """The application hash: the one commitment to log, state, time and validators."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a record lies: its only address in the DAG."""

    iss: str
    sub: str
    epoch: int
    seq: int
    index: int
    """Of the record within the vertex's body, from 0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundRecord:
    """An accepted record with everything the ledger knows about its place."""

    stream: StreamKey
    epoch: int
    seq: int
    raw: bytes | None
    """The record's bytes, verbatim; None once its body was pruned."""
    place: Place
    vertex: bytes
    height: int | None
    """None: not ordered yet, and its outcome is a guess."""
    time_ms: int | None
    """The block's time: the record existed by then."""
    log_index: int | None
    outcome: str
    witnesses: int | None = None
    """How many other gateways built on its vertex; None in lists, where nobody counts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamInfo:
    """A stream's state as it stands in the authenticated map."""

    stream: StreamKey
    state: Stream
    final: bool = True
    """Whether the final state says the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyInfo:
    """One public key of a member, current or former."""

    kid: bytes
    status: str
    """`active`, `retired` or `revoked`."""
    cose_key: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberInfo:
    """Anyone with a registered key, or an unsigned device that a gateway attests."""

    iss: str
    sub: str
    """The member's id; of an attested device, the gateway's."""
    device: str | None
    """The attested device's id."""
    status: str
    """`active` or `revoked`."""
    roles: tuple[str, ...]
    profile: str | None
    kid: bytes
    """The current key's; empty for an attested device."""
    epoch_min: int
    """Records of lower epochs are refused: a fork suspended that branch."""
    keys: tuple[KeyInfo, ...]
    final: bool = True
    """Whether the final state says the same of it (of its keys nothing)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownKey:
    """A key that a member has or had, and what it may ask for with it."""

    key: PublicKey
    asker: Asker
    refusal: Refused | None
    """Why key, member or organisation is not active; None: all are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OrganisationInfo:
    """An organisation on the ledger."""

    iss: str
    name: str
    status: str
    members: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileInfo:
    """A kind of device: what it may measure in which unit, its register, its rule."""

    iss: str
    name: str
    rule: str
    """The built-in rule `accept`, later a contract."""
    visibility: str
    measurements: tuple[tuple[str, str | None], ...]
    """Name and unit of each."""
    register: tuple[str, int] | None
    """Name and exponent of the measurement whose value must not fall along the stream."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionInfo:
    """One version of a contract, from its submission on."""

    name: str
    version: int
    hash: bytes
    """What organisations approve: SHA-256 of the package."""
    approvals: tuple[str, ...]
    status: str
    """`submitted`, `deployed` or `replaced`."""
    height: int
    """From which block on it runs; 0 while nobody deployed it."""
    package: bytes | None
    """Manifest and source; None in lists, and once replaced or archived (the log still has it)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ContractInfo:
    """A contract: who owns it, what runs, and its versions by number (none in lists)."""

    name: str
    owner: str
    """The organisation that submitted it first."""
    status: str
    version: int
    """The version that runs; 0: none yet."""
    needed: int
    """How many organisations must approve a version."""
    versions: tuple[VersionInfo, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ContractValue:
    """One value that a contract keeps."""

    path: str
    key: bytes
    """Its state key, with which it is proved."""
    value: bytes
    """Deterministic CBOR."""
    final: bool = True
    """Whether the final state holds the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VertexInfo:
    """A gateway's signed batch and what became of it."""

    id: bytes
    iss: str
    sub: str
    epoch: int
    seq: int
    parent: bytes | None
    links: tuple[bytes, ...]
    time_ms: int | None
    """The gateway's claim; the block's time is the evidence."""
    count: int
    length: int
    root: bytes
    height: int | None
    """Block that orders it; None while it is pending."""
    position: int | None
    witnesses: int
    """How many other gateways have built on it."""
    header: bytes
    body: tuple[bytes, ...] | None
    """The records' bytes; None in lists, once pruned, and where withheld."""
    withheld: bool = False
    """The read policy keeps the body from whoever asks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockInfo:
    """One non-empty block. `parent` is the head before it, `head` the application hash after it."""

    height: int
    time_ms: int
    protocol: int
    parent: bytes
    head: bytes
    size: int
    """Log entries after this block; its own block entry is the last of them."""
    root: bytes
    state: bytes
    outcomes: bytes
    validators: bytes
    entry: bytes
    """The block entry's bytes as they stand in the log."""
    vertices: tuple[bytes, ...]
    records: int
    codes: Mapping[str, int]
    """How many records per outcome code."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EventInfo:
    """What the ledger or a contract says about a record: a gap opened, a key rotated ..."""

    contract: str
    name: str
    data: Value


@dataclass(frozen=True, slots=True, kw_only=True)
class OutcomeInfo:
    """What became of one record, or of a vertex as a whole (`record` is None)."""

    vertex: bytes
    record: int | None
    code: str
    steps: int
    events: tuple[EventInfo, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class StateProof:
    """A state value, present or absent, with all that proves it offline."""

    key: bytes
    value: bytes | None
    ics23: bytes
    block: bytes
    """The block entry whose state root the proof leads to."""
    height: int
    receipt: bytes
    """COSE Receipt of that block entry."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceEvent:
    """One thing that happened, in ledger order.

    `block`: data has height, time_ms, records, size, codes. `outcome`: a record that was not
    accepted; data has vertex, record, code. `event`: a contract's or the ledger's event; data has
    contract, name, data, vertex, record. Index 0 of a block is the block itself. Bytes in data are
    hex. What is provisional has the cursor of the last block and does not come again.
    """

    cursor: EventCursor
    kind: Literal["block", "outcome", "event"]
    data: Mapping[str, Value]
    final: bool = True
    resumes: bool = True
    """Whether a client may resume behind it; not behind what only the provisional view has told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthCheck:
    """One thing a node watches; `detail` is a sentence a person can act on."""

    name: str
    ok: bool
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """Whether the node does its work, in one sentence and in parts."""

    ok: bool
    sentence: str
    checks: tuple[HealthCheck, ...]
    records_last_minute: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeMetrics:
    """A node's numbers at this moment; `api/metrics.py` names and explains them."""

    height: int
    log_size: int
    commit_age_ms: int
    """Since the last commit."""
    records_by_outcome: Mapping[str, int]
    """Committed since the node's start, per outcome code."""
    answers_by_code: Mapping[str, int]
    """Answered at intake since the node's start, per code."""
    intake_records: int
    """Acknowledged, not yet sealed."""
    intake_bytes: int
    pending_vertices: int
    """Sealed, not yet ordered."""
    tips: int
    blocks_in_flight: int
    verify_batches: int
    waiters: int
    subscribers: int
    disk_free_bytes: int
    vertices_bytes: int
    ledger_bytes: int
    memory_bytes: int
    restarts: int
