"""What each visitor may see, through every endpoint: drawn from the API's own description.

Method: every operation is asked with an address of something that exists and is organisation ewz's:
by nobody, by a member without any right, by a household, by an auditor, with tokens. Whoever may not
see gets 401 or 403 with a code and not one name of what is behind.
"""

import asyncio
import json
import re
from collections.abc import Iterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import httpx
import pytest
from access_stage import WWZ, Gated, Member, member, open_gate
from api_world import TOKEN, problem_of, settings_for
from memory_service import MemoryService

from drystone import limits
from drystone.api import reference
from drystone.api.app import create_app
from drystone.api.guarded import GuardedService
from drystone.api.guarded_events import VertexStreams
from drystone.api.openapi import flat_routes, guarded_paths
from drystone.api.values import EventCursor, ServiceEvent
from drystone.errors import MemberSuspended, ReadDenied
from drystone.ledger import keyspace
from drystone.ledger.read_rights import Asker, ReadRights, read_rights, scoped_rights

PROBE = member("probe")
"""A member of ewz with a plain device's role that no rule names."""
HOUSE = member("house-7")
ANNA = member("anna")
PUBLIC = {
    *("/healthz", "/metrics", "/checkpoint", "/tile/{path}", "/v1/ledger", "/v1/trust"),
    *("/v1/records", "/v1/readings", "/v1/audit"),
}
"""Known to everybody, or guarded in their own way."""
ENDLESS = {"/v1/events", "/v1/dag/live"}
"""Streams without an end; tests of their own ask them."""
ITSELF = {"/v1/members", "/v1/devices"}
"""Lists on which a member always finds itself."""
SECRETS = re.compile(r"m-1|m-2|thermo-1|house-|anna|48211337|homes|coins|Zug|climate")


@pytest.fixture(scope="module")
def ruled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gated]:
    """One street for all questions: asking changes nothing."""
    yield from open_gate(tmp_path_factory.mktemp("ruled"), "rules")


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Gated]:
    """A street to change."""
    yield from open_gate(tmp_path, "rules")


def operations() -> list[tuple[str, str]]:
    app = create_app(MemoryService(), settings_for())
    paths = reference.document(app)["paths"]
    return [(method, path) for path, item in paths.items() for method in item]


def guarded_operations() -> list[tuple[str, str]]:
    return [one for one in operations() if one[1] not in {*PUBLIC, *ENDLESS}]


def address(gated: Gated, path: str, *, sub: str = "m-1") -> str:
    """An operation's path, filled with what exists."""
    service = gated.desk.world.service
    values = {
        "iss": "ewz",
        "sub": sub,
        "epoch": "0",
        "seq": "0",
        "height": "12",
        "version": "1",
        "vertex_id": next(reversed(service.vertices_by_id)).hex(),
        "key": keyspace.stream(("ewz", sub)).hex(),
        "kid": member(sub).secret.public.kid().hex(),
        "name": "homes" if "/contracts/" in path else "meter",
    }
    return re.sub(r"{(\w+)}", lambda found: values[found[1]], path)


def content_of(gated: Gated, method: str, path: str) -> bytes:
    """A body that the operation would take."""
    if method != "post":
        return b""
    return gated.ask(TOKEN, path).content


# --- every endpoint --------------------------------------------------------------------------


def test_every_route_asks_the_policy_or_is_public_on_purpose() -> None:
    app = create_app(MemoryService(), settings_for())
    asks = guarded_paths(app)
    open_ones = {path for method, path in operations() if (method, path) not in asks}
    assert open_ones == {
        *("/healthz", "/v1/ledger", "/v1/trust", "/v1/records", "/v1/readings", "/v1/audit"),
    }


def test_every_page_asks_the_policy_or_shows_nothing_of_the_ledger() -> None:
    from drystone.api.access import GUARDS

    app = create_app(MemoryService(), settings_for())
    pages = [one for one in flat_routes(app.routes) if not one.include_in_schema]
    silent = {
        one.path
        for one in pages
        if not any(part.call in GUARDS for part in one.dependant.dependencies)
        and not one.path.endswith((".json", ".csv", ".cbor"))
    }
    assert silent == {"/docs", "/docs/errors", "/verify.html", "/static/{path:path}"}


