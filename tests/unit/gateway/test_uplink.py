"""What an uplink says is checked against signed checkpoints before anything of it counts, or is stored."""

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from drystone.errors import BlockForged
from drystone.formats import cose, note
from drystone.gateway.registry_copy import FIRST_ROWS, Asked, RegistryCopy, rows_digest
from drystone.gateway.sync.messages import Done, OrderedBlock, Rows
from drystone.gateway.uplink import Uplink, check_grown, read_outcomes
from drystone.ledger import keyspace
from drystone.ledger.change import Outcome, outcomes_root
from drystone.proof.block import BlockEntry, encode_block
from drystone.proof.finality import node_finality, sign_checkpoint
from drystone.proof.trust import Trust
from drystone.records.key import SecretKey
from drystone.storage.mirror import MirrorDB, OrderedHere, SeenBlock
from drystone.storage.outcomes import BlockOutcomes, all_outcomes, encode_outcomes
from drystone.trees import log

LEDGER = bytes(range(32))
ORIGIN = "ledger.example/main"
NODE = SecretKey.generate(cose.ALG_EDDSA, b"n" * 32)
OTHER = SecretKey.generate(cose.ALG_EDDSA, b"x" * 32)


def trust() -> Trust:
    vkey = note.format_vkey(ORIGIN, note.TYPE_ED25519, NODE.public.raw)
    return Trust(origin=ORIGIN, ledger=LEDGER, nodes=(note.parse_vkey(vkey),), need=1)


def vertex(number: int) -> bytes:
    return number.to_bytes(32, "big")


class Chain:
    """A log of blocks, each with one vertex of three records, the second of which was refused."""

    def __init__(self) -> None:
        self.leaves: list[bytes] = []
        self.blocks: list[OrderedBlock] = []
        self._add_leaf(b"genesis")

    def _add_leaf(self, entry: bytes) -> None:
        self.leaves.append(log.leaf_hash(entry))

    def grow(self) -> None:
        height = len(self.blocks) + 1
        kept = BlockOutcomes((3,), (Outcome(0, 1, "stream-gaps", 0, ()),))
        root = outcomes_root(list(all_outcomes(kept)))
        entry = encode_block(BlockEntry(height, height, bytes(32), root, bytes(32), 1))
        first = len(self.leaves)
        for index in range(2):
            self._add_leaf(b"%d/%d" % (height, index))
        self._add_leaf(entry)
        self.blocks.append(
            OrderedBlock(
                entry, first, len(self.leaves), ((vertex(height), 3),), encode_outcomes(kept),
                False, None, (),
            )
        )  # fmt: skip

    def node(self, level: int, index: int) -> bytes:
        width = 1 << level
        return log.tree_root(self.leaves[index * width : (index + 1) * width])

    def checkpoint(self, size: int | None = None) -> note.Checkpoint:
        size = len(self.leaves) if size is None else size
        return note.Checkpoint(ORIGIN, size, log.tree_root(self.leaves[:size]))

    def signed(self, secret: SecretKey = NODE) -> bytes:
        checkpoint = self.checkpoint()
        line = sign_checkpoint(secret, checkpoint)
        return node_finality(note.checkpoint_text(checkpoint), [line]).note.encode()

    def done(self, *heights: int, secret: SecretKey = NODE) -> Done:
        blocks: list[OrderedBlock] = []
        for height in heights:
            block = self.blocks[height - 1]
            path = log.inclusion_path(block.size - 1, len(self.leaves), self.node)
            blocks.append(block._replace(path=tuple(path)))
        blocks[-1] = blocks[-1]._replace(checkpoint=self.signed(secret))
        return Done((0, heights[-1]), tuple(blocks), False)


@pytest.fixture
def chain() -> Chain:
    made = Chain()
    for _ in range(9):
        made.grow()
    return made


@pytest.fixture
def mirror(tmp_path: Path) -> Iterator[MirrorDB]:
    entry = encode_block(BlockEntry(0, 1, bytes(32), bytes(32), bytes(32), 1))
    made = MirrorDB.create(tmp_path / "mirror.db", LEDGER, genesis=SeenBlock(0, 1, entry), rows={})
    yield made
    made.close()


