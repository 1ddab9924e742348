"""POST /v1/records and POST /v1/readings: every way in, and every way to be turned away."""

import json

import pytest
from api_desk import Desk
from api_world import OPERATOR, TOKEN, decoded, problem_of, secret_of

from drystone.api.problems import CHALLENGES
from drystone.errors import DiskFull, Overloaded
from drystone.formats import cbor, cose
from drystone.formats.senml import Measurement, write_pack
from drystone.gateway.answer import Answer
from drystone.limits import RECORD_BYTES_MAX, REQUEST_BYTES_MAX, REQUEST_RECORDS_MAX
from drystone.records.key import SecretKey
from drystone.records.record import check_form, write_record

ATTEST = {"authorization": f"Bearer {TOKEN}", "content-type": "application/json"}


def attest(desk: Desk, body: object, **headers: str) -> object:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return desk.ask("POST", "/v1/readings", content=content, headers={**ATTEST, **headers})


def signed(
    payload: bytes, *, secret: SecretKey | None = None, sub: str = "m-1", seq: int = 0
) -> bytes:
    return write_record(
        secret=secret or secret_of(sub),
        iss="ewz",
        sub=sub,
        epoch=0,
        seq=seq,
        payload=payload,
        content_type=cose.SENML,
    )


def test_one_record_is_answered_with_its_own_fate(desk: Desk) -> None:
    raw = desk.world.reading()
    answer = desk.send(raw)
    assert answer.status_code == 200
    assert answer.json() == {"code": "stored", "id": check_form(raw).id.hex()}


def test_many_records_are_answered_one_by_one_in_order(desk: Desk) -> None:
    records = [desk.world.reading(), desk.world.reading("m-2"), desk.world.reading(seq=0)]
    answers = desk.send(*records).json()["answers"]
    assert [one["code"] for one in answers] == ["stored", "stored", "already"]


def test_wait_sealed_gives_the_place_and_no_outcome(desk: Desk) -> None:
    answer = desk.send(desk.world.reading(), query="?wait=sealed").json()
    assert answer["place"] == {"iss": "ewz", "sub": "gw-1", "epoch": 0, "seq": 5, "index": 0}
    assert "outcome" not in answer


def test_wait_committed_gives_outcome_and_height(desk: Desk) -> None:
    answer = desk.send(desk.world.reading(), query="?wait=committed").json()
    assert (answer["outcome"], answer["height"]) == ("accepted", 6)


def test_answers_come_as_cbor_with_ids_as_byte_strings(desk: Desk) -> None:
    raw = desk.world.reading()
    answer = desk.send(raw, accept="application/cbor")
    assert decoded(answer) == {"code": "stored", "id": check_form(raw).id}


def test_record_sent_again_is_already_with_the_first_place_s2_29(desk: Desk) -> None:
    raw = desk.world.reading()
    first = desk.send(raw, query="?wait=sealed").json()
    again = desk.send(raw)
    assert again.status_code == 200
    assert (again.json()["code"], again.json()["place"]) == ("already", first["place"])


@pytest.mark.parametrize(
    ("payload", "code", "status"),
    [
        ([{0: "energy", 1: "Wh", 2: 1}], "senml-unit", 422),
        ([{-1: 26, 0: "energy", 1: "Wh", 2: 1, 6: 5}], "senml-time-relative", 422),
        ([{-1: 26, 0: "gas", 1: "m3", 2: 1}], "profile-mismatch", 422),
    ],
)
def test_reading_that_breaks_a_rule_is_refused_with_its_code(
    desk: Desk, payload: list[dict[int, object]], code: str, status: int
) -> None:
    root = desk.world.service.view.tree.root
    try:
        raw = signed(cbor.encode(payload))
    except Exception:  # write_record refuses what check_form would: sign the bytes by hand
        raw = by_hand(cbor.encode(payload))
    answer = desk.send(raw)
    assert (problem_of(answer)["code"], answer.status_code) == (code, status)
    assert desk.world.service.view.tree.root == root


def by_hand(payload: bytes) -> bytes:
    """A record whose payload no writer of ours would sign."""
    secret = secret_of("m-1")
    protected = cbor.encode(
        {
            cose.ALG: -8,
            cose.CONTENT_TYPE: cose.SENML,
            cose.KID: secret.public.kid(),
            cose.CWT: {1: "ewz", 2: "m-1"},
            cose.POSITION: [0, 0],
        }
    )
    signature = secret.sign(cose.sig_structure(protected, payload))
    return cose.encode_sign1(cose.Sign1(protected, {}, payload, signature))


