"""Every single write, sync, truncation and deletion is failed twice, and nothing is lost by it.

Method: a short life of each database is counted in disk operations. Then it is lived once per
operation and kind of failure, *not persisted* and *persisted but reported failed*. The process that
saw the failure is gone; the next one opens the files, goes on to the end, and fsck recomputes all.
"""

import contextlib
from collections.abc import Callable

import pytest

from drystone.errors import Broken
from drystone.ledger.genesis import decode_genesis
from drystone.sim.chain import Chain, make_chain
from drystone.sim.power_loss import Disk, Fault
from drystone.sim.torture import LEDGER, VERTICES
from drystone.storage.fsck import check_files
from drystone.storage.ledger import LedgerDB
from drystone.storage.vertices import VertexDB
from drystone.workers.executor import Executor

Live = Callable[[Disk, Chain], None]


@pytest.fixture(scope="module")
def chain() -> Chain:
    return make_chain("every", blocks=4, devices=2, records=4)


def make(disk: Disk, chain: Chain) -> None:
    """Make both files."""
    LedgerDB.create(LEDGER, chain.genesis, chain.start, vfs=disk.mount()).close()
    VertexDB.create(VERTICES, chain.ledger, vfs=disk.mount()).close()


def seal(disk: Disk, chain: Chain) -> None:
    """Take every vertex's records in, and seal it; go on where an earlier life stopped."""
    store = VertexDB.open(VERTICES, chain.ledger, vfs=disk.mount())
    with contextlib.closing(store):
        for vertex in chain.vertices[len(store.arrived()) :]:
            rows = [row.number for row in store.intake()] or store.add_intake([vertex.body])
            store.seal(header=vertex.header, body=vertex.body, intake=rows)


def arrive(disk: Disk, chain: Chain) -> None:
    """Keep every vertex as other gateways' come: all headers first, then the bodies, two at a time."""
    store = VertexDB.open(VERTICES, chain.ledger, vfs=disk.mount())
    with contextlib.closing(store):
        for one, two in zip(chain.vertices[::2], chain.vertices[1::2], strict=False):
            store.keep([(one.header, None), (two.header, None)])
        for vertex in chain.vertices:
            store.keep([(vertex.header, vertex.body)])
        for vertex, kept in zip(chain.vertices, store.keep(chain.vertices), strict=True):
            assert store.body(kept.number) == vertex.body


def commit(disk: Disk, chain: Chain) -> None:
    """Execute every block, with a flush in the middle and one at the end."""
    ledger = LedgerDB.open(LEDGER, ledger=chain.ledger, vfs=disk.mount())
    with ledger.database.closing_on_error():
        executor = Executor(ledger)
    with contextlib.closing(executor):
        for block in chain.blocks[executor.view.height :]:
            executor.execute(block)
            if block.height == 2:
                executor.ledger.flush()
        executor.ledger.flush()


def sound(disk: Disk, chain: Chain) -> None:
    genesis = decode_genesis(chain.genesis)
    assert check_files(genesis, ledger=LEDGER, vertices=VERTICES, vfs=disk.mount()) == []


def operations_of(live: Live, chain: Chain) -> int:
    disk = Disk()
    make(disk, chain)
    before = disk.operations
    live(disk, chain)
    return disk.operations - before


@pytest.mark.parametrize("fault", list(Fault))
@pytest.mark.parametrize("live", [seal, arrive, commit])
def test_no_failing_operation_loses_anything(chain: Chain, live: Live, fault: Fault) -> None:
    operations = operations_of(live, chain)
    assert operations > 40
    for number in range(operations):
        disk = Disk()
        make(disk, chain)
        disk.fail_after(number, fault)
        with contextlib.suppress(Broken):  # A sync that was done and reported failed may go unseen.
            live(disk, chain)
        disk.reopen()
        live(disk, chain)
        if live is commit:
            seal(disk, chain)
            executor = Executor(LedgerDB.open(LEDGER, ledger=chain.ledger, vfs=disk.mount()))
            assert executor.ledger.last.head == chain.heads[-1], number
            executor.close()
        sound(disk, chain)


@pytest.mark.parametrize("fault", list(Fault))
def test_a_file_that_was_not_made_whole_is_never_opened_as_one(chain: Chain, fault: Fault) -> None:
    disk = Disk()
    make(disk, chain)
    for number in range(disk.operations):
        disk = Disk()
        disk.fail_after(number, fault)
        with contextlib.suppress(Broken):
            make(disk, chain)
        disk.reopen()
        for open_file in (_open_ledger, _open_vertices):
            with contextlib.suppress(Broken):
                open_file(disk, chain)


def _open_ledger(disk: Disk, chain: Chain) -> None:
    executor = Executor(LedgerDB.open(LEDGER, ledger=chain.ledger, vfs=disk.mount()))
    assert executor.ledger.last.head == chain.heads[0]
    executor.close()


def _open_vertices(disk: Disk, chain: Chain) -> None:
    store = VertexDB.open(VERTICES, chain.ledger, vfs=disk.mount())
    assert store.intake() == []
    assert store.arrived() == []
    store.close()
