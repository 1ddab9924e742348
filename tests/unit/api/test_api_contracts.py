"""Contracts over REST: what runs, who approved it, its text and interface, what it keeps."""

import csv
import hashlib
import io
import json

import pytest
from api_desk import Desk
from api_world import decoded, problem_of
from contract_stage import MANIFEST, SOURCE, stage
from test_api_lists import walk

from drystone.formats import cbor
from drystone.proof.completeness import decode_point
from drystone.trees.ics23 import verify_presence


@pytest.fixture
def staged(desk: Desk) -> Desk:
    stage(desk)
    return desk


def test_list_names_every_contract_with_what_runs(staged: Desk) -> None:
    assert staged.get("/v1/contracts").json()["rows"] == [
        {"name": "limits", "owner": "ewz", "status": "active", "version": 1},
        {"name": "waiting", "owner": "ewz", "status": "submitted", "version": 0},
    ]


@pytest.mark.parametrize("limit", [1, 2, 3])
@pytest.mark.parametrize(
    "path", ["/v1/contracts", "/v1/contracts/limits/calls", "/v1/contracts/limits/state"]
)
def test_pages_of_any_size_give_the_whole_list(staged: Desk, path: str, limit: int) -> None:
    assert walk(staged, path, limit) == staged.get(path).json()["rows"]
    assert len(walk(staged, path, limit)) > 1


def test_ledger_without_contracts_lists_none(desk: Desk) -> None:
    assert desk.get("/v1/contracts").json() == {"rows": [], "next": None}


def test_contract_tells_owner_versions_and_approvals(staged: Desk) -> None:
    document = staged.get("/v1/contracts/limits").json()
    assert (document["owner"], document["needed"], document["version"]) == ("ewz", 1, 1)
    (version,) = document["versions"]
    assert (version["status"], version["approvals"]) == ("deployed", ["ewz"])
    assert version["height"] > 0
    assert staged.get(version["path"]).status_code == 200


def test_version_carries_exactly_what_organisations_approved_s3_90(staged: Desk) -> None:
    document = staged.get("/v1/contracts/limits/versions/1").json()
    assert document["source"] == SOURCE
    assert document["manifest"]["calls"]["set_limit"]["args"] == {"value": "int"}
    package = bytes.fromhex(document["package"])
    assert hashlib.sha256(package).hexdigest() == document["hash"]
    assert cbor.decode(package)[2] == SOURCE  # type: ignore[index]


def test_replaced_version_keeps_its_hash_and_says_that_its_text_is_gone(staged: Desk) -> None:
    async def replace() -> None:
        await staged.world.deploy(MANIFEST | {"version": 2}, SOURCE + "\n# the second\n")
        await staged.world.service.submit(staged.world.reading("m-2"), wait="committed")

    staged.run(replace())
    assert staged.get("/v1/contracts/limits").json()["version"] == 2
    first = staged.get("/v1/contracts/limits/versions/1").json()
    assert (first["status"], first["source"], first["manifest"]) == ("replaced", None, None)
    assert len(first["hash"]) == 64
    statuses = [one["status"] for one in staged.get("/v1/contracts/limits").json()["versions"]]
    assert statuses == ["replaced", "deployed"]


def test_version_that_waits_for_its_height_is_no_contract_of_its_own(staged: Desk) -> None:
    async def wait() -> None:
        height = staged.world.service.view.height + 100
        args = {"name": "waiting", "version": 1, "at": height}
        await staged.world.call("deploy", args, contract="contracts")

    staged.run(wait())
    rows = staged.get("/v1/contracts").json()["rows"]
    assert [one["name"] for one in rows] == ["limits", "waiting"]


def test_interface_lists_functions_with_types_roles_limits_and_costs_s3_90(staged: Desk) -> None:
    rows = staged.get("/v1/contracts/limits/calls").json()["rows"]
    assert [(one["function"], one["kind"]) for one in rows] == [
        ("on_reading", "reading"),
        ("set_limit", "call"),
        ("shown", "call"),
    ]
    call = rows[1]
    assert (call["roles"], call["args"], call["limit"]) == ("governor", "value int", 5_000)
    assert call["entry"] > 0
    assert call["loops"].startswith("16:")
    assert rows[2]["roles"] == "anyone"
    assert [one["exported"] for one in rows] == [False, False, True]


