"""What stands at the exchange's sides: who carries its messages, who answers for the ledger.

Interfaces, and one way to wait. Place in a record's life: between one gateway's vertices and the next one's.
Source: docs/spec/sync.md.
"""

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any, Protocol

from drystone.errors import DrystoneError, PeerFault
from drystone.gateway.sync.effects import Effects
from drystone.gateway.sync.messages import Done, Have, OrderedBlock, Rows, WantBlocks, WantRows
from drystone.records.dag import Author
from drystone.transport.links import PeerReport


class Serves(Protocol):
    """Who answers what peers ask of the ledger; blocking."""

    def blocks(self, want: WantBlocks, /) -> list[OrderedBlock]:
        """Give blocks behind a height; none where there are none."""
        ...

    def done(self, iss: str, sub: str, have: Have, /) -> Done | None:
        """Give the outcomes of a member's vertices behind a place; None where there are none."""
        ...

    def rows(self, want: WantRows, /) -> Rows:
        """Give rows of the registry."""
        ...


class Carrier(Protocol):
    """Who carries messages: `transport/links.py`, and its twin in the simulator."""

    async def run(self, stop: asyncio.Event) -> None:
        """Carry until `stop`."""
        ...

    def act(self, peer: Author, effects: Effects) -> bool:
        """Send what a session said; False when the peer has no link now."""
        ...

    def end(self, peer: Author, fault: DrystoneError | None) -> None:
        """End a peer's link."""
        ...

    def recheck(self) -> None:
        """See whether every link is still allowed."""
        ...

    def report(self) -> list[PeerReport]:
        """Give what there is to say of every peer's links."""
        ...

    def set_announced(self, peer: Author, addresses: Sequence[str]) -> None:
        """Dial a peer where it says that it is."""
        ...


async def blamed(work: Coroutine[Any, Any, None]) -> PeerFault | None:
    """Do something; give what a peer did wrong, which must not end this process."""
    try:
        await work
    except PeerFault as fault:
        return fault
    return None