@pytest.mark.parametrize(("method", "path"), guarded_operations(), ids=str)
def test_nobody_known_reads_nothing_s2_6(ruled: Gated, method: str, path: str) -> None:
    where = address(ruled, path)
    content = content_of(ruled, method, where)
    answer = ruled.ask(None, where, method=method.upper(), content=content)
    assert answer.status_code == 401
    assert problem_of(answer)["code"] == "request-unsigned"
    assert_tells_nothing(answer, where)


@pytest.mark.parametrize(("method", "path"), guarded_operations(), ids=str)
def test_member_without_the_right_gets_403_and_reads_nothing_s2_6(
    ruled: Gated, method: str, path: str
) -> None:
    where = address(ruled, path)
    content = content_of(ruled, method, where)
    answer = ruled.ask(PROBE, where, method=method.upper(), content=content)
    if path in ITSELF:
        assert [row["sub"] for row in answer.json()["rows"]] == ["probe"]
        return
    assert answer.status_code == 403
    assert problem_of(answer)["code"] == "read-denied"
    assert_tells_nothing(answer, where)


@pytest.mark.parametrize("suffix", [".json", ".csv", ".cbor"])
@pytest.mark.parametrize("who", [None, PROBE], ids=["nobody", "probe"])
def test_forms_of_a_list_are_no_way_around(ruled: Gated, who: Member | None, suffix: str) -> None:
    for method, path in guarded_operations():
        where = address(ruled, path) + suffix
        answer = ruled.ask(who, where)
        assert method != "get" or path in ITSELF or answer.status_code in {400, 401, 403, 404}
        assert "coins" not in answer.text


@pytest.mark.parametrize(("method", "path"), guarded_operations(), ids=str)
def test_token_for_something_else_reads_nothing(ruled: Gated, method: str, path: str) -> None:
    where = address(ruled, path)
    content = content_of(ruled, method, where)
    token = ruled.token("streams:nowhere/*")
    answer = ruled.ask(token, where, method=method.upper(), content=content)
    assert answer.status_code == 403
    assert_tells_nothing(answer, where)


def assert_tells_nothing(answer: httpx.Response, where: str) -> None:
    """Says no name but those that were asked for."""
    text = answer.text
    for word in re.split(r"[/?=&]", where):
        text = text.replace(word, "") if word else text
    assert not SECRETS.search(text), text


@pytest.mark.parametrize(("method", "path"), guarded_operations(), ids=str)
def test_auditor_reads_everything_allowed_s2_12(ruled: Gated, method: str, path: str) -> None:
    where = address(ruled, path)
    content = content_of(ruled, method, where)
    answer = ruled.ask(ANNA, where, method=method.upper(), content=content)
    assert answer.status_code == 200, answer.text
    whole = ruled.ask(TOKEN, where, method=method.upper(), content=content)
    if path == "/v1/members":
        # The other organisation's are not its to show.
        others = [row for row in whole.json()["rows"] if row["iss"] != "ewz"]
        assert answer.json()["rows"] + others == whole.json()["rows"]
        return
    assert answer.content == whole.content


PAGES = ["/devices", "/devices/ewz/m-1", "/blocks", "/blocks/12", "/receipts/ewz/m-1/0/0"]


@pytest.mark.parametrize("path", [*PAGES, "/"])
def test_pages_show_no_more_than_the_api(ruled: Gated, path: str) -> None:
    assert ruled.ask(None, path).status_code == 401
    denied = ruled.ask(PROBE, path)
    assert denied.status_code == (200 if path in {"/", "/devices"} else 403)
    for answer in (ruled.ask(None, path), denied):
        text = re.sub(re.escape(path), "", answer.text)
        assert not re.search(r"m-2|thermo-1|house-|anna|48.211|homes", text)
    assert ruled.ask(ANNA, path).status_code == 200


