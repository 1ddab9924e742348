"""The executor: the one place where blocks are applied and the ledger is written.

`Executor` is that place as an object, for tests and for a node in one process. `main` is the same
as a process of its own: no sockets but its channel to the front, no keys, a limit on its memory.
It takes whole blocks and answers whole blocks, in order. It also holds the provisional view, where there is one: in
memory, over the same state, never written. A failure is not survived: it says what
broke and stops, and the node starts again from what was committed; a full disk is waited out.

Place in a record's life: where it becomes fact. Source: design.md sections 3.6, 3.7 and 7.
"""

import gc
import logging
import resource
import signal
import sys
import time
from collections.abc import Callable, Sequence
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import Final

from drystone import limits
from drystone.errors import Broken, DiskFull, Diverged, GenesisInvalid, HomeInvalid, InvariantBroken
from drystone.ledger.apply import Memory, apply
from drystone.ledger.change import Block
from drystone.ledger.differences import Difference, Told
from drystone.ledger.provisional import Provisional
from drystone.storage.files import LEDGER_FILE, ledger_id
from drystone.storage.ledger import LedgerDB
from drystone.storage.view import LedgerView
from drystone.trees.state import absence_proof, existence_proof
from drystone.workers.channel import BlockingChannel
from drystone.workers.messages import (
    BROKEN,
    DONE,
    EXECUTE,
    GET,
    PEEK,
    PEEK_SCAN,
    PEND,
    PROVE,
    SCAN,
    TOLD,
    Executed,
    Pended,
    Pending,
    Plain,
    ProvedState,
    block_from_plain,
    executed_to_plain,
    pended_to_plain,
    pending_from_plain,
)

EXIT_BROKEN: Final = 4
"""The process stopped rather than diverge."""

GC_PACE: Final = (50_000, 20, 100)
"""New objects until Python looks for cycles among the young, the older, the old."""

DISK_FULL_S: Final = 1.0
"""How long the process waits for room before it tries a commit again."""

log = logging.getLogger(__name__)


class Executor:
    """Applies blocks over one ledger.db, the only one that writes it."""

    def __init__(self, ledger: LedgerDB) -> None:
        """Make the state tree again from the rows.

        Raises:
            DatabaseCorrupt: state or log are not those of the last block.
        """
        self._ledger = ledger
        self._view = LedgerView(ledger)
        self._memory = Memory()
        self._provisional: Provisional | None = None
        """Made for the first vertex that is pending here: most nodes never have one."""

    @classmethod
    def open(cls, home: Path) -> "Executor":
        """Open the ledger of a node's home folder.

        Raises:
            HomeInvalid, GenesisInvalid: the folder has no good genesis file.
            DatabaseForeign: ledger.db belongs to another genesis. DatabaseCorrupt, DiskFailed.
        """
        ledger = LedgerDB.open(home / LEDGER_FILE, ledger=ledger_id(home))
        with ledger.database.closing_on_error():
            return cls(ledger)

    @property
    def ledger(self) -> LedgerDB:
        """The store, for reading."""
        return self._ledger

    @property
    def view(self) -> LedgerView:
        """The state after the last block."""
        return self._view

    def execute(self, block: Block, *, expected: bytes | None = None) -> Executed:
        """Apply a block and commit it; on return it survives power loss.

        `expected` is the block entry that others signed for this height: any other one is not committed.

        Raises:
            DiskFull: nothing was changed; the same block may come again.
            Diverged: the block comes to another entry than expected; nothing was committed.
            Broken: the block does not follow, or the disk failed: use this object no more.
        """
        change = apply(self._view, block, self._memory)
        if expected is not None and change.block_entry != expected:
            raise Diverged(
                f"block {block.height} comes to {change.block_entry.hex()}, signed is {expected.hex()}"
            )
        try:
            stored = self._ledger.commit(change, block)
        except DiskFull:
            self._memory = Memory()  # It may know rights that this block would have given.
            raise
        self._view.install(change)
        differences: tuple[Difference, ...] = ()
        provisional = self._provisional
        if provisional is not None:
            differences = provisional.settle(
                stored.vertices,
                counts=stored.outcomes.counts,
                exceptions=stored.outcomes.exceptions,
                writes=change.writes,
                time_ms=block.time_ms,
            )
        return Executed(
            height=stored.height,
            time_ms=block.time_ms,
            first_leaf=stored.first_leaf,
            size=stored.size,
            root=stored.root,
            head=stored.head,
            state_root=change.state_root,
            vertices=stored.vertices,
            counts=stored.outcomes.counts,
            outcomes=stored.outcomes.exceptions,
            writes=change.writes,
            differences=differences,
            again=provisional is not None and bool(provisional.again),
        )

    def pend(self, vertices: Sequence[Pending]) -> Pended:
        """Give vertices that nobody has ordered yet to the provisional view, in order; nothing is stored.

        Raises:
            InvariantBroken: a value of the state is none; use this object no more.
        """
        if self._provisional is None:
            self._provisional = Provisional(self._view)
        view, taken = self._provisional, 0
        told: list[tuple[bytes, Told]] = []
        found: list[Difference] = []
        early: list[bytes] = []
        for own_id, vertex, time_ms in vertices:
            given = view.give(vertex, vertex_id=own_id, time_ms=time_ms)
            if not given.taken:
                break
            taken += 1
            if given.early:
                early.append(own_id)
            if given.told is not None:
                told.append((own_id, given.told))
            found += given.differences
        return Pended(
            taken,
            tuple(told),
            tuple(early),
            tuple(found),
            view.again,
            view.vertices,
            view.size,
            view.full,
            view.registry(),
        )

    def peek(self, key: bytes) -> bytes | None:
        """Return the value under a state key, as it would be if what is pending became final as guessed."""
        return (self._view if self._provisional is None else self._provisional).get(key)

    def peek_scan(
        self, prefix: bytes, *, after: bytes | None, limit: int
    ) -> list[tuple[bytes, bytes]]:
        """Return such pairs whose key starts with `prefix`, by key, behind the key `after`."""
        if self._provisional is None:
            return self._ledger.scan(prefix, after=after, limit=limit)
        return list(islice(self._provisional.scan(prefix, after=after), limit))

    def told(self, vertex_id: bytes) -> Told | None:
        """What was told of a pending vertex."""
        return None if self._provisional is None else self._provisional.told(vertex_id)

    def execute_patiently(
        self, block: Block, wait: Callable[[], None], *, expected: bytes | None = None
    ) -> Executed:
        """Do as `execute`, but while the disk is full call `wait` and try again.

        Nothing was changed meanwhile, and the front refuses new records. Raises: Broken.
        """
        while True:
            try:
                return self.execute(block, expected=expected)
            except DiskFull as error:
                log.warning("block %d waits for room on the disk: %s", block.height, error)
                wait()

    def prove_state(self, key: bytes) -> ProvedState:
        """Return the value under a state key, or that there is none, with a proof.

        Raises:
            InvariantBroken: table and tree disagree.
        """
        tree, last = self._view.tree, self._ledger.last
        value = self._view.get(key)
        if value is not None:
            proof = existence_proof(tree, key, value)
        else:
            left, right = tree.neighbours(sha256(key).digest())
            proof = absence_proof(tree, key, left=self._pair(left), right=self._pair(right))
        return ProvedState(
            value=value,
            ics23=proof,
            height=last.height,
            block_entry=last.entry,
            leaf=last.size - 1,
            size=last.size,
        )

    def _pair(self, key_hash: bytes | None) -> tuple[bytes, bytes] | None:
        if key_hash is None:
            return None
        key = self._ledger.key_of_hash(key_hash)
        value = None if key is None else self._view.get(key)
        if key is None or value is None:
            raise InvariantBroken(f"the state tree holds a key {key_hash.hex()} that no row has")
        return key, value

    def forget(self) -> None:
        """Empty every cache; no later result may be another one for it (tested)."""
        self._memory = Memory()
        self._view.forget()
        if self._provisional is not None:
            self._provisional.forget()

    def close(self) -> None:
        """Close the ledger."""
        self._ledger.close()