class Following(Uplink):
    """An uplink whose word is stored as soon as it is checked."""

    def take(self, done: Done) -> list[OrderedHere]:
        settled = self.check(done)
        if settled is None:
            return []
        self.store(settled)
        return list(settled.ordered)


def uplink(mirror: MirrorDB) -> Following:
    return Following(mirror=mirror, trust=trust(), held=lambda own_id: own_id != vertex(4))


def test_outcomes_that_lead_to_a_signed_checkpoint_are_kept(chain: Chain, mirror: MirrorDB) -> None:
    ordered = uplink(mirror).take(chain.done(2, 4, 7))
    assert [one.height for one in ordered] == [2, 7]
    found = mirror.order_of(vertex(7))
    assert found is not None
    assert (found.position, found.codes) == (0, {1: "stream-gaps"})
    assert mirror.order_of(vertex(4)) is None
    assert mirror.place == (0, 7)
    assert mirror.last.height == 7
    again = uplink(mirror)
    assert again.checkpoint == chain.checkpoint()


def test_the_log_may_grow_from_one_checkpoint_to_the_next(chain: Chain, mirror: MirrorDB) -> None:
    followed = uplink(mirror)
    followed.take(chain.done(9))
    for _ in range(5):
        chain.grow()
    followed.take(chain.done(9, 12))
    assert followed.checkpoint == chain.checkpoint()


def test_a_rewritten_log_is_forged_though_its_checkpoint_is_signed(
    chain: Chain, mirror: MirrorDB
) -> None:
    followed = uplink(mirror)
    followed.take(chain.done(9))
    chain.leaves[1] = log.leaf_hash(b"another record")
    chain.grow()
    with pytest.raises(BlockForged, match="not those of before"):
        followed.take(chain.done(9, 10))
    assert mirror.order_of(vertex(10)) is None


def test_a_log_that_shrank_is_forged(chain: Chain, mirror: MirrorDB) -> None:
    followed = uplink(mirror)
    followed.take(chain.done(9))
    shorter = Chain()
    for _ in range(4):
        shorter.grow()
    with pytest.raises(BlockForged, match="shrank"):
        followed.take(shorter.done(3))


@pytest.mark.parametrize("seed", range(20))
def test_growth_is_seen_from_any_size_to_any_other(seed: int) -> None:
    draw = random.Random(seed)
    chain = Chain()
    for _ in range(draw.randrange(1, 12)):
        chain.grow()
    before = chain.checkpoint()
    last = len(chain.blocks)
    for _ in range(draw.randrange(12)):
        chain.grow()
    again = chain.done(last).blocks[0]
    check_grown(before, again, chain.checkpoint())
    chain.leaves[draw.randrange(before.size - 1)] = bytes(32)
    with pytest.raises(BlockForged):
        check_grown(before, chain.done(last).blocks[0], chain.checkpoint())


def altered(done: Done, **changes: Any) -> Done:
    first = done.blocks[0]._replace(**changes)
    return done._replace(blocks=(first, *done.blocks[1:]))


def test_a_lie_about_outcomes_is_forged(chain: Chain, mirror: MirrorDB) -> None:
    done = chain.done(2, 5)
    good = done.blocks[0]
    all_fine = encode_outcomes(BlockOutcomes((3,), ()))
    cases = [
        altered(done, exceptions=all_fine),
        altered(done, exceptions=b"\x00"),
        altered(done, exceptions=encode_outcomes(BlockOutcomes((2,), ()))),
        altered(done, vertices=((vertex(2), 2),)),
        altered(done, first_leaf=good.first_leaf + 1),
        altered(done, size=good.size + 3),
        altered(done, path=good.path[:-1]),
        altered(done, path=(bytes(32), *good.path[1:])),
        altered(done, entry=chain.blocks[3].entry),
        done._replace(blocks=done.blocks[:1]),
        chain.done(2, 5, secret=OTHER),
    ]
    followed = uplink(mirror)
    for case in cases:
        with pytest.raises(BlockForged):
            followed.take(case)
    broken = done.blocks[-1].checkpoint
    assert broken is not None
    for signed in (broken[:-5], b"\xff" + broken, broken.replace(b"main", b"mine")):
        last = done.blocks[-1]._replace(checkpoint=signed)
        with pytest.raises(BlockForged):
            followed.take(done._replace(blocks=(done.blocks[0], last)))
    assert mirror.place is None
    assert mirror.order_of(vertex(2)) is None


