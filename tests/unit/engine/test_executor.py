"""The executor: whole blocks in, commits out, the same hash whatever it remembers."""

from collections.abc import Iterator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest

from drystone.errors import (
    DatabaseCorrupt,
    DatabaseForeign,
    DiskFull,
    GenesisInvalid,
    HomeInvalid,
    InvariantBroken,
)
from drystone.ledger import keyspace
from drystone.ledger.change import Change
from drystone.sim.chain import Chain, make_chain, write_home
from drystone.storage.ledger import LedgerDB
from drystone.storage.view import LedgerView, RowCache
from drystone.trees.ics23 import verify_absence, verify_presence
from drystone.workers import executor as module
from drystone.workers import messages
from drystone.workers.channel import BlockingChannel, pair
from drystone.workers.executor import Executor, answer, serve
from drystone.workers.messages import EXECUTE, GET, PROVE, SCAN


@pytest.fixture
def home(chain: Chain, tmp_path: Path) -> Path:
    write_home(chain, tmp_path / "home", height=0)
    return tmp_path / "home"


@pytest.fixture
def executor(home: Path) -> Iterator[Executor]:
    executor = Executor.open(home)
    yield executor
    executor.close()


def never() -> None:
    raise AssertionError("nothing to wait for")


def run(executor: Executor, chain: Chain, height: int) -> None:
    while executor.view.height < height:
        executor.execute(chain.blocks[executor.view.height])


def test_every_block_comes_to_the_head_that_is_expected(executor: Executor, chain: Chain) -> None:
    for block, change in zip(chain.blocks, chain.changes, strict=True):
        executed = executor.execute(block)
        assert executed.head == change.head
        assert executed.state_root == change.state_root
        assert executed.writes == change.writes
        assert (executed.height, executed.time_ms) == (block.height, block.time_ms)
        assert executed.size - executed.first_leaf == len(change.leaves)
        assert list(executed.counts) == [len(vertex.records) for vertex in block.vertices]
        plain = [o for o in change.outcomes if o.code == "accepted" and not o.events]
        assert len(executed.outcomes) == len(change.outcomes) - len(plain)


@pytest.mark.parametrize("restart_at", [1, 5, 20, 21, 23])
def test_a_restart_in_the_middle_changes_no_head(home: Path, chain: Chain, restart_at: int) -> None:
    executor = Executor.open(home)
    run(executor, chain, restart_at)
    executor.close()
    executor = Executor.open(home)
    assert executor.view.height == restart_at
    run(executor, chain, len(chain.blocks))
    assert executor.ledger.last.head == chain.heads[-1]
    executor.close()


def test_a_cold_cache_before_every_block_changes_no_head(executor: Executor, chain: Chain) -> None:
    for block, head in zip(chain.blocks, chain.heads[1:], strict=True):
        executor.forget()
        assert executor.execute(block).head == head


def test_unverified_blocks_come_to_the_same_head(executor: Executor, chain: Chain) -> None:
    """What the front verified spares work, and decides nothing."""
    from drystone.records.record import Verified

    for block, head in zip(chain.blocks, chain.heads[1:], strict=True):
        vertices = [
            vertex._replace(
                author_key=None,
                records=[
                    one.record if isinstance(one, Verified) else one for one in vertex.records
                ],
            )
            for vertex in block.vertices
        ]
        assert executor.execute(block._replace(vertices=vertices)).head == head


def test_every_state_key_is_proved_and_every_other_absent(executor: Executor, chain: Chain) -> None:
    run(executor, chain, 10)
    root = executor.ledger.last.fields.state
    keys = dict(executor.ledger.pairs())
    for key, value in keys.items():
        proved = executor.prove_state(key)
        assert proved.value == value
        verify_presence(root, key, value, proved.ics23)
        absent = executor.prove_state(key + b"\x00")
        assert absent.value is None
        verify_absence(root, key + b"\x00", absent.ics23)
    assert proved.block_entry == executor.ledger.last.entry
    assert (proved.height, proved.leaf, proved.size) == (
        10,
        executor.ledger.last.size - 1,
        executor.ledger.last.size,
    )


def test_a_key_that_no_row_has_breaks_the_proof(executor: Executor, chain: Chain) -> None:
    run(executor, chain, 3)
    executor.ledger.flush()
    executor.ledger.database.rows("DELETE FROM state")
    executor.forget()
    with pytest.raises(InvariantBroken):  # noqa: PT012
        for number in range(20):
            executor.prove_state(keyspace.meta(f"nothing-{number}"))


def test_a_block_that_does_not_follow_is_refused(executor: Executor, chain: Chain) -> None:
    with pytest.raises(InvariantBroken):
        executor.execute(chain.blocks[1])


