"""Thousands of power losses and failing operations under the real stores, from one seed.

Each function lives through many lives of one database on a simulated disk: open, write, lose power
(or have an operation fail) at a random operation, restart, open again. After every restart nothing
that was acknowledged may be missing, nothing may be there that was never asked for, and now and
then `fsck` recomputes all of it. A broken promise is an AssertionError that names the seed.

`make torture` runs thousands, the tests a few hundred. Source: reliability targets, "power loss /
I/O error on store"; SQLite's own crash tests.
"""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

from drystone.errors import Broken, DiskFull
from drystone.ledger.genesis import decode_genesis
from drystone.sim.chain import Chain, ChainVertex
from drystone.sim.power_loss import Disk, Fault
from drystone.storage.fsck import check_files
from drystone.storage.ledger import LedgerDB
from drystone.storage.vertices import VertexDB
from drystone.workers.executor import Executor

LEDGER: Final = Path("/ledger.db")
VERTICES: Final = Path("/vertices.db")

FSCK_EVERY: Final = 25
"""Restarts between two runs of fsck, which takes as long as the life before it."""

OPERATIONS_MAX: Final = 120
"""Disk operations until something happens, at most."""


class Lives(NamedTuple):
    """What was lived through."""

    losses: int
    """Power losses, or operations that failed."""
    checked: int
    """Runs of fsck."""


Trouble = Callable[[Disk, random.Random], None]
"""Orders what will happen to the disk during the next life."""


def lose_power(disk: Disk, draw: random.Random) -> None:
    """Let the power go at some operation of the next life."""
    disk.cut_power_after(draw.randrange(OPERATIONS_MAX))


def fail_once(disk: Disk, draw: random.Random) -> None:
    """Let some operation of the next life fail, not done or done."""
    disk.fail_after(draw.randrange(OPERATIONS_MAX), draw.choice(list(Fault)))


def torture_ledger(
    chain: Chain, *, losses: int, seed: int, trouble: Trouble = lose_power, garbage: bool = False
) -> Lives:
    """Let an executor commit a chain again and again while its disk fails `losses` times."""
    draw = random.Random(seed)
    happened = checked = restarts = 0
    while happened < losses:
        disk = Disk(garbage=garbage)
        LedgerDB.create(LEDGER, chain.genesis, chain.start, vfs=disk.mount()).close()
        _store_vertices(disk, chain)
        acknowledged = 0
        while acknowledged < len(chain.blocks):
            trouble(disk, draw)
            acknowledged, broke = _one_executor(disk, chain, acknowledged)
            happened += broke
            disk.restart(draw)
            found = _reopened_height(disk, chain)
            told = f"seed {seed}, loss {happened}: height {found}, told {acknowledged}"
            assert acknowledged <= found <= acknowledged + 1, told
            acknowledged = found
            restarts += 1
            if restarts % FSCK_EVERY == 0:
                _check(disk, chain, f"seed {seed}, loss {happened}")
                checked += 1
            if happened >= losses:
                break
    return Lives(happened, checked)


def _store_vertices(disk: Disk, chain: Chain) -> None:
    """Put all vertices of a chain on the same disk, for fsck."""
    store = VertexDB.create(VERTICES, chain.ledger, vfs=disk.mount())
    for vertex in chain.vertices:
        store.seal(header=vertex.header, body=vertex.body)
    store.close()


def _one_executor(disk: Disk, chain: Chain, height: int) -> tuple[int, bool]:
    """Commit blocks until the chain ends or the disk fails; return what was acknowledged."""
    executor = None
    broke = False
    try:
        ledger = LedgerDB.open(LEDGER, ledger=chain.ledger, vfs=disk.mount())
        with ledger.database.closing_on_error():
            executor = Executor(ledger)
        while executor.view.height < len(chain.blocks):
            height = executor.execute(chain.blocks[executor.view.height]).height
    except Broken:
        broke = True
    if executor is not None:
        try:
            executor.close()
        except Broken:
            broke = True
    return height, broke


def _reopened_height(disk: Disk, chain: Chain) -> int:
    executor = Executor(LedgerDB.open(LEDGER, ledger=chain.ledger, vfs=disk.mount()))
    height = executor.view.height
    assert executor.ledger.last.head == chain.heads[height], f"another head at {height}"
    executor.close()
    return height


def _check(disk: Disk, chain: Chain, told: str) -> None:
    findings = check_files(
        decode_genesis(chain.genesis), ledger=LEDGER, vertices=VERTICES, vfs=disk.mount()
    )
    assert findings == [], f"{told}: {findings}"