def test_policy_members_shows_every_member_everything(tmp_path: Path) -> None:
    for gated in open_gate(tmp_path, "members"):
        for method, path in guarded_operations():
            where = address(gated, path)
            content = content_of(gated, method, where)
            assert gated.ask(None, where, method=method.upper(), content=content).status_code == 401
            for who in (PROBE, WWZ):
                answer = gated.ask(who, where, method=method.upper(), content=content)
                assert answer.status_code == 200, (where, answer.text)


# --- a household -------------------------------------------------------------------------------


class TestHousehold:
    def test_sees_its_own_meters_and_no_other_s2_5(self, ruled: Gated) -> None:
        rows = ruled.ask(HOUSE, "/v1/streams").json()["rows"]
        assert [(one["sub"], one["device"]) for one in rows] == [("m-1", None)]
        assert ruled.ask(HOUSE, "/v1/streams/ewz/m-1/readings").status_code == 200
        for path in ("/v1/streams/ewz/m-2", "/v1/records/ewz/m-2/0/0", "/v1/receipts/ewz/m-2/0/0"):
            assert problem_of(ruled.ask(HOUSE, path))["code"] == "read-denied"

    def test_finds_its_meters_and_itself_among_the_members(self, ruled: Gated) -> None:
        rows = ruled.ask(HOUSE, "/v1/members").json()["rows"]
        assert {(one["sub"], one["device"]) for one in rows} == {
            ("m-1", None),
            ("gw-1", "thermo-1"),
            ("house-7", None),
        }
        assert len(ruled.ask(HOUSE, "/v1/members?limit=2").json()["rows"]) == 2

    def test_pages_through_its_own_rows_without_hidden_names_in_a_cursor(
        self, ruled: Gated
    ) -> None:
        seen: list[str] = []
        after = ""
        while True:
            page = ruled.ask(HOUSE, f"/v1/members?limit=1{after}").json()
            seen += [one["sub"] for one in page["rows"]]
            if page["next"] is None:
                break
            after = f"&after={page['next']}"
        assert sorted(seen) == ["gw-1", "house-7", "m-1"]

    def test_sees_its_own_bill_and_proves_it(self, ruled: Gated) -> None:
        rows = ruled.ask(HOUSE, "/v1/contracts/homes/state").json()["rows"]
        assert [one["path"] for one in rows] == ["bill/ewz/house-7/1"]
        assert ruled.ask(HOUSE, rows[0]["proof"]).json()["present"] is True
        whole = ruled.ask(HOUSE, "/v1/contracts/homes/state?path=bill/ewz/house-7").json()["rows"]
        assert whole == rows
        for path in ("bill/ewz/house-8", "areas", "household", "bill/ewz/house-8/1", "nothing"):
            answer = ruled.ask(HOUSE, f"/v1/contracts/homes/state?path={path}")
            assert problem_of(answer)["code"] == "read-denied"

    def test_sees_the_contract_that_bills_it_and_no_other(self, ruled: Gated) -> None:
        assert [one["name"] for one in ruled.ask(HOUSE, "/v1/contracts").json()["rows"]] == [
            "homes"
        ]
        assert ruled.ask(HOUSE, "/v1/contracts/homes/versions/1").status_code == 200
        assert ruled.ask(HOUSE, "/v1/contracts/other").status_code == 403

    def test_checks_its_receipts_with_keys_it_may_look_up(self, ruled: Gated) -> None:
        kid = member("m-1").secret.public.kid().hex()
        assert ruled.ask(HOUSE, f"/v1/devices/ewz/m-1/keys/{kid}").status_code == 200
        assert ruled.ask(HOUSE, "/v1/completeness/ewz/m-1").status_code == 200
        assert ruled.ask(HOUSE, "/receipts/ewz/m-1/0/0").status_code == 200

    def test_sees_nothing_of_the_ledger_as_a_whole(self, ruled: Gated) -> None:
        for path in ("/v1/blocks", "/v1/tips", "/v1/vertices", "/v1/blocks/12/events"):
            assert ruled.ask(HOUSE, path).status_code == 403

    def test_token_in_its_name_shows_the_same(self, ruled: Gated) -> None:
        token = ruled.token("as:ewz/house-7")
        for path in ("/v1/streams", "/v1/members", "/v1/contracts/homes/state"):
            assert ruled.ask(token, path).json() == ruled.ask(HOUSE, path).json()
        assert ruled.ask(token, "/v1/streams/ewz/m-2").status_code == 403

    def test_page_of_its_meter_opens_and_others_do_not(self, ruled: Gated) -> None:
        assert ruled.ask(HOUSE, "/devices/ewz/m-1").status_code == 200
        assert ruled.ask(HOUSE, "/devices/ewz/gw-1?device=thermo-1").status_code == 200
        assert ruled.ask(HOUSE, "/devices/ewz/m-2").status_code == 403
        assert "m-2" not in ruled.ask(HOUSE, "/devices").text

    def test_loses_a_meter_when_somebody_else_moves_in(self, fresh: Gated) -> None:
        assert fresh.ask(HOUSE, "/v1/streams/ewz/m-1").status_code == 200
        args = {"household": "ewz/house-7", "meters": ["ewz/gw-1/thermo-1"]}
        fresh.desk.run(fresh.desk.world.call("move_in", args, contract="homes"))  # type: ignore[arg-type]
        assert fresh.ask(HOUSE, "/v1/streams/ewz/m-1").status_code == 403


