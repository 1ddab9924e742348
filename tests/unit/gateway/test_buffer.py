"""How much waits, for how long there is room, and which bodies may go: ordered ones, the oldest first, never others."""

from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest

from drystone.formats import cose
from drystone.gateway import buffer as buffering
from drystone.gateway.buffer import HOURS_MAX, Buffer, Buffered, Pruner, used_bytes
from drystone.proof.block import BlockEntry, encode_block
from drystone.records.key import SecretKey
from drystone.records.vertex import seal_vertex
from drystone.storage.mirror import MirrorDB, OrderedHere, SeenBlock
from drystone.storage.vertices import StoredVertex, VertexDB

LEDGER = bytes(range(32))
GATEWAY = SecretKey.generate(cose.ALG_EDDSA, b"g" * 32)


class Clock:
    now_s = 1_000.0

    def __call__(self) -> float:
        return self.now_s


def block(height: int) -> SeenBlock:
    entry = encode_block(BlockEntry(height, height, bytes(32), bytes(32), bytes(32), 1))
    return SeenBlock(height, height + 1, entry)


@pytest.fixture
def mirror(tmp_path: Path) -> Iterator[MirrorDB]:
    made = MirrorDB.create(tmp_path / "mirror.db", LEDGER, genesis=block(0), rows={})
    yield made
    made.close()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[VertexDB]:
    made = VertexDB.create(tmp_path / "vertices.db", LEDGER)
    yield made
    made.close()


def fill(store: VertexDB, count: int, *, size: int = 2_000) -> list[StoredVertex]:
    """Seal a chain whose bodies do not shrink when deflated."""
    stored: list[StoredVertex] = []
    for seq in range(count):
        noise = b"".join(sha256(b"%d/%d" % (seq, part)).digest() for part in range(size // 32))
        record = b"\x59" + len(noise).to_bytes(2, "big") + noise
        raw, _ = seal_vertex(
            secret=GATEWAY, iss="ewz", sub="gw", epoch=0, seq=seq,
            parent=stored[-1].id if stored else None, links=(), time_ms=None,
            records=[record], entries=[sha256(record).digest()], ledger=LEDGER,
        )  # fmt: skip
        stored.append(store.seal(header=raw, body=record))
    return stored


def order(mirror: MirrorDB, vertices: list[StoredVertex], *, height: int) -> None:
    ordered = [OrderedHere(one.id, height, index, {}) for index, one in enumerate(vertices)]
    last = vertices[-1]
    mirror.follow([block(height)], ordered=ordered, checkpoint=b"x", place=(last.epoch, last.seq))


def kept(store: VertexDB, vertices: list[StoredVertex]) -> list[int]:
    return [index for index, one in enumerate(vertices) if store.body(one.number) is not None]


def test_hours_left_follow_from_the_last_hours_rate() -> None:
    clock = Clock()
    buffer = Buffer(monotonic_s=clock)
    assert buffer.hours_left(1_000_000) == HOURS_MAX
    for _ in range(30):
        clock.now_s += 60
        buffer.sealed(records=10, size=1_000)
    assert buffer.waiting == Buffered(30, 300, 30_000)
    assert round(buffer.bytes_per_hour()) == 60_000
    assert round(buffer.hours_left(120_000), 3) == 2
    assert buffer.hours_left(-1) == 0
    clock.now_s += 2 * 3_600
    assert buffer.hours_left(120_000) == HOURS_MAX


def test_what_an_earlier_process_left_is_counted_behind_the_cursor(
    store: VertexDB, mirror: MirrorDB
) -> None:
    vertices = fill(store, 5)
    buffer = Buffer(monotonic_s=Clock())
    buffer.load(store, mirror, iss="ewz", sub="gw")
    assert buffer.waiting.vertices == 5
    order(mirror, vertices[:3], height=1)
    buffer.load(store, mirror, iss="ewz", sub="gw")
    assert (buffer.waiting.vertices, buffer.waiting.records) == (2, 2)
    buffer.ordered(records=1, size=2_003)
    assert buffer.waiting.vertices == 1


def test_only_ordered_bodies_go_and_the_oldest_first(
    store: VertexDB, mirror: MirrorDB, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(buffering, "PAGE", 2)
    vertices = fill(store, 40, size=8_000)
    order(mirror, [*vertices[:10], *vertices[20:30]], height=1)
    pruner = Pruner(store, mirror, keep_bytes=used_bytes(store.database) - 60_000)
    assert pruner.run() > 0
    left = kept(store, vertices)
    assert set(range(10, 40)) <= set(left)
    assert 0 not in left
    assert used_bytes(store.database) <= pruner._keep_bytes


def test_a_body_that_is_not_ordered_never_goes(store: VertexDB, mirror: MirrorDB) -> None:
    vertices = fill(store, 12, size=8_000)
    order(mirror, vertices[:4], height=1)
    pruner = Pruner(store, mirror, keep_bytes=0)
    assert pruner.run() == 4
    assert kept(store, vertices) == list(range(4, 12))
    order(mirror, vertices[4:6], height=2)
    assert pruner.run() == 2
    assert pruner.run() == 0


def test_nothing_goes_while_there_is_room(store: VertexDB, mirror: MirrorDB) -> None:
    vertices = fill(store, 4)
    order(mirror, vertices, height=1)
    assert Pruner(store, mirror, keep_bytes=10_000_000).run() == 0
    assert kept(store, vertices) == [0, 1, 2, 3]