class _Gateway:
    """What a gateway was told of its records: the model that vertices.db is held against."""

    def __init__(self, chain: Chain) -> None:
        self.todo = list(chain.vertices)
        self.intake: dict[int, bytes] = {}
        self.vertices: list[ChainVertex] = []
        self.adding: list[bytes] = []
        self.sealing: ChainVertex | None = None
        self.sealing_rows: list[int] = []

    def live(self, store: VertexDB, draw: random.Random) -> None:
        """Store the next vertex's records in a few batches, then seal them; again and again."""
        while self.todo:
            vertex = self.todo[0]
            if not self.intake and draw.random() < 0.7:
                cut = draw.randrange(len(vertex.body) + 1)
                self.adding = [vertex.body[:cut], vertex.body[cut:]]
                numbers = store.add_intake(self.adding)
                self.intake = dict(zip(numbers, self.adding, strict=True))
                self.adding = []
            self.sealing, self.sealing_rows = vertex, list(self.intake)
            store.seal(header=vertex.header, body=vertex.body, intake=self.sealing_rows)
            self._sealed()

    def _sealed(self) -> None:
        assert self.sealing is not None
        self.vertices.append(self.sealing)
        self.todo.pop(0)
        self.intake.clear()
        self.sealing = None

    def compare(self, store: VertexDB, told: str) -> None:
        """Hold the file against the model: what was acknowledged is there, once."""
        headers = [one.header for one in store.arrived(limit=1_000_000)]
        known = [one.header for one in self.vertices]
        if self.sealing is not None and headers == [*known, self.sealing.header]:
            self._sealed()  # It was stored, only nobody was told.
            known = headers
        assert headers == known, f"{told}: {len(headers)} vertices, told {len(known)}"
        for one, vertex in zip(store.arrived(limit=1_000_000), self.vertices, strict=True):
            assert store.body(one.number) == vertex.body, f"{told}: another body"
        rows = {row.number: row.records for row in store.intake(limit=1_000_000)}
        if self.adding and list(rows.values()) == self.adding:
            self.intake = rows
        assert rows == self.intake, f"{told}: {len(rows)} rows, told {len(self.intake)}"
        self.adding, self.sealing = [], None


def torture_vertices(
    chain: Chain, *, losses: int, seed: int, trouble: Trouble = lose_power, garbage: bool = False
) -> Lives:
    """Let a gateway store and seal a chain's records while its disk fails `losses` times."""
    draw = random.Random(seed)
    happened = checked = restarts = 0
    while happened < losses:
        disk = Disk(garbage=garbage)
        VertexDB.create(VERTICES, chain.ledger, vfs=disk.mount()).close()
        LedgerDB.create(LEDGER, chain.genesis, chain.start, vfs=disk.mount()).close()
        gateway = _Gateway(chain)
        while gateway.todo and happened < losses:
            trouble(disk, draw)
            happened += _one_gateway(disk, chain, gateway, draw)
            disk.restart(draw)
            told = f"seed {seed}, loss {happened}"
            store = VertexDB.open(VERTICES, chain.ledger, vfs=disk.mount())
            gateway.compare(store, told)
            store.close()
            restarts += 1
            if restarts % FSCK_EVERY == 0:
                _check(disk, chain, told)
                checked += 1
    return Lives(happened, checked)


def _one_gateway(disk: Disk, chain: Chain, gateway: _Gateway, draw: random.Random) -> bool:
    store = None
    broke = False
    try:
        store = VertexDB.open(VERTICES, chain.ledger, vfs=disk.mount())
        gateway.live(store, draw)
    except Broken:
        broke = True
    if store is not None:
        try:
            store.close()
        except Broken:
            broke = True
    return broke


def fill_disk(disk: Disk, draw: random.Random) -> None:
    """Leave hardly any room for the next life."""
    disk.bytes_max = disk.size + draw.randrange(60_000)


def torture_full_disk(chain: Chain, *, times: int, seed: int) -> Lives:
    """Fill the disk while an executor commits; each refusal changes nothing, and room mends it."""
    draw = random.Random(seed)
    happened = 0
    while happened < times:
        disk = Disk()
        ledger = LedgerDB.create(LEDGER, chain.genesis, chain.start, vfs=disk.mount())
        executor = Executor(ledger)
        while executor.view.height < len(chain.blocks):
            fill_disk(disk, draw)
            height = executor.view.height
            try:
                while executor.view.height < len(chain.blocks):
                    executor.execute(chain.blocks[executor.view.height])
                    height = executor.view.height
            except DiskFull:
                happened += 1
                assert executor.view.height == height, f"seed {seed}: a refused block is there"
                assert executor.ledger.last.head == chain.heads[height], f"seed {seed}"
            disk.mend()
            if executor.view.height < len(chain.blocks):
                executor.execute(chain.blocks[executor.view.height])
        assert executor.ledger.last.head == chain.heads[-1], f"seed {seed}: another head"
        executor.close()
    return Lives(happened, 0)