# --- rules that change, other organisations, scopes --------------------------------------------


def test_rules_taken_away_take_effect_with_the_next_request(fresh: Gated) -> None:
    assert fresh.ask(ANNA, "/v1/streams/ewz/m-1").status_code == 200
    fresh.desk.run(fresh.desk.world.call("policy", {"rules": []}))
    assert fresh.ask(ANNA, "/v1/streams/ewz/m-1").status_code == 403
    assert fresh.ask(member("operator"), "/v1/streams/ewz/m-1").status_code == 200


def test_organisations_speakers_see_their_own_and_not_the_others(ruled: Gated) -> None:
    assert ruled.ask(member("operator"), "/v1/streams/ewz/m-1").status_code == 200
    assert ruled.ask(WWZ, "/v1/streams/ewz/m-1").status_code == 403
    assert ruled.ask(WWZ, "/v1/blocks").status_code == 200
    assert ruled.ask(WWZ, "/v1/contracts").status_code == 200
    assert ruled.ask(WWZ, "/v1/contracts/homes/state").status_code == 403
    assert [one["sub"] for one in ruled.ask(WWZ, "/v1/members").json()["rows"]] == ["boss"]


def test_vertex_with_records_that_may_not_be_seen_comes_without_its_body(ruled: Gated) -> None:
    where = address(ruled, "/v1/vertices/{vertex_id}")
    mixed = next(
        vertex.hex()
        for vertex, (body, _, _) in ruled.desk.world.service.vertices_by_id.items()
        if len(body.body or ()) == 2
    )
    for path in (where, f"/v1/vertices/{mixed}"):
        document = ruled.ask(WWZ, path).json()
        assert document["withheld"] is True
        assert document["body"] is None
        assert ruled.ask(WWZ, path, accept="application/cbor").content.endswith(b"\xf6")
        whole = ruled.ask(ANNA, path).json()
        assert whole["withheld"] is False
    assert b"48211337" not in ruled.ask(WWZ, f"/v1/vertices/{mixed}").content


def test_rule_for_anyone_opens_what_it_names_to_everybody(fresh: Gated) -> None:
    rules = [
        {"who": "anyone", "what": "streams", "of": "m-1"},
        {"who": "anyone", "what": "states", "of": "homes/areas"},
        {"who": "members", "what": "streams", "of": "profile:climate"},
    ]
    fresh.desk.run(fresh.desk.world.call("policy", {"rules": rules}))
    assert fresh.ask(None, "/v1/streams/ewz/m-1").status_code == 200
    assert fresh.ask(None, "/v1/streams/ewz/m-2").status_code == 401
    rows = fresh.ask(None, "/v1/contracts/homes/state").json()["rows"]
    assert [one["path"] for one in rows] == ["areas"]
    thermometer = "/v1/streams/ewz/gw-1/readings?device=thermo-1"
    assert fresh.ask(None, thermometer).status_code == 401
    assert fresh.ask(WWZ, thermometer).status_code == 200
    assert fresh.ask(WWZ, "/v1/streams/ewz/m-2").status_code == 403
    assert fresh.ask(WWZ, "/v1/streams/ewz/nobody").status_code == 403


