"""Issuing, attaching and taking apart receipts, and what formats.md says can go wrong with them."""

from hashlib import sha256

import pytest
from proof_stage import NODE, ORIGIN, TRUST, Log, reading
from proof_vectors import code_of, named, run

from drystone import limits
from drystone.errors import (
    HeaderUnexpected,
    ReceiptMalformed,
    ReceiptMismatch,
    ReceiptUntrusted,
    Refused,
)
from drystone.formats import cbor, cose
from drystone.proof import receipt, verify
from drystone.proof.block import BlockEntry, encode_block
from drystone.proof.finality import CometFinality
from drystone.records import record
from drystone.trees import log

GENESIS = b"genesis block entry"


def stated(raw: bytes, others: int = 2) -> bytes:
    entries = [GENESIS, sha256(raw).digest(), *(b"other %d" % n for n in range(others))]
    return receipt.attach_receipts(raw, [Log(entries).issue(1)])


def test_a_receipt_that_we_issue_verifies() -> None:
    verdict = verify.verify(stated(reading()), TRUST)
    assert verdict.inclusions[0].node == "gw-01"
    assert verdict.inclusions[0].index == 1


@pytest.mark.parametrize("others", range(12))
def test_a_receipt_verifies_in_a_log_of_any_size(others: int) -> None:
    verdict = verify.verify(stated(reading(), others), TRUST)
    assert verdict.inclusions[0].size == others + 2


def test_attached_receipts_come_off_again_and_leave_the_record_as_it_was() -> None:
    raw = reading()
    one = Log([GENESIS, sha256(raw).digest()]).issue(1)
    parts = receipt.detach_receipts(receipt.attach_receipts(raw, [one, one]))
    assert parts == (raw, (one, one))


def test_receipts_are_not_attached_to_a_transparent_statement() -> None:
    with pytest.raises(ReceiptMalformed):
        receipt.attach_receipts(stated(reading()), [b"x"])


def test_receipts_are_not_attached_to_what_is_no_message() -> None:
    with pytest.raises(ReceiptMalformed):
        receipt.attach_receipts(b"\x00", [b"x"])


def test_a_decoded_receipt_says_what_was_issued() -> None:
    book = Log([GENESIS, b"entry", b"third"])
    parsed = receipt.decode_receipt(book.issue(1))
    assert (parsed.kid, parsed.origin, parsed.node) == (NODE.public.kid(), ORIGIN, "gw-01")
    assert parsed.inclusion == (3, 1, tuple(log.inclusion_path(1, 3, book.node)))


def test_a_statement_beyond_the_limit_is_refused_before_it_is_parsed() -> None:
    data = b"\xd2" + bytes(limits.PROOF_BYTES_MAX)
    with pytest.raises(ReceiptMalformed, match="at most"):
        receipt.detach_receipts(data)


def test_a_receipt_with_cometbft_finality_is_read_and_refused() -> None:
    raw = reading()
    book = Log([GENESIS, sha256(raw).digest()])
    data = receipt.attach_receipts(raw, [book.issue(1, final=CometFinality(b"h", b"c"))])
    assert receipt.decode_receipt(receipt.detach_receipts(data).receipts[0]).finality == (
        b"h",
        b"c",
    )
    with pytest.raises(ReceiptUntrusted, match="CometBFT"):
        verify.verify(data, TRUST)


# --- formats.md, "What can still go wrong" ---------------------------------------------------------


def test_receipt_relabelled_to_another_size_and_index_is_refused() -> None:
    """Leaf 1 of 2 gives the same root as leaf 2 of 3: only the signed note tells them apart."""
    vector = named("leaf 1 of 2 relabelled as leaf 2 of 3")
    assert code_of(lambda: run(vector)) == "receipt-mismatch"


def test_every_relabelling_in_small_trees_that_keeps_the_root_is_refused() -> None:
    raw = reading()
    entry = sha256(raw).digest()
    relabelled = 0
    for size in range(2, 10):
        for index in range(size):
            entries = [entry if n == index else b"e%d" % n for n in range(size)]
            book = Log(entries)
            path = log.inclusion_path(index, size, book.node)
            for other_size in range(2, 20):
                for other_index in range(other_size):
                    if (other_size, other_index) == (size, index):
                        continue
                    try:
                        log.verify_inclusion(
                            root=book.root(),
                            size=other_size,
                            index=other_index,
                            leaf=log.leaf_hash(entry),
                            path=path,
                        )
                    except Refused:
                        continue
                    relabelled += 1
                    lie = receipt.issue_receipt(
                        secret=NODE,
                        origin=ORIGIN,
                        node="gw-01",
                        size=other_size,
                        index=other_index,
                        path=path,
                        root=book.root(),
                        finality=book.sign(),
                    )
                    with pytest.raises(ReceiptMismatch):
                        verify.verify(receipt.attach_receipts(raw, [lie]), TRUST)
    assert relabelled > 100


