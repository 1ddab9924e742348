"""A load client: raw sockets, requests put together beforehand, so that the node gets the cores and not the client."""

import asyncio
import time
from collections.abc import Sequence
from typing import NamedTuple
from urllib.parse import urlsplit


class Sent(NamedTuple):
    """What a run sent and how it was answered."""

    records: int
    stored: int
    refused_requests: int
    seconds: float
    latencies_s: list[float]
    """Per request, in the order of answers."""


def request(records: Sequence[bytes], *, host: str, wait: str | None = None) -> bytes:
    """One POST of records."""
    body = b"".join(records)
    query = f"?wait={wait}" if wait else ""
    head = (
        f"POST /v1/records{query} HTTP/1.1\r\nHost: {host}\r\n"
        f"Content-Type: application/cbor-seq\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


class _Connection(asyncio.Protocol):
    def __init__(self) -> None:
        self.buffer = bytearray()
        self.answer: asyncio.Future[tuple[int, bytes]] | None = None
        self.transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # A write transport, though uvloop's class does not say so.
        self.transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        end = self.buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        head = bytes(self.buffer[:end]).lower()
        length = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0])
        if len(self.buffer) < end + 4 + length:
            return
        body = bytes(self.buffer[end + 4 : end + 4 + length])
        del self.buffer[: end + 4 + length]
        if self.answer is not None and not self.answer.done():
            self.answer.set_result((int(head[9:12]), body))

    def connection_lost(self, error: Exception | None) -> None:
        if self.answer is not None and not self.answer.done():
            self.answer.set_exception(error or ConnectionError("the node closed the connection"))

    async def post(self, data: bytes) -> tuple[int, bytes]:
        assert self.transport is not None
        self.answer = asyncio.get_running_loop().create_future()
        self.transport.write(data)
        return await self.answer


class LoadClient:
    """Some connections to one node."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        assert parts.hostname is not None
        assert parts.port is not None
        self.host, self.port = parts.hostname, parts.port

    async def connect(self) -> _Connection:
        """Open one connection."""
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(_Connection, self.host, self.port)
        return connection

    async def flood(
        self, records: Sequence[bytes], *, per_request: int, connections: int, seconds: float
    ) -> Sent:
        """Send as fast as answers come, for `seconds`; the last request of each connection waits for its commit."""
        todo = iter(range(0, len(records), per_request))
        requests = {
            first: request(records[first : first + per_request], host=self.host)
            for first in range(0, len(records), per_request)
        }
        opened = [await self.connect() for _ in range(connections)]
        tally = _Tally()
        began = time.perf_counter()
        await asyncio.gather(
            *(
                self._send_all(one, todo, requests, records, per_request, began + seconds, tally)
                for one in opened
            )
        )
        took = time.perf_counter() - began
        for one in opened:
            assert one.transport is not None
            one.transport.close()
        return Sent(tally.records, tally.stored, tally.refused, took, tally.latencies_s)

    async def _send_all(
        self,
        connection: _Connection,
        todo: "Sequence[int] | object",
        requests: dict[int, bytes],
        records: Sequence[bytes],
        per_request: int,
        until: float,
        tally: "_Tally",
    ) -> None:
        for first in todo:  # type: ignore[attr-defined]
            last = time.perf_counter() >= until
            data = requests.pop(first)
            part = records[first : first + per_request]
            if last:
                data = request(part, host=self.host, wait="committed")
            began = time.perf_counter()
            status, body = await connection.post(data)
            while status == 503:
                tally.refused += 1
                await asyncio.sleep(0.05)
                status, body = await connection.post(data)
            assert status == 200, (status, body[:300])
            tally.latencies_s.append(time.perf_counter() - began)
            tally.records += len(part)
            tally.stored += body.count(b'"code":"stored"')
            if last:
                return
        # Ran out of records: one more look at the last one's outcome makes the run end at its commit.
        await connection.post(request(records[-1:], host=self.host, wait="committed"))


class _Tally:
    def __init__(self) -> None:
        self.records = 0
        self.stored = 0
        self.refused = 0
        self.latencies_s: list[float] = []
