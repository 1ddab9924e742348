"""Server-sent events: every event once, in order, from wherever a client stopped."""

import asyncio
import json

import pytest
from api_desk import Desk
from api_world import problem_of

from drystone.api.events import EventStreams, frame, parse_cursor
from drystone.api.values import EventCursor, ServiceEvent
from drystone.errors import Overloaded, RequestMalformed
from drystone.limits import SUBSCRIBERS_MAX


class FakeRequest:
    """A request as far as an event stream looks at it."""

    def __init__(self, **headers: str) -> None:
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


def read(
    desk: Desk, *, frames: int, after: str | None = None, last: str | None = None
) -> list[str]:
    """The first frames of a stream, comments and the retry line left out."""
    streams: EventStreams = desk.world.app.state.event_streams
    request = FakeRequest(**({"last_event_id": last} if last else {}))

    async def collect() -> list[str]:
        response = streams.respond(request, after, desk.world.service)  # type: ignore[arg-type]
        found: list[str] = []
        body = response.body_iterator
        async for part in body:
            text = bytes(part).decode()
            if text.startswith("id: "):
                found.append(text)
            if len(found) == frames:
                break
        await body.aclose()  # type: ignore[attr-defined]
        return found

    return desk.run(asyncio.wait_for(collect(), 10))


def ids(frames: list[str]) -> list[str]:
    return [text.splitlines()[0].removeprefix("id: ") for text in frames]


def test_stream_from_the_genesis_has_every_block_in_order(desk: Desk) -> None:
    frames = read(desk, frames=6, after="0.0")
    assert ids(frames)[:3] == ["1.0", "1.1", "2.0"]
    assert frames[0].splitlines()[1] == "event: block"


def test_reader_that_comes_back_misses_nothing_and_sees_nothing_twice(desk: Desk) -> None:
    whole = read(desk, frames=8, after="0.0")
    first = read(desk, frames=3, after="0.0")
    rest = read(desk, frames=5, last=ids(first)[-1])
    assert first + rest == whole


def test_last_event_id_wins_over_the_query(desk: Desk) -> None:
    assert ids(read(desk, frames=1, after="0.0", last="2.0")) == ["2.1"]


def test_stream_without_a_cursor_begins_now(desk: Desk) -> None:
    async def scene() -> str:
        streams: EventStreams = desk.world.app.state.event_streams
        body = streams.respond(FakeRequest(), None, desk.world.service).body_iterator  # type: ignore[arg-type]
        waiting = asyncio.ensure_future(first_event(body))
        for _ in range(5):
            await asyncio.sleep(0)
        await desk.world.service.submit(desk.world.reading(), wait=None)
        text = await asyncio.wait_for(waiting, 10)
        await body.aclose()  # type: ignore[attr-defined]
        return text

    assert desk.run(scene()).startswith("id: 6.0\n")


async def first_event(body: object) -> str:
    async for part in body:  # type: ignore[attr-defined]
        text = bytes(part).decode()
        if text.startswith("id: "):
            return text
    return ""


def test_silence_is_filled_with_comments_and_stop_ends_the_stream(desk: Desk) -> None:
    async def scene() -> list[str]:
        streams: EventStreams = desk.world.app.state.event_streams
        parts: list[str] = []
        async for part in streams.respond(FakeRequest(), None, desk.world.service).body_iterator:  # type: ignore[arg-type]
            parts.append(bytes(part).decode())
            if len(parts) == 3:
                await desk.world.service.stop()
        return parts

    parts = desk.run(asyncio.wait_for(scene(), 10))
    assert parts[0] == "retry: 2000\n\n"
    assert parts[1].startswith(": ")
    assert desk.world.app.state.event_streams.open == 0


def test_refused_record_is_an_event_with_its_code(desk: Desk) -> None:
    # Operators' calls are checked by the pipeline only: this one enrols a member twice.
    desk.run(desk.world.enrol("m-9"))
    with pytest.raises(AssertionError, match="already-exists"):
        desk.run(desk.world.enrol("m-9"))
    frames = read(desk, frames=2, after="6.9")
    assert frames[1].splitlines()[1] == "event: outcome"
    assert json.loads(frames[1].splitlines()[2].removeprefix("data: "))["code"] == "already-exists"


def test_streams_are_bounded(desk: Desk) -> None:
    streams: EventStreams = desk.world.app.state.event_streams
    streams.open = SUBSCRIBERS_MAX
    answer = desk.get("/v1/events")
    assert (answer.status_code, problem_of(answer)["code"]) == (503, Overloaded.code)


@pytest.mark.parametrize(
    "text",
    ["", ".", "1", "1.", ".1", "1.1.1", "-1.0", "1.-0", "a.b", "１.1", "1" * 16 + ".0", " 1.0"],
)
def test_text_that_is_no_cursor_is_refused(text: str) -> None:
    with pytest.raises(RequestMalformed):
        parse_cursor(text)


def test_last_event_id_that_is_no_cursor_is_refused(desk: Desk) -> None:
    assert problem_of(desk.get("/v1/events", last_event_id="x"))["code"] == "request-malformed"


def test_event_is_one_line_of_json_whatever_it_holds() -> None:
    event = ServiceEvent(
        cursor=EventCursor(3, 1),
        kind="event",
        data={"data": {"text": "two\nlines\r\n\u2028", "bytes": b"\x01"}},
    )
    lines = frame(event).decode().split("\n")
    assert [line.partition(":")[0] for line in lines] == ["id", "event", "data", "", ""]
    assert json.loads(lines[2].removeprefix("data: "))["data"]["bytes"] == "01"
