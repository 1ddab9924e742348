"""The interval around a record as a node issues it: found among real blocks, verified by the proof room."""

from collections.abc import Iterator
from hashlib import sha256

import pytest

from drystone.formats import cose, note
from drystone.proof.finality import node_finality, sign_checkpoint
from drystone.proof.interval import Interval, Leaf, check_interval
from drystone.proof.receipt import attach_receipts, issue_receipt
from drystone.proof.trust import Trust
from drystone.proof.verdict import IntervalFacts
from drystone.proof.verify import verify
from drystone.records.key import SecretKey
from drystone.records.record import check_form
from drystone.service import intervals
from drystone.service.intervals import Intervals
from drystone.sim.chain import Chain, make_chain, write_home
from drystone.storage.ledger import LedgerDB
from drystone.trees import log

BLOCKS = 40


@pytest.fixture(scope="module")
def chain() -> Chain:
    return make_chain("intervals", blocks=BLOCKS, records=20)


@pytest.fixture(scope="module")
def ledger(chain: Chain, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LedgerDB]:
    home = tmp_path_factory.mktemp("intervals")
    write_home(chain, home)
    opened = LedgerDB.open(home / "ledger.db", ledger=chain.ledger, read_only=True)
    yield opened
    opened.close()


def leaves_of(chain: Chain) -> list[bytes]:
    return [leaf for change in (chain.start, *chain.changes) for leaf in change.leaves]


def checked(
    chain: Chain, ledger: LedgerDB, found: Interval, index: int, anchor: bytes | None
) -> IntervalFacts:
    size, leaves = ledger.last.size, leaves_of(chain)
    path = log.inclusion_path(index, size, ledger.nodes(size))
    record = Leaf(leaves[index], index, path)
    root = log.root(chain.changes[-1].log)
    return check_interval(found, record=record, size=size, root=root, anchor=anchor)


@pytest.mark.parametrize("height", [1, 2, 7, 20, BLOCKS])
def test_every_record_has_the_block_that_holds_it(
    chain: Chain, ledger: LedgerDB, height: int
) -> None:
    block = ledger.block(height)
    assert block is not None
    for index in range(block.first_leaf, block.size - 1):
        found = Intervals(ledger).around(
            height=height, index=index, anchor=None, size=ledger.last.size
        )
        facts = checked(chain, ledger, found, index, None)
        assert (facts.until.height, facts.until.time_ms) == (height, block.fields.time_ms)
        assert facts.since is None


@pytest.mark.parametrize("named", [0, 1, 3, 15, 29])
@pytest.mark.parametrize("page", [4, 512])
def test_anchor_of_any_earlier_block_is_found(
    chain: Chain, ledger: LedgerDB, named: int, page: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intervals, "PAGE_BLOCKS", page)
    block = ledger.block(30)
    assert block is not None
    finder = Intervals(ledger)
    for _ in range(2):
        found = finder.around(
            height=30, index=block.first_leaf, anchor=chain.heads[named][:8], size=ledger.last.size
        )
        facts = checked(chain, ledger, found, block.first_leaf, chain.heads[named][:8])
        assert facts.since is not None
        assert facts.since.height == named
        assert facts.since.time_ms <= facts.until.time_ms


@pytest.mark.parametrize("named", [30, 35])
def test_state_that_was_not_there_yet_is_no_anchor(
    chain: Chain, ledger: LedgerDB, named: int
) -> None:
    block = ledger.block(30)
    assert block is not None
    found = Intervals(ledger).around(
        height=30, index=block.first_leaf, anchor=chain.heads[named][:8], size=ledger.last.size
    )
    assert found.since is None


def test_anchor_that_lies_too_far_back_or_nowhere_is_left_out(
    chain: Chain, ledger: LedgerDB, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intervals, "PAGE_BLOCKS", 4)
    monkeypatch.setattr(intervals, "ANCHOR_BLOCKS", 8)
    for anchor in (chain.heads[2][:8], bytes(8)):
        found = Intervals(ledger).around(
            height=30, index=ledger.block(30).first_leaf, anchor=anchor, size=ledger.last.size  # type: ignore[union-attr]
        )  # fmt: skip
        assert found.since is None


def test_whole_receipt_with_its_interval_verifies_offline(chain: Chain, ledger: LedgerDB) -> None:
    secret = SecretKey.generate(cose.ALG_EDDSA, b"n" * 32)
    leaves = leaves_of(chain)
    size, root = ledger.last.size, log.root(chain.changes[-1].log)
    raw = next(
        bytes(item)
        for vertex in chain.vertices
        for item in [vertex.body[: _first_end(vertex.body)]]
        if vertex.body and log.leaf_hash(sha256(item).digest()) in leaves
    )
    index = leaves.index(log.leaf_hash(sha256(raw).digest()))
    block = ledger.block_of_leaf(index)
    assert block is not None
    found = Intervals(ledger).around(
        height=block.height, index=index, anchor=check_form(raw).anchor, size=size
    )
    head = note.Checkpoint("ledger.example/main", size, root)
    receipt = issue_receipt(
        secret=secret, origin=head.origin, node="gw-1", size=size, index=index,
        path=log.inclusion_path(index, size, ledger.nodes(size)), root=root,
        finality=node_finality(note.checkpoint_text(head), [sign_checkpoint(secret, head)]),
        interval=found,
    )  # fmt: skip
    vkey = note.parse_vkey(note.format_vkey(head.origin, note.TYPE_ED25519, secret.public.raw))
    trust = Trust(origin=head.origin, ledger=chain.ledger, nodes=(vkey,), need=1)
    verdict = verify(attach_receipts(raw, [receipt]), trust)
    (inclusion,) = verdict.inclusions
    assert inclusion.interval is not None
    assert inclusion.interval.until.height == block.height


def _first_end(body: bytes) -> int:
    from drystone.formats.cbor import item_end

    return item_end(body, 0) if body else 0
