"""Sync messages as bytes: each type written and read, strictly, with bounds before work.

A message is a deterministic CBOR array whose first item says its type. What a stranger sends is bounded four times:
its bytes before parsing, its items before anything is built (a byte may become a list of 56), counts and ranges while
reading, and its spelling, which is the one. Nothing here verifies a signature or looks at what is stored.

On a stream a message follows its length, four bytes, big-endian (`frame`, `Frames`).

Source: docs/spec/sync.cddl, docs/spec/sync.md.
"""
# tidy: long, because it is one table: every message, how it is written, how it is read

from collections.abc import Callable, Sequence
from hashlib import sha256
from itertools import pairwise
from typing import Any, Final, NoReturn, TypeVar

from drystone import limits
from drystone.errors import MessageMalformed, Refused
from drystone.formats import cbor
from drystone.formats.cbor import Encodable, Value
from drystone.gateway.sync.messages import (
    DIGEST_BYTES,
    ROLES,
    Announce,
    Blocks,
    Body,
    Bye,
    Done,
    Fork,
    Frontier,
    Have,
    Headers,
    Heads,
    Hello,
    Message,
    OrderedBlock,
    Part,
    Ping,
    Point,
    Rows,
    Stretch,
    Want,
    WantBlocks,
    WantBodies,
    WantFrontier,
    WantRows,
)
from drystone.proof.block import decode_block
from drystone.records.dag import Author
from drystone.records.header import HASH_LENGTH, UINT_MAX, check_id, read_bytes, read_uint

Item = TypeVar("Item")

_LENGTH_BYTES: Final = 4
_STRINGS: Final = (cbor.BYTES, cbor.TEXT)


# --- frames ----------------------------------------------------------------------------------------


def frame(message: bytes) -> bytes:
    """Return a message with its length in front, as it goes over a stream."""
    return len(message).to_bytes(_LENGTH_BYTES) + message


class Frames:
    """Cuts a stream's bytes into messages; holds less than one message."""

    def __init__(self, *, bytes_max: int = limits.SYNC_MESSAGE_BYTES_MAX) -> None:
        self._bytes_max = bytes_max
        self._held = bytearray()

    @property
    def held(self) -> int:
        """Bytes of a message that is not whole yet."""
        return len(self._held)

    def feed(self, data: bytes) -> list[bytes]:
        """Take bytes from the stream and return the messages that are whole now.

        Raises:
            MessageMalformed: a message would be empty or too long; the stream is of no more use.
        """
        self._held += data
        messages: list[bytes] = []
        at = 0
        while len(self._held) - at >= _LENGTH_BYTES:
            length = int.from_bytes(self._held[at : at + _LENGTH_BYTES])
            if not 0 < length <= self._bytes_max:
                raise MessageMalformed(f"a message of {length} bytes, at most {self._bytes_max}")
            end = at + _LENGTH_BYTES + length
            if end > len(self._held):
                break
            messages.append(bytes(self._held[at + _LENGTH_BYTES : end]))
            at = end
        del self._held[:at]
        return messages


# --- writing ---------------------------------------------------------------------------------------


def encode_message(message: Message) -> bytes:
    """Return the message's bytes; checks nothing."""
    number, write = _WRITERS[type(message)]
    return cbor.encode([number, *write(message)])


def type_of(message: bytes) -> type[Message] | None:
    """Return a message's type from its first bytes, for counters and queues; None where there is none."""
    if len(message) < 2 or message[0] >> 5 != cbor.ARRAY or message[1] not in _READERS:
        return None
    return _READERS[message[1]][0]


def digest(data: bytes) -> bytes:
    """Return the first bytes of a SHA-256."""
    return sha256(data).digest()[:DIGEST_BYTES]


def heads_digest(heads: Sequence[Heads]) -> bytes:
    """Return what `Ping` says of a frontier: over all heads, by author."""
    return digest(cbor.encode([_write_heads(one) for one in sorted(heads)]))


def block_bytes(block: OrderedBlock) -> int:
    """Return how many bytes a block takes in a message."""
    return len(cbor.encode(_write_block(block)))


def _write_heads(heads: Heads) -> Encodable:
    return [*heads.author, list(heads.points)]


def _write_block(block: OrderedBlock) -> Encodable:
    return block


