"""A load client: raw sockets, requests put together beforehand, so that the node gets the cores and not the client.

Two ways to send: `flood`, as fast as answers come, and `pace`, at times fixed beforehand whatever the node does (an
open loop): its latencies count from the time a request was due, so that a stall is seen by all that it holds up.
"""

import asyncio
import time
from collections.abc import Coroutine, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar
from urllib.parse import urlsplit

try:
    import uvloop
except ImportError:
    uvloop = None  # type: ignore[assignment]

RETRY_S = 0.05
LEAD_S = 0.2

Result = TypeVar("Result")


class Sent(NamedTuple):
    """What a flood sent and how it was answered."""

    records: int
    stored: int
    refused_requests: int
    """Answered 503 and sent again."""
    seconds: float


class Paced(NamedTuple):
    """What an open loop saw; all in seconds."""

    latencies: list[float]
    """Per request, from the time it was due to its answer."""
    delays: list[float]
    """Per request, from the time it was due to its sending: the client's own fault."""
    refused: int
    """Answered 503 and not sent again."""


def run(work: Coroutine[Any, Any, Result]) -> Result:
    """Run a coroutine on the fastest loop there is."""
    factory = None if uvloop is None else uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        return runner.run(work)


def request(records: Sequence[bytes], *, host: str, wait: str | None = None) -> bytes:
    """One POST of records."""
    body = b"".join(records)
    query = f"?wait={wait}" if wait else ""
    head = (
        f"POST /v1/records{query} HTTP/1.1\r\nHost: {host}\r\n"
        f"Content-Type: application/cbor-seq\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


class Connection(asyncio.Protocol):
    """One connection, one request at a time."""

    def __init__(self) -> None:
        self.buffer = bytearray()
        self.answer: asyncio.Future[tuple[int, bytes]] | None = None
        self.transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        """Complete the answer."""
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
        """Tell who waits."""
        if self.answer is not None and not self.answer.done():
            self.answer.set_exception(error or ConnectionError("the node closed the connection"))

    async def post(self, data: bytes) -> tuple[int, bytes]:
        """Send a request and give the answer's status and body."""
        self.answer = asyncio.get_running_loop().create_future()
        self.transport.write(data)
        return await self.answer


@dataclass(slots=True)
class _Tally:
    records: int = 0
    stored: int = 0
    refused: int = 0
    latencies: list[float] = field(default_factory=list[float])
    delays: list[float] = field(default_factory=list[float])


class LoadClient:
    """Some connections to one node."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        assert parts.hostname is not None
        assert parts.port is not None
        self.host, self.port = parts.hostname, parts.port

    async def connect(self) -> Connection:
        """Open one connection."""
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(Connection, self.host, self.port)
        return connection

    async def flood(self, records: Sequence[bytes], *, per_request: int, connections: int) -> Sent:
        """Send all records as fast as answers come; ends when all are committed."""
        requests = [
            request(records[first : first + per_request], host=self.host)
            for first in range(0, len(records), per_request)
        ]
        opened = [await self.connect() for _ in range(connections)]
        tally = _Tally()
        todo = iter(range(len(requests)))
        began = time.perf_counter()
        ends = await asyncio.gather(*(self._send_all(one, requests, todo, tally) for one in opened))
        # Each connection's last record again, to be told when it is committed: then all are.
        await asyncio.gather(
            *(
                one.post(
                    request(
                        [records[min((end + 1) * per_request, len(records)) - 1]],
                        host=self.host,
                        wait="committed",
                    )
                )
                for one, end in zip(opened, ends, strict=True)
                if end is not None
            )
        )
        took = time.perf_counter() - began
        for one in opened:
            one.transport.close()
        return Sent(len(records), tally.stored, tally.refused, took)

    async def _send_all(
        self, connection: Connection, requests: Sequence[bytes], todo: Iterator[int], tally: _Tally
    ) -> int | None:
        """Send what nobody else has sent; give the number of the last request."""
        last = None
        for number in todo:
            last = number
            status, body = await connection.post(requests[number])
            while status == 503:
                tally.refused += 1
                await asyncio.sleep(RETRY_S)
                status, body = await connection.post(requests[number])
            assert status == 200, (status, body[:300])
            tally.stored += body.count(b'"code":"stored"')
        return last

    async def pace(self, requests: Sequence[bytes], *, per_second: int, connections: int) -> Paced:
        """Send each request when it is due, on a free connection, a new one where none is free."""
        free = [await self.connect() for _ in range(connections)]
        tally = _Tally()
        started = time.perf_counter() + LEAD_S
        async with asyncio.TaskGroup() as group:
            for number, data in enumerate(requests):
                due = started + number / per_second
                # Always a wait, if of nothing: answers must come in even when the client is late.
                await asyncio.sleep(max(0.0, due - time.perf_counter()))
                connection = free.pop() if free else await self.connect()
                group.create_task(self._send_one(connection, data, due, free, tally))
        for one in free:
            one.transport.close()
        return Paced(tally.latencies, tally.delays, tally.refused)

    async def _send_one(
        self,
        connection: Connection,
        data: bytes,
        due: float,
        free: list[Connection],
        tally: _Tally,
    ) -> None:
        tally.delays.append(time.perf_counter() - due)
        status, body = await connection.post(data)
        if status == 503:
            tally.refused += 1
        else:
            assert status == 200, (status, body[:300])
        tally.latencies.append(time.perf_counter() - due)
        free.append(connection)

    async def one_by_one(self, requests: Sequence[bytes]) -> float:
        """Send each request when the one before was answered; give the seconds of all."""
        connection = await self.connect()
        began = time.perf_counter()
        for data in requests:
            status, body = await connection.post(data)
            assert status == 200, (status, body[:300])
            assert b'"outcome":"accepted"' in body, body[:300]
        took = time.perf_counter() - began
        connection.transport.close()
        return took
