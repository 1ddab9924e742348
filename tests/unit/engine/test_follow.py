"""The follower's engine: executes what others ordered, and stops rather than commit anything else."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from drystone.engine.follow import FollowEngine, FollowRules, Tail
from drystone.engine.vouched import check_vouched
from drystone.errors import BlockForged, Diverged
from drystone.formats import cose, note
from drystone.ledger.change import Block, OrderedVertex
from drystone.proof.finality import node_finality, sign_checkpoint
from drystone.proof.trust import Trust
from drystone.records.key import SecretKey
from drystone.records.vertex import vertex_id
from drystone.sim.chain import Chain, write_home
from drystone.trees.log import Edge, append, inclusion_path, leaf_hash, root, tree_root
from drystone.workers.executor import Executor
from drystone.workers.executor_client import InProcessExecutor
from drystone.workers.messages import Executed

ORIGIN = "ledger.example/main"
NODE = SecretKey.generate(cose.ALG_EDDSA, bytes(32))
STRANGER = SecretKey.generate(cose.ALG_EDDSA, b"s" * 32)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """A block as a peer passes it on."""

    entry: bytes
    first_leaf: int
    size: int
    vertices: tuple[tuple[bytes, int], ...]
    checkpoint: bytes | None
    path: tuple[bytes, ...]


def vkey(secret: SecretKey) -> note.Verifier:
    return note.parse_vkey(note.format_vkey(ORIGIN, note.TYPE_ED25519, secret.public.raw))


def trust(*nodes: SecretKey) -> Trust:
    verifiers = tuple(vkey(one) for one in nodes or (NODE,))
    return Trust(origin=ORIGIN, ledger=bytes(32), nodes=verifiers, need=1)


def signed(leaves: list[bytes], secret: SecretKey = NODE) -> bytes:
    checkpoint = note.Checkpoint(ORIGIN, len(leaves), tree_root(leaves))
    line = sign_checkpoint(secret, checkpoint)
    return node_finality(note.checkpoint_text(checkpoint), [line]).note.encode()


def sent(chain: Chain, first: int, last: int, *, secret: SecretKey = NODE) -> list[Sent]:
    """Blocks `first` to `last` as one message with one checkpoint."""
    leaves = list(chain.start.leaves)
    sizes = [len(leaves)]
    for change in chain.changes[:last]:
        leaves += change.leaves
        sizes.append(len(leaves))
    blocks: list[Sent] = []
    for height in range(first, last + 1):
        block, change = chain.blocks[height - 1], chain.changes[height - 1]
        size = sizes[height]
        blocks.append(
            Sent(
                entry=change.block_entry,
                first_leaf=sizes[height - 1],
                size=size,
                vertices=tuple(
                    (vertex_id(one.header, chain.ledger), len(one.records))
                    for one in block.vertices
                ),
                checkpoint=signed(leaves, secret) if height == last else None,
                path=tuple(inclusion_path(size - 1, len(leaves), _reader(leaves))),
            )
        )
    return blocks


def _reader(leaves: list[bytes]) -> Callable[[int, int], bytes]:
    def node(level: int, index: int) -> bytes:
        return tree_root(leaves[index << level : (index + 1) << level])

    return node


class Store:
    """Vertices by id; those in `withheld` are not here yet."""

    def __init__(self, chain: Chain) -> None:
        self.vertices = {
            vertex_id(one.header, chain.ledger): one for b in chain.blocks for one in b.vertices
        }
        self.withheld: set[bytes] = set()

    async def vertex(self, vertex_id: bytes) -> OrderedVertex | None:
        return None if vertex_id in self.withheld else self.vertices.get(vertex_id)


class Follower:
    """An engine over a real executor."""

    def __init__(self, chain: Chain, home: Path) -> None:
        self.store = Store(chain)
        executor = Executor.open(home)
        self.executor = InProcessExecutor(executor)
        self.ledger = executor.ledger
        self.done: list[Executed] = []
        self.told = asyncio.Event()
        last, block = self.ledger.last, chain.blocks[0]
        self.engine = FollowEngine(
            execute=self.executor.execute,
            vertices=self.store,
            tail=Tail(height=last.height, time_ms=last.fields.time_ms, size=last.size),
            rules=FollowRules(validators=block.validators, protocol=block.protocol, trust=trust()),
            on_executed=self.committed,
        )

    def committed(self, done: Executed) -> None:
        self.done.append(done)
        self.told.set()

    async def reach(self, height: int) -> None:
        while self.engine.height < height:
            self.told.clear()
            await self.told.wait()


def follow(chain: Chain, home: Path, scenario: Callable[[Follower], Awaitable[None]]) -> None:
    async def run() -> None:
        follower = Follower(chain, home)
        running = asyncio.create_task(follower.engine.run())
        scene = asyncio.ensure_future(scenario(follower))
        try:
            await asyncio.wait({running, scene}, return_when=asyncio.FIRST_COMPLETED)
            if running.done():
                scene.cancel()
                await running
            await scene
            follower.engine.stop()
            await running
        finally:
            await follower.executor.close()

    asyncio.run(run())


@pytest.fixture
def home(chain: Chain, tmp_path: Path) -> Path:
    write_home(chain, tmp_path / "home", height=0)
    return tmp_path / "home"


def test_follower_comes_to_every_head_of_the_ledger(chain: Chain, home: Path) -> None:
    async def scenario(follower: Follower) -> None:
        assert follower.engine.wanted == (0, 64)
        follower.engine.offer(sent(chain, 1, 10))
        follower.engine.offer(sent(chain, 8, len(chain.blocks)))
        assert follower.engine.wanted == (len(chain.blocks), 64)
        await follower.reach(len(chain.blocks))
        assert tuple(one.head for one in follower.done) == chain.heads[1:]
        assert follower.ledger.last.head == chain.heads[-1]

    follow(chain, home, scenario)


def test_follower_goes_on_after_a_restart(chain: Chain, home: Path) -> None:
    async def begin(follower: Follower) -> None:
        follower.engine.offer(sent(chain, 1, 7))
        await follower.reach(7)

    async def go_on(follower: Follower) -> None:
        assert follower.engine.wanted == (7, 64)
        follower.engine.offer(sent(chain, 5, len(chain.blocks)))
        await follower.reach(len(chain.blocks))
        assert follower.ledger.last.head == chain.heads[-1]

    follow(chain, home, begin)
    follow(chain, home, go_on)


def test_block_waits_for_its_vertices_and_says_which(chain: Chain, home: Path) -> None:
    async def scenario(follower: Follower) -> None:
        blocks = sent(chain, 1, 4)
        late = blocks[2].vertices[0][0]
        follower.store.withheld.add(late)
        follower.engine.offer(blocks)
        await follower.reach(2)
        for _ in range(20):
            await asyncio.sleep(0)
        assert follower.engine.missing == (late,)
        assert follower.engine.blocks_waiting == 2
        follower.engine.arrived()
        await asyncio.sleep(0)
        assert follower.engine.height == 2
        follower.store.withheld.clear()
        follower.engine.arrived()
        await follower.reach(4)
        assert follower.engine.missing == ()

    follow(chain, home, scenario)


def test_other_vertices_than_were_ordered_stop_the_follower_before_the_commit(
    chain: Chain, home: Path
) -> None:
    """What a peer says of a block's vertices is not signed: the entry is, and tells."""
    heights: list[int] = []

    async def scenario(follower: Follower) -> None:
        blocks = sent(chain, 1, 4)
        blocks[1] = replace(blocks[1], vertices=blocks[2].vertices)
        follower.engine.offer(blocks)
        heights.append(follower.ledger.last.height)
        await follower.reach(4)

    with pytest.raises(Diverged):
        follow(chain, home, scenario)
    executor = Executor.open(home)
    assert executor.ledger.last.height == 1
    executor.close()