def _write_frontier(message: Frontier) -> Sequence[Encodable]:
    return [[_write_heads(heads) for heads in message.heads], message.forks]


def _write_want(message: Want) -> Sequence[Encodable]:
    stretches = [[*one.author, *one.first, *one.last] for one in message.stretches]
    return [message.number, stretches, message.ids]


def _write_plain(message: Any) -> Sequence[Encodable]:
    return message


# --- reading ---------------------------------------------------------------------------------------


def decode_message(data: bytes, *, whole: bool = False) -> Message:
    """Read a message; what it returns encodes to the same bytes. `whole`: it was put together from parts, and is long.

    Checks size, items, spelling, type, field types, counts and ranges; block entries are read too. Does not check
    evidence, announcements, vertex headers or deflated bytes: they are opened where they are used.

    Raises:
        MessageMalformed: it is something else.
    """
    try:
        check_items(
            data, bytes_max=limits.SYNC_WHOLE_BYTES_MAX if whole else limits.SYNC_MESSAGE_BYTES_MAX
        )
        items = cbor.decode(data)
        if not isinstance(items, list) or not items:
            _refuse("a message is an array that starts with its type")
        number = items[0]
        if not isinstance(number, int) or isinstance(number, bool) or number not in _READERS:
            _refuse(f"no message type {number!r:.20}")
        kind, fields, read = _READERS[number]
        if len(items) != fields + 1:
            _refuse(f"{kind.__name__} has {fields} fields, not {len(items) - 1}")
        return read(items[1:])
    except MessageMalformed:
        raise
    except Refused as error:
        raise MessageMalformed(f"{error.code}: {error}") from error


def check_items(data: bytes, *, bytes_max: int = limits.SYNC_MESSAGE_BYTES_MAX) -> None:
    """Check that a message is short enough and holds few enough items to be built in memory.

    Looks at heads only and builds nothing. Does not check that the bytes are CBOR.

    Raises:
        MessageMalformed: it is too long, or holds too many items.
    """
    if len(data) > bytes_max:
        _refuse(f"a message of {len(data)} bytes, at most {bytes_max}")
    if len(data) <= limits.SYNC_MESSAGE_ITEMS_MAX:
        return  # Every item has at least a byte.
    at = count = 0
    while at < len(data):
        count += 1
        if count > limits.SYNC_MESSAGE_ITEMS_MAX:
            _refuse(f"more than {limits.SYNC_MESSAGE_ITEMS_MAX} items in a message")
        major, argument = data[at] >> 5, data[at] & 31
        at += 1
        if argument >= 24:
            width = 1 << (argument - 24 & 3)
            argument = int.from_bytes(data[at : at + width])
            at += width
        if major in _STRINGS:
            at += argument


def _refuse(text: str) -> NoReturn:
    raise MessageMalformed(text)


def _list(value: Value, item: Callable[[Value], Item], count_max: int) -> tuple[Item, ...]:
    if not isinstance(value, list) or len(value) > count_max:
        _refuse(f"an array of at most {count_max} expected")
    return tuple([item(one) for one in value])


def _array(value: Value, length: int) -> list[Value]:
    if not isinstance(value, list) or len(value) != length:
        _refuse(f"an array of {length} expected")
    return value


def _uint(value: Value) -> int:
    return read_uint(value, UINT_MAX, MessageMalformed, "a number")


def _epoch(value: Value) -> int:
    return read_uint(value, limits.EPOCH_MAX, MessageMalformed, "an epoch")


def _seq(value: Value) -> int:
    return read_uint(value, limits.SEQUENCE_MAX, MessageMalformed, "a sequence")


def _count(value: Value) -> int:
    return read_uint(value, limits.VERTEX_RECORDS_MAX, MessageMalformed, "a count")


def _hash(value: Value) -> bytes:
    return read_bytes(value, HASH_LENGTH, MessageMalformed, "a hash")


def _digest(value: Value) -> bytes:
    return read_bytes(value, DIGEST_BYTES, MessageMalformed, "a digest")


def _bool(value: Value) -> bool:
    if not isinstance(value, bool):
        _refuse("true or false expected")
    return value


def _text(value: Value) -> str:
    if not isinstance(value, str) or len(value) > limits.SYNC_TEXT_LENGTH_MAX:
        _refuse(f"a text of at most {limits.SYNC_TEXT_LENGTH_MAX} characters expected")
    return value


