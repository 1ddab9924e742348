"""A record's way, station by station, through the REST API and on its receipt's page."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from access_stage import Gated, member, open_gate
from api_desk import Desk
from api_world import problem_of

from drystone.api.values import FoundRecord
from drystone.formats.senml import Measurement

STAGES = ["measured", "signed", "sealed", "witnessed", "ordered", "decided", "logged"]


def stages(desk: Desk, path: str) -> list[dict[str, Any]]:
    answer = desk.get(path)
    assert answer.status_code == 200, answer.text
    return answer.json()["rows"]


def test_every_station_of_a_reading_is_named_s1_32(desk: Desk) -> None:
    desk.send(desk.world.reading())
    rows = stages(desk, "/v1/records/ewz/m-1/0/0/stages")
    assert [row["stage"] for row in rows] == STAGES
    assert [row["number"] for row in rows] == [1, 2, 3, 4, 5, 6, 7]
    who = {row["stage"]: row["who"] for row in rows}
    assert who["measured"] == who["signed"] == "ewz/m-1"
    assert who["sealed"] == "ewz/gw-1"
    assert who["ordered"] == "local engine"
    assert [row["done"] for row in rows] == [True] * 3 + [False] + [True] * 3
    by_stage = {row["stage"]: row for row in rows}
    assert by_stage["measured"]["vouched"] == by_stage["sealed"]["vouched"] == "claim"
    assert by_stage["ordered"]["vouched"] == "block"
    assert "item 0 of vertex 0/5, which holds 1" in by_stage["sealed"]["says"]
    assert by_stage["ordered"]["says"] == "block 6, vertex 1 of 1"
    assert by_stage["decided"]["says"] == "accepted"


def test_paths_of_the_stations_lead_somewhere(desk: Desk) -> None:
    desk.send(desk.world.reading())
    for row in stages(desk, "/v1/records/ewz/m-1/0/0/stages"):
        if row["path"]:
            assert desk.get(row["path"], accept="text/html").status_code == 200, row


def test_device_without_a_key_measures_and_its_gateway_signs_s1_32(desk: Desk) -> None:
    pack = [Measurement("temperature", "Cel", (-1, 215), None)]
    desk.run(desk.world.service.attest("thermo-1", pack, wait=None))
    rows = stages(desk, "/v1/records/ewz/gw-1/0/0/stages?device=thermo-1")
    assert [row["who"] for row in rows[:3]] == ["ewz/thermo-1", "ewz/gw-1", "ewz/gw-1"]
    assert "the device has no key" in rows[1]["says"]
    assert rows[0]["time"] is None
    assert rows[0]["vouched"] is None


def test_call_has_no_sensor(desk: Desk) -> None:
    rows = stages(desk, "/v1/records/ewz/operator/0/0/stages")
    assert rows[0]["says"] == "a call of a contract"


def test_record_that_is_foreseen_is_not_done_yet(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.send(desk.world.reading())
    service = desk.world.service
    genuine = service.record

    async def foreseen(stream: tuple[str, ...], *, epoch: int, seq: int) -> FoundRecord | None:
        found = await genuine(stream, epoch=epoch, seq=seq)
        assert found is not None
        return replace(found, height=None, time_ms=None, log_index=None)

    monkeypatch.setattr(service, "record", foreseen)
    rows = stages(desk, "/v1/records/ewz/m-1/0/0/stages")
    assert [row["done"] for row in rows] == [True] * 3 + [False] * 4
    assert rows[5]["says"] == "accepted, provisional"
    assert rows[4]["time"] is None


def test_pruned_record_keeps_its_stations(desk: Desk) -> None:
    desk.send(desk.world.reading())
    service = desk.world.service
    key = (("ewz", "m-1"), 0, 0)
    service.found[key] = replace(service.found[key], raw=None)
    rows = stages(desk, "/v1/records/ewz/m-1/0/0/stages")
    assert [row["stage"] for row in rows] == STAGES
    assert rows[0]["says"] == "pruned"


def test_what_is_not_there_has_no_way(desk: Desk) -> None:
    answer = desk.get("/v1/records/ewz/m-1/0/9/stages")
    assert problem_of(answer)["code"] == "not-found"


def test_list_comes_as_csv_too(desk: Desk) -> None:
    desk.send(desk.world.reading())
    lines = desk.get("/v1/records/ewz/m-1/0/0/stages.csv").text.splitlines()
    assert lines[0] == "number,stage,done,who,time,vouched,says,path"
    assert len(lines) == 8


def test_receipt_page_shows_the_way(desk: Desk) -> None:
    desk.send(desk.world.reading())
    html = desk.get("/receipts/ewz/m-1/0/0").text
    assert "Its way here" in html
    assert html.count('<li class="open">') == 1
    assert "7 · logged" in html
    assert "Proven time" in html


@pytest.fixture
def ruled(tmp_path: Any) -> Iterator[Gated]:
    yield from open_gate(tmp_path, "rules")


def test_household_sees_its_own_records_way_without_the_ledgers_inside(ruled: Gated) -> None:
    path = "/v1/records/ewz/m-1/0/0/stages"
    whole = ruled.ask(member("anna"), path).json()["rows"]
    own = ruled.ask(ruled.token("streams:ewz/m-1"), path).json()["rows"]
    assert [row["stage"] for row in own] == [row["stage"] for row in whole]
    assert whole[2]["path"] is not None
    assert own[2]["path"] is None
    assert own[2]["time"] is None
    assert own[4]["path"] is None
    assert ruled.ask(member("probe"), path).status_code == 403