def test_vertex_with_another_count_of_records_stops_the_follower(chain: Chain, home: Path) -> None:
    async def scenario(follower: Follower) -> None:
        blocks = sent(chain, 1, 2)
        (own_id, count), *more = blocks[0].vertices
        blocks[0] = replace(blocks[0], vertices=((own_id, count + 1), *more))
        follower.engine.offer(blocks)
        await follower.reach(1)

    with pytest.raises(Diverged):
        follow(chain, home, scenario)


def forged(chain: Chain) -> dict[str, list[Sent]]:
    good = sent(chain, 1, 3)
    *_, last = good
    entry = chain.changes[1].block_entry
    return {
        "no checkpoint": [*good[:2], replace(last, checkpoint=None)],
        "signed by nobody trusted": sent(chain, 1, 3, secret=STRANGER),
        "no note": [*good[:2], replace(last, checkpoint=b"\xff")],
        "altered entry": [replace(good[0], entry=entry[:-1] + b"\x02"), *good[1:]],
        "no entry": [replace(good[0], entry=b"\x80"), *good[1:]],
        "a gap": good[1:],
        "twice the same": [good[0], good[0], *good[1:]],
        "another size": [replace(good[0], size=good[0].size + 1), *good[1:]],
        "another first leaf": [replace(good[0], first_leaf=0), *good[1:]],
        "no path": [replace(good[0], path=()), *good[1:]],
    }