def _bytes(bytes_max: int) -> Callable[[Value], bytes]:
    def read(value: Value) -> bytes:
        if not isinstance(value, bytes) or len(value) > bytes_max:
            _refuse(f"at most {bytes_max} bytes expected")
        return value

    return read


_header: Final = _bytes(limits.VERTEX_HEADER_BYTES_MAX)
_key: Final = _bytes(limits.STATE_KEY_BYTES_MAX)
_value: Final = _bytes(limits.STATE_VALUE_BYTES_MAX)
_evidence: Final = _bytes(limits.FORK_BYTES_MAX)
_announcement: Final = _bytes(limits.ANNOUNCEMENT_BYTES_MAX)
_any: Final = _bytes(limits.SYNC_WHOLE_BYTES_MAX)


def _rising(items: tuple[Item, ...], what: str) -> tuple[Item, ...]:
    if any(not a < b for a, b in pairwise(items)):  # pyright: ignore[reportOperatorIssue, reportUnknownVariableType]
        _refuse(f"{what} are sorted and unique")
    return items


def _author(iss: Value, sub: Value) -> Author:
    return Author(check_id(iss), check_id(sub))


def _point(value: Value) -> Point:
    epoch, seq, own_id = _array(value, 3)
    return Point(_epoch(epoch), _seq(seq), _hash(own_id))


def _heads(value: Value) -> Heads:
    iss, sub, points = _array(value, 3)
    read = _rising(_list(points, _point, limits.SYNC_BRANCHES_MAX), "points")
    if not read:
        _refuse("an author's chain ends somewhere")
    return Heads(_author(iss, sub), read)


def _stretch(value: Value) -> Stretch:
    iss, sub, first_epoch, first, last_epoch, last = _array(value, 6)
    stretch = Stretch(
        _author(iss, sub), (_epoch(first_epoch), _seq(first)), (_epoch(last_epoch), _seq(last))
    )
    if stretch.first > stretch.last:
        _refuse("a stretch ends before it begins")
    return stretch


def _piece(value: Value) -> tuple[bytes, int, int]:
    own_id, offset, size = _array(value, 3)
    size_max = limits.PACKED_BYTES_MAX
    return (
        _hash(own_id),
        read_uint(offset, size_max, MessageMalformed, "an offset"),
        read_uint(size, size_max, MessageMalformed, "a size"),
    )


def _vertex(value: Value) -> tuple[bytes, int]:
    own_id, count = _array(value, 2)
    return _hash(own_id), _count(count)


def _row(value: Value) -> tuple[bytes, bytes]:
    key, row = _array(value, 2)
    return _key(key), _value(row)


def _block(value: Value) -> OrderedBlock:
    entry, first, size, vertices, exceptions, changed, checkpoint, path = _array(value, 8)
    block = OrderedBlock(
        entry=_bytes(limits.BLOCK_ENTRY_BYTES_MAX)(entry),
        first_leaf=_uint(first),
        size=_uint(size),
        vertices=_list(vertices, _vertex, limits.BLOCK_VERTICES_MAX),
        exceptions=_any(exceptions),
        changed=_bool(changed),
        checkpoint=None if checkpoint is None else _bytes(limits.NOTE_BYTES_MAX)(checkpoint),
        path=_list(path, _hash, limits.LOG_PATH_MAX),
    )
    decode_block(block.entry)
    if block.first_leaf >= block.size:
        _refuse("a block adds at least its entry to the log")
    return block


def _place(value: Value) -> tuple[int, int]:
    epoch, seq = _array(value, 2)
    return _epoch(epoch), _seq(seq)


def _read_hello(items: list[Value]) -> Hello:
    version, ledger, iss, sub, role, instance, features, chunk, time_ms, height, announced = items
    if role not in ROLES:
        _refuse(f"no role {role!r:.20}")
    return Hello(
        version=_uint(version),
        ledger=_hash(ledger),
        iss=check_id(iss),
        sub=check_id(sub),
        role=_text(role),
        instance=_uint(instance),
        features=_rising(_list(features, _text, limits.SYNC_FEATURES_MAX), "features"),
        chunk=read_uint(chunk, limits.SYNC_MESSAGE_BYTES_MAX, MessageMalformed, "a chunk"),
        time_ms=None if time_ms is None else _uint(time_ms),
        height=_uint(height),
        announced=_digest(announced),
    )