def test_first_receipt_of_a_fresh_ledger_has_a_path() -> None:
    raw = reading()
    data = Log([GENESIS, sha256(raw).digest()]).issue(1)
    assert len(receipt.decode_receipt(data).inclusion.path) == 1


def test_log_of_one_entry_has_no_receipt() -> None:
    with pytest.raises(ReceiptMalformed):
        receipt.decode_receipt(Log([GENESIS]).issue(0))


def test_length_first_order_of_a_header_with_394_and_minus_1_is_refused() -> None:
    """RFC 7049 sorted by length first; RFC 8949 sorts by bytes: 394 comes before -1."""
    good = cbor.encode({394: 0, -1: 0})
    assert good == bytes.fromhex("a219018a002000")
    assert code_of(lambda: cbor.decode(bytes.fromhex("a2200019018a00"))) == "cbor-not-deterministic"
    statement = cose.decode_sign1(reading())
    both = cose.encode_sign1(statement._replace(unprotected={394: [b"x"], -1: 0}))
    assert bytes.fromhex("a219018a") in both
    assert code_of(lambda: receipt.detach_receipts(both)) == "receipt-malformed"


def test_transparent_statement_sent_as_a_record_is_refused() -> None:
    with pytest.raises(HeaderUnexpected):
        record.check_form(stated(reading()))


def test_entry_of_a_record_is_the_hash_of_its_bytes_without_receipts() -> None:
    raw = reading()
    verdict = verify.verify(stated(raw), TRUST)
    assert verdict.record is not None
    assert verdict.record.entry == sha256(raw).digest()
    assert cose.decode_sign1(raw).unprotected == {}


def test_high_s_twin_of_a_record_has_the_same_id_and_another_entry() -> None:
    """The twin verifies, is its own entry, and its id is the low-S record's: no fork."""
    vector = named("ES256 with a high S, as hardware makes it")
    verdict = run(vector)
    raw = receipt.detach_receipts(vector.file).record
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    s = int.from_bytes(raw[-32:], "big")
    assert s > order >> 1
    twin = record.check_form(raw[:-32] + (order - s).to_bytes(32, "big"))
    assert verdict.record is not None
    assert verdict.signature is not None
    assert verdict.signature.checked
    assert twin.id == verdict.record.record_id
    assert twin.entry != verdict.record.entry


def test_call_replayed_on_another_ledger_is_refused_by_its_ledger() -> None:
    vector = named("a call replayed on another ledger")
    assert code_of(lambda: run(vector)) == "receipt-mismatch"


def test_missing_time_is_accepted_and_time_zero_refused() -> None:
    good = named("the highest position, an anchor, a claimed time, no clock in the pack")
    assert run(good).record is not None
    bad = named("a reading with a relative time")
    assert code_of(lambda: run(bad)) == "senml-time-relative"


def test_kid_is_looked_up_under_its_sender_only() -> None:
    """A key that is proved for another device of the same kid does not speak for this one."""
    vector = named("another device's key")
    assert code_of(lambda: run(vector)) == "receipt-mismatch"


def test_block_entry_is_no_record_and_a_record_no_block_entry() -> None:
    entry = encode_block(BlockEntry(7, 1_762_340_400_000, *[bytes(32)] * 3, 1))
    assert entry[0] == 0x87
    assert len(entry) != 32
    assert code_of(lambda: record.check_form(entry)) == "cose-malformed"
    for name in ("a block entry as a record", "a block entry's receipt for a record"):
        assert code_of(lambda name=name: run(named(name))) is not None
    reverse = named("a record's entry and receipt as a block entry", among="completeness")
    assert code_of(lambda: run(reverse)) == "receipt-malformed"


def test_receipt_of_a_million_entries_fits_its_budget() -> None:
    """Design section 9: at most 1.5 kB at a million records, record, note and two witnesses included."""
    assert len(named("a log of 2**20 entries, one node").file) <= 1200
    assert len(named("a log of 2**20 entries, two witnesses").file) <= 1500