def wait_for_room() -> None:
    """Let a moment pass before a commit for which there was no room is tried again."""
    time.sleep(DISK_FULL_S)


def serve(channel: BlockingChannel, executor: Executor, wait: Callable[[], None]) -> None:
    """Answer the front until it closes the channel; `wait` as in `execute_patiently`."""
    while (message := channel.receive()) is not None:
        channel.send((DONE, answer(executor, message, wait)))


def answer(executor: Executor, message: Plain, wait: Callable[[], None]) -> Plain:
    """Do what one message asks and return the plain answer. Raises: Broken."""
    kind, *arguments = message
    if kind == EXECUTE:
        plain, expected = arguments
        block = block_from_plain(plain)
        return executed_to_plain(executor.execute_patiently(block, wait, expected=expected))
    if kind == PROVE:
        return tuple(executor.prove_state(*arguments))
    if kind == GET:
        return executor.view.get(*arguments)
    if kind == SCAN:
        prefix, after, limit = arguments
        return executor.ledger.scan(prefix, after=after, limit=limit)
    if kind == PEND:
        (plain,) = arguments
        return pended_to_plain(executor.pend([pending_from_plain(one) for one in plain]))
    if kind == TOLD:
        told = executor.told(*arguments)
        return None if told is None else tuple(told)
    if kind == PEEK:
        return executor.peek(*arguments)
    if kind == PEEK_SCAN:
        prefix, after, limit = arguments
        return executor.peek_scan(prefix, after=after, limit=limit)
    raise InvariantBroken(f"the executor knows no message of kind {kind}")


def main() -> None:
    """Run the executor: arguments are its channel's descriptor, the home, and bytes of memory."""
    # The front decides when to stop: it closes the channel.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    logging.basicConfig(format="executor: %(message)s")
    descriptor, home, memory_bytes = int(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    _, most = resource.getrlimit(resource.RLIMIT_AS)
    if most == resource.RLIM_INFINITY or memory_bytes < most:
        resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    channel = BlockingChannel(descriptor)
    try:
        executor = Executor.open(home)
        # Nearly everything here lives long or dies by its count: looking for cycles among it at
        # Python's usual pace costs a fifth of the time (measured).
        gc.freeze()
        gc.set_threshold(*GC_PACE)
        gc.set_threshold(limits.GC_OBJECTS, 20, 20)
        serve(channel, executor, wait_for_room)
        executor.close()
    except (Broken, HomeInvalid, GenesisInvalid) as error:
        _give_up(channel, error.code, str(error))
    except MemoryError:
        _give_up(channel, InvariantBroken.code, f"more than {memory_bytes} bytes of memory")


def _give_up(channel: BlockingChannel, code: str, text: str) -> None:
    """Say what broke, where anyone still listens, and stop."""
    log.error("%s: %s", code, text)
    try:
        channel.send((BROKEN, code, text))
    except Broken:
        log.error("the front is gone as well")
    sys.exit(EXIT_BROKEN)


if __name__ == "__main__":
    main()
