"""Checkpoints that our own keys sign, and finality's two shapes."""

import pytest
from proof_stage import NODE, ORIGIN, OTHER_NODE, TRUST, WITNESS, Log, verifier

from drystone.errors import NoteMalformed, ReceiptMalformed, ReceiptUntrusted
from drystone.formats import note
from drystone.proof import finality
from drystone.proof.trust import Trust

HEAD = note.Checkpoint(ORIGIN, 7, bytes(range(32)))
TEXT = note.checkpoint_text(HEAD)
BOTH = Trust(
    origin=ORIGIN,
    ledger=bytes(32),
    nodes=(verifier(NODE), verifier(OTHER_NODE)),
    need=2,
    witnesses=(verifier(WITNESS, name="w.example", kind=note.TYPE_COSIGNATURE),),
    need_witnesses=1,
)


def lines() -> list[note.NoteSignature]:
    return [
        finality.cosign_checkpoint(WITNESS, name="w.example", text=TEXT, time_s=1_762_340_460),
        finality.sign_checkpoint(OTHER_NODE, HEAD),
        finality.sign_checkpoint(NODE, HEAD),
    ]


def test_checkpoint_signed_by_us_is_final() -> None:
    final = finality.check_finality(finality.node_finality(TEXT, lines()), trust=BOTH)
    assert final.checkpoint == HEAD
    assert [(signer.role, signer.time_s) for signer in final.signers] == [
        ("node", None),
        ("node", None),
        ("witness", 1_762_340_460),
    ]


def test_lines_come_into_one_order_however_they_arrive() -> None:
    forwards = finality.node_finality(TEXT, lines())
    backwards = finality.node_finality(TEXT, reversed(lines()))
    assert forwards == backwards


def test_lines_in_another_order_are_refused() -> None:
    ordered = note.decode_note(finality.node_finality(TEXT, lines()).note.encode())
    swapped = note.encode_note(ordered._replace(signatures=ordered.signatures[::-1])).decode()
    with pytest.raises(NoteMalformed, match="order"):
        finality.check_finality(finality.NodeFinality(swapped), trust=BOTH)


def test_finality_of_too_few_nodes_is_refused() -> None:
    with pytest.raises(ReceiptUntrusted, match="1 of 2 needed nodes"):
        finality.check_finality(finality.node_finality(TEXT, lines()[::2]), trust=BOTH)


def test_finality_of_too_few_witnesses_is_refused() -> None:
    with pytest.raises(ReceiptUntrusted, match="0 of 1 needed witnesses"):
        finality.check_finality(finality.node_finality(TEXT, lines()[1:]), trust=BOTH)


def test_finality_of_an_unlisted_key_is_refused() -> None:
    with pytest.raises(ReceiptUntrusted, match="does not list"):
        finality.check_finality(Log([b"a", b"b"]).sign(NODE, OTHER_NODE), trust=TRUST)


@pytest.mark.parametrize("value", [finality.NodeFinality("x"), finality.CometFinality(b"h", b"c")])
def test_finality_round_trips(value: finality.Finality) -> None:
    assert finality.decode_finality(finality.encode_finality(value)) == value


@pytest.mark.parametrize(
    "value", [None, [], [1], [1, b"x"], [1, "x", 0], [2, b"x"], [True, "x"], [3, "x"], {1: "x"}]
)
def test_another_shape_of_finality_is_refused(value: object) -> None:
    with pytest.raises(ReceiptMalformed):
        finality.decode_finality(value)  # type: ignore[arg-type]
