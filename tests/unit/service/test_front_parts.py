"""A follower takes nothing and says where to go; a gateway that foresees answers its own paths itself."""

import asyncio
from collections.abc import Mapping

import pytest
from starlette.types import Receive, Scope, Send

from drystone.errors import NotHere
from drystone.gateway.provisional import PendingRows
from drystone.service.foreseeing_web import beside
from drystone.service.front_parts import TakesNone


def test_follower_refuses_records_and_readings_with_where_to_send_them() -> None:
    async def scenario() -> None:
        none = TakesNone()
        with pytest.raises(NotHere, match="gateway or node"):
            await none.submit(b"\x80", wait=None)
        with pytest.raises(NotHere):
            await none.attest("old", [], wait="committed")
        assert (none.waiters, none.records, none.unsealed_bytes, none.codes) == (0, 0, 0, {})

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("path", "whose"),
    [
        ("/v1/gateway", "own"),
        ("/v1/outcomes/0/7", "own"),
        ("/healthz", "own"),
        ("/metrics", "own"),
        ("/v1/records", "api"),
        ("/v1/streams/ewz/m-1", "api"),
        ("/", "api"),
    ],
)
def test_only_what_a_gateway_alone_can_say_is_its_own(path: str, whose: str) -> None:
    asked: list[str] = []

    def app(name: str):
        async def answer(scope: Scope, receive: Receive, send: Send) -> None:
            del scope, receive, send
            asked.append(name)

        return answer

    async def nothing(*_: object) -> None:
        return None

    choose = beside(app("api"), app("own"))
    asyncio.run(choose({"type": "http", "path": path}, nothing, nothing))  # type: ignore[arg-type]
    assert asked == [whose]


class Below:
    def get(self, key: bytes) -> bytes | None:
        return b"final" if key == b"known" else None


def test_pending_rows_hide_what_is_below_and_watchers_hear_what_changed() -> None:
    rows = PendingRows()
    heard: list[Mapping[bytes, bytes | None]] = []
    rows.watch(heard.append)
    view = rows.over(Below())
    rows.replace({b"known": None, b"new": b"row"})
    assert (view.get(b"known"), view.get(b"new"), view.get(b"other")) == (None, b"row", None)
    assert rows.some
    rows.replace({b"known": None, b"new": b"row"})
    rows.replace({b"new": b"other"})
    rows.replace({})
    assert view.get(b"known") == b"final"
    assert not rows.some
    assert heard == [
        {b"known": None, b"new": b"row"},
        {b"known": None, b"new": b"other"},
        {b"new": None},
    ]