@pytest.mark.parametrize(
    ("scope", "path", "expected"),
    [
        ("streams:ewz/m-1", "/v1/streams/ewz/m-1", 200),
        ("streams:ewz/m-1", "/v1/receipts/ewz/m-1/0/0", 403),
        ("streams:ewz/m-*", "/v1/streams/ewz/m-2/records", 200),
        ("streams:ewz/profile:meter", "/v1/records/ewz/m-2/0/0", 200),
        ("streams:ewz/profile:climate", "/v1/records/ewz/m-2/0/0", 403),
        ("receipts:ewz/*", "/v1/receipts/ewz/m-1/0/0", 200),
        ("receipts:ewz/*", "/v1/records/ewz/m-1/0/0", 403),
        ("members:ewz/*", "/v1/devices/ewz/m-1", 200),
        ("members:ewz/*", "/v1/organisations", 200),
        ("members:ewz/*", "/v1/profiles/ewz/meter", 200),
        ("members:ewz/*", "/v1/profiles", 200),
        ("members:ewz/*", "/v1/streams", 403),
        ("states:homes/bill", "/v1/contracts/homes/state?path=bill/ewz", 200),
        ("states:homes/bill", "/v1/contracts/homes/state?path=household", 403),
        ("states:homes/*/ewz/house-7", "/v1/contracts/homes/state", 200),
        ("ledger", "/v1/blocks", 200),
        ("ledger", "/v1/profiles", 200),
        ("ledger", "/v1/organisations", 200),
        ("ledger", "/v1/contracts/homes/calls", 200),
        ("ledger", "/v1/contracts/homes/state", 403),
        ("ledger", "/v1/members", 403),
        ("all", "/v1/contracts/homes/state", 200),
        ("attest", "/v1/blocks", 403),
    ],
)
def test_scope_of_a_token_is_its_bound(ruled: Gated, scope: str, path: str, expected: int) -> None:
    answer = ruled.ask(ruled.token(scope), path)
    assert answer.status_code == expected, answer.text


def test_part_of_a_contracts_values_is_listed_in_order_and_paged(ruled: Gated) -> None:
    token = ruled.token("states:homes/*/ewz/house-7", "states:homes/areas")
    path = "/v1/contracts/homes/state"
    rows = ruled.ask(token, path).json()["rows"]
    every = ruled.ask(TOKEN, path).json()["rows"]
    wanted = {"areas", "bill/ewz/house-7/1", "household/ewz/house-7"}
    assert rows == [one for one in every if one["path"] in wanted]
    assert len(rows) == 3
    paged: list[Any] = []
    after = ""
    for _ in range(5):
        page = ruled.ask(token, f"{path}?limit=1{after}").json()
        paged += page["rows"]
        if page["next"] is None:
            break
        after = f"&after={page['next']}"
    assert paged == rows