@pytest.mark.parametrize(
    "name",
    [
        "no checkpoint", "signed by nobody trusted", "no note", "altered entry", "no entry", "a gap",
        "twice the same", "another size", "another first leaf", "no path",
    ],
)  # fmt: skip
def test_forged_blocks_are_the_peers_fault_and_change_nothing(
    chain: Chain, home: Path, name: str
) -> None:
    async def scenario(follower: Follower) -> None:
        with pytest.raises(BlockForged):
            follower.engine.offer(forged(chain)[name])
        assert follower.engine.blocks_waiting == 0
        follower.engine.offer(sent(chain, 1, 3))
        await follower.reach(3)

    follow(chain, home, scenario)


def test_block_of_other_validators_is_refused(chain: Chain, home: Path) -> None:
    async def scenario(follower: Follower) -> None:
        rules = FollowRules(validators=bytes(32), protocol=1, trust=trust())
        engine = FollowEngine(
            execute=follower.executor.execute,
            vertices=follower.store,
            tail=Tail(height=0, time_ms=0, size=1),
            rules=rules,
            on_executed=follower.committed,
        )
        with pytest.raises(BlockForged):
            engine.offer(sent(chain, 1, 2))

    follow(chain, home, scenario)


def test_entry_signed_over_another_log_stops_the_follower(chain: Chain, home: Path) -> None:
    """Signers who vouch for a log that execution does not lead to: whoever is wrong, nothing goes on."""

    async def scenario(follower: Follower) -> None:
        block = sent(chain, 1, 1)[0]
        leaves = [leaf_hash(b"other"), *chain.changes[0].leaves]
        assert len(leaves) == block.size
        path = inclusion_path(block.size - 1, block.size, _reader(leaves))
        follower.engine.offer([replace(block, checkpoint=signed(leaves), path=tuple(path))])
        await follower.reach(1)

    with pytest.raises(Diverged):
        follow(chain, home, scenario)


def test_follower_takes_no_more_blocks_than_it_may_hold(
    chain: Chain, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("drystone.limits.FOLLOW_BLOCKS_MAX", 3)

    async def scenario(follower: Follower) -> None:
        follower.store.withheld = {one for one, _ in sent(chain, 1, 1)[0].vertices}
        follower.engine.offer(sent(chain, 1, 5))
        assert follower.engine.blocks_waiting == 3
        assert follower.engine.wanted is None
        follower.store.withheld.clear()
        follower.engine.arrived()
        await follower.reach(3)
        assert follower.engine.wanted == (3, 3)

    follow(chain, home, scenario)


def test_nothing_vouches_for_no_blocks() -> None:
    with pytest.raises(BlockForged):
        check_vouched([], trust=trust())


def test_leaves_of_a_block_are_as_the_log_appends_them(chain: Chain) -> None:
    edge = append(Edge(0, ()), list(chain.start.leaves))
    for change in chain.changes:
        edge = append(edge, list(change.leaves))
    everything = [*chain.start.leaves, *(leaf for c in chain.changes for leaf in c.leaves)]
    assert root(edge) == tree_root(everything)
    assert isinstance(chain.blocks[0], Block)
