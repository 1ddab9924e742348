"""The engine of a follower: it orders nothing, it executes what others have ordered and stops where it cannot agree.

Blocks come from a peer, in order, vouched for by those whom this home trusts (`vouched.py`). For each, the follower
waits until all its vertices are here, hands them to the executor with the signed block entry, and the executor commits
only what comes to that very entry, byte for byte. After a block that ends a message, its own log must have the signed
root. Any difference stops the follower with `Diverged`: what is committed here is what the ledger's signers committed.

Blocks that wait are memory only: after a restart the peer is asked again from the last committed height.
Place in a record's life: where it becomes fact, in a copy of the ledger. Source: design.md section 3.5.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol

from drystone import limits
from drystone.engine.vouched import PassedOn, check_follows, check_vouched, read_entry
from drystone.errors import BlockForged, Diverged
from drystone.formats.note import Checkpoint
from drystone.ledger.change import Block, OrderedVertex
from drystone.proof.trust import Trust
from drystone.workers.messages import Executed

WANT_BLOCKS: Final = 64
"""Blocks asked for at a time."""

log = logging.getLogger(__name__)


class Execute(Protocol):
    """Applies and commits one block that must come to an entry; asked for in order of height."""

    def __call__(self, block: Block, *, expected: bytes | None = None) -> Awaitable[Executed]:
        """Commit. Raises: Diverged, Broken."""
        ...


class Vertices(Protocol):
    """Where the bodies of ordered vertices come from."""

    async def vertex(self, vertex_id: bytes) -> OrderedVertex | None:
        """Give a vertex whose body is here and fits its header; None while it is not here."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Tail:
    """The last committed block: what the next one follows."""

    height: int
    time_ms: int
    size: int
    """Log entries after it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FollowRules:
    """What every block must say, and who must have signed it."""

    validators: bytes
    protocol: int
    trust: Trust


class Wanted(NamedTuple):
    """The blocks that this follower asks for next."""

    after: int
    limit: int


class _Waiting(NamedTuple):
    block: PassedOn
    checkpoint: Checkpoint


class FollowEngine:
    """Executes blocks that others ordered. Everything but `run` is called on its loop and never waits."""

    def __init__(
        self,
        *,
        execute: Execute,
        vertices: Vertices,
        tail: Tail,
        rules: FollowRules,
        on_executed: Callable[[Executed], None],
    ) -> None:
        """Go on behind the last committed block; `on_executed` is told of every commit, in order."""
        self._execute = execute
        self._vertices = vertices
        self._rules = rules
        self._on_executed = on_executed
        self._tail = self._offered = tail
        self._waiting: deque[_Waiting] = deque()
        self._missing: tuple[bytes, ...] = ()
        self._wake = asyncio.Event()
        self._stopping = False
        self._executing = 0

    @property
    def height(self) -> int:
        """Height of the last committed block."""
        return self._tail.height

    @property
    def blocks_waiting(self) -> int:
        """Blocks that are here and not committed."""
        return len(self._waiting)

    @property
    def blocks_in_flight(self) -> int:
        """Blocks that the executor has not committed yet."""
        return self._executing

    @property
    def missing(self) -> tuple[bytes, ...]:
        """Vertices that the next block waits for: whoever pulls bodies pulls these first."""
        return self._missing

    @property
    def wanted(self) -> Wanted | None:
        """What to ask a peer for; None while enough is here."""
        room = limits.FOLLOW_BLOCKS_MAX - len(self._waiting)
        return Wanted(self._offered.height, min(room, WANT_BLOCKS)) if room > 0 else None

    def offer(self, blocks: Sequence[PassedOn]) -> None:
        """Take over the blocks of one message; those that are here already are passed over.

        Raises:
            BlockForged: they do not follow, say other validators or another protocol than this ledger's, or nobody
                trusted vouches for them. Nothing was taken: it is the peer's fault, and another one may be asked.
        """
        new = [block for block in blocks if read_entry(block).height > self._offered.height]
        if not new:
            return
        tail = self._offered
        check_follows(new, height=tail.height, size=tail.size, time_ms=tail.time_ms)
        checkpoint = check_vouched(new, trust=self._rules.trust)
        for block in new:
            fields = read_entry(block)
            if (fields.validators, fields.protocol) != (
                self._rules.validators,
                self._rules.protocol,
            ):
                raise BlockForged(f"block {fields.height} has other validators or protocol")
        room = limits.FOLLOW_BLOCKS_MAX - len(self._waiting)
        for block in new[:room]:
            fields = read_entry(block)
            self._waiting.append(_Waiting(block, checkpoint))
            self._offered = Tail(height=fields.height, time_ms=fields.time_ms, size=block.size)
        self._wake.set()

    def arrived(self) -> None:
        """Look again whether the vertices that a block waits for are here."""
        self._wake.set()

    def stop(self) -> None:
        """End `run` behind the block that is being committed."""
        self._stopping = True
        self._wake.set()

    async def run(self) -> None:
        """Execute blocks until `stop`.

        Raises:
            Diverged: a block came to something else here; it was not committed.
            Broken: the executor failed.
        """
        while not self._stopping:
            self._wake.clear()
            if not self._waiting or not await self._try(self._waiting[0]):
                await self._wake.wait()

    async def _try(self, waiting: _Waiting) -> bool:
        """Execute a block if all its vertices are here."""
        block = waiting.block
        fields = read_entry(block)
        vertices: list[OrderedVertex] = []
        missing: list[bytes] = []
        for own_id, count in block.vertices:
            vertex = await self._vertices.vertex(own_id)
            if vertex is None:
                missing.append(own_id)
                continue
            if len(vertex.records) != count:
                raise Diverged(
                    f"vertex {own_id.hex()} has {len(vertex.records)} records, not {count}"
                )
            vertices.append(vertex)
        self._missing = tuple(missing)
        if missing:
            return False
        self._executing = 1
        try:
            ordered = Block(
                fields.height,
                fields.time_ms,
                vertices,
                self._rules.validators,
                self._rules.protocol,
            )
            done = await self._execute(ordered, expected=block.entry)
        finally:
            self._executing = 0
        self._check_log(done, waiting)
        self._waiting.popleft()
        self._tail = Tail(height=done.height, time_ms=done.time_ms, size=done.size)
        self._on_executed(done)
        return True

    def _check_log(self, done: Executed, waiting: _Waiting) -> None:
        """Compare the log as it is here with the one that was signed."""
        checkpoint = waiting.checkpoint
        if (done.first_leaf, done.size) != (waiting.block.first_leaf, waiting.block.size):
            raise Diverged(
                f"after block {done.height} the log has {done.size} entries, signed are {waiting.block.size}"
            )
        if done.size == checkpoint.size and done.root != checkpoint.root:
            raise Diverged(f"after block {done.height} the log has another root than is signed")
