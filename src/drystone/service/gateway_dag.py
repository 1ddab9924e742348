"""The DAG on a plain gateway: the same rows as a node's, live, tips and forks, and the drawing as a page.

No framework and no templates: a gateway has little memory, so the window is small and the page is one file that a
script fills. What is final is known of the gateway's own vertices, and of others' as far as the uplink told.
Source: issue 5 items 1 and 8.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

import drystone.api
from drystone.api.cells import iso_ms
from drystone.api.dag_values import DagPage
from drystone.api.dag_wire import dag_frame, dag_json, read_dag_cursor
from drystone.errors import NotFound, Overloaded, RequestMalformed
from drystone.limits import DAG_ROWS_MAX
from drystone.records.vertex import decode_header
from drystone.service.dag_reads import DagReads
from drystone.service.dag_service import DagService, RunInReader
from drystone.storage.vertices import StoredVertex, VertexDB

WINDOW_VERTICES: Final = 2_048
"""Vertices that a plain gateway draws: some 3 MB."""

STREAMS_MAX: Final = 8
KEEPALIVE_S: Final = 15.0
ROWS_DEFAULT: Final = 1_000

WEB: Final = Path(drystone.api.__file__).parent / "web"
POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self';"
    " form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
)
FILES: Final = {
    "drystone.css": "text/css; charset=utf-8",
    "dag.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
}


class GatewayDag:
    """The routes about the DAG; `demand` refuses who may not read."""

    def __init__(
        self,
        *,
        reads: DagReads,
        vertices: VertexDB,
        run_in_reader: RunInReader,
        demand: Callable[[Request], None],
    ) -> None:
        self._dag = DagService(reads, run_in_reader=run_in_reader)
        self._vertices = vertices
        self._run = run_in_reader
        self._demand = demand
        self._open = 0
        self.routes: Sequence[Route] = (
            Route("/v1/dag", self.get_dag),
            Route("/v1/dag/live", self.get_live),
            Route("/v1/tips", self.get_tips),
            Route("/v1/forks", self.get_forks),
            Route("/dag", self.get_page),
            Route("/static/{name}", self.get_file),
        )

    def stop(self) -> None:
        """End open streams: the gateway stops."""
        self._dag.stop()

    async def get_dag(self, request: Request) -> Response:
        """The newest vertices, or what changed behind a cursor."""
        self._demand(request)
        after = read_dag_cursor(request.query_params.get("after"))
        limit = request.query_params.get("limit", str(ROWS_DEFAULT))
        if not limit.isascii() or not limit.isdigit() or not 0 < int(limit[:9]) <= DAG_ROWS_MAX:
            raise RequestMalformed(f"limit: from 1 to {DAG_ROWS_MAX}")
        page = await self._dag.page(after=after, limit=int(limit))
        return Response(dag_json(page), media_type="application/json")

    async def get_live(self, request: Request) -> Response:
        """What changes, as server-sent events."""
        self._demand(request)
        text = request.headers.get("last-event-id") or request.query_params.get("after")
        pages = self._dag.changes(read_dag_cursor(text))
        if self._open >= STREAMS_MAX:
            raise Overloaded(f"{STREAMS_MAX} streams are open", retry_after_ms=5_000)
        return StreamingResponse(self._frames(pages), media_type="text/event-stream")

    async def get_tips(self, request: Request) -> Response:
        """Vertices on which nothing is built here."""
        self._demand(request)
        ids = await self._dag.tips()
        counts = await self._dag.witness_counts(ids)
        stored = await self._run(lambda: [self._vertices.find(one) for one in ids])
        heights = await self._dag.heights(ids)
        found = [
            _row(one, witnesses=count, height=height)
            for one, count, height in zip(stored, counts, heights, strict=True)
            if one is not None
        ]
        return _rows(sorted(found, key=lambda row: (row["iss"], row["sub"], row["epoch"])))

    async def get_forks(self, request: Request) -> Response:
        """Places with two vertices."""
        self._demand(request)
        return _rows(
            [
                {
                    "iss": one.iss,
                    "sub": one.sub,
                    "kind": one.kind,
                    "epoch": one.epoch,
                    "seq": one.seq,
                    "a": one.ids[0].hex(),
                    "b": one.ids[1].hex(),
                    "held": one.held,
                    "convicted": one.convicted,
                    "epoch_min": one.epoch_min,
                }
                for one in await self._dag.forks()
            ]
        )

    async def get_page(self, request: Request) -> Response:
        """The drawing."""
        self._demand(request)
        headers = {"Content-Security-Policy": POLICY}
        return Response(_file("gateway.html"), media_type="text/html", headers=headers)

    async def get_file(self, request: Request) -> Response:
        """One of the drawing's files. Raises: NotFound."""
        name = request.path_params["name"]
        kind = FILES.get(name)
        if kind is None:
            raise NotFound(f"no file {name}")
        headers = {"Cache-Control": "no-cache", "Content-Type": kind}
        return Response(_file(f"static/{name}"), headers=headers)

    async def _frames(self, pages: AsyncIterator[DagPage]) -> AsyncIterator[bytes]:
        """Frames as they come, a comment when none comes."""
        source = aiter(pages)
        waiting: asyncio.Future[DagPage] | None = None
        self._open += 1
        try:
            yield b"retry: 2000\n\n"
            while True:
                waiting = waiting or asyncio.ensure_future(anext(source))
                done, _ = await asyncio.wait({waiting}, timeout=KEEPALIVE_S)
                if not done:
                    yield b": still here\n\n"
                    continue
                try:
                    page = waiting.result()
                except StopAsyncIteration:
                    return
                waiting = None
                yield dag_frame(page)
        finally:
            self._open -= 1
            if waiting is not None:
                waiting.cancel()


@lru_cache(maxsize=8)
def _file(name: str) -> bytes:
    return (WEB / name).read_bytes()


def _row(stored: StoredVertex, *, witnesses: int, height: int | None) -> dict[str, Any]:
    header = decode_header(stored.header)
    return {
        "iss": stored.iss,
        "sub": stored.sub,
        "epoch": stored.epoch,
        "seq": stored.seq,
        "id": stored.id.hex(),
        "parent": None if header.parent is None else header.parent.hex(),
        "links": len(header.links),
        "claimed": iso_ms(header.time_ms),
        "records": header.count,
        "length": header.length,
        "witnesses": witnesses,
        "height": height,
    }


def _rows(found: list[dict[str, Any]]) -> Response:
    text = json.dumps({"rows": found, "next": None}, separators=(",", ":"))
    return Response(text.encode(), media_type="application/json")