def test_signature_by_another_key_is_refused_as_a_problem(desk: Desk) -> None:
    raw = bytearray(desk.world.reading())
    raw[-1] ^= 1
    answer = desk.send(bytes(raw))
    assert problem_of(answer)["code"] in {"signature-invalid", "signature-malformed"}
    assert answer.status_code == 403


def test_unknown_member_is_refused(desk: Desk) -> None:
    answer = desk.send(desk.world.reading("m-99"))
    assert (problem_of(answer)["code"], answer.status_code) == ("member-unknown", 403)


def test_refused_record_among_many_has_its_code_and_the_others_are_stored(desk: Desk) -> None:
    answer = desk.send(desk.world.reading(), desk.world.reading("m-99"))
    codes = [one["code"] for one in answer.json()["answers"]]
    assert (answer.status_code, codes) == (200, ["stored", "member-unknown"])


def test_sequence_that_is_no_cbor_is_refused_whole(desk: Desk) -> None:
    answer = desk.ask(
        "POST",
        "/v1/records",
        content=desk.world.reading() + b"\x5f",
        headers={"content-type": "application/cbor-seq"},
    )
    assert answer.status_code == 400
    assert str(problem_of(answer)["code"]).startswith("cbor-")


def test_more_records_than_a_request_may_have_are_refused(desk: Desk) -> None:
    answer = desk.ask(
        "POST",
        "/v1/records",
        content=b"\x00" * (REQUEST_RECORDS_MAX + 1),
        headers={"content-type": "application/cbor-seq"},
    )
    assert (problem_of(answer)["code"], answer.status_code) == ("too-large", 413)


def test_two_records_are_not_one_cose_message(desk: Desk) -> None:
    answer = desk.ask(
        "POST",
        "/v1/records",
        content=desk.world.reading() + desk.world.reading(),
        headers={"content-type": "application/cose"},
    )
    assert problem_of(answer)["code"] == "request-malformed"


def test_empty_body_is_refused(desk: Desk) -> None:
    answer = desk.ask("POST", "/v1/records", headers={"content-type": "application/cose"})
    assert problem_of(answer)["code"] == "request-malformed"


@pytest.mark.parametrize("kind", ["application/json", "text/plain", "", "application/cbor"])
def test_other_content_types_are_refused_with_415(desk: Desk, kind: str) -> None:
    headers = {"content-type": kind} if kind else {}
    answer = desk.ask("POST", "/v1/records", content=desk.world.reading(), headers=headers)
    assert (problem_of(answer)["code"], answer.status_code) == ("media-type-unsupported", 415)


def test_unknown_word_in_wait_is_refused(desk: Desk) -> None:
    answer = desk.send(desk.world.reading(), query="?wait=forever")
    assert problem_of(answer)["code"] == "request-malformed"


def test_record_larger_than_its_limit_is_refused_with_413(desk: Desk) -> None:
    answer = desk.send(b"\xd2" + b"\x00" * RECORD_BYTES_MAX)
    assert (problem_of(answer)["code"], answer.status_code) == ("too-large", 413)


def test_body_larger_than_its_limit_is_refused_before_it_is_read(desk: Desk) -> None:
    async def never() -> None:
        pytest.fail("the body was asked for")
        yield b""

    async def send() -> int:
        headers = {
            "content-type": "application/cbor-seq",
            "content-length": str(REQUEST_BYTES_MAX + 1),
        }
        async with desk.world.client() as client:
            request = client.build_request("POST", "/v1/records", content=b"x", headers=headers)
            return (await client.send(request)).status_code

    assert desk.run(send()) == 413


def test_body_without_a_length_is_counted_and_cut_off(desk: Desk) -> None:
    async def endless() -> object:
        while True:
            yield b"\x00" * 65_536

    async def send() -> int:
        async with desk.world.client() as client:
            answer = await client.post(
                "/v1/records", content=endless(), headers={"content-type": "application/cbor-seq"}
            )
            return answer.status_code

    assert desk.run(send()) == 413


def test_overload_answers_503_with_retry_after(desk: Desk) -> None:
    async def refuse(sequence: bytes, *, wait: str | None) -> list[Answer]:
        raise Overloaded("too much at once", retry_after_ms=2_500)

    desk.world.service.submit = refuse  # type: ignore[method-assign]
    answer = desk.send(desk.world.reading())
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "3")
    assert problem_of(answer)["retry_after_ms"] == 2_500


def test_batch_of_which_nothing_found_room_answers_503(desk: Desk) -> None:
    async def full(sequence: bytes, *, wait: str | None) -> list[Answer]:
        return [Answer(DiskFull.code, "no room", retry_after_ms=1_000)] * 2

    desk.world.service.submit = full  # type: ignore[method-assign]
    answer = desk.send(desk.world.reading(), desk.world.reading())
    assert (answer.status_code, problem_of(answer)["code"]) == (503, "disk-full")