def _read_frontier(items: list[Value]) -> Frontier:
    heads = _list(items[0], _heads, limits.SYNC_FRONTIER_AUTHORS_MAX)
    _rising(tuple([one.author for one in heads]), "authors")
    return Frontier(heads, _rising(_list(items[1], _digest, limits.SYNC_FORKS_MAX), "forks"))


def _read_want(items: list[Value]) -> Want:
    return Want(
        _uint(items[0]),
        _list(items[1], _stretch, limits.SYNC_STRETCHES_MAX),
        _list(items[2], _hash, limits.SYNC_STRETCHES_MAX),
    )


def _read_headers(items: list[Value]) -> Headers:
    number, more, headers = items
    return Headers(_uint(number), _bool(more), _list(headers, _header, limits.SYNC_HEADERS_MAX))


def _read_rows(items: list[Value]) -> Rows:
    after, height, same, last, rows = items
    read = _list(rows, _row, limits.SYNC_ROWS_MAX)
    keys = _rising((_key(after), *[key for key, _ in read]), "keys")
    message = Rows(keys[0], _uint(height), _bool(same), _key(last), read)
    if (message.last and message.last < keys[-1]) or (message.same and read):
        _refuse("rows beyond the last, or although they are the same")
    return message


def _read_body(items: list[Value]) -> Body:
    own_id, offset, total, data = items
    size_max = limits.PACKED_BYTES_MAX
    body = Body(
        _hash(own_id),
        read_uint(offset, size_max, MessageMalformed, "an offset"),
        read_uint(total, size_max, MessageMalformed, "a total"),
        _any(data),
    )
    if body.offset + len(body.data) > body.total or (body.offset and not body.data):
        _refuse("a piece lies within its body")
    return body


_LIMIT_MAX: Final = limits.LIST_ROWS_MAX


def _limit(value: Value) -> int:
    return read_uint(value, _LIMIT_MAX, MessageMalformed, "a limit")


def _blocks(value: Value) -> tuple[OrderedBlock, ...]:
    return _list(value, _block, limits.SYNC_BLOCKS_MAX)


_Read = Callable[[list[Value]], Message]
_TABLE: Final[tuple[tuple[type[Message], int, _Read], ...]] = (
    (Hello, 11, _read_hello),
    (Frontier, 2, _read_frontier),
    (Want, 3, _read_want),
    (Headers, 3, _read_headers),
    (WantBodies, 1, lambda i: WantBodies(_list(i[0], _piece, limits.SYNC_BODIES_MAX))),
    (Body, 4, _read_body),
    (Fork, 1, lambda i: Fork(_evidence(i[0]))),
    (Announce, 1, lambda i: Announce(_announcement(i[0]))),
    (WantBlocks, 2, lambda i: WantBlocks(_uint(i[0]), _limit(i[1]))),
    (Blocks, 2, lambda i: Blocks(_uint(i[0]), _blocks(i[1]))),
    (WantRows, 3, lambda i: WantRows(_key(i[0]), _key(i[1]), _bytes(HASH_LENGTH)(i[2]))),
    (Rows, 5, _read_rows),
    (Have, 1, lambda i: Have(None if i[0] is None else _place(i[0]))),
    (Done, 3, lambda i: Done(_place(i[0]), _blocks(i[1]), _bool(i[2]))),
    (Bye, 2, lambda i: Bye(_text(i[0]), _text(i[1]))),
    (Ping, 2, lambda i: Ping(_digest(i[0]), _uint(i[1]))),
    (WantFrontier, 0, lambda _: WantFrontier()),
    (Part, 3, lambda i: Part(_uint(i[0]), _bool(i[1]), _any(i[2]))),
)
"""Every message in the order of its type number: its fields' count and its reader."""

_READERS: Final = dict(enumerate(_TABLE))
_SPECIAL: Final[dict[type[Message], Callable[[Any], Sequence[Encodable]]]] = {
    Frontier: _write_frontier,
    Want: _write_want,
}
_WRITERS: Final = {
    kind: (number, _SPECIAL.get(kind, _write_plain)) for number, (kind, _, _) in _READERS.items()
}
