"""What a follower does with what peers tell: vertices are executed and foreseen, blocks are offered to its engine.

Beside a gateway both parts hear the same; this one asks for blocks, the gateway's own for outcomes and registry. It
decides nothing. Source: design.md sections 3.5 and 3.6.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol

from drystone.engine.follow import FollowEngine
from drystone.gateway.seal import Engine
from drystone.gateway.sync.effects import Arrived, Effects, PeerName
from drystone.home.room import DiskRoom
from drystone.ledger.change import OrderedVertex
from drystone.node.commits import Commits
from drystone.node.exchange import Exchange, Parts
from drystone.storage.vertices import StoredVertex
from drystone.workers.messages import Executed


class Follower(Protocol):
    """Who executes and foresees (`following.py`)."""

    @property
    def engine(self) -> FollowEngine:
        """Executes blocks."""
        ...

    @property
    def commits(self) -> Commits:
        """Tells of them."""
        ...

    def arrived(self, vertex_id: bytes) -> None:
        """Take another author's vertex, body and all."""
        ...


class BesideEngine:
    """An engine whose own vertices the provisional view takes as well."""

    def __init__(self, engine: Engine, sealed: Callable[[OrderedVertex, bytes], None]) -> None:
        self._engine = engine
        self._sealed = sealed

    @property
    def idle(self) -> bool:
        """Whether a vertex handed over now would be ordered at once."""
        return self._engine.idle

    def submit(self, vertex: OrderedVertex, vertex_id: bytes) -> None:
        """Take a stored vertex over. Raises: Overloaded."""
        self._engine.submit(vertex, vertex_id)
        self._sealed(vertex, vertex_id)


class FollowParts:
    """What a follower does with what peers tell; beside a gateway's own part, where there is one."""

    def __init__(
        self,
        *,
        follower: Follower,
        exchange: Exchange,
        room: DiskRoom,
        below: Parts | None = None,
    ) -> None:
        self._follower = follower
        self._exchange = exchange
        self._room = room
        self._below = below
        self._asked: dict[PeerName, int] = {}
        self._executed = asyncio.Event()
        follower.commits.tell_in_order(self._commit)

    def check_room(self) -> None:
        """Refuse others' vertices while the disk is full. Raises: DiskFull."""
        self._room.check()

    def kept(self, stored: Sequence[StoredVertex], arrived: Sequence[Arrived]) -> None:
        """Execute, and foresee, with what came."""
        if self._below is not None:
            self._below.kept(stored, arrived)
        for one in arrived:
            if one.body is not None or not one.header.count:
                self._follower.arrived(one.id)

    async def opened(self, peer: PeerName) -> None:
        """Ask an uplink for blocks."""
        if self._below is not None:
            await self._below.opened(peer)
        self._asked.pop(peer, None)
        await self._ask(peer)

    async def told(self, peer: PeerName, effects: Effects) -> None:
        """Take blocks over from an uplink; others' are not listened to. Raises: BlockForged."""
        if self._below is not None:
            await self._below.told(peer, effects)
        if effects.blocks and peer in self._exchange.uplinks:
            self._follower.engine.offer(effects.blocks)
            await self._ask(peer)

    async def look(self) -> None:
        """Ask for what may be asked for now."""
        if self._below is not None:
            await self._below.look()
        await self._ask_all()

    async def run(self) -> None:
        """Ask for more as soon as there is room for it, until cancelled."""
        while True:
            await self._executed.wait()
            self._executed.clear()
            await self._ask_all()

    def _commit(self, done: Executed) -> None:
        del done
        self._executed.set()

    async def _ask_all(self) -> None:
        for status in self._exchange.status():
            if status.linked:
                await self._ask(status.name)

    async def _ask(self, peer: PeerName) -> None:
        """Ask for the blocks behind those that are here, once."""
        wanted = self._follower.engine.wanted
        if peer not in self._exchange.uplinks or wanted is None:
            return
        if self._asked.get(peer) == wanted.after:
            return
        asked = await self._exchange.ask(
            peer,
            lambda session, now_ms: session.want_blocks(
                after=wanted.after, limit=wanted.limit, now_ms=now_ms
            ),
        )
        if asked:
            self._asked[peer] = wanted.after
