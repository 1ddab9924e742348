"""Verification: from a file and a trust file to a verdict, offline, or a refusal that names what does not hold.

The order is always the same: outer form, then signatures and hashes, and only then what the proved bytes say. Nothing
is believed but the trust file. Every check stands on a line of its own, because a test removes each of them in turn
and some vector must then fail. `drystone verify`, the single-file verifier and the tests use this; the page in the
browser is a second implementation of the same rules. Source: formats.md part B and its last table; RFC 9942.
"""

from dataclasses import replace
from hashlib import sha256
from typing import Final, Literal, NamedTuple, cast

from drystone.errors import (
    DrystoneError,
    ProofInvalid,
    ReceiptMalformed,
    ReceiptMismatch,
    ReceiptUntrusted,
)
from drystone.formats import cbor, cose
from drystone.proof import completeness, finality, interval, receipt
from drystone.proof.block import app_head, decode_block
from drystone.proof.completeness import Point
from drystone.proof.trust import Trust, node_key
from drystone.proof.verdict import (
    ForkFacts,
    Inclusion,
    RecordFacts,
    SignatureFacts,
    StateFacts,
    StretchFacts,
    Verdict,
)
from drystone.records import record as records
from drystone.records import stream
from drystone.records.key import PublicKey, trusted_cose_key
from drystone.records.payload import CallValues, Reading
from drystone.trees import ics23, log

LEDGER_TAG_LENGTH: Final = 8
_KINDS: Final[dict[int, Literal["reading", "call", "sealed"]]] = {
    cose.SENML: "reading",
    cose.CBOR: "call",
    cose.ENCRYPT0: "sealed",
}


def verify_file(data: bytes, trust: Trust, *, key_point: bytes | None = None) -> Verdict:
    """Verify whatever proof `data` holds, told apart by its first byte; see the three functions below.

    Raises: Refused, with the code of the first rule that does not hold.
    """
    first = data[:1]
    if key_point is not None and first != b"\xd2":
        raise ReceiptMalformed("a key's proof goes with a record only")
    if first == b"\x84":
        return verify_state_value(data, trust)
    if first in (b"\x86", b"\x87", b"\x88"):
        return verify_completeness(data, trust)
    return verify(data, trust, key_point=key_point)


def verify(data: bytes, trust: Trust, *, key_point: bytes | None = None) -> Verdict:
    """Verify a transparent statement: a record that the trusted ledger accepted, at one place of its log.

    Checks every receipt in it, all of them about one place, the record's form, a call's ledger; with `key_point` (a
    point that proves the sender's key) also the record's own signature. Without it the verdict says that the record's
    signature was not checked; with an interval in a receipt, the blocks around the record and its anchor. Does not
    check the sender's claims: time, values. Raises: Refused.
    """
    statement = receipt.detach_receipts(data)
    entry = sha256(statement.record).digest()
    leaf = log.leaf_hash(entry)
    checked = [_check_receipt(item, leaf, trust) for item in statement.receipts]
    inclusions = tuple(one.inclusion for one in checked)
    if len({inclusion.index for inclusion in inclusions}) != 1:
        raise ReceiptMismatch("the receipts are about different places of the log")
    if len({inclusion.kid for inclusion in inclusions}) != len(inclusions):
        raise ReceiptMalformed("two receipts by one node")
    record = records.check_form(statement.record)
    facts = _record_facts(record)
    if facts.call is not None and facts.call[0] != trust.ledger[:LEDGER_TAG_LENGTH]:
        raise ReceiptMismatch("the call names another ledger than the trust file")
    return Verdict(
        kind="record",
        origin=trust.origin,
        ledger=trust.ledger,
        inclusions=tuple(_with_interval(one, leaf, record.anchor) for one in checked),
        record=facts,
        signature=_check_sender(record, key_point, trust),
    )