def test_batch_of_which_some_found_room_answers_each(desk: Desk) -> None:
    async def partly(sequence: bytes, *, wait: str | None) -> list[Answer]:
        return [Answer("stored"), Answer(DiskFull.code, "no room", retry_after_ms=1_000)]

    desk.world.service.submit = partly  # type: ignore[method-assign]
    answers = desk.send(desk.world.reading(), desk.world.reading()).json()["answers"]
    assert [one.get("retry_after_ms") for one in answers] == [None, 1_000]


def test_get_on_the_ingest_route_names_the_method_it_takes(desk: Desk) -> None:
    answer = desk.get("/v1/records")
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
    assert problem_of(answer)["code"] == "method-unsupported"


# --- unsigned devices ------------------------------------------------------------------------


def test_reading_of_an_unsigned_device_is_attested_by_the_gateway(desk: Desk) -> None:
    body = {
        "device": "thermo-1",
        "measurements": [{"name": "temperature", "unit": "Cel", "value": 21, "time": 1762340400}],
    }
    answer = attest(desk, body)
    assert answer.status_code == 200, answer.text
    found = desk.get("/v1/records/ewz/gw-1/0/0?device=thermo-1").json()
    assert (found["device"], found["readings"][0]["value"]) == ("thermo-1", 21)


def test_decimals_are_kept_digit_for_digit(desk: Desk) -> None:
    body = (
        b'{"device":"thermo-1","measurements":'
        b'[{"name":"temperature","unit":"Cel","value":21.50},'
        b'{"name":"temperature","unit":"Cel","value":-0.1}]}'
    )
    assert attest(desk, body).status_code == 200
    found = desk.get("/v1/records/ewz/gw-1/0/0?device=thermo-1").json()
    assert [one["value"] for one in found["readings"]] == ["21.50", "-0.1"]


def test_reading_without_the_token_is_refused_with_401(desk: Desk) -> None:
    answer = attest(desk, {}, authorization="")
    assert (answer.status_code, answer.headers["www-authenticate"]) == (
        401,
        ", ".join(CHALLENGES),
    )
    assert problem_of(answer)["code"] == "token-invalid"


@pytest.mark.parametrize(
    "given", [f"Basic {TOKEN}", "Bearer", "Bearer wrong", f"Bearer {TOKEN}x", TOKEN]
)
def test_wrong_token_is_refused(desk: Desk, given: str) -> None:
    assert problem_of(attest(desk, {}, authorization=given))["code"] == "token-invalid"


def test_token_is_checked_before_the_body_is_looked_at(desk: Desk) -> None:
    assert attest(desk, b"{" * 100, authorization="Bearer wrong").status_code == 401


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"no json",
        b"[" * 100_000,
        b'{"device":"thermo-1"}',
        b'{"device":"thermo-1","measurements":[]}',
        b'{"device":"../x","measurements":[{"name":"temperature","value":1}]}',
        b'{"device":"thermo-1","measurements":[{"name":"temperature","value":1}],"more":1}',
        b'{"device":"thermo-1","measurements":[{"name":"temperature","value":NaN}]}',
        b'{"device":"thermo-1","measurements":[{"name":"temperature","value":1e999999999}]}',
        b'{"device":"thermo-1","measurements":[{"name":"temperature","value":1e-10}]}',
        b'{"device":"thermo-1","measurements":[{"name":"temperature","value":9223372036854775808}]}',
        b'{"device":"thermo-1","measurements":[{"name":"temperature","value":[1]}]}',
        b'{"device":"thermo-1","measurements":[{"name":"","value":1}]}',
        b"\xff\xfe",
    ],
)
def test_reading_that_is_not_what_the_route_takes_is_a_problem(desk: Desk, body: bytes) -> None:
    answer = attest(desk, body)
    assert (problem_of(answer)["code"], answer.status_code) == ("request-malformed", 400)


def test_reading_of_a_device_that_is_not_attached_is_refused(desk: Desk) -> None:
    body = {"device": "stranger", "measurements": [{"name": "temperature", "value": 1}]}
    assert problem_of(attest(desk, body))["code"] == "member-unknown"


def test_reading_as_another_content_type_is_refused(desk: Desk) -> None:
    answer = attest(desk, b"{}", **{"content-type": "text/plain"})
    assert answer.status_code == 415


def test_operator_may_call_by_signature_alone(desk: Desk) -> None:
    assert OPERATOR.public.kid()
    desk.run(desk.world.enrol("m-3", profile="meter"))
    pack = write_pack([Measurement("energy", "Wh", 1, None)])
    assert desk.send(signed(pack, sub="m-3")).status_code == 200
