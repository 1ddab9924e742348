"""The desk: a world with a loop of its own, so that tests read as requests and answers."""

import asyncio
from collections.abc import Coroutine, Iterator, Mapping
from typing import Any, TypeVar

import httpx
from api_world import World, make_world

Result = TypeVar("Result")


class Desk:
    """Sends requests to the application and waits for the answer."""

    def __init__(self, world: World, loop: asyncio.AbstractEventLoop) -> None:
        self.world = world
        self.loop = loop

    def run(self, act: Coroutine[Any, Any, Result]) -> Result:
        return self.loop.run_until_complete(act)

    def ask(
        self,
        method: str,
        path: str,
        *,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        async def send() -> httpx.Response:
            async with self.world.client() as client:
                return await client.request(method, path, content=content, headers=headers)

        return self.run(send())

    def get(self, path: str, **headers: str) -> httpx.Response:
        return self.ask("GET", path, headers={k.replace("_", "-"): v for k, v in headers.items()})

    def send(self, *records: bytes, query: str = "", accept: str = "") -> httpx.Response:
        """One record as application/cose, many as a CBOR sequence."""
        kind = "application/cose" if len(records) == 1 else "application/cbor-seq"
        headers = {"content-type": kind, "accept": accept or "*/*"}
        return self.ask("POST", f"/v1/records{query}", content=b"".join(records), headers=headers)


def open_desk(*, alone: bool = False) -> Iterator[Desk]:
    """A desk in a loop of its own, closed behind."""
    loop = asyncio.new_event_loop()
    try:
        yield Desk(loop.run_until_complete(make_world(alone=alone)), loop)
    finally:
        loop.close()
