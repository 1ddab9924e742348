"""The executor with a provisional view: what is committed does not depend on it, and a wrong entry is not committed."""

import asyncio
import marshal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from drystone.contracts.rules import Event
from drystone.errors import Diverged
from drystone.ledger import keyspace
from drystone.ledger.change import Outcome
from drystone.ledger.differences import Difference, Told
from drystone.records.vertex import vertex_id
from drystone.sim.chain import Chain, write_home
from drystone.workers.executor import Executor, answer
from drystone.workers.executor_client import InProcessExecutor
from drystone.workers.messages import (
    PEEK,
    PEEK_SCAN,
    PEND,
    TOLD,
    Executed,
    Pended,
    Pending,
    executed_from_plain,
    executed_to_plain,
    pended_from_plain,
    pended_to_plain,
    pending_to_plain,
)


@pytest.fixture
def home(chain: Chain, tmp_path: Path) -> Path:
    write_home(chain, tmp_path / "home", height=0)
    return tmp_path / "home"


@pytest.fixture
def executor(home: Path) -> Iterator[Executor]:
    executor = Executor.open(home)
    yield executor
    executor.close()


def pending(chain: Chain) -> list[Pending]:
    return [
        Pending(vertex_id(vertex.header, chain.ledger), vertex, block.time_ms)
        for block in chain.blocks
        for vertex in block.vertices
    ]


def never() -> None:
    raise AssertionError("nothing to wait for")


def test_heads_are_those_expected_with_everything_pending_before(
    executor: Executor, chain: Chain
) -> None:
    pended = executor.pend(pending(chain))
    assert pended.taken == pended.vertices == len(pending(chain))
    assert dict(pended.told).keys() == {one.id for one in pending(chain)}
    assert (pended.differences, pended.again, pended.full) == ((), (), False)
    state = executor.peek_scan(b"", after=None, limit=10_000)
    for block, head in zip(chain.blocks, chain.heads[1:], strict=True):
        executed = executor.execute(block)
        assert executed.head == head
        assert (executed.differences, executed.again) == ((), False)
    assert executor.pend([]).vertices == 0
    assert sorted(executor.ledger.pairs()) == state, "the guess was right"


def test_vertices_whose_predecessors_are_not_here_are_early_and_change_no_head(
    executor: Executor, chain: Chain
) -> None:
    waiting = pending(chain)
    pended = executor.pend(waiting[5:])
    assert pended.early[0] == waiting[5].id
    assert len(pended.early) + len(pended.told) == len(waiting) - 5
    assert executor.pend(waiting).early == ()
    for block, head in zip(chain.blocks, chain.heads[1:], strict=True):
        assert executor.execute(block).head == head


def test_block_that_comes_to_another_entry_is_not_committed(
    executor: Executor, chain: Chain
) -> None:
    first = chain.blocks[0]
    entry = chain.changes[0].block_entry
    executor.execute(first, expected=entry)
    with pytest.raises(Diverged):
        executor.execute(chain.blocks[1], expected=entry)
    assert executor.ledger.last.height == 1
    executor.forget()
    assert executor.execute(chain.blocks[1], expected=chain.changes[1].block_entry).height == 2


def test_nothing_is_provisional_before_a_vertex_is_pending(
    executor: Executor, chain: Chain
) -> None:
    key = keyspace.meta("protocol")
    assert executor.peek(key) == executor.view.get(key)
    assert executor.told(bytes(32)) is None
    found = executor.peek_scan(b"", after=key, limit=2)
    assert found == executor.ledger.scan(b"", after=key, limit=2)


def test_questions_about_the_view_travel_as_plain_values(executor: Executor, chain: Chain) -> None:
    waiting = pending(chain)[:4]

    def ask(*message: Any) -> Any:
        return marshal.loads(
            marshal.dumps(answer(executor, marshal.loads(marshal.dumps(message)), never))
        )

    pended = pended_from_plain(ask(PEND, [pending_to_plain(one) for one in waiting]))
    assert pended.taken == 4
    assert all(isinstance(told, Told) for _, told in pended.told)
    own_id, told = pended.told[-1]
    assert ask(TOLD, own_id) == tuple(told)
    assert ask(TOLD, bytes(32)) is None
    stream = keyspace.stream((chain.devices[0].iss, chain.devices[0].sub))
    assert ask(PEEK, stream) != executor.view.get(stream)
    assert dict(ask(PEEK_SCAN, stream, None, 5)) == {stream: ask(PEEK, stream)}
    assert ask(PEEK_SCAN, stream, stream, 5) == []


def test_differences_travel_as_they_are() -> None:
    before = Outcome(0, 3, "accepted", 12, (Event("shop", "taken", {"n": 1}),))
    one = Difference(bytes(32), 3, before, Outcome(0, 3, "shop.too-few", 7, ()), final=True)
    pended = Pended(
        1, ((bytes(32), Told(4, b"\x80")),), (b"e" * 32,), (one,), (b"x" * 32,), 2, 300, full=False
    )
    plain = marshal.loads(marshal.dumps(pended_to_plain(pended)))
    assert pended_from_plain(plain) == pended
    executed = Executed(
        1, 2, 3, 4, b"r", b"h", b"s", (bytes(32),), (4,), (before,), {}, (one,), again=True
    )
    plain = marshal.loads(marshal.dumps(executed_to_plain(executed)))
    assert executed_from_plain(plain) == executed


def test_executor_in_one_thread_answers_the_same(home: Path, chain: Chain) -> None:
    async def scenario() -> None:
        client = InProcessExecutor(Executor.open(home))
        waiting = pending(chain)[:2]
        pended = await client.pend(waiting)
        assert await client.told(waiting[0].id) == dict(pended.told)[waiting[0].id]
        key = keyspace.meta("protocol")
        assert [(key, await client.peek(key))] == await client.peek_scan(key, after=None, limit=1)
        entry = chain.changes[0].block_entry
        assert (await client.execute(chain.blocks[0], expected=entry)).height == 1
        await client.close()

    asyncio.run(scenario())
