"""Stored vertices, made ready for the pipeline again: body against header, records through a verifier.

A start, a follower and a provisional view read vertices back from vertices.db. What lies there was checked when it
came; it is checked again, because a disk is not believed. A record that no verifier takes now (its key has gone
meanwhile) still goes on: `apply` gives it its outcome, not this file.

Place in a record's life: between its vertex and its order. Source: design.md sections 3.2 and 8.2.
"""

from collections.abc import Sequence
from hashlib import sha256

from drystone import limits
from drystone.errors import DatabaseCorrupt, Refused
from drystone.formats import cbor
from drystone.gateway.verifiers import RecordChecker
from drystone.ledger.change import OrderedVertex, Unreadable
from drystone.records.record import Record, Verified, check_form
from drystone.records.vertex import VertexHeader, check_body, decode_header
from drystone.storage.vertices import StoredVertex, VertexDB
from drystone.workers.checked import unpack


class Reopened:
    """Reads vertices of one store, which the caller may also write."""

    def __init__(self, *, store: VertexDB, checker: RecordChecker) -> None:
        self._store = store
        self._checker = checker

    async def vertex(self, vertex_id: bytes) -> OrderedVertex | None:
        """Give a vertex as the pipeline takes it; None while header or body are not here.

        Its author's signature is left to `apply`.

        Raises:
            DatabaseCorrupt: it is not what was stored. Overloaded, Unavailable: the verifiers are busy.
        """
        stored = self._store.find(vertex_id)
        if stored is None:
            return None
        sequence = self._store.body(stored.number)
        if sequence is None:
            return None
        header, body = read_body(stored, sequence)
        return OrderedVertex(header, None, await self.items(body))

    async def items(self, body: Sequence[bytes]) -> list[Verified | Record | Unreadable]:
        """Make of stored records what the pipeline takes, whatever a verifier says of them now."""
        if not body:
            return []
        checked = await self._checker.check(b"".join(body))
        flawed = {flaw.item for flaw in checked.flaws}
        good = iter(unpack(checked.packet))
        return [
            _unverified(raw) if number in flawed else next(good) for number, raw in enumerate(body)
        ]


def read_body(stored: StoredVertex, sequence: bytes) -> tuple[VertexHeader, list[bytes]]:
    """Give header and records of a stored vertex.

    Raises:
        DatabaseCorrupt: the body does not fit the header.
    """
    try:
        header = decode_header(stored.header)
        body = cbor.split_sequence(sequence, items_max=limits.VERTEX_RECORDS_MAX)
        check_body(header, body)
    except Refused as error:
        raise DatabaseCorrupt(f"vertices.db: vertices row {stored.number}: {error}") from error
    return header, body


def _unverified(raw: bytes) -> Record | Unreadable:
    try:
        return check_form(raw)
    except Refused as error:
        return Unreadable(error.code, sha256(raw).digest())
