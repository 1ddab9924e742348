"""What a verification found out: everything a person wants to read, and nothing that was not checked.

A `Verdict` exists only if everything in the file held; a file that does not hold raises. What a verdict cannot say it
says openly: whether the device's own signature was checked against a proved key is a field, never implied.
No behaviour lives here; `report.py` puts it into words. Source: formats.md part B; design.md section 3.8.
"""

from dataclasses import dataclass
from typing import Literal, NamedTuple

from drystone.records.payload import CallValues, Reading


@dataclass(frozen=True, slots=True, kw_only=True)
class Signer:
    """A trusted key under the checkpoint; `time_s` is when a witness saw it (Unix seconds), None for a node."""

    role: Literal["node", "witness"]
    name: str
    key_id: bytes
    time_s: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class MomentFacts:
    """A block in the log of a record: entry `index`, its time in Unix milliseconds."""

    height: int
    time_ms: int
    index: int


@dataclass(frozen=True, slots=True, kw_only=True)
class IntervalFacts:
    """The blocks that prove when a record came: in the log by `until`, signed after `since`, whose state it names.

    `since` is None where the record names no anchor, or the receipt does not lead to it.
    """

    until: MomentFacts
    since: MomentFacts | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Inclusion:
    """A leaf's place in the log, proved: leaf `index` of `size`, under a root that `signers` vouch for.

    `node` is the member id that the receipt's signer gave itself. `head` is the application hash. `interval` stands
    in receipts of records only, and not in old ones.
    """

    node: str
    kid: bytes
    index: int
    size: int
    root: bytes
    head: bytes
    signers: tuple[Signer, ...]
    interval: IntervalFacts | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordFacts:
    """The record itself; claims in it (time, anchor) are its sender's, not the ledger's.

    `measurements` are (name, unit, value, time) with numbers as int or (exponent, mantissa); `call` is (ledger,
    contract, function, arguments, step limit).
    """

    kind: Literal["reading", "call", "sealed"]
    iss: str
    sub: str
    device: str | None
    epoch: int
    seq: int
    iat: int | None
    anchor: bytes | None
    alg: int
    kid: bytes
    record_id: bytes
    entry: bytes
    measurements: tuple[Reading, ...]
    call: CallValues | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StateFacts:
    """A state value at a block: `value` None means proved absent. Time is the block's, Unix milliseconds."""

    key: bytes
    value: bytes | None
    height: int
    time_ms: int
    protocol: int
    state_root: bytes
    inclusion: Inclusion


@dataclass(frozen=True, slots=True, kw_only=True)
class SignatureFacts:
    """Whether the record's own signature was checked, and against which key.

    `checked` is False when no proved key came along: then the log's nodes vouch that they checked it. `signed_by` is
    `gateway` for a device that does not sign. `key_status` is the registry's, at the height of `key`.
    """

    checked: bool
    signed_by: Literal["device", "gateway"]
    cose_key: bytes | None
    key_status: int | None
    key: StateFacts | None


class Item(NamedTuple):
    """A record of a stretch, in accepted order."""

    epoch: int
    seq: int
    record_id: bytes


class Range(NamedTuple):
    """Sequence numbers `first` to `last` of one epoch, both included."""

    epoch: int
    first: int
    last: int


class ForkFacts(NamedTuple):
    """Evidence that the ledger holds: two different records of one position in this epoch, by their ids."""

    epoch: int
    ids: tuple[bytes, bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class StretchFacts:
    """All records the ledger accepted from one stream between two blocks; `start` None means from the beginning.

    `runs` and `gaps` describe the stream at the end: what is there, and what had not come. `forgets` says that the
    stream has closed old epochs whose gaps are not among them. `forks` is the evidence that came along and was proved.
    """

    iss: str
    sub: str
    device: str | None
    start: StateFacts | None
    end: StateFacts
    items: tuple[Item, ...]
    count_before: int
    count: int
    digest: bytes
    runs: tuple[Range, ...]
    gaps: tuple[Range, ...]
    forgets: bool
    forks: tuple[ForkFacts, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What holds. `kind` says which of `record`, `stretch`, `state` is there; `inclusions` has each receipt's place."""

    kind: Literal["record", "completeness", "state"]
    origin: str
    ledger: bytes
    inclusions: tuple[Inclusion, ...]
    record: RecordFacts | None = None
    signature: SignatureFacts | None = None
    stretch: StretchFacts | None = None
    state: StateFacts | None = None