def test_a_full_disk_changes_nothing_and_the_block_may_come_again(
    executor: Executor, chain: Chain, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(executor, chain, 4)

    def full(*_: object) -> None:
        raise DiskFull("no room")

    with monkeypatch.context() as patch:
        patch.setattr(executor.ledger, "commit", full)
        with pytest.raises(DiskFull):
            executor.execute(chain.blocks[4])
        assert executor.view.height == 4
    run(executor, chain, len(chain.blocks))
    assert executor.ledger.last.head == chain.heads[-1]


def test_a_patient_executor_waits_for_room(
    executor: Executor, chain: Chain, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = LedgerDB.commit
    waited: list[int] = []

    def full_twice(ledger: LedgerDB, *arguments: object) -> object:
        if len(waited) < 2:
            raise DiskFull("no room")
        return commit(ledger, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(LedgerDB, "commit", full_twice)
    executed = executor.execute_patiently(chain.blocks[0], lambda: waited.append(1))
    assert executed.head == chain.heads[1]
    assert len(waited) == 2


def test_another_genesis_does_not_open_this_ledger(home: Path) -> None:
    (home / "genesis.cbor").write_bytes(make_chain("other", blocks=1).genesis)
    with pytest.raises(DatabaseForeign):
        Executor.open(home)


def test_a_home_without_a_good_genesis_is_not_opened(home: Path) -> None:
    (home / "genesis.cbor").write_bytes(b"\x00")
    with pytest.raises(GenesisInvalid):
        Executor.open(home)
    (home / "genesis.cbor").unlink()
    with pytest.raises(HomeInvalid):
        Executor.open(home)


@pytest.mark.parametrize(
    "sql",
    [
        "DELETE FROM recent",
        "UPDATE state SET value = x'80' WHERE key = (SELECT max(key) FROM state)",
        "UPDATE tiles SET hashes = zeroblob(length(hashes)) WHERE level = 0",
        "UPDATE blocks SET root = zeroblob(32)",
        "UPDATE blocks SET entry = zeroblob(131)",
    ],
)
def test_rows_that_do_not_lead_to_the_last_block_stop_the_start(
    home: Path, chain: Chain, sql: str
) -> None:
    executor = Executor.open(home)
    run(executor, chain, len(chain.blocks))
    executor.ledger.database.rows(sql)
    executor.close()
    with pytest.raises(DatabaseCorrupt):
        Executor.open(home)


def test_scans_of_the_view_give_everything_in_order(
    executor: Executor, chain: Chain, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(executor, chain, 5)
    pairs = sorted(executor.ledger.pairs())
    assert list(executor.view.scan(b"")) == pairs


def test_a_change_that_was_planned_elsewhere_is_installed_too(home: Path, chain: Chain) -> None:
    ledger = LedgerDB.open(home / "ledger.db")
    view = LedgerView(ledger)
    change: Change = replace(chain.changes[0], writes=dict(chain.changes[0].writes))
    ledger.commit(change, chain.blocks[0])
    view.install(change)
    assert view.tree.root == chain.changes[0].state_root
    ledger.close()


def test_a_row_cache_forgets_the_oldest_and_what_went() -> None:
    cache = RowCache(bytes_max=2_200)
    for number in range(100):
        cache.put(b"%d" % number, b"v")
    assert cache.get(b"99") == b"v"
    assert cache.get(b"0") is None
    cache.update({b"99": None, b"98": b"w"})
    assert cache.get(b"99") is None
    assert cache.get(b"98") == b"w"


def test_a_row_that_is_asked_for_outlives_its_generation() -> None:
    cache = RowCache(bytes_max=2_200)
    cache.put(b"kept", b"v")
    for number in range(100):
        assert cache.get(b"kept") == b"v"
        cache.put(b"%d" % number, b"v")


# --- messages ----------------------------------------------------------------------------------------


def test_blocks_and_summaries_come_back_from_their_plain_form(
    executor: Executor, chain: Chain
) -> None:
    import marshal

    for block in chain.blocks:
        plain = marshal.loads(marshal.dumps(messages.block_to_plain(block)))
        executed = executor.execute(messages.block_from_plain(plain))
        assert executed.head == chain.heads[block.height]
        plain = marshal.loads(marshal.dumps(messages.executed_to_plain(executed)))
        assert messages.executed_from_plain(plain) == executed


def test_unreadable_items_travel_too(chain: Chain) -> None:
    from drystone.ledger.change import Unreadable

    item = Unreadable("cbor-malformed", sha256(b"x").digest())
    vertex = chain.blocks[0].vertices[0]._replace(records=[item])
    block = chain.blocks[0]._replace(vertices=[vertex])
    back = messages.block_from_plain(messages.block_to_plain(block))
    assert back.vertices[0].records == [item]


def test_each_question_has_its_answer(executor: Executor, chain: Chain) -> None:
    plain = answer(executor, (EXECUTE, messages.block_to_plain(chain.blocks[0]), None), never)
    assert messages.executed_from_plain(plain).height == 1
    key = keyspace.meta("origin")
    value = answer(executor, (GET, key), never)
    assert value is not None
    assert answer(executor, (SCAN, key, None, 10), never) == [(key, value)]
    assert answer(executor, (PROVE, key), never)[0] == value
    with pytest.raises(InvariantBroken, match="kind 99"):
        answer(executor, (99,), never)


def test_serving_ends_when_the_front_closes(executor: Executor, chain: Chain) -> None:
    left, right = pair()
    front, own = BlockingChannel(left.detach()), BlockingChannel(right.detach())
    front.send((GET, keyspace.meta("origin")))
    front._socket.shutdown(1)
    serve(own, executor, never)
    reply = front.receive()
    assert reply is not None
    assert reply[0] == messages.DONE
    front.close()
    own.close()
    assert module.EXIT_BROKEN == 4
