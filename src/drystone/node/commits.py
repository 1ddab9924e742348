"""What a commit sets off in the front: each part is told, in one order, on the loop.

The stale view learns what was written, whose rights have changed is forgotten, batches learn their outcomes, the pulse
counts, event streams wake. Nothing here waits or writes; the verifiers are told by a task. Place in a record's life:
right after its commit. Source: design.md sections 3.2 and 4.
"""

import asyncio
from collections.abc import Callable, Mapping

from drystone.gateway.seal import Sealer
from drystone.gateway.senders import Senders
from drystone.gateway.stale import StaleView
from drystone.gateway.verifiers import RecordChecker
from drystone.ledger.change import ACCEPTED
from drystone.workers.messages import Executed


class Commits:
    """Who is told of each commit, on the loop, in order."""

    def __init__(self) -> None:
        self._listeners: list[Callable[[Executed], None]] = []

    def tell_in_order(self, *listeners: Callable[[Executed], None]) -> None:
        """Tell these as well, behind those known before."""
        self._listeners += listeners

    def tell(self, done: Executed) -> None:
        """Report one commit."""
        for listener in self._listeners:
            listener(done)


def remember(stale: StaleView, done: Executed) -> None:
    """Lay a block's writes over the stale view."""
    stale.commit(done.writes)


class RightsWatch:
    """Tells the verifiers whose rights have changed; what changes while it tells goes into the next word."""

    def __init__(self, senders: Senders, checker: RecordChecker) -> None:
        self._senders = senders
        self._checker = checker
        self._members: set[tuple[str, str]] = set()
        self._all = False
        self._changed = asyncio.Event()

    def note(self, done: Executed) -> None:
        """Forget at once here; the verifiers are told by `run`."""
        self.note_rows(done.writes)

    def note_rows(self, writes: Mapping[bytes, bytes | None]) -> None:
        """The same for rows that changed, final or not."""
        members = self._senders.change(writes)
        if members is None:
            self._all = True
        elif members:
            self._members.update(members)
        else:
            return
        self._changed.set()

    async def run(self) -> None:
        """Tell the verifiers, until cancelled."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            members = None if self._all else sorted(self._members)
            self._all = False
            self._members.clear()
            await self._checker.forget(members)


def settle(sealer: Sealer, done: Executed) -> None:
    """Tell the sealer what became of each vertex of a block, and that the engine has room."""
    codes: dict[int, dict[int, str]] = {}
    for one in done.outcomes:
        of_vertex = codes.setdefault(one.vertex, {})
        if one.record is None:
            of_vertex.update(dict.fromkeys(range(done.counts[one.vertex]), one.code))
        elif one.code != ACCEPTED:
            of_vertex[one.record] = one.code
    for index, vertex_id in enumerate(done.vertices):
        sealer.settle(vertex_id, height=done.height, codes=codes.get(index, {}))
    sealer.poke()
