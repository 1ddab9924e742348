"""The DAG through the REST API and its pages: rows for a drawing, what changes, frontier, forks, peers."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest
from access_stage import Gated, member, open_gate
from api_desk import Desk
from api_world import decoded, problem_of
from dag_stage import make_dag, stage_dag

from drystone.api.dag_values import DagCursor, ForkInfo, PeerInfo
from drystone.api.dag_wire import COLUMNS, dag_frame
from drystone.api.guarded import GuardedService
from drystone.api.guarded_events import VertexStreams
from drystone.errors import MemberSuspended, ReadDenied
from drystone.ledger.read_rights import ReadRights, scoped_rights

PEER = PeerInfo(
    iss="ewz",
    sub="gate-2",
    role="gateway",
    connected=True,
    uplink=False,
    behind=1,
    height=7,
    degraded="body-mismatch",
    degraded_ms=4_000,
    faults={"range-absent": 1, "body-mismatch": 3},
    messages_in=12,
    messages_out=13,
    bytes_in=4_711,
    bytes_out=815,
)


@pytest.fixture
def village(desk: Desk) -> Desk:
    service = desk.world.service
    stage_dag(service, make_dag(service.view.ledger, vertices=80, unordered=6))
    return desk


def rows_of(page: dict[str, Any]) -> dict[int, dict[str, Any]]:
    named = [dict(zip(page["columns"], row, strict=True)) for row in page["rows"]]
    return {row["number"]: row | {"author": page["authors"][row["author"]]} for row in named}


def test_rows_hold_what_a_drawing_needs(village: Desk) -> None:
    page = village.get("/v1/dag").json()
    rows = rows_of(page)
    held = village.world.service.vertices_by_id
    assert page["columns"] == list(COLUMNS)
    assert len(rows) == len(held)
    for row in rows.values():
        header = held[bytes.fromhex(row["id"])][0].header
        assert row["author"] == [header.iss, header.sub]
        assert (row["epoch"], row["seq"], row["records"]) == (
            header.epoch,
            header.seq,
            header.count,
        )
        below = [rows[one]["id"] for one in (row["parent"], *row["links"]) if one is not None]
        assert sorted(below) == sorted(
            one.hex() for one in (header.parent, *header.links) if one is not None
        )
    assert sum(row["height"] is None for row in rows.values()) == 6
    assert sum(row["forked"] for row in rows.values()) == 2


def test_rows_come_as_cbor_with_ids_as_bytes(village: Desk) -> None:
    page = decoded(village.get("/v1/dag", accept="application/cbor"))
    assert isinstance(page, dict)
    ids = {row[COLUMNS.index("id")] for row in page["rows"]}
    assert ids == set(village.world.service.vertices_by_id)


def test_pages_join_and_a_cursor_gives_only_what_changed(village: Desk) -> None:
    seen: dict[int, dict[str, Any]] = {}
    after, more = "", True
    while more:
        page = village.get(f"/v1/dag?limit=7{after}").json()
        seen |= rows_of(page)
        after, more = f"&after={page['cursor']}", page["more"]
    assert seen == rows_of(village.get("/v1/dag").json())
    assert village.get(f"/v1/dag?limit=7{after}").json()["rows"] == []
    service = village.world.service
    waiting = service.window.waiting()[0]
    service.order(waiting, 99)
    changed = rows_of(village.get(f"/v1/dag?limit=7{after}").json())
    assert [(row["id"], row["height"]) for row in changed.values()] == [(waiting.hex(), 99)]


@pytest.mark.parametrize(
    "query", ["after=x", "after=gQA", "limit=0", "limit=4097", "limit=x", "after=ggAg"]
)
def test_nonsense_is_refused(village: Desk, query: str) -> None:
    answer = village.get(f"/v1/dag?{query}")
    assert (answer.status_code, problem_of(answer)["code"]) == (400, "request-malformed")


def test_other_forms_are_not_acceptable(village: Desk) -> None:
    assert problem_of(village.get("/v1/dag", accept="text/csv"))["code"] == "not-acceptable"


def test_tips_are_those_on_which_nothing_stands_s1_16(village: Desk) -> None:
    rows = rows_of(village.get("/v1/dag").json())
    named = {one for row in rows.values() for one in (row["parent"], *row["links"])}
    tips = {one["id"] for one in village.get("/v1/tips").json()["rows"]}
    assert tips == {row["id"] for number, row in rows.items() if number not in named}


def test_next_vertex_of_the_gateway_links_to_other_tips_s1_16(village: Desk) -> None:
    tips = {one["id"] for one in village.get("/v1/tips").json()["rows"] if one["sub"] != "gw-1"}
    village.send(village.world.reading())
    own = village.get("/v1/records/ewz/m-1/0/0").json()["vertex"]
    vertex = village.get(f"/v1/vertices/{own}").json()
    assert set(vertex["links"]) <= tips
    assert len([vertex["parent"], *vertex["links"]]) >= 2


def test_frontier_names_the_last_vertex_of_everybody(village: Desk) -> None:
    rows = rows_of(village.get("/v1/dag").json()).values()
    authors = village.get("/v1/dag").json()["authors"]
    frontier = village.get("/v1/frontier").json()["rows"]
    assert [[one["iss"], one["sub"]] for one in frontier] == sorted(authors)
    for one in frontier:
        own = [row for row in rows if row["author"] == [one["iss"], one["sub"]]]
        assert one["seq"] == max(row["seq"] for row in own)
        assert one["waiting"] == sum(row["height"] is None for row in own)


def test_record_tells_how_many_gateways_built_on_its_vertex(village: Desk) -> None:
    village.send(village.world.reading())
    record = village.get("/v1/records/ewz/m-1/0/0").json()
    assert record["witnesses"] == 0
    service = village.world.service
    told = make_dag(service.view.ledger, vertices=1, first="late", seed="late")
    header = told[0].header
    from dag_stage import secret_of

    from drystone.records.vertex import Vertex, decode_header, seal_header

    raw, _ = seal_header(
        secret=secret_of("late-9"), iss="ewz", sub="late-9", epoch=0, seq=0, parent=None,
        links=[bytes.fromhex(record["vertex"])], time_ms=header.time_ms, length=0, entries=[],
        ledger=service.view.ledger,
    )  # fmt: skip
    service.hold(Vertex(decode_header(raw), ()), None)
    assert village.get("/v1/records/ewz/m-1/0/0").json()["witnesses"] == 1
    assert "1 other gateway built on its vertex" in village.get("/receipts/ewz/m-1/0/0").text
    vertex = village.get(f"/v1/vertices/{record['vertex']}").json()
    assert vertex["witnesses"] == 1


def test_peers_are_listed_with_their_faults(village: Desk) -> None:
    assert village.get("/v1/peers").json()["rows"] == []
    village.world.service.peer_infos = [PEER]
    (row,) = village.get("/v1/peers").json()["rows"]
    assert row["faults"] == "body-mismatch 3, range-absent 1"
    assert (row["degraded"], row["behind"], row["bytes_in"]) == ("body-mismatch", 1, 4_711)
    page = village.get("/dag").text
    assert "gate-2" in page
    assert 'href="/docs/errors#body-mismatch"' in page


def test_forks_are_listed_and_have_a_page(village: Desk) -> None:
    fork = ForkInfo(
        iss="ewz", sub="m-2", kind="record", epoch=3, seq=None, ids=(bytes(32), b"\xff" * 32),
        held=False, convicted=True, epoch_min=4,
    )  # fmt: skip
    assert "No author is known" in village.get("/forks").text
    village.world.service.fork_infos = [fork]
    (row,) = village.get("/v1/forks").json()["rows"]
    assert (row["kind"], row["seq"], row["a"], row["epoch_min"]) == ("record", None, "00" * 32, 4)
    page = village.get("/forks").text
    assert "from epoch 4 on again" in page
    assert "/vertices/" not in page
    assert "1 fork" in village.get("/dag").text


# --- live --------------------------------------------------------------------------------------


def frames(desk: Desk, path: str, count: int, act: Any = None) -> list[dict[str, Any]]:
    """The first so many `dag` events of a stream, `act` being done after the first look."""

    async def listen() -> list[dict[str, Any]]:
        service = desk.world.service
        found: list[dict[str, Any]] = []
        cursor = path.partition("after=")[2]
        from drystone.api.lists import decode_cursor

        after = DagCursor(*decode_cursor(cursor, int, int)) if cursor else None
        streams = desk.world.app.state.event_streams
        answer = streams.respond_dag(after, service, dag_frame)
        async for chunk in answer.body_iterator:
            if b"event: dag" in chunk:
                lines = dict(line.split(": ", 1) for line in chunk.decode().split("\n") if line)
                found.append({"id": lines["id"], **json.loads(lines["data"])})
            elif act is not None:
                act()
                await service.tell()
            if len(found) == count:
                break
        await answer.body_iterator.aclose()
        return found

    return desk.run(asyncio.wait_for(listen(), 10))


def test_stream_tells_everything_and_then_what_changes(village: Desk) -> None:
    (first,) = frames(village, "", 1)
    assert rows_of(first) == rows_of(village.get("/v1/dag").json())
    assert first["id"] == first["cursor"]
    service = village.world.service
    waiting = service.window.waiting()[0]

    def act() -> None:
        service.order(waiting, 50)

    (second,) = frames(village, f"after={first['cursor']}", 1, act)
    assert [row["id"] for row in rows_of(second).values()] == [waiting.hex()]
    assert village.world.app.state.event_streams.open == 0


def test_stream_refuses_a_cursor_that_is_none(village: Desk) -> None:
    answer = village.ask("GET", "/v1/dag/live", headers={"last-event-id": "0.0"})
    assert problem_of(answer)["code"] == "request-malformed"


# --- the read policy ---------------------------------------------------------------------------


@pytest.fixture
def ruled(tmp_path: Any) -> Iterator[Gated]:
    yield from open_gate(tmp_path, "rules")


@pytest.mark.parametrize("path", ["/v1/dag/live", "/dag", "/forks", "/v1/dag", "/v1/peers"])
def test_who_may_not_see_the_ledger_sees_no_dag(ruled: Gated, path: str) -> None:
    assert ruled.ask(None, path).status_code == 401
    assert ruled.ask(member("probe"), path).status_code == 403


def test_stream_ends_when_its_visitor_may_not_be_here_any_more(ruled: Gated) -> None:
    service = ruled.desk.world.service
    left = [scoped_rights("ledger"), scoped_rights("streams:ewz/m-1")]

    async def renew() -> ReadRights | None:
        if not left:
            raise MemberSuspended("over")
        return left.pop(0)

    async def collect() -> int:
        guarded = GuardedService(
            service,  # type: ignore[arg-type]
            scoped_rights("ledger"),
            deny=ReadDenied,
            renew=renew,
            vertex_streams=VertexStreams(service),  # type: ignore[arg-type]
        )
        count = 0
        async for _ in guarded.dag_changes(None):
            count += 1
            service.order(service.window.waiting()[0], 5)
        return count

    stage_dag(service, make_dag(service.view.ledger, vertices=20))
    assert ruled.desk.run(asyncio.wait_for(collect(), 10)) == 1


# --- the page ----------------------------------------------------------------------------------


def test_page_says_all_without_its_script(village: Desk) -> None:
    html = village.get("/dag").text
    assert 'id="dag" hidden' in html
    for one in village.get("/v1/frontier").json()["rows"]:
        assert f"/vertices/{one['id']}" in html
    assert "This node exchanges vertices with nobody" in html
    assert "6 waiting" in html