def verify_completeness(data: bytes, trust: Trust) -> Verdict:
    """Verify that a stream's records between two proved blocks are exactly those listed.

    Checks both points, that they are of this stream and in this order of the log, the chain between them, and that the
    ledger held the evidence of forks that came along. Does not check the records themselves: compare their ids. Gaps
    and forks are no error; the verdict lists them. Raises: Refused.
    """
    proof = completeness.decode_completeness(data)
    key = completeness.stream_key(iss=proof.iss, sub=proof.sub, device=proof.device)
    end = _check_point(proof.end, trust, key=key)
    start = None if proof.start is None else _check_point(proof.start, trust, key=key)
    if start is not None:
        _check_order(start, end)
    before = stream.EMPTY if start is None else completeness.read_stream(start.value)
    after = completeness.read_stream(end.value)
    completeness.check_chain(start=before, items=proof.items, end=after)
    points = [end] if start is None else [start, end]
    return Verdict(
        kind="completeness",
        origin=trust.origin,
        ledger=trust.ledger,
        inclusions=tuple(point.inclusion for point in points),
        stretch=StretchFacts(
            iss=proof.iss,
            sub=proof.sub,
            device=proof.device,
            start=start,
            end=end,
            items=proof.items,
            count_before=before.count,
            count=after.count,
            digest=after.digest,
            runs=completeness.runs_of(after),
            gaps=completeness.gaps_of(after, items=proof.items, whole=start is None),
            forgets=start is not None and completeness.forgets(after),
            forks=tuple([_check_fork(fork, proof, end) for fork in proof.forks]),
        ),
    )


def verify_state_value(data: bytes, trust: Trust, *, key: bytes | None = None) -> Verdict:
    """Verify one state value, or its absence, at a block of the trusted ledger.

    `key` is the state key it must be about; None takes the key that the proof names. Checks the receipt of the block
    entry and the ICS-23 proof under its state root. Does not interpret the value, nor whether it still stands today.
    Raises: Refused.
    """
    point = completeness.decode_point(data)
    if key is None:
        key = ics23.decode(point.ics23).key
    state = _check_point(point, trust, key=key)
    return Verdict(
        kind="state",
        origin=trust.origin,
        ledger=trust.ledger,
        inclusions=(state.inclusion,),
        state=state,
    )


class _Checked(NamedTuple):
    """A receipt that holds, and what it says of its leaf."""

    parsed: receipt.Receipt
    inclusion: Inclusion


def _check_receipt(data: bytes, leaf: bytes, trust: Trust) -> _Checked:
    """Check that a trusted node's receipt places `leaf` in a log whose size and root enough trusted keys signed."""
    parsed = receipt.decode_receipt(data)
    if parsed.finality is None:
        raise ReceiptUntrusted(
            "a receipt without finality: its size and index are signed by nobody"
        )
    final = finality.check_finality(parsed.finality, trust=trust)
    size, root = final.checkpoint.size, final.checkpoint.root
    if parsed.origin != trust.origin:
        raise ReceiptMismatch(f"the receipt is of {parsed.origin!r}, its note of {trust.origin!r}")
    if parsed.inclusion.size != size:
        raise ReceiptMismatch(f"the receipt says size {parsed.inclusion.size}, its note {size}")
    log.verify_inclusion(
        root=root,
        size=size,
        index=parsed.inclusion.index,
        leaf=leaf,
        path=parsed.inclusion.path,
    )
    signed = cose.sig_structure(parsed.protected, root)
    _issuer(parsed.kid, trust).verify(signed, parsed.signature)
    inclusion = Inclusion(
        node=parsed.node,
        kid=parsed.kid,
        index=parsed.inclusion.index,
        size=size,
        root=root,
        head=app_head(size=size, root=root),
        signers=final.signers,
    )
    return _Checked(parsed, inclusion)


def _with_interval(checked: _Checked, leaf: bytes, anchor: bytes | None) -> Inclusion:
    """Check the interval that a record's receipt brings, where it does, and add it to what is known."""
    parsed, inclusion = checked
    if parsed.interval is None:
        return inclusion
    record = interval.Leaf(leaf, inclusion.index, parsed.inclusion.path)
    facts = interval.check_interval(
        parsed.interval, record=record, size=inclusion.size, root=inclusion.root, anchor=anchor
    )
    return replace(inclusion, interval=facts)


def _issuer(kid: bytes, trust: Trust) -> PublicKey:
    for verifier in trust.nodes:
        key = node_key(verifier)
        if key.kid() == kid:
            return key
    raise ReceiptUntrusted(f"the trust file lists no node with kid {kid.hex()}")