@pytest.mark.parametrize(
    ("key", "scope", "expected"),
    [
        (keyspace.stream(("ewz", "m-1")), "streams:ewz/m-1", 200),
        (keyspace.stream(("ewz", "m-1")), "receipts:ewz/m-1", 200),
        (keyspace.stream(("ewz", "m-2")), "streams:ewz/m-1", 403),
        (keyspace.member("ewz", "m-1"), "members:ewz/m-1", 200),
        (keyspace.member("ewz", "m-2"), "members:ewz/m-1", 403),
        (keyspace.member_key("ewz", "m-2", bytes(4)), "members:ewz/m-1", 200),
        (keyspace.member_key("wwz", "m-2", bytes(4)), "members:ewz/m-1", 403),
        (keyspace.contract_data("homes", "areas"), "states:homes/areas", 200),
        (keyspace.contract_data("homes", "areas"), "states:homes/bill", 403),
        (keyspace.contract_data("homes", "areas"), "ledger", 403),
        (keyspace.contract_data("none", "areas"), "states:homes", 403),
        (keyspace.key(keyspace.CONTRACT_DATA), "states:homes", 403),
        (keyspace.key(keyspace.STREAM), "streams:ewz/*", 403),
        (keyspace.organisation("ewz"), "streams:ewz/*", 403),
        (keyspace.policy("ewz"), "ledger", 200),
        (keyspace.threshold(), "ledger", 200),
        (b"\xff", "streams:ewz/*", 403),
        (b"\xff", "ledger", 200),
        (b"\x18\xc8", "ledger", 200),
    ],
    ids=lambda part: part.hex()[:24] if isinstance(part, bytes) else str(part),
)
def test_state_key_is_shown_to_whom_its_subject_is(
    ruled: Gated, key: bytes, scope: str, expected: int
) -> None:
    answer = ruled.ask(ruled.token(scope), f"/v1/state/{key.hex()}")
    assert answer.status_code == expected, answer.text


