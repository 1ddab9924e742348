"""What is told of members beside their vertices: evidence of forks, announcements of addresses. In memory, bounded.

One piece of evidence is kept per suspension: whose branch, of records or of vertices, in which epoch. One announcement
is kept per member, the newest. Source: docs/spec/sync.md.
"""

from collections.abc import Callable

from drystone import limits
from drystone.formats import cbor
from drystone.gateway.sync.announcement import Announcement, check_announcement
from drystone.gateway.sync.wire import digest
from drystone.records.dag import Author
from drystone.records.evidence import Fork, decode_fork, place_of
from drystone.records.key import PublicKey
from drystone.records.vertex import VertexHeader

KeyOf = Callable[[str, str, bytes], PublicKey | None]
"""Gives a public key by organisation, member and kid, as far as the ledger is known here."""


class Notices:
    """Evidence and announcements."""

    def __init__(self, *, ledger: bytes, member_key_of: KeyOf) -> None:
        self._ledger = ledger
        self.member_key_of = member_key_of
        """Gives a member's key, as far as the ledger is known here."""
        self._forks: dict[bytes, bytes] = {}
        self._announced: dict[Author, Announcement] = {}
        self.notices = 0
        """Rises with everything new."""

    def forks(self) -> dict[bytes, bytes]:
        """Give the evidence known here by the digest of whose it is."""
        return self._forks

    def add_fork(self, evidence: bytes) -> bool:
        """Take evidence whose signatures were checked; say whether it tells of a branch not known to be forked."""
        fork = decode_fork(evidence, ledger=self._ledger)
        key = fork_digest(fork)
        if key in self._forks or len(self._forks) >= limits.SYNC_FORKS_MAX:
            return False
        self._forks[key] = evidence
        self.notices += 1
        return True

    def suspended(self, iss: str, sub: str, epoch: int) -> bool:
        """Whether a fork of an author's vertices is known in this epoch or a later one."""
        for evidence in self._forks.values():
            signed = decode_fork(evidence, ledger=self._ledger).a
            of_author = isinstance(signed, VertexHeader) and (signed.iss, signed.sub) == (iss, sub)
            if of_author and signed.epoch >= epoch:
                return True
        return False

    def announcements(self) -> dict[Author, Announcement]:
        """Give the newest announcement of each member."""
        return self._announced

    def add_announcement(self, signed: bytes) -> bool | None:
        """Take an announcement: true when it is new, false when it is known or its member unknown, None when outdated.

        Raises:
            AnnouncementForged: it is malformed, or not signed by the member it names.
        """
        found = check_announcement(signed, ledger=self._ledger, key_of=self.member_key_of)
        if found is None:
            return False
        author = Author(found.iss, found.sub)
        known = self._announced.get(author)
        if known is not None:
            if (found.epoch, found.raw) <= (known.epoch, known.raw):
                return False if found.epoch == known.epoch else None
        elif len(self._announced) >= limits.SYNC_ANNOUNCEMENTS_MAX:
            return False
        self._announced[author] = found
        self.notices += 1
        return True

    def announced_digest(self) -> bytes:
        """Return what `Hello` says of the announcements known here."""
        return digest(b"".join([one.raw for _, one in sorted(self._announced.items())]))


def fork_digest(fork: Fork) -> bytes:
    """Return which suspension evidence brings about: whose branch, of records or vertices, in which epoch."""
    owner, epoch, _ = place_of(fork.a)
    kind = "vertex" if isinstance(fork.a, VertexHeader) else "record"
    return digest(cbor.encode([kind, list(owner), epoch]))
