"""Every GET of the REST API: what is there, what is not, and what cannot be asked."""

import re

import pytest
from api_desk import Desk
from api_world import decoded, problem_of

from drystone.formats import note
from drystone.ledger import keyspace
from drystone.limits import TILE_WIDTH
from drystone.proof import completeness
from drystone.proof.trust import parse_trust
from drystone.proof.verify import verify, verify_completeness, verify_state_value
from drystone.records.vertex import decode_vertex
from drystone.trees import log
from drystone.trees.tiles import parse_entry_bundle

JSON = "application/json"
COSE = "application/cose"
CBOR = "application/cbor"


@pytest.fixture
def street(desk: Desk) -> Desk:
    """Five readings of one meter with a gap behind the third, one of another."""
    for _ in range(3):
        desk.send(desk.world.reading())
    desk.send(desk.world.reading(seq=7), desk.world.reading("m-2"))
    return desk


def trust_of(desk: Desk) -> object:
    return parse_trust(desk.get("/v1/trust").content)


# --- the ledger and its log -------------------------------------------------------------------


def test_ledger_names_itself_its_node_and_its_head(street: Desk) -> None:
    ledger = street.get("/v1/ledger").json()
    assert ledger["ledger"] == street.world.service.view.ledger.hex()
    assert ledger["head"]["head"] == street.world.service.stored[-1].change.head.hex()


def test_trust_file_is_offered_as_a_file(desk: Desk) -> None:
    answer = desk.get("/v1/trust")
    assert answer.headers["content-disposition"] == 'attachment; filename="trust.json"'
    assert parse_trust(answer.content).ledger == desk.world.service.view.ledger


def test_checkpoint_is_a_signed_note_that_is_asked_for_again(desk: Desk) -> None:
    answer = desk.get("/checkpoint")
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.headers["cache-control"] == "no-cache"
    signed = note.decode_note(answer.content)
    assert note.parse_checkpoint(signed.text).size == len(desk.world.service.leaves)


def test_partial_tile_holds_the_leaf_hashes_and_is_not_kept_for_ever(street: Desk) -> None:
    size = len(street.world.service.leaves)
    answer = street.get(f"/tile/0/000.p/{size}")
    assert answer.content == b"".join(street.world.service.leaves)
    assert "immutable" not in answer.headers["cache-control"]


def test_full_tile_never_changes_and_says_so(desk: Desk) -> None:
    while len(desk.world.service.leaves) < TILE_WIDTH:
        desk.send(*[desk.world.reading() for _ in range(100)])
    answer = desk.get("/tile/0/000")
    assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert answer.headers["content-type"] == "application/octet-stream"
    assert len(answer.content) == TILE_WIDTH * 32


def test_entry_bundle_holds_entries_whose_hashes_are_the_tiles(street: Desk) -> None:
    size = len(street.world.service.leaves)
    entries = parse_entry_bundle(street.get(f"/tile/entries/000.p/{size}").content)
    assert [log.leaf_hash(entry) for entry in entries] == street.world.service.leaves


@pytest.mark.parametrize(
    ("path", "code", "status"),
    [
        ("/tile/0/001", "not-found", 404),
        ("/tile/0/000.p/200", "not-found", 404),
        ("/tile/0/0", "tile-malformed", 422),
        ("/tile/0/000.p/0", "tile-malformed", 422),
        ("/tile/0/000.p/256", "tile-malformed", 422),
        ("/tile/00/000", "tile-malformed", 422),
        ("/tile/0/x000/000", "tile-malformed", 422),
        ("/tile/64/000", "tile-malformed", 422),
        ("/tile/", "tile-malformed", 422),
        ("/tile/0/..%2f..%2fetc%2fpasswd", "tile-malformed", 422),
    ],
)
def test_tiles_that_do_not_exist_are_problems(
    desk: Desk, path: str, code: str, status: int
) -> None:
    answer = desk.get(path)
    assert (problem_of(answer)["code"], answer.status_code) == (code, status)


# --- streams and records ----------------------------------------------------------------------


def test_stream_says_what_is_there_and_what_is_missing(street: Desk) -> None:
    stream = street.get("/v1/streams/ewz/m-1").json()
    assert (stream["records"], stream["missing"]) == (4, 4)
    assert stream["gaps"] == [{"epoch": 0, "first": 3, "last": 6}]


