"""vertices.db: every row against its header, every body against its header's root.

Headers are believed as far as their author signed them (the replay checks that); everything beside
them is computed again. What comes out is a `VertexSource`: vertices by the id that their headers
really have, ready to be applied once more.
"""

import zlib
from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import Final, NamedTuple

from drystone import limits
from drystone.errors import DrystoneError, Refused
from drystone.formats import cbor
from drystone.ledger.change import OrderedVertex, Unreadable
from drystone.records.record import Record, check_form
from drystone.records.vertex import VertexHeader, check_body, decode_header, vertex_id
from drystone.storage.database import Database, row_check
from drystone.storage.fsck.files import check_meta
from drystone.storage.fsck.report import Report
from drystone.storage.packing import unpacked
from drystone.storage.vertices import NOT_HERE, ORDERED_THROUGH, SCHEMA
from drystone.trees.log import leaf_hash

FILE: Final = "vertices.db"
PAGE_ROWS: Final = 256

_VERTEX: Final = (
    ("number", int), ("id", bytes), ("iss", str), ("sub", str), ("epoch", int), ("seq", int),
    ("header", bytes), ("check", bytes),
)  # fmt: skip
_INTAKE: Final = (("number", int), ("records", bytes), ("check", bytes))

KeyOf = Callable[[VertexHeader], bytes | None]
LeafOf = Callable[[int], bytes | None]


class KnownVertex(NamedTuple):
    """A vertex that vertices.db holds."""

    number: int
    sound: bool
    """Whether its row is what was stored; of another one the signature is not looked at again."""