def _check_point(point: Point, trust: Trust, *, key: bytes) -> StateFacts:
    """Check that `key` has the point's value in the state after a block of the trusted log."""
    parsed, inclusion = _check_receipt(point.receipt, log.leaf_hash(point.block), trust)
    if parsed.interval is not None:
        raise ReceiptMalformed("a block's own receipt has no interval")
    block = decode_block(point.block)
    try:
        named = ics23.decode(point.ics23).key
        if named != key:
            raise ReceiptMismatch(f"the proof is about state key {named.hex()}, not {key.hex()}")
        if point.value is None:
            ics23.verify_absence(block.state, key, point.ics23)
        else:
            ics23.verify_presence(block.state, key, point.value, point.ics23)
    except ProofInvalid as error:
        raise ProofInvalid(f"state proof at height {block.height}: {error}") from error
    return StateFacts(
        key=key,
        value=point.value,
        height=block.height,
        time_ms=block.time_ms,
        protocol=block.protocol,
        state_root=block.state,
        inclusion=inclusion,
    )


def _check_fork(
    fork: completeness.ForkPoint, proof: completeness.Completeness, end: StateFacts
) -> ForkFacts:
    """Check that the ledger held evidence of a fork in this stream at the second point."""
    key = completeness.evidence_key(
        iss=proof.iss, sub=proof.sub, device=proof.device, epoch=fork.epoch
    )
    ics23.verify_presence(end.state_root, key, fork.value, fork.ics23)
    return ForkFacts(fork.epoch, completeness.read_evidence(fork.value))


def _check_order(start: StateFacts, end: StateFacts) -> None:
    """A stretch runs forwards, and two checkpoints of one size are one checkpoint."""
    first, last = start.inclusion, end.inclusion
    if first.size > last.size:
        raise ReceiptMismatch(f"the log shrinks from {first.size} to {last.size}")
    if first.size == last.size and first.root != last.root:
        raise ReceiptMismatch("two roots for one size of the log: evidence of a split view")
    if (start.height, first.index) != (end.height, last.index) and (
        start.height >= end.height or first.index >= last.index
    ):
        raise ReceiptMismatch("the second point does not come after the first")


def _check_sender(record: records.Record, key_point: bytes | None, trust: Trust) -> SignatureFacts:
    """Check the record's signature if the sender's key came along with its proof; say so if not."""
    signed_by = "device" if record.device is None else "gateway"
    if key_point is None:
        return SignatureFacts(
            checked=False, signed_by=signed_by, cose_key=None, key_status=None, key=None
        )
    wanted = completeness.device_key(iss=record.iss, sub=record.sub, kid=record.kid)
    state = _check_point(completeness.decode_point(key_point), trust, key=wanted)
    cose_key, status = _read_key_row(state.value)
    key = trusted_cose_key(cose_key)
    if key.kid() != record.kid:
        raise ReceiptMismatch("the proved key has another kid than the record")
    records.check_signature(record, key)
    return SignatureFacts(
        checked=True, signed_by=signed_by, cose_key=cose_key, key_status=status, key=state
    )


def _read_key_row(value: bytes | None) -> tuple[bytes, int]:
    """Read the registry's row of a key: [COSE_Key, status]."""
    if value is None:
        raise ReceiptMismatch("the key point proves that the ledger has no such key")
    try:
        row = cbor.decode(value)
    except DrystoneError as error:
        raise ReceiptMalformed(f"key row: {error}") from error
    match row:
        case [bytes() as cose_key, int() as status] if type(status) is int:
            return cose_key, status
        case _:
            raise ReceiptMalformed("a key row is [COSE_Key, status]")


def _record_facts(record: records.Record) -> RecordFacts:
    kind = _KINDS[record.content_type]
    return RecordFacts(
        kind=kind,
        iss=record.iss,
        sub=record.sub,
        device=record.device,
        epoch=record.epoch,
        seq=record.seq,
        iat=record.iat,
        anchor=record.anchor,
        alg=record.alg,
        kid=record.kid,
        record_id=record.id,
        entry=record.entry,
        measurements=cast("tuple[Reading, ...]", record.content) if kind == "reading" else (),
        call=cast("CallValues", record.content) if kind == "call" else None,
    )
