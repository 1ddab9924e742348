"""How the processes of one node speak: length-prefixed frames of plain values over a socket pair.

A frame is a 4-byte big-endian length and that many bytes of `marshal`: the fastest way in Python to
carry nested tuples, bytes, text and integers. Both ends are processes of one node, started by one
program from one version; no peer, device or file ever reaches a channel, so `marshal` reads only
what we wrote ourselves. Whole batches, vertices and blocks travel, never single records.

What may not live here: what the messages mean (`messages.py`, `verifier.py`), and any waiting
beyond the socket's own. NamedTuples must be made plain first: `marshal` refuses subclasses.

Place in a record's life: between front, verifiers and executor. Source: design.md section 7.
"""

import contextlib
import marshal
import socket
from typing import TYPE_CHECKING, Any, Final

from drystone import limits
from drystone.errors import ChannelClosed, InvariantBroken

if TYPE_CHECKING:
    import asyncio  # Only a front needs it, and has it: it costs each worker 7 MB.

LENGTH_BYTES: Final = 4
"""Bytes of a frame's length."""

MARSHAL_VERSION: Final = 2
"""Without references (version 3 on): they cost more than the repeated strings they save."""

assert limits.FRAME_BYTES_MAX < 1 << (8 * LENGTH_BYTES)


def pair() -> tuple[socket.socket, socket.socket]:
    """Return two connected sockets: one to keep, one to hand to a child process."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)


def encode_frame(message: Any) -> bytes:
    """Return the frame of a message of plain values, length included.

    Raises:
        InvariantBroken: the message is larger than `limits.FRAME_BYTES_MAX`, or not plain.
    """
    try:
        body = marshal.dumps(message, MARSHAL_VERSION)
    except ValueError as error:
        raise InvariantBroken(f"a message between processes is not plain: {error}") from error
    if len(body) > limits.FRAME_BYTES_MAX:
        raise InvariantBroken(f"a message of {len(body)} bytes between two processes")
    return len(body).to_bytes(LENGTH_BYTES) + body


class BlockingChannel:
    """A worker's end: one thread sends and receives, and waits while it does.

    Args:
        descriptor: of a connected stream socket; the channel owns it from now on.
    """

    def __init__(self, descriptor: int) -> None:
        self._socket = socket.socket(fileno=descriptor)
        self._socket.settimeout(None)

    def send(self, message: Any) -> None:
        """Send one message; returns when the system has taken all of it.

        Raises:
            ChannelClosed: the other process is gone.
            InvariantBroken: see `encode_frame`.
        """
        try:
            self._socket.sendall(encode_frame(message))
        except OSError as error:
            raise ChannelClosed(f"the other process is gone: {error}") from error

    def receive(self) -> Any | None:
        """Wait for the next message; None once the other process has closed or died.

        Raises:
            InvariantBroken: the frame is longer than `limits.FRAME_BYTES_MAX` or no message.
        """
        head = self._read(LENGTH_BYTES)
        if head is None:
            return None
        body = self._read(_checked_length(head))
        return None if body is None else _decode(body)

    def close(self) -> None:
        """Close this end; the other one's next `receive` gives None."""
        self._socket.close()

    def _read(self, count: int) -> bytearray | None:
        """Read exactly `count` bytes; None where the stream ends first."""
        buffer = bytearray(count)
        rest = memoryview(buffer)
        while rest:
            try:
                taken = self._socket.recv_into(rest)
            except ConnectionError:
                return None
            if taken == 0:
                return None
            rest = rest[taken:]
        return buffer


class AsyncChannel:
    """The front's end, on its event loop. One task sends at a time, one task receives."""

    def __init__(self, reader: "asyncio.StreamReader", writer: "asyncio.StreamWriter") -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, end: socket.socket) -> "AsyncChannel":
        """Take over one end of a `pair`."""
        import asyncio

        end.settimeout(0)
        return cls(*await asyncio.open_connection(sock=end))

    async def send(self, message: Any) -> None:
        """Send one message; waits while the other process has much unread (back pressure).

        Raises:
            ChannelClosed: the other process is gone.
            InvariantBroken: see `encode_frame`.
        """
        frame = encode_frame(message)
        if self._writer.is_closing():
            raise ChannelClosed("the channel is closed")
        try:
            self._writer.write(frame)
            await self._writer.drain()
        except OSError as error:
            raise ChannelClosed(f"the other process is gone: {error}") from error

    async def receive(self) -> Any | None:
        """Wait for the next message; None once the other process has closed or died.

        Raises:
            InvariantBroken: the frame is longer than `limits.FRAME_BYTES_MAX` or no message.
        """
        try:
            head = await self._reader.readexactly(LENGTH_BYTES)
            body = await self._reader.readexactly(_checked_length(head))
        except (EOFError, ConnectionError):  # asyncio's IncompleteReadError is an EOFError.
            return None
        return _decode(body)

    async def close(self) -> None:
        """Close this end and wait until it is closed; what was sent before still arrives."""
        self._writer.close()
        with contextlib.suppress(OSError):  # The other process went first: nothing to deliver.
            await self._writer.wait_closed()


def _checked_length(head: bytes | bytearray) -> int:
    length = int.from_bytes(head)
    if length > limits.FRAME_BYTES_MAX:
        raise InvariantBroken(f"a frame of {length} bytes between two processes")
    return length


def _decode(body: bytes | bytearray) -> Any:
    try:
        return marshal.loads(body)  # noqa: S302 - only our own processes write here
    except (ValueError, EOFError, TypeError) as error:
        raise InvariantBroken(f"a frame between two processes is no message: {error}") from error
