"""Doubled keys: two different records of one position, found when the second one is ordered and answered `already`.

A copy of a record (one radio frame, heard by two gateways) is `already` too, and is no fault: ids are compared. Two ids
at one position mean that a device's key or memory was doubled: a thief at another gateway, or a device restored from a
backup. The two are evidence (`records/evidence.py`), and the node puts it before the ledger.

Place in a record's life: after the commit. Looks at a bounded number of records, off the loop; what is beyond is found
by whoever submits evidence. Source: design.md section 3 (streams as runs).
"""

from collections import deque
from collections.abc import Callable
from typing import Final, Protocol

from drystone import limits
from drystone.errors import Refused
from drystone.formats import cbor
from drystone.ledger import keyspace
from drystone.ledger.change import ALREADY
from drystone.records.evidence import check_fork, decode_fork, encode_fork
from drystone.records.key import PublicKey
from drystone.records.record import Record, check_form, stream_id
from drystone.storage.ledger import Place
from drystone.storage.vertices import StoredVertex
from drystone.workers.messages import Executed

LOOKED_AT: Final = 64
"""Records looked at in one go."""


class LedgerPlaces(Protocol):
    """Who knows where an accepted record lies."""

    def find(self, stream: bytes, *, epoch: int, seq: int) -> Place | None:
        """Give the place of the record at a position of a stream."""
        ...


class Bodies(Protocol):
    """Who holds vertices' bodies."""

    def find(self, own_id: bytes, /) -> StoredVertex | None:
        """Give a vertex."""
        ...

    def body(self, number: int, /) -> bytes | None:
        """Give its records."""
        ...


class Doubles:
    """Finds two records of one position."""

    def __init__(
        self,
        *,
        ledger: LedgerPlaces,
        vertices: Bodies,
        key_of: Callable[[str, str, bytes], PublicKey],
        ledger_id: bytes,
    ) -> None:
        """`key_of` raises KeyUnknown for keys that convict nobody."""
        self._ledger = ledger
        self._vertices = vertices
        self._key_of = key_of
        self._ledger_id = ledger_id
        self._waiting: deque[tuple[bytes, int]] = deque(maxlen=limits.DOUBLES_WAITING_MAX)
        self._last: tuple[bytes, list[bytes]] | None = None

    def note(self, done: Executed) -> None:
        """Note which records of a block came second; on the loop."""
        for outcome in done.outcomes:
            if outcome.code == ALREADY and outcome.record is not None:
                self._waiting.append((done.vertices[outcome.vertex], outcome.record))

    @property
    def waiting(self) -> int:
        """Records still to be looked at."""
        return len(self._waiting)

    def find(self) -> list[bytes]:
        """Look at the next noted records and give evidence of those that are no copies; blocking.

        Raises: as the databases.
        """
        evidence: list[bytes] = []
        for _ in range(min(LOOKED_AT, len(self._waiting))):
            found = self._look(*self._waiting.popleft())
            if found is not None:
                evidence.append(found)
        return evidence

    def _look(self, vertex_id: bytes, index: int) -> bytes | None:
        second = self._record(vertex_id, index)
        if second is None:
            return None
        stream = keyspace.stream(stream_id(second))
        place = self._ledger.find(stream, epoch=second.epoch, seq=second.seq)
        first = None if place is None else self._record(place.vertex, place.index)
        if first is None or first.id == second.id:
            return None
        try:
            evidence = encode_fork(first, second, ledger=self._ledger_id)
            fork = decode_fork(evidence, ledger=self._ledger_id)
            check_fork(fork, ledger=self._ledger_id, key_of=self._key_of)
        except Refused:
            return None  # A key that was revoked, or a signature that nobody had to check.
        return evidence

    def _record(self, vertex_id: bytes, index: int) -> Record | None:
        """Give a record of a vertex; None where its body was pruned."""
        if self._last is None or self._last[0] != vertex_id:
            stored = self._vertices.find(vertex_id)
            body = None if stored is None else self._vertices.body(stored.number)
            if body is None:
                return None
            records = cbor.split_sequence(body, items_max=limits.VERTEX_RECORDS_MAX)
            self._last = (vertex_id, records)
        try:
            return check_form(self._last[1][index])
        except Refused:
            return None
