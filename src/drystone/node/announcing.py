"""Announcements of a process: it says where it may be dialled, and dials others where they say they are.

Lives here: signing the own announcement, raising its epoch when an older life's comes back, handing others' addresses
to the links. May not: verify one (`gateway/sync/announcement.py` does, before it gets here) or decide who may link.
Source: docs/spec/sync.md, docs/operating/links.md.
"""

from collections.abc import Callable, Sequence
from typing import Final, Protocol

from drystone.gateway.sync.announcement import Announcement, sign_announcement
from drystone.gateway.sync.effects import Own
from drystone.limits import SEQUENCE_MAX
from drystone.records.dag import Author
from drystone.records.key import SecretKey

Dial = Callable[[Author, Sequence[str]], None]


class Board(Protocol):
    """Where announcements are kept and passed on: `VertexHoldings`."""

    def announcements(self) -> dict[Author, Announcement]:
        """Give the newest announcement of each member."""
        ...

    def add_announcement(self, signed: bytes) -> bool | None:
        """Take an announcement: true when it is new."""
        ...


class Announcer:
    """The announcements of one process."""

    def __init__(
        self, *, own: Own, secret: SecretKey, addresses: Sequence[str], board: Board, dial: Dial
    ) -> None:
        """Announce nothing yet."""
        self._own, self._secret, self._board, self._dial = own, secret, board, dial
        self._name: Final = Author(own.iss, own.sub)
        self._addresses: Final = tuple(addresses)
        self._heard: dict[Author, int] = {}

    def announce(self) -> None:
        """Say where this process is, if it wants to be dialled or an older life of it said so; else nothing.

        Nothing happens while the own key is not known here yet. Call again when the registry has changed.
        """
        known = self._board.announcements().get(self._name)
        if known is None and not self._addresses:
            return
        if known is not None and known.addresses == self._addresses:
            return
        # The start's time, or one more than what an older life said with a better clock.
        epoch = self._own.instance if known is None else max(self._own.instance, known.epoch + 1)
        signed = sign_announcement(
            secret=self._secret,
            iss=self._own.iss,
            sub=self._own.sub,
            epoch=min(epoch, SEQUENCE_MAX),
            addresses=self._addresses,
            ledger=self._own.ledger,
        )
        self._board.add_announcement(signed)

    def heard(self) -> None:
        """Something new was announced: dial it, or answer for this process if it is its own older word."""
        for author, one in self._board.announcements().items():
            if author != self._name and self._heard.get(author) != one.epoch:
                self._heard[author] = one.epoch
                self._dial(author, one.addresses)
        self.announce()