def test_interface_of_a_contract_that_waits_is_that_of_its_newest_version(staged: Desk) -> None:
    rows = staged.get("/v1/contracts/waiting/calls").json()["rows"]
    assert len(rows) == 3


def test_value_and_what_lies_below_a_path_s3_91(staged: Desk) -> None:
    rows = staged.get("/v1/contracts/limits/state?path=place").json()["rows"]
    assert [one["path"] for one in rows] == ["place/east/limit", "place/west/limit"]
    assert json.loads(rows[0]["value"]) == {"by": "operator", "value": 7}
    (only,) = staged.get("/v1/contracts/limits/state?path=limit").json()["rows"]
    assert (only["path"], only["value"]) == ("limit", "7")


def test_asking_changes_nothing_s3_89(staged: Desk) -> None:
    root = staged.world.service.view.tree.root
    for path in ("", "/calls", "/state", "/versions/1"):
        assert staged.get(f"/v1/contracts/limits{path}").status_code == 200
    assert staged.world.service.view.tree.root == root


def test_every_value_names_its_proof_and_the_proof_holds_s3_91(staged: Desk) -> None:
    for row in staged.get("/v1/contracts/limits/state").json()["rows"]:
        assert staged.get(row["proof"]).json()["present"] is True
        point = decode_point(staged.get(row["proof"], accept="application/cbor").content)
        root = staged.world.service.stored[-1].change.state_root
        assert point.value is not None
        verify_presence(root, bytes.fromhex(row["key"]), point.value, point.ics23)


def test_path_is_whole_parts_and_never_the_start_of_one(staged: Desk) -> None:
    for path in ("pla", "place/e", "lim", "place/east/limit/x"):
        assert staged.get(f"/v1/contracts/limits/state?path={path}").json()["rows"] == []


@pytest.mark.parametrize("path", ["/", "a//b", "/limit", "limit/", "x" * 201])
def test_path_that_no_value_can_have_is_refused(staged: Desk, path: str) -> None:
    answer = staged.get(f"/v1/contracts/limits/state?path={path}")
    assert (answer.status_code, problem_of(answer)["code"]) == (400, "request-malformed")


@pytest.mark.parametrize(
    "path", ["", "/versions/1", "/calls", "/state", "/calls.csv", "/state.cbor"]
)
def test_contract_that_is_not_there_is_not_found(staged: Desk, path: str) -> None:
    answer = staged.get(f"/v1/contracts/nothing{path}")
    assert (answer.status_code, problem_of(answer)["code"]) == (404, "not-found")


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v1/contracts/limits/versions/2", 404),
        ("/v1/contracts/limits/versions/0", 400),
        ("/v1/contracts/limits/versions/4294967297", 400),
        ("/v1/contracts/Limits", 400),
        ("/v1/contracts/limits/calls?after=%21", 400),
        ("/v1/contracts/limits/state?after=oWFh", 400),
        ("/v1/contracts?after=gQE", 400),
        ("/v1/contracts?limit=0", 400),
    ],
)
def test_bent_questions_are_refused(staged: Desk, path: str, status: int) -> None:
    assert staged.get(path).status_code == status


def test_cursor_of_another_contract_shows_nothing_of_it(staged: Desk) -> None:
    from drystone.api.lists import encode_cursor
    from drystone.ledger import keyspace

    other = encode_cursor(keyspace.key(keyspace.ORGANISATION))
    rows = staged.get(f"/v1/contracts/limits/state?after={other}").json()["rows"]
    assert all(one["path"].startswith(("limit", "place")) for one in rows)


def test_lists_come_as_csv_and_cbor_too(staged: Desk) -> None:
    table = list(csv.DictReader(io.StringIO(staged.get("/v1/contracts/limits/state.csv").text)))
    assert table[0]["path"] == "limit"
    page = decoded(staged.get("/v1/contracts.cbor"))
    assert isinstance(page, dict)
    assert page["rows"][0]["name"] == "limits"  # type: ignore[index]
    assert staged.get("/v1/contracts/limits/calls.csv").text.startswith("function,kind,roles,args")