def test_record_is_found_by_its_position_with_its_place(street: Desk) -> None:
    record = street.get("/v1/records/ewz/m-1/0/7").json()
    assert record["place"] == {"iss": "ewz", "sub": "gw-1", "epoch": 0, "seq": 8, "index": 0}
    assert record["readings"][0]["unit"] == "Wh"


def test_record_comes_verbatim_as_cose(street: Desk) -> None:
    raw = street.world.reading(seq=7)
    answer = street.get("/v1/records/ewz/m-1/0/7", accept=COSE)
    assert (answer.headers["content-type"], answer.content) == (COSE, raw)


def test_call_is_shown_with_contract_function_and_arguments(desk: Desk) -> None:
    record = desk.get("/v1/records/ewz/operator/0/0").json()
    assert record["kind"] == "call"
    assert (record["call"]["contract"], record["call"]["function"]) == ("registry", "profile")


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/v1/records/ewz/m-1/0/4", "not-found"),
        ("/v1/records/ewz/m-1/1/0", "not-found"),
        ("/v1/records/ewz/m-1/0/7?device=x", "not-found"),
        ("/v1/records/ewz/m-1/0/-1", "request-malformed"),
        ("/v1/records/ewz/m-1/0/9007199254740992", "request-malformed"),
        ("/v1/records/ewz/m-1/4294967296/0", "request-malformed"),
        ("/v1/records/ewz/m%2f1/0/0", "not-found"),
        ("/v1/records/ewz/.m/0/0", "request-malformed"),
        ("/v1/streams/ewz/nobody", "not-found"),
        ("/v1/devices/ewz/nobody", "not-found"),
        ("/v1/profiles/ewz/nothing", "not-found"),
        ("/v1/receipts/ewz/m-1/0/4", "not-found"),
        ("/v1/completeness/ewz/probe", "not-found"),
        ("/v1/blocks/99", "not-found"),
        ("/v1/blocks/99/outcomes", "not-found"),
        ("/v1/blocks/one", "request-malformed"),
        ("/v1/vertices/" + "00" * 32, "not-found"),
        ("/v1/vertices/00", "request-malformed"),
        ("/v1/vertices/" + "AB" * 32, "request-malformed"),
        ("/v1/devices/ewz/m-1/keys/00000000", "key-unknown"),
        ("/v1/devices/ewz/m-1/keys/0", "request-malformed"),
        ("/v1/state/0", "request-malformed"),
        ("/v1/state/" + "00" * 513, "request-malformed"),
        ("/v1/vertices?iss=ewz", "request-malformed"),
        ("/v1/events?after=now", "request-malformed"),
        ("/v2/records", "not-found"),
    ],
)
def test_what_is_not_there_is_a_problem_with_its_code(street: Desk, path: str, code: str) -> None:
    answer = street.get(path)
    assert problem_of(answer)["code"] == code


def test_type_that_a_route_cannot_answer_in_is_refused_with_406(street: Desk) -> None:
    answer = street.get("/v1/records/ewz/m-1/0/7", accept="image/png")
    assert (answer.status_code, problem_of(answer)["code"]) == (406, "not-acceptable")


def test_pruned_record_keeps_its_place_and_loses_its_bytes(street: Desk) -> None:
    service = street.world.service
    key = (("ewz", "m-1"), 0, 7)
    found = service.found[key]
    values = {name: getattr(found, name) for name in found.__slots__} | {"raw": None}
    service.found[key] = type(found)(**values)
    assert street.get("/v1/records/ewz/m-1/0/7").json()["kind"] == "pruned"
    assert street.get("/v1/records/ewz/m-1/0/7", accept=COSE).status_code == 404


# --- proofs -----------------------------------------------------------------------------------


def test_receipt_is_a_file_that_verifies_offline(street: Desk) -> None:
    answer = street.get("/v1/receipts/ewz/m-1/0/7")
    assert answer.headers["content-type"] == COSE
    assert 'filename="ewz_m-1_0_7.receipt.cose"' in answer.headers["content-disposition"]
    verdict = verify(answer.content, trust_of(street))
    assert verdict.record is not None
    assert (verdict.record.sub, verdict.record.seq) == ("m-1", 7)


