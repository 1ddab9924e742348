"""What is remembered between seal and order: everything on a node, next to nothing on a gateway."""

import asyncio
import functools
import gc
from collections.abc import Callable, Coroutine, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from drystone.gateway.batch import Batch
from drystone.gateway.held import HeldBatches, LetGo
from drystone.gateway.own_streams import OwnStreams
from drystone.gateway.positions import Positions
from drystone.ledger import keyspace
from drystone.ledger.rows import Organisation
from drystone.proof.block import BlockEntry, encode_block
from drystone.records import stream
from drystone.storage.mirror import MirrorDB, SeenBlock
from drystone.storage.vertices import StoredVertex

LEDGER = bytes(32)
Test = Callable[..., Coroutine[Any, Any, None]]


def looped(test: Test) -> Callable[..., None]:
    """Run a test in a loop: batches have futures."""

    @functools.wraps(test)
    def run(**fixtures: Any) -> None:
        asyncio.run(test(**fixtures))

    return run


STREAM = keyspace.stream(("ewz", "m-1"))


def stored(number: int) -> StoredVertex:
    return StoredVertex(number, bytes([number]) * 32, "ewz", "gw", 0, number, b"")


async def save(streams: OwnStreams, mirror: MirrorDB) -> None:
    async def put(values: Mapping[bytes, bytes], through: int) -> None:
        mirror.put_streams(values, through=through)

    await streams.save(put)


def batch(*seqs: int) -> Batch:
    positions = [("ewz", "m-1", None, 0, seq) for seq in seqs]
    return Batch(sequence=b"x" * len(seqs), positions=positions, entries=b"", packet=b"")


@pytest.fixture
def mirror(tmp_path: Path) -> Iterator[MirrorDB]:
    entry = encode_block(BlockEntry(0, 1, bytes(32), bytes(32), bytes(32), 1))
    rows: dict[bytes, bytes | None] = {
        keyspace.organisation("ewz"): Organisation("ewz", "active").encode()
    }
    made = MirrorDB.create(tmp_path / "m.db", LEDGER, genesis=SeenBlock(0, 1, entry), rows=rows)
    yield made
    made.close()


@looped
async def test_a_node_holds_a_vertex_until_it_is_ordered() -> None:
    class Nothing:
        def get(self, key: bytes, /) -> bytes | None:
            return None

    positions = Positions(Nothing())
    held = HeldBatches(positions)
    one, two = batch(0), batch(1)
    positions.take(one)
    positions.take(two)
    assert held.ordered_through is None
    held.hold(stored(3), [one])
    held.hold(stored(4), ())
    held.hold(stored(5), [two])
    assert held.settle(bytes([5]) * 32) == [two]
    assert held.ordered_through == 2
    assert held.settle(bytes([3]) * 32) == [one]
    assert held.ordered_through == 3
    assert held.settle(bytes([9]) * 32) == ()
    held.settle(bytes([4]) * 32)
    assert held.ordered_through == 5
    assert positions.records == 0


@looped
async def test_a_gateway_lets_go_of_what_nobody_waits_for(mirror: MirrorDB) -> None:
    streams = OwnStreams(mirror)
    positions = Positions(streams)
    held = LetGo(positions, streams)
    one = batch(0, 1, 2)
    positions.take(one)
    held.hold(stored(1), [one])
    assert (len(held), positions.records, held.settle(bytes([1]) * 32)) == (0, 0, [])
    again = ("ewz", "m-1", None, 0, 1)
    assert positions.look(again, record_id=bytes(32), register=None) == "committed"


@looped
async def test_a_gateway_remembers_a_batch_only_while_somebody_waits(mirror: MirrorDB) -> None:
    streams = OwnStreams(mirror)
    positions = Positions(streams)
    held = LetGo(positions, streams)
    one, two = batch(0), batch(1)
    for waited in (one, two):
        waited.awaited = True
        positions.take(waited)
    held.hold(stored(1), [one, two])
    del one, waited
    gc.collect()
    assert held.settle(bytes([1]) * 32) == [two]
    three = batch(2)
    three.awaited = True
    positions.take(three)
    held.hold(stored(2), [three])
    assert len(held) == 1
    del three
    gc.collect()
    await asyncio.sleep(0)
    assert len(held) == 0


@looped
async def test_own_streams_survive_a_start_as_of_their_vertex(mirror: MirrorDB) -> None:
    streams = OwnStreams(mirror)
    streams.note([batch(0, 1, 2), batch(5)], number=7)
    await save(streams, mirror)
    streams.note([batch(3)], number=8)
    again = OwnStreams(mirror)
    assert again.through == 7
    value = again.get(STREAM)
    assert value is not None
    assert [run[:3] for run in stream.decode(value).runs] == [(0, 0, 2), (0, 5, 5)]
    assert again.get(keyspace.organisation("ewz")) is not None


@looped
async def test_a_refused_records_position_is_free_again(mirror: MirrorDB) -> None:
    streams = OwnStreams(mirror)
    streams.take([("ewz", "m-1", None, 0, seq) for seq in range(5)])
    streams.free([("ewz", "m-1", None, 0, 2), ("ewz", "m-1", None, 0, 9)])
    value = streams.get(STREAM)
    assert value is not None
    assert [run[:3] for run in stream.decode(value).runs] == [(0, 0, 1), (0, 3, 4)]
    streams.free([("ewz", "m-1", None, 0, seq) for seq in (0, 1, 3, 4)])
    assert streams.get(STREAM) is None


@looped
async def test_saving_what_has_not_changed_writes_nothing(mirror: MirrorDB) -> None:
    streams = OwnStreams(mirror)
    streams.note([batch(0)], number=1)
    await save(streams, mirror)
    before = mirror.database.changes()
    await save(streams, mirror)
    assert mirror.database.changes() == before
