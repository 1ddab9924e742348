"""Who asks whom: claims of all sessions of a process, so that nothing is asked of two peers at once.

A claim ends when what was asked for has come, when its time is over, or with its session. Pieces of bodies that a
link's end cut short are kept here, so that the next link to the same peer goes on where it stopped. All bounded.

Place in a record's life: between vertex and order. Source: docs/spec/sync.md.
"""

from typing import NamedTuple

from drystone import limits
from drystone.records.dag import Author


class Partial(NamedTuple):
    """The first bytes of a deflated body, and how long it is in all."""

    total: int
    data: bytes


class _Claim(NamedTuple):
    owner: object
    until_ms: int
    size: int


class Claims:
    """What the sessions of a process have asked for and not got."""

    def __init__(self) -> None:
        self._claims: dict[bytes | Author, _Claim] = {}
        self._partials: dict[tuple[Author | None, bytes], Partial] = {}
        self._partial_bytes = 0
        self.bytes = 0
        """Of the bodies claimed, as their headers give them."""

    def take(
        self, what: bytes | Author, owner: object, *, now_ms: int, until_ms: int, size: int = 0
    ) -> bool:
        """Claim a body (by id) or an author's headers for a session; no when another one has claimed it.

        A body is also refused when too many bytes are claimed already; the only one is never.
        """
        held = self._claims.get(what)
        if held is not None and held.owner is not owner and held.until_ms > now_ms:
            return False
        others = self.bytes - (held.size if held is not None else 0)
        if size and others and others + size > limits.SYNC_BODIES_BYTES_MAX:
            return False
        self.bytes = others + size
        self._claims[what] = _Claim(owner, until_ms, size)
        return True

    def held_until(self, what: bytes | Author, owner: object) -> int | None:
        """Give the time until which another session has claimed something."""
        held = self._claims.get(what)
        return None if held is None or held.owner is owner else held.until_ms

    def release(self, what: bytes | Author, owner: object) -> None:
        """End a claim, if it is this session's."""
        held = self._claims.get(what)
        if held is not None and held.owner is owner:
            self.bytes -= held.size
            del self._claims[what]

    def release_all(self, owner: object) -> None:
        """End all claims of a session."""
        for what in [what for what, held in self._claims.items() if held.owner is owner]:
            self.release(what, owner)

    def put_partial(self, peer: Author | None, own_id: bytes, partial: Partial) -> None:
        """Keep the first bytes of a body for the next link; the oldest are forgotten when there are too many."""
        self.take_partial(peer, own_id)
        self._partials[peer, own_id] = partial
        self._partial_bytes += len(partial.data)
        while self._partial_bytes > limits.SYNC_BODY_BYTES_MAX:
            self.take_partial(*next(iter(self._partials)))

    def take_partial(self, peer: Author | None, own_id: bytes) -> Partial | None:
        """Give what is kept of a body from a peer, and forget it here."""
        found = self._partials.pop((peer, own_id), None)
        if found is not None:
            self._partial_bytes -= len(found.data)
        return found