def test_receipt_as_json_is_the_same_receipt_taken_apart(street: Desk) -> None:
    statement = street.get("/v1/receipts/ewz/m-1/0/7").content
    document = street.get("/v1/receipts/ewz/m-1/0/7", accept=JSON).json()
    assert document["statement"] == statement.hex()
    assert document["receipts"][0]["size"] == len(street.world.service.leaves)
    assert "ledger.example/main" in document["receipts"][0]["checkpoint"]


def test_receipt_with_one_bit_flipped_does_not_verify(street: Desk) -> None:
    statement = bytearray(street.get("/v1/receipts/ewz/m-1/0/7").content)
    statement[60] ^= 1
    with pytest.raises(Exception, match=r"."):
        verify(bytes(statement), trust_of(street))


def test_key_file_lets_a_verifier_check_the_devices_own_signature(street: Desk) -> None:
    kid = street.get("/v1/devices/ewz/m-1").json()["keys"][0]["kid"]
    point = street.get(f"/v1/devices/ewz/m-1/keys/{kid}")
    receipt = street.get("/v1/receipts/ewz/m-1/0/7").content
    verdict = verify(receipt, trust_of(street), key_point=point.content)
    assert verdict.signature is not None
    assert verdict.signature.checked


def test_completeness_proof_verifies_and_names_the_gap(street: Desk) -> None:
    verdict = verify_completeness(street.get("/v1/completeness/ewz/m-1").content, trust_of(street))
    assert verdict.stretch is not None
    assert [item.seq for item in verdict.stretch.items] == [0, 1, 2, 7]
    assert [(gap.first, gap.last) for gap in verdict.stretch.gaps] == [(3, 6)]


def test_completeness_proof_continues_an_earlier_one(street: Desk) -> None:
    earlier = street.get("/v1/completeness/ewz/m-1").content
    street.send(street.world.reading(seq=8))
    later = street.ask(
        "POST", "/v1/completeness/ewz/m-1", content=earlier, headers={"content-type": CBOR}
    )
    verdict = verify_completeness(later.content, trust_of(street))
    assert verdict.stretch is not None
    assert [item.seq for item in verdict.stretch.items] == [8]


@pytest.mark.parametrize(
    ("stream", "body", "kind", "code"),
    [
        ("m-2", None, CBOR, "receipt-mismatch"),
        ("m-1", b"", CBOR, "receipt-malformed"),
        ("m-1", b"\x86", CBOR, "receipt-malformed"),
        ("m-1", None, JSON, "media-type-unsupported"),
    ],
)
def test_completeness_proof_does_not_continue_what_is_none_of_its_own(
    street: Desk, stream: str, body: bytes | None, kind: str, code: str
) -> None:
    earlier = street.get("/v1/completeness/ewz/m-1").content if body is None else body
    answer = street.ask(
        "POST", f"/v1/completeness/ewz/{stream}", content=earlier, headers={"content-type": kind}
    )
    assert problem_of(answer)["code"] == code


def test_state_value_is_proved_and_read(street: Desk) -> None:
    key = keyspace.organisation("ewz").hex()
    document = street.get(f"/v1/state/{key}").json()
    assert (document["present"], document["decoded"]) == (True, ["Zurich city works", 0])
    point = street.get(f"/v1/state/{key}", accept=CBOR).content
    verdict = verify_state_value(point, trust_of(street), key=bytes.fromhex(key))
    assert verdict.state is not None
    assert verdict.state.value is not None


def test_absent_state_value_is_proved_absent(street: Desk) -> None:
    key = keyspace.organisation("nobody").hex()
    assert street.get(f"/v1/state/{key}").json()["present"] is False
    point = street.get(f"/v1/state/{key}", accept=CBOR).content
    verdict = verify_state_value(point, trust_of(street), key=bytes.fromhex(key))
    assert verdict.state is not None
    assert verdict.state.value is None
    assert completeness.decode_point(point).value is None


# --- members, blocks, vertices ----------------------------------------------------------------