def test_list_that_looks_through_too_many_rows_asks_for_less(
    ruled: Gated, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("drystone.api.gate.READ_SCAN_ROWS_MAX", 2)
    monkeypatch.setattr("drystone.api.gate.LIST_ROWS_MAX", 2)
    monkeypatch.setattr("drystone.api.guarded.LIST_ROWS_MAX", 2)
    answer = ruled.ask(ruled.token("members:wwz/*"), "/v1/members")
    assert (answer.status_code, problem_of(answer)["code"]) == (413, "too-large")
    assert ruled.ask(ruled.token("members:wwz/*"), "/v1/members?iss=wwz").status_code == 200
    monkeypatch.setattr("drystone.api.gate.READ_SCAN_ROWS_MAX", limits.READ_SCAN_ROWS_MAX)
    rows = ruled.ask(ruled.token("members:wwz/*"), "/v1/members").json()["rows"]
    assert [one["sub"] for one in rows] == ["boss"]


def test_settings_close_checkpoint_tiles_and_metrics_too(tmp_path: Path) -> None:
    closed = {"log_open": False, "metrics_open": False}
    paths = ("/checkpoint", "/tile/0/000.p/1", "/tile/entries/000.p/1", "/metrics")
    for gated in open_gate(tmp_path, "members", **closed):
        for path in paths:
            assert gated.ask(None, path).status_code == 401
            assert gated.ask(PROBE, path).status_code == 200
        for path in ("/healthz", "/v1/ledger", "/v1/trust", "/openapi.json", "/docs"):
            assert gated.ask(None, path).status_code == 200


def test_what_is_open_to_everybody_names_no_member_and_no_value(ruled: Gated) -> None:
    for path in ("/healthz", "/metrics", "/checkpoint", "/tile/0/000.p/1", "/v1/ledger"):
        answer = ruled.ask(None, path)
        assert answer.status_code == 200
        assert not SECRETS.search(answer.text)


# --- events ------------------------------------------------------------------------------------


def rights_of(gated: Gated, asker: Asker) -> ReadRights:
    return read_rights(gated.desk.world.service.view, ["ewz", "wwz"], asker)


def heard(gated: Gated, rights: ReadRights | None, renewals: int = 10_000) -> list[ServiceEvent]:
    """All events of the past as a visitor hears them, who may be here for so many blocks."""
    service = gated.desk.world.service
    left = renewals

    async def renew() -> ReadRights | None:
        nonlocal left
        left -= 1
        if left < 0:
            raise MemberSuspended("over")
        return rights

    async def collect() -> list[ServiceEvent]:
        guarded = GuardedService(
            service,  # type: ignore[arg-type]
            rights,
            deny=ReadDenied,
            renew=renew,
            vertex_streams=VertexStreams(service),  # type: ignore[arg-type]
        )
        found: list[ServiceEvent] = []
        last = len(service.stored) - 1
        async with aclosing(guarded.events(EventCursor(0, 1 << 30))) as events:  # type: ignore[type-var]
            async for event in events:
                found.append(event)
                if event.cursor.height == last and event.kind == "block":
                    break
        return found

    return gated.desk.run(asyncio.wait_for(collect(), 30))


def names(events: list[ServiceEvent]) -> set[str]:
    return {f"{one.data['contract']}.{one.data['name']}" for one in events if one.kind == "event"}


def test_operator_hears_everything(ruled: Gated) -> None:
    assert {"homes.moved", "registry.enrolled", "contracts.submitted", "registry.policy"} <= names(
        heard(ruled, None)
    )


def test_household_hears_of_blocks_what_the_checkpoint_says_and_of_its_own_meters(
    ruled: Gated,
) -> None:
    events = heard(ruled, rights_of(ruled, Asker("ewz", "house-7", ("consumer",))))
    blocks = [one for one in events if one.kind == "block"]
    assert blocks
    assert all(set(one.data) == {"height", "time_ms", "size"} for one in blocks)
    text = json.dumps([dict(one.data) for one in events])
    assert "m-2" not in text
    assert "house-8" not in text
    assert "m-1" in text
    assert "homes.moved" not in names(events)


def test_auditor_of_one_organisation_hears_nothing_of_another(ruled: Gated) -> None:
    events = heard(ruled, rights_of(ruled, Asker("wwz", "boss", ("governor",))))
    text = json.dumps([dict(one.data) for one in events])
    assert "m-1" not in text
    assert "house-7" not in text
    assert "contracts.submitted" in names(events)
    assert any("codes" in one.data for one in events if one.kind == "block")


def test_auditor_hears_contracts_members_and_gaps(fresh: Gated) -> None:
    fresh.desk.send(fresh.desk.world.reading("m-2", seq=9))
    fresh.desk.send(fresh.desk.world.reading("m-1"))
    events = heard(fresh, rights_of(fresh, Asker("ewz", "anna", ("auditor",))))
    assert {"homes.moved", "registry.enrolled", "stream.gap", "registry.profile"} <= names(events)
    own = heard(fresh, rights_of(fresh, Asker("ewz", "house-7", ("consumer",))))
    assert "stream.gap" not in names(own)
    climate = heard(fresh, scoped_rights("streams:ewz/profile:meter"))
    assert "stream.gap" in names(climate)
    values = heard(fresh, scoped_rights("states:homes"))
    assert names(values) == {"homes.moved"}


def test_refused_record_is_told_to_whom_its_stream_is_shown(fresh: Gated) -> None:
    world = fresh.desk.world
    with pytest.raises(AssertionError):
        fresh.desk.run(world.enrol("m-1"))
    fresh.desk.send(world.reading("m-1"))
    kinds = lambda rights: {one.kind for one in heard(fresh, rights)}  # noqa: E731
    assert "outcome" in kinds(scoped_rights("ledger"))
    assert "outcome" in kinds(scoped_rights("streams:ewz/operator"))
    assert "outcome" not in kinds(scoped_rights("streams:ewz/m-1"))


def test_stream_of_events_ends_when_its_visitor_may_not_be_here_any_more(ruled: Gated) -> None:
    events = heard_until_end(ruled, renewals=3)
    assert len([one for one in events if one.kind == "block"]) == 3


def heard_until_end(gated: Gated, renewals: int) -> list[ServiceEvent]:
    return heard(gated, scoped_rights("ledger"), renewals)


def test_events_of_a_block_are_those_a_visitor_may_hear(ruled: Gated) -> None:
    service = ruled.desk.world.service
    told: set[str] = set()
    hidden: set[str] = set()
    for height in range(len(service.stored)):
        path = f"/v1/blocks/{height}/events"
        told |= {one["name"] for one in ruled.ask(ANNA, path).json()["rows"]}
        hidden |= {one["name"] for one in ruled.ask(WWZ, path).json()["rows"]}
    assert "moved" in told
    assert "moved" not in hidden
    assert "submitted" in hidden
