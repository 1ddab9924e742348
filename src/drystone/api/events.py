"""Events as a stream of server-sent events that resumes exactly where a client stopped.

Every event's id is its cursor, `height.number`; a browser sends the last one back by itself
(`Last-Event-ID`), others name it in `?after=`. Stored blocks yield the same events for ever, so
nothing is lost and nothing comes twice. Open streams are bounded. Knows no rule of the ledger.
Source: WHATWG HTML section 9.2 (server-sent events), conventions.md (resumable events).
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Final, TypeVar

from fastapi import Request
from fastapi.responses import StreamingResponse

from drystone.api.cells import plain
from drystone.api.dag_values import DagCursor, DagPage
from drystone.api.service import Service
from drystone.api.values import EventCursor, ServiceEvent
from drystone.errors import Overloaded, RequestMalformed
from drystone.gateway.answer import FINAL, PROVISIONAL
from drystone.limits import SUBSCRIBERS_MAX

T = TypeVar("T")

MEDIA_TYPE: Final = "text/event-stream"
RECONNECT_MS: Final = 2_000
DIGITS_MAX: Final = 15


def parse_cursor(text: str) -> EventCursor:
    """Reads `height.number`. Raises: RequestMalformed."""
    height, point, number = text.partition(".")
    parts = (height, number)
    if not point or not all(
        part.isascii() and part.isdigit() and len(part) <= DIGITS_MAX for part in parts
    ):
        raise RequestMalformed("an event cursor is height.number, as in an event's id")
    return EventCursor(int(height), int(number))


def cursor_text(cursor: EventCursor) -> str:
    """The cursor as an event's id."""
    return f"{cursor.height}.{cursor.number}"


def frame(event: ServiceEvent) -> bytes:
    """One event on the wire; its data is one line of JSON, bytes as hex."""
    told = {**plain(event.data), "finality": FINAL if event.final else PROVISIONAL}
    data = json.dumps(told, separators=(",", ":"), ensure_ascii=False)
    # Without an id the browser keeps the last one: what is provisional does not come again.
    cursor = f"id: {cursor_text(event.cursor)}\n" if event.resumes else ""
    return f"{cursor}event: {event.kind}\ndata: {data}\n\n".encode()


class EventStreams:
    """The open event streams of a node; at most `limits.SUBSCRIBERS_MAX`."""

    def __init__(self, *, keepalive_s: float) -> None:
        self.keepalive_s = keepalive_s
        self.open = 0

    def respond(self, request: Request, after: str | None, service: Service) -> StreamingResponse:
        """Starts a stream behind `Last-Event-ID`, else behind `after`, else from now on.

        `service` is the one that whoever asks may see.

        Raises: RequestMalformed, Overloaded (too many streams are open).
        """
        text = request.headers.get("last-event-id") or after
        cursor = parse_cursor(text) if text else None
        return self._stream(service.events(cursor), frame)

    def respond_dag(
        self, after: DagCursor | None, service: Service, show: Callable[[DagPage], bytes]
    ) -> StreamingResponse:
        """Starts a stream of what changes in the DAG behind a cursor; `show` makes a frame of a page.

        Raises: Overloaded (too many streams are open).
        """
        return self._stream(service.dag_changes(after), show)

    def _stream(self, source: AsyncIterator[T], show: Callable[[T], bytes]) -> StreamingResponse:
        if self.open >= SUBSCRIBERS_MAX:
            raise Overloaded(f"{SUBSCRIBERS_MAX} event streams are open", retry_after_ms=5_000)
        headers = {"X-Accel-Buffering": "no"}
        return StreamingResponse(self._frames(source, show), media_type=MEDIA_TYPE, headers=headers)

    async def _frames(
        self, source: AsyncIterator[T], show: Callable[[T], bytes]
    ) -> AsyncIterator[bytes]:
        """Frames as they come, a comment when none comes; gives its place back at the end."""
        events = aiter(source)
        waiting: asyncio.Future[T] | None = None
        # Counted here and not in `respond`: a body that nobody starts to read holds no place.
        self.open += 1
        try:
            yield f"retry: {RECONNECT_MS}\n\n".encode()
            while True:
                if waiting is None:
                    waiting = asyncio.ensure_future(anext(events))
                done, _ = await asyncio.wait({waiting}, timeout=self.keepalive_s)
                if not done:
                    yield b": still here\n\n"
                    continue
                try:
                    event = waiting.result()
                except StopAsyncIteration:
                    return
                finally:
                    waiting = None
                yield show(event)
        finally:
            self.open -= 1
            if waiting is not None:
                waiting.cancel()
                with suppress(asyncio.CancelledError, StopAsyncIteration):
                    await waiting
