"""Documents of what a verifier checks: blocks, vertices, state values and receipts, as JSON.

The second half of `documents.py`. Each names the bytes it was taken from: the document is for
reading, the bytes are for checking. Source: requirement S3.8 (fields of a data block), RFC 9942.
"""

from typing import Any, cast

from pydantic import Field

from drystone.api.cells import iso_ms, plain
from drystone.api.lists import Hex, Row
from drystone.api.rows import FINALITY, finality_of
from drystone.api.values import BlockInfo, StateProof, VertexInfo
from drystone.errors import Refused
from drystone.formats import cbor
from drystone.gateway.answer import FINAL, Finality
from drystone.proof.block import decode_block
from drystone.proof.finality import NodeFinality
from drystone.proof.interval import Moment
from drystone.proof.receipt import Receipt, Transparent, decode_receipt


class BlockDocument(Row):
    """One block: the fields of a data block's header, and what its body holds."""

    height: int
    time: str
    protocol: int
    parent: Hex = Field(description="Head before this block; zeros for the genesis.")
    head: Hex = Field(description="Application hash after this block.")
    size: int = Field(description="Entries of the log after this block.")
    root: Hex = Field(description="Root of the log after this block.")
    state: Hex = Field(description="Root of the authenticated state.")
    outcomes: Hex = Field(description="Root over the outcomes of its records.")
    validators: Hex
    entry: Hex = Field(description="The block entry, verbatim: the last entry it appends.")
    vertices: list[Hex]
    records: int
    codes: dict[str, int] = Field(description="Records by outcome.")


def block_document(info: BlockInfo) -> BlockDocument:
    """A block as a document."""
    return BlockDocument(
        height=info.height,
        time=cast("str", iso_ms(info.time_ms)),
        protocol=info.protocol,
        parent=info.parent,
        head=info.head,
        size=info.size,
        root=info.root,
        state=info.state,
        outcomes=info.outcomes,
        validators=info.validators,
        entry=info.entry,
        vertices=list(info.vertices),
        records=info.records,
        codes=dict(info.codes),
    )


class VertexDocument(Row):
    """One vertex."""

    id: Hex
    iss: str
    sub: str
    epoch: int
    seq: int
    parent: Hex | None
    links: list[Hex]
    claimed: str | None
    count: int
    length: int
    root: Hex
    witnesses: int
    height: int | None
    finality: Finality = Field(description=FINALITY)
    position: int | None
    header: Hex
    body: list[Hex] | None = Field(
        description="The records, verbatim; null once pruned, and where the read policy withholds it."
    )
    withheld: bool = Field(description="Whether the read policy withholds the body from you.")


def vertex_document(info: VertexInfo) -> VertexDocument:
    """A vertex as a document."""
    return VertexDocument(
        id=info.id,
        iss=info.iss,
        sub=info.sub,
        epoch=info.epoch,
        seq=info.seq,
        parent=info.parent,
        links=list(info.links),
        claimed=iso_ms(info.time_ms),
        count=info.count,
        length=info.length,
        root=info.root,
        witnesses=info.witnesses,
        height=info.height,
        finality=finality_of(final=info.height is not None),
        position=info.position,
        header=info.header,
        body=None if info.body is None else list(info.body),
        withheld=info.withheld,
    )


class StateDocument(Row):
    """A state value, or its absence, with what proves it."""

    key: Hex
    present: bool
    value: Hex | None
    decoded: Any = Field(description="The value's CBOR as JSON, bytes as hex.")
    height: int
    finality: Finality = Field(description="Always `final`: only that is proved.")
    time: str
    state: Hex = Field(description="State root that the proof leads to.")
    ics23: Hex
    block: Hex
    receipt: Hex


def state_document(proof: StateProof) -> StateDocument:
    """A state proof as a document."""
    block = decode_block(proof.block)
    try:
        decoded = None if proof.value is None else plain(cbor.decode(proof.value))
    except Refused:
        # A value need not be CBOR for its proof to hold.
        decoded = None
    return StateDocument(
        key=proof.key,
        present=proof.value is not None,
        value=proof.value,
        decoded=decoded,
        height=block.height,
        finality=FINAL,
        time=cast("str", iso_ms(block.time_ms)),
        state=block.state,
        ics23=proof.ics23,
        block=proof.block,
        receipt=proof.receipt,
    )


class MomentDocument(Row):
    """A block in the record's log."""

    height: int
    time: str
    index: int = Field(description="Of its entry in the log.")


class InclusionDocument(Row):
    """One receipt of a record, taken apart; the bytes are what is checked."""

    origin: str
    node: str
    kid: Hex
    size: int
    index: int
    path: list[Hex]
    checkpoint: str | None = Field(description="The signed note that binds size and root.")
    until: MomentDocument | None = Field(description="The block by whose time the log had it.")
    since: MomentDocument | None = Field(
        description="The block whose state the record's anchor names: it was signed after it."
    )


class ReceiptDocument(Row):
    """A record and its receipts; `statement` is the file that `drystone verify` takes."""

    record: Hex
    receipts: list[InclusionDocument]
    statement: Hex


def receipt_document(statement: bytes, parts: Transparent) -> ReceiptDocument:
    """A transparent statement taken apart, for reading."""
    return ReceiptDocument(
        record=parts.record,
        receipts=[_inclusion(decode_receipt(data)) for data in parts.receipts],
        statement=statement,
    )


def _inclusion(receipt: Receipt) -> InclusionDocument:
    finality = receipt.finality
    return InclusionDocument(
        origin=receipt.origin,
        node=receipt.node,
        kid=receipt.kid,
        size=receipt.inclusion.size,
        index=receipt.inclusion.index,
        path=list(receipt.inclusion.path),
        checkpoint=finality.note if isinstance(finality, NodeFinality) else None,
        until=None if receipt.interval is None else _moment(receipt.interval.until),
        since=None if receipt.interval is None else _moment(receipt.interval.since),
    )


def _moment(moment: Moment | None) -> MomentDocument | None:
    if moment is None:
        return None
    time = cast("str", iso_ms(moment.block.time_ms))
    return MomentDocument(height=moment.block.height, time=time, index=moment.index)
