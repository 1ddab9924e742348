"""The registry's copy on a gateway: which rows are asked for, and when the copy is whole.

The gateway tells the uplink by a digest what it holds of a stretch of keys; where that is the same, nothing is sent.
Stretches grow while they agree and begin small again where they do not, so that one changed row among thousands costs
some kilobytes. Rows are not proved: they spare work at intake and decide nothing (`apply` trusts none of them).

Pure but for the mirror it reads and writes; who drives it sends what it asks for. Place in a record's life: beside
intake. Source: design.md section 4 (checks on a stale view), docs/spec/sync.md (WantRows).
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

from drystone.errors import BlockForged
from drystone.formats import cbor
from drystone.gateway.sync.messages import Rows
from drystone.gateway.sync.wire import digest
from drystone.ledger import keyspace
from drystone.storage.mirror import MirrorDB

SPACES: Final = (
    keyspace.META,
    keyspace.ORGANISATION,
    keyspace.MEMBER,
    keyspace.KEY,
    keyspace.PROFILE,
)
"""Spaces of the state that are copied: what `find_rights` reads, rising."""

FIRST_ROWS: Final = 64
"""Rows of the first stretch whose digest is compared, and of the first one behind a difference."""

STRETCH_ROWS_MAX: Final = 65_536


class Asked(NamedTuple):
    """What the uplink is asked for: see `messages.WantRows`."""

    after: bytes
    last: bytes
    digest: bytes


class RegistryCopy:
    """One round of comparing after another."""

    def __init__(self, mirror: MirrorDB) -> None:
        self._mirror = mirror
        self._after = b""
        self._rows = STRETCH_ROWS_MAX

    def begin(self) -> Asked:
        """Begin a round: everything is compared at once first, because mostly nothing has changed."""
        self._after = b""
        self._rows = STRETCH_ROWS_MAX
        return self._ask()

    def take(self, answer: Rows) -> tuple[dict[bytes, bytes | None], Asked | None]:
        """Take an answer in; give what changed, and what to ask next: None when the copy is whole.

        Blocks for one transaction where anything changed.

        Raises:
            BlockForged: the answer is not to what was asked, or is no stretch of the registry.
        """
        if answer.after != self._after or (answer.last and answer.last <= answer.after):
            raise BlockForged("rows that nobody asked for")
        changes: dict[bytes, bytes | None] = {}
        if answer.same:
            if not answer.last and self._mirror.rows_height != answer.height:
                self._mirror.rows_whole(height=answer.height)
            self._rows = min(2 * self._rows, STRETCH_ROWS_MAX)
        else:
            _check(answer)
            changes = self._mirror.put_rows(
                answer.rows, after=answer.after, last=answer.last, height=answer.height
            )
            self._rows = FIRST_ROWS
        if not answer.last:
            return changes, None
        self._after = answer.last
        return changes, self._ask()

    def _ask(self) -> Asked:
        held = self._mirror.scan(b"", after=self._after or None, limit=self._rows)
        if not held:
            return Asked(self._after, b"", b"")
        return Asked(self._after, held[-1][0], rows_digest(held))


def rows_digest(rows: Sequence[tuple[bytes, bytes]]) -> bytes:
    """Give the digest by which two sides compare a stretch of rows."""
    return digest(cbor.encode([list(row) for row in rows]))


def _check(answer: Rows) -> None:
    before = answer.after
    for key, _ in answer.rows:
        if key <= before or (answer.last and key > answer.last) or not _is_copied(key):
            raise BlockForged("rows out of order, or of another space than the registry's")
        before = key


def _is_copied(key: bytes) -> bool:
    return bool(key) and keyspace.space_of(key) in SPACES