class VertexSource:
    """Vertices by their true ids."""

    def __init__(self, database: Database, report: Report, ledger: bytes) -> None:
        self._database = database
        self._report = report
        self._ledger = ledger
        self.known: dict[bytes, KnownVertex] = {}
        self.ordered_through = 0

    def check_rows(self) -> None:
        """Check every row of every table but the bodies' content; learn which vertices there are."""
        expected: dict[str, cbor.Encodable] = {
            "kind": SCHEMA.kind,
            "ledger": self._ledger,
            "schema": SCHEMA.version,
        }
        optional = frozenset({ORDERED_THROUGH})
        mark = check_meta(self._report, self._database, expected, optional=optional)
        value = mark.get(ORDERED_THROUGH)
        self.ordered_through = value if isinstance(value, int) else 0
        self._check_vertices()
        self._check_intake()
        self._check_bodies()

    def _check_vertices(self) -> None:
        after = -(2**63)
        while rows := self._database.rows(
            'SELECT number, id, iss, sub, epoch, seq, header, "check" FROM vertices'
            " WHERE number > ? ORDER BY number LIMIT ?",
            (after, PAGE_ROWS),
        ):
            for row in rows:
                self._check_vertex(row)
            after = rows[-1][0]

    def _check_vertex(self, row: tuple[object, ...]) -> None:
        number, header_raw, check = row[0], row[6], row[7]
        fits = self._report.types_fit(FILE, "vertices", number, _VERTEX, row)
        if not isinstance(number, int) or not isinstance(header_raw, bytes):
            return
        try:
            header = decode_header(header_raw)
        except Refused as error:
            self._report.add(FILE, "vertices", number, "header", f"{error.code}: {error}")
            return
        own_id = vertex_id(header, self._ledger)
        true = (own_id, header.iss, header.sub, header.epoch, header.seq)
        wrong = [
            name
            for (name, _), stored, computed in zip(_VERTEX[1:6], row[1:6], true, strict=True)
            if stored != computed
        ]
        sound = fits and not wrong
        if wrong == ["id"] and row_check("vertices", *row[:7]) != check:  # pyright: ignore[reportArgumentType]
            # An altered header has another id, which the column does not; or the column is altered.
            healed = row_check("vertices", number, own_id, *row[2:7])  # pyright: ignore[reportArgumentType]
            wrong = ["id"] if healed == check else ["header"]
        for name in wrong:
            self._report.add(FILE, "vertices", number, name, "not what the header says")
        if sound and row_check("vertices", *row[:7]) != check:  # pyright: ignore[reportArgumentType]
            what = "the check is not the row's; the signature is not covered by the id"
            self._report.add(FILE, "vertices", number, "number, header or check", what)
            sound = False
        self.known[own_id] = KnownVertex(number, sound)

    def _check_intake(self) -> None:
        after = -(2**63)
        while rows := self._database.rows(
            'SELECT number, records, "check" FROM intake WHERE number > ? ORDER BY number LIMIT ?',
            (after, PAGE_ROWS),
        ):
            for row in rows:
                number, records, check = row
                if not self._report.types_fit(FILE, "intake", number, _INTAKE, row):
                    continue
                if row_check("intake", number, records) != check:
                    what = "the check is not the row's"
                    self._report.add(FILE, "intake", number, "number, records or check", what)
            after = rows[-1][0]

    def _check_bodies(self) -> None:
        orphans = self._database.rows(
            "SELECT number FROM bodies WHERE number NOT IN (SELECT number FROM vertices) LIMIT ?",
            (limits.LIST_ROWS_MAX,),
        )
        for (number,) in orphans:
            what = "the body belongs to no vertex: its number or the vertex's is altered"
            self._report.add(FILE, "bodies", number, "number", what)

    def load(self, own_id: bytes, key_of: KeyOf) -> OrderedVertex | None:
        """Return a vertex to be applied once more; None where its body is pruned or damaged.

        Its signature is to be checked again, unless its row is damaged, which was found already.
        """
        known = self.known[own_id]
        header = self._header(known.number)
        records = self.body(own_id)
        if records is None:
            return None
        items = [_read_item(raw) for raw in records]
        return OrderedVertex(header, None if known.sound else key_of(header), items)

    def body(self, own_id: bytes) -> list[bytes] | None:
        """Return a body's records when they are what the header commits to; None else."""
        number = self.known[own_id].number
        stored = self._stored(number)
        if stored is None:
            return None
        header = self._header(number)
        try:
            records = cbor.split_sequence(unpacked(stored), items_max=limits.VERTEX_RECORDS_MAX)
            check_body(header, records)
        except DrystoneError:
            return None
        return records

    def name_damage(self, own_id: bytes, leaves: Sequence[bytes | None]) -> bool:
        """Note what is wrong with a vertex's body, down to the record where that can be told.

        Args:
            own_id: of a vertex whose `body` gave None.
            leaves: by record the leaf hash that the log holds for it, None where it holds none.

        Returns:
            False if the body is not there at all: pruned, or of another author and still to come.
        """
        number = self.known[own_id].number
        stored = self._stored(number)
        if stored is None or (stored == NOT_HERE and not leaves):
            return False
        whole = _unpacked_so_far(stored)
        row = f"{number} (vertex {own_id.hex()})"
        refused = [index for index, leaf in enumerate(leaves) if leaf is None]
        offset = 0
        for index, leaf in enumerate(leaves):
            try:
                end = cbor.item_end(whole, offset)
            except Refused:
                end = None
            damaged = end is None or (
                leaf is not None and leaf_hash(sha256(whole[offset:end]).digest()) != leaf
            )
            if damaged:
                what = f"record {index} of the body is not what the log holds for it"
                self._report.add(FILE, "bodies", row, "body", what)
                return True
            assert end is not None
            offset = end
        what = "the body is not what the header says"
        if refused:
            what += f": record {' or '.join(map(str, refused))}, which the log does not hold"
        self._report.add(FILE, "bodies", row, "body", what)
        return True

    def _stored(self, number: int) -> bytes | None:
        found = self._database.row("SELECT body FROM bodies WHERE number = ?", (number,))
        if found is None:
            return None
        return found[0] if isinstance(found[0], bytes) else b"damaged"

    def _header(self, number: int) -> VertexHeader:
        found = self._database.row("SELECT header FROM vertices WHERE number = ?", (number,))
        assert found is not None, "the row was there a moment ago"
        return decode_header(found[0])


def _read_item(raw: bytes) -> Record | Unreadable:
    try:
        return check_form(raw)
    except Refused as error:
        return Unreadable(error.code, sha256(raw).digest())


def _unpacked_so_far(stored: bytes) -> bytes:
    """Return what comes out of a deflated body before it breaks."""
    stream = zlib.decompressobj()
    out = bytearray()
    try:
        for at in range(len(stored)):
            out += stream.decompress(stored[at : at + 1], limits.VERTEX_BYTES_MAX)
            if len(out) > limits.VERTEX_BYTES_MAX:
                break
    except zlib.error:
        return bytes(out)
    return bytes(out)