def test_an_exception_of_a_vertex_that_the_block_has_not_is_forged(chain: Chain) -> None:
    strange = encode_outcomes(BlockOutcomes((3,), (Outcome(9, None, "x", 0, ()),)))
    with pytest.raises(BlockForged):
        read_outcomes(chain.blocks[0]._replace(exceptions=strange))


def test_an_outcome_that_comes_again_is_told_once(chain: Chain, mirror: MirrorDB) -> None:
    followed = uplink(mirror)
    assert [one.height for one in followed.take(chain.done(2))] == [2]
    assert [one.height for one in followed.take(chain.done(2, 3))] == [3]


def test_nothing_new_changes_nothing(mirror: MirrorDB) -> None:
    followed = uplink(mirror)
    assert followed.check(Done((0, 0), (), False)) is None


# --- the registry's copy -----------------------------------------------------------------------------


def row(number: int, value: int = 0) -> tuple[bytes, bytes]:
    return keyspace.member("ewz", f"m-{number:05}"), b"v%d" % value


class Source:
    """An uplink's side: answers with pages of 50 rows."""

    def __init__(self, rows: dict[bytes, bytes]) -> None:
        self.rows = rows
        self.sent = 0
        self.questions = 0

    def answer(self, asked: Asked) -> Rows:
        self.questions += 1
        behind = sorted(key for key in self.rows if key > asked.after)
        held = [(key, self.rows[key]) for key in behind if asked.digest and key <= asked.last]
        if asked.digest and rows_digest(held) == asked.digest:
            last = asked.last if behind and behind[-1] > asked.last else b""
            return Rows(asked.after, 7, True, last, ())
        page = [(key, self.rows[key]) for key in behind[:50]]
        self.sent += len(page)
        last = page[-1][0] if len(behind) > len(page) else b""
        return Rows(asked.after, 7, False, last, tuple(page))

    def run(self, copy: RegistryCopy) -> dict[bytes, bytes | None]:
        changed: dict[bytes, bytes | None] = {}
        asked: Asked | None = copy.begin()
        while asked is not None:
            changes, asked = copy.take(self.answer(asked))
            changed.update(changes)
        return changed


def test_the_registry_is_copied_whole_and_then_costs_one_question(mirror: MirrorDB) -> None:
    source = Source(dict(row(number) for number in range(500)))
    copy = RegistryCopy(mirror)
    assert source.run(copy) == source.rows
    assert dict(mirror.scan(b"", limit=10_000)) == source.rows
    source.questions = source.sent = 0
    assert source.run(copy) == {}
    assert (source.questions, source.sent) == (1, 0)
    assert mirror.rows_height == 7


def test_a_changed_row_among_many_costs_a_few_pages(mirror: MirrorDB) -> None:
    source = Source(dict(row(number) for number in range(5_000)))
    copy = RegistryCopy(mirror)
    source.run(copy)
    source.sent = 0
    key, value = row(4_321, value=9)
    source.rows[key] = value
    gone = row(17)[0]
    del source.rows[gone]
    assert source.run(copy) == {key: value, gone: None}
    assert dict(mirror.scan(b"", limit=10_000)) == source.rows
    assert source.sent < 20 * FIRST_ROWS


def test_rows_out_of_order_or_not_asked_for_are_forged(mirror: MirrorDB) -> None:
    copy = RegistryCopy(mirror)
    stream = keyspace.stream(("ewz", "m-1"))
    bad = [
        Rows(b"\x02", 7, False, b"", ()),
        Rows(b"", 7, False, b"", (row(2), row(1))),
        Rows(b"", 7, False, row(1)[0], (row(1), row(2))),
        Rows(b"", 7, False, b"", ((stream, b"x"),)),
        Rows(b"", 7, False, b"", ((b"", b"x"),)),
    ]
    for answer in bad:
        copy.begin()
        with pytest.raises(BlockForged):
            copy.take(answer)
    assert mirror.scan(b"") == []
