"""Finality: who vouches that a log of this size has this root.

Kind 1 is a C2SP checkpoint: three lines of text under the signatures of nodes (plain Ed25519) and of witnesses
(cosignature/v1, with the time at which the witness saw it). Kind 2 is a CometBFT header with its commit; its shape is
read here and then refused, until the engine that makes them exists. A receipt's note carries only lines whose key the
trust file lists, each key once, in one order, so that no byte of it can be changed. Decides nothing about records.
Source: formats.md A4 and part B (`finality`); C2SP signed-note, tlog-checkpoint, tlog-cosignature.
"""

from collections.abc import Iterable
from itertools import pairwise
from typing import Final, NamedTuple

from drystone.errors import NoteMalformed, ReceiptMalformed, ReceiptUntrusted
from drystone.formats import cose, note
from drystone.formats.cbor import Value
from drystone.proof.trust import Trust
from drystone.proof.verdict import Signer
from drystone.records.key import PublicKey, SecretKey

KIND_NODES: Final = 1
KIND_COMETBFT: Final = 2


class NodeFinality(NamedTuple):
    """Kind 1: the whole text of a signed note."""

    note: str


class CometFinality(NamedTuple):
    """Kind 2: header N+1 and its commit as CometBFT protobuf; not verified by this version."""

    header: bytes
    commit: bytes


Finality = NodeFinality | CometFinality


class Finalised(NamedTuple):
    """A checkpoint that enough of the trust file's keys signed."""

    checkpoint: note.Checkpoint
    signers: tuple[Signer, ...]


def check_finality(finality: Finality, *, trust: Trust) -> Finalised:
    """Check that enough of the trusted keys signed one checkpoint of the trusted log.

    Checks every line (each must be of a listed key, and valid), that no key counts twice, the origin, and both counts.
    Does not check what the checkpoint's size and root contain. Raises: NoteMalformed, ReceiptUntrusted.
    """
    if isinstance(finality, CometFinality):
        raise ReceiptUntrusted("finality by CometBFT is not known to this version")
    signed = note.decode_note(finality.note.encode())
    _check_lines(signed, trust)
    listed = (*trust.nodes, *trust.witnesses)
    note.verify_note(signed, listed, _verify_ed25519)
    checkpoint = note.parse_checkpoint(signed.text)
    if checkpoint.origin != trust.origin:
        raise ReceiptUntrusted(f"the log is {checkpoint.origin!r}, trusted is {trust.origin!r}")
    signers = tuple(_signer(line, trust) for line in signed.signatures)
    nodes = sum(signer.role == "node" for signer in signers)
    if nodes < trust.need:
        raise ReceiptUntrusted(f"{nodes} of {trust.need} needed nodes signed")
    witnesses = len(signers) - nodes
    if witnesses < trust.need_witnesses:
        raise ReceiptUntrusted(f"{witnesses} of {trust.need_witnesses} needed witnesses signed")
    return Finalised(checkpoint, signers)


def node_finality(text: str, lines: Iterable[note.NoteSignature]) -> NodeFinality:
    """Return kind 1 over a checkpoint's text, its lines brought into the one order; checks no signature."""
    ordered = tuple(sorted(lines, key=_line_order))
    return NodeFinality(note.encode_note(note.Note(text, ordered)).decode())


def sign_checkpoint(secret: SecretKey, checkpoint: note.Checkpoint) -> note.NoteSignature:
    """Return a node's line under a checkpoint; the key must be Ed25519, its name is the log's origin."""
    raw = secret.public.raw
    key_id = note.key_id(checkpoint.origin, note.TYPE_ED25519, raw)
    signature = secret.sign(note.checkpoint_text(checkpoint).encode())
    return note.NoteSignature(checkpoint.origin, key_id, signature)


def cosign_checkpoint(
    secret: SecretKey, *, name: str, text: str, time_s: int
) -> note.NoteSignature:
    """Return a witness's line (cosignature/v1) under a checkpoint's text, seen at Unix time `time_s`."""
    key_id = note.key_id(name, note.TYPE_COSIGNATURE, secret.public.raw)
    signature = secret.sign(note.cosignature_message(text, time_s))
    return note.NoteSignature(name, key_id, time_s.to_bytes(8, "big") + signature)


def encode_finality(finality: Finality) -> Value:
    """Return what stands under -70002 of a receipt's unprotected header."""
    if isinstance(finality, NodeFinality):
        return [KIND_NODES, finality.note]
    return [KIND_COMETBFT, finality.header, finality.commit]


def decode_finality(value: Value) -> Finality:
    """Read one of the two shapes; checks no signature. Raises: ReceiptMalformed."""
    match value:
        case [kind, str() as text] if _is(kind, KIND_NODES):
            return NodeFinality(text)
        case [kind, bytes() as header, bytes() as commit] if _is(kind, KIND_COMETBFT):
            return CometFinality(header, commit)
        case _:
            raise ReceiptMalformed("finality: expected [1, note] or [2, header, commit]")


def _check_lines(signed: note.Note, trust: Trust) -> None:
    """A line that no listed key covers could say anything; two orders of lines would be two spellings."""
    listed = {(verifier.name, verifier.key_id) for verifier in (*trust.nodes, *trust.witnesses)}
    for line in signed.signatures:
        if (line.name, line.key_id) not in listed:
            raise ReceiptUntrusted(f"the trust file does not list {line.name}+{line.key_id.hex()}")
    order = [_line_order(line) for line in signed.signatures]
    if any(first >= second for first, second in pairwise(order)):
        raise NoteMalformed("a key signed twice, or lines are not in the order of name and key id")


def _line_order(line: note.NoteSignature) -> tuple[bytes, bytes]:
    return line.name.encode(), line.key_id


def _signer(line: note.NoteSignature, trust: Trust) -> Signer:
    witnesses = {(verifier.name, verifier.key_id) for verifier in trust.witnesses}
    if (line.name, line.key_id) in witnesses:
        time_s, _ = note.parse_cosignature(line.blob)
        return Signer(role="witness", name=line.name, key_id=line.key_id, time_s=time_s)
    return Signer(role="node", name=line.name, key_id=line.key_id, time_s=None)


def _verify_ed25519(key: bytes, message: bytes, signature: bytes) -> None:
    PublicKey(cose.ALG_EDDSA, key).verify(message, signature)


def _is(kind: Value, wanted: int) -> bool:
    return type(kind) is int and kind == wanted