def test_devices_are_those_that_sign_and_those_that_are_attested(desk: Desk) -> None:
    rows = desk.get("/v1/devices").json()["rows"]
    assert {(row["sub"], row["device"]) for row in rows} == {
        ("m-1", None),
        ("m-2", None),
        ("probe", None),
        ("gw-1", "thermo-1"),
    }


def test_members_are_told_apart_by_role(desk: Desk) -> None:
    rows = desk.get("/v1/members?role=gateway").json()["rows"]
    assert [row["sub"] for row in rows] == ["gw-1"]


def test_device_shows_every_key_it_ever_had(desk: Desk) -> None:
    device = desk.get("/v1/devices/ewz/m-1").json()
    assert [(key["status"], len(key["kid"])) for key in device["keys"]] == [("active", 8)]


def test_organisations_and_profiles_are_listed(desk: Desk) -> None:
    assert desk.get("/v1/organisations").json()["rows"][0]["members"] == 6
    names = {row["name"] for row in desk.get("/v1/profiles?iss=ewz").json()["rows"]}
    assert names == {"meter", "climate"}
    assert desk.get("/v1/profiles/ewz/meter").json()["register_name"] == "energy"


def test_block_has_the_fields_of_a_data_block_s3_8(street: Desk) -> None:
    block = street.get("/v1/blocks/9").json()
    before = street.get("/v1/blocks/8").json()
    assert block["parent"] == before["head"]
    assert {"protocol", "time", "head", "root", "state", "outcomes", "records"} <= block.keys()
    assert block["codes"] == {"accepted": 2}


def test_gap_is_an_event_of_its_block(street: Desk) -> None:
    rows = street.get("/v1/blocks/9/events").json()["rows"]
    assert [(row["contract"], row["name"]) for row in rows] == [("stream", "gap")]


def test_outcomes_list_only_what_is_worth_telling(street: Desk) -> None:
    assert street.get("/v1/blocks/8/outcomes").json()["rows"] == []
    assert len(street.get("/v1/blocks/9/outcomes").json()["rows"]) == 1


def test_vertex_comes_verbatim_with_its_body(street: Desk) -> None:
    vertex_id = street.get("/v1/tips").json()["rows"][0]["id"]
    document = street.get(f"/v1/vertices/{vertex_id}").json()
    vertex = decode_vertex(street.get(f"/v1/vertices/{vertex_id}", accept=CBOR).content)
    assert vertex.body is not None
    assert [raw.hex() for raw in vertex.body] == document["body"]


def test_vertices_of_one_author_are_listed_by_number(street: Desk) -> None:
    rows = street.get("/v1/vertices?iss=ewz&sub=gw-1&order=desc&limit=2").json()["rows"]
    assert [row["seq"] for row in rows] == [8, 7]


# --- the node ---------------------------------------------------------------------------------


def test_health_answers_200_while_all_is_well(desk: Desk) -> None:
    answer = desk.get("/healthz")
    assert (answer.status_code, answer.json()["ok"]) == (200, True)


def test_health_answers_503_with_the_reason_when_it_is_not(desk: Desk) -> None:
    desk.world.service.unwell = "The disk is full: nothing more is taken in."
    answer = desk.get("/healthz")
    assert answer.status_code == 503
    assert answer.json()["sentence"].startswith("The disk is full")


def test_metrics_are_in_prometheus_text_and_carry_no_device(lone_desk: Desk) -> None:
    lone_desk.send(lone_desk.world.reading())
    lone_desk.get("/v1/ledger")
    text = lone_desk.get("/metrics").text
    assert re.search(r"^drystone_height 6\.0$", text, re.MULTILINE)
    assert re.search(r'^drystone_records_total\{outcome="accepted"\} 6\.0$', text, re.MULTILINE)
    assert 'drystone_http_requests_total{method="GET",route="/v1/ledger",status="200"}' in text
    assert "m-1" not in text


def test_unknown_paths_do_not_multiply_metric_labels(lone_desk: Desk) -> None:
    for number in range(5):
        lone_desk.get(f"/nothing/{number}")
    text = lone_desk.get("/metrics").text
    assert 'route="other",status="404"} 5.0' in text


def test_decoded_helper_reads_cbor_lists(desk: Desk) -> None:
    page = decoded(desk.get("/v1/organisations.cbor"))
    assert isinstance(page, dict)
    assert page["next"] is None
