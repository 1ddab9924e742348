"""Documents: one thing each with all that the node knows of it, as JSON.

Beside `rows.py`, which has the flat rows of lists. Bytes are hex, times ISO 8601, numbers exact.
A document that stands for signed bytes names where the bytes themselves are: documents are for
reading, bytes are for checking. Nothing is fetched here; blocks, vertices, state and receipts are
in `proof_documents.py`. Source: the issue's item 5.
"""

from typing import Any, cast

from pydantic import Field

from drystone.api.cells import iso_ms, iso_seconds, plain, value_cell
from drystone.api.lists import Hex, Row
from drystone.api.rows import (
    FINALITY,
    KINDS,
    RecordRow,
    StreamRow,
    finality_of,
    readings_of,
    record_row,
    stream_row,
)
from drystone.api.values import (
    FoundRecord,
    Head,
    Health,
    LedgerInfo,
    MemberInfo,
    StreamInfo,
)
from drystone.gateway.answer import Finality
from drystone.records.payload import Call
from drystone.records.record import check_form
from drystone.records.stream import gaps


class HeadDocument(Row):
    """The last commit."""

    height: int
    time: str
    size: int = Field(description="Entries of the log.")
    root: Hex = Field(description="Root of the log.")
    head: Hex = Field(description="Application hash: the one commitment.")


def head_document(head: Head) -> HeadDocument:
    """The last commit as a document."""
    return HeadDocument(
        height=head.height,
        time=cast("str", iso_ms(head.time_ms)),
        size=head.size,
        root=head.root,
        head=head.head,
    )


class LedgerDocument(Row):
    """The ledger and the node that answers."""

    origin: str = Field(description="Name of the log, as in checkpoints and receipts.")
    ledger: Hex = Field(description="The ledger's id; calls carry its first 8 bytes.")
    organisation: str
    node: str
    vkey: str = Field(description="C2SP verifier key of this node's checkpoints.")
    engine: str
    protocol: int
    version: str
    head: HeadDocument


def ledger_document(info: LedgerInfo, head: Head) -> LedgerDocument:
    """The ledger, the node and the last commit as a document."""
    return LedgerDocument(
        origin=info.origin,
        ledger=info.ledger,
        organisation=info.iss,
        node=info.node,
        vkey=info.vkey,
        engine=info.engine,
        protocol=info.protocol,
        version=info.version,
        head=head_document(head),
    )


class Measured(Row):
    """One measurement of a reading."""

    name: str
    value: int | str | bool
    unit: str | None
    time: str | None


class CallDocument(Row):
    """A call of a contract's function."""

    ledger: Hex
    contract: str
    function: str
    args: dict[str, Any]
    limit: int


class VertexPlace(Row):
    """A record's address in the DAG."""

    iss: str
    sub: str
    epoch: int
    seq: int
    index: int


class RecordDocument(RecordRow):
    """One accepted record, whole."""

    place: VertexPlace
    witnesses: int | None = Field(
        description="How many other gateways built on the record's vertex, as far as this node knows."
    )
    outcome: str
    alg: int | None
    kid: Hex | None
    anchor: Hex | None
    readings: list[Measured]
    call: CallDocument | None
    entry: Hex | None = Field(description="SHA-256 of the record: the log's entry.")
    raw: Hex | None = Field(description="The record, verbatim; also as application/cose.")


def record_document(found: FoundRecord) -> RecordDocument:
    """An accepted record with everything in it."""
    record = None if found.raw is None else check_form(found.raw)
    call: CallDocument | None = None
    if record is not None and KINDS[record.content_type] == "call":
        values = Call(*cast("Any", record.content))
        call = CallDocument(
            ledger=values.ledger,
            contract=values.contract,
            function=values.function,
            args=plain(values.args),
            limit=values.limit,
        )
    place = found.place
    return RecordDocument(
        **record_row(found).model_dump(),
        place=VertexPlace(
            iss=place.iss, sub=place.sub, epoch=place.epoch, seq=place.seq, index=place.index
        ),
        witnesses=found.witnesses,
        outcome=found.outcome,
        alg=record.alg if record else None,
        kid=record.kid if record else None,
        anchor=record.anchor if record else None,
        readings=[
            Measured(
                name=name,
                value=cast("int | str | bool", value_cell(value)),
                unit=unit,
                time=iso_seconds(time),
            )
            for name, unit, value, time in readings_of(record)
        ],
        call=call,
        entry=record.entry if record else None,
        raw=found.raw,
    )


class RunDocument(Row):
    """Sequence numbers `first` to `last` of one epoch: all there, or all missing."""

    epoch: int
    first: int
    last: int


class StreamDocument(StreamRow):
    """One stream's state: what is there and what is missing."""

    there: list[RunDocument]
    gaps: list[RunDocument]


def stream_document(info: StreamInfo) -> StreamDocument:
    """A stream's state as a document."""
    return StreamDocument(
        **stream_row(info).model_dump(),
        there=[
            RunDocument(epoch=run.epoch, first=run.first, last=run.last) for run in info.state.runs
        ],
        gaps=[
            RunDocument(epoch=gap.epoch, first=gap.first, last=gap.last) for gap in gaps(info.state)
        ],
    )


class KeyDocument(Row):
    """One public key of a member."""

    kid: Hex
    status: str
    cose_key: Hex


class MemberDocument(Row):
    """A member with its keys."""

    iss: str
    sub: str
    device: str | None
    status: str
    roles: list[str]
    profile: str | None
    epoch_min: int = Field(description="Records of lower epochs are refused: a fork ended them.")
    finality: Finality = Field(description=FINALITY)
    keys: list[KeyDocument]


def member_document(info: MemberInfo) -> MemberDocument:
    """A member as a document."""
    return MemberDocument(
        iss=info.iss,
        sub=info.sub,
        device=info.device,
        status=info.status,
        roles=list(info.roles),
        profile=info.profile,
        epoch_min=info.epoch_min,
        finality=finality_of(final=info.final),
        keys=[
            KeyDocument(kid=key.kid, status=key.status, cose_key=key.cose_key) for key in info.keys
        ],
    )


class CheckDocument(Row):
    """One thing the node watches."""

    name: str
    ok: bool
    detail: str


class HealthDocument(Row):
    """Whether the node does its work."""

    ok: bool
    sentence: str
    records_last_minute: int
    checks: list[CheckDocument]


def health_document(health: Health) -> HealthDocument:
    """A node's health as a document."""
    return HealthDocument(
        ok=health.ok,
        sentence=health.sentence,
        records_last_minute=health.records_last_minute,
        checks=[
            CheckDocument(name=one.name, ok=one.ok, detail=one.detail) for one in health.checks
        ],
    )
