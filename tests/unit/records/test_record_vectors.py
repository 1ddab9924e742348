"""Every vector of signature, key, record, stream and vertex: values of foreign programs, bytes they and we refuse."""

import json
from pathlib import Path
from typing import Any

import pytest

from drystone.errors import Refused
from drystone.records import ed25519, stream
from drystone.records import record as record_module
from drystone.records.enrolment import check_enrolment, enrolment_proof
from drystone.records.evidence import check_fork, decode_fork, encode_fork
from drystone.records.key import (
    ED25519_BACKENDS,
    PublicKey,
    SecretKey,
    parse_cose_key,
    trusted_cose_key,
)
from drystone.records.payload import write_call
from drystone.records.record import check_form, check_signature, write_record
from drystone.records.vertex import (
    check_vertex_signature,
    decode_vertex,
    encode_vertex,
    seal_vertex,
    vertex_id,
)

FOLDER = Path(__file__).parents[3] / "vectors"
NAMES = ["signature", "key", "record", "stream", "vertex"]
Vector = dict[str, Any]


def suite(name: str) -> dict[str, Any]:
    return json.loads((FOLDER / f"{name}.json").read_text())


def refuses(vector: Vector) -> bool:
    return any(key.endswith("error") for key in vector) or any(
        "error" in step for step in vector.get("steps", ())
    )


def vectors(name: str, *members: str, error: bool | None = None) -> list[Any]:
    """The vectors that have one of `members`, good or bad, as parameters named after them."""
    return [
        pytest.param(vector, id=vector["name"])
        for vector in suite(name)["vectors"]
        if (not members or any(member in vector for member in members))
        and (error is None or error == ("error" in vector))
    ]


def code_of(act: Any) -> str | None:
    try:
        act()
    except Refused as error:
        return error.code
    return None


def plain(value: Any) -> Any:
    """A value as the generator writes it into JSON."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, tuple | list):
        return [{"hex": item.hex()} if isinstance(item, bytes) else plain(item) for item in value]
    return value


# --- the files -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_a_suite_names_its_generator_and_foreign_programs(name: str) -> None:
    assert all(suite(name)[member] for member in ("comment", "generator", "command", "programs"))


@pytest.mark.parametrize("name", NAMES)
def test_a_suite_refuses_at_least_as_much_as_it_accepts(name: str) -> None:
    every = suite(name)["vectors"]
    bad = [vector for vector in every if refuses(vector)]
    assert len(bad) >= len(every) - len(bad) > 0
    names = [vector["name"] for vector in every]
    assert len(names) == len(set(names))


# --- signatures ------------------------------------------------------------------------------------


@pytest.mark.parametrize("vector", vectors("signature"))
def test_a_signature_gets_its_verdict(vector: Vector) -> None:
    data, message, signature = (bytes.fromhex(vector[n]) for n in ("key", "message", "signature"))
    assert code_of(lambda: trusted_cose_key(data).verify(message, signature)) == vector.get("error")
    assert code_of(lambda: parse_cose_key(data)) == vector.get("key_error")


@pytest.mark.parametrize("backend", ED25519_BACKENDS)
@pytest.mark.parametrize("vector", vectors("signature", "equation"))
def test_every_backend_gives_the_one_verdict(vector: Vector, backend: str) -> None:
    key, message, signature = (bytes.fromhex(vector[n]) for n in ("key", "message", "signature"))

    def verify() -> None:
        ed25519.check_signature_bytes(signature)
        ed25519.check_key_bytes(key[8:])
        ED25519_BACKENDS[backend](key[8:], message, signature)

    assert code_of(verify) == vector.get("error")


@pytest.mark.parametrize("vector", vectors("signature", "equation"))
def test_our_curve_arithmetic_finds_the_keys_that_enrolment_refuses(vector: Vector) -> None:
    raw = bytes.fromhex(vector["key"])[8:]
    assert code_of(lambda: ed25519.check_key_point(raw)) == vector.get("key_error")


# --- keys ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("vector", vectors("key", "kid"))
def test_a_key_reads_with_its_kid(vector: Vector) -> None:
    key = parse_cose_key(bytes.fromhex(vector["key"]))
    assert (key.alg, key.kid().hex(), key.cose_key().hex()) == (
        vector["alg"],
        vector["kid"],
        vector["key"],
    )
    secret = SecretKey.from_bytes(bytes.fromhex(vector["secret"]), alg=vector["alg"])
    assert secret.public == key


@pytest.mark.parametrize(
    "vector", [v for v in vectors("key", "key", error=True) if "proof" not in v.values[0]]
)
def test_a_bad_key_is_refused_with_its_code(vector: Vector) -> None:
    assert code_of(lambda: parse_cose_key(bytes.fromhex(vector["key"]))) == vector["error"]


@pytest.mark.parametrize("vector", vectors("key", "proof"))
def test_a_proof_of_possession_gets_its_verdict(vector: Vector) -> None:
    def check() -> PublicKey:
        return check_enrolment(
            bytes.fromhex(vector["proof"]),
            iss=vector["iss"],
            sub=vector["sub"],
            ledger=bytes.fromhex(vector["ledger"]),
        )

    assert code_of(check) == vector.get("error")
    if "error" not in vector:
        assert check().cose_key().hex() == vector["key"]


def test_a_proof_is_made_byte_for_byte() -> None:
    every = suite("key")["vectors"]
    secrets = {v["key"]: (v["secret"], v["alg"]) for v in every if "secret" in v}
    made = 0
    for vector in every:
        if "proof" in vector and "error" not in vector:
            secret, alg = secrets[vector["key"]]
            proof = enrolment_proof(
                secret=SecretKey.from_bytes(bytes.fromhex(secret), alg=alg),
                iss=vector["iss"],
                sub=vector["sub"],
                ledger=bytes.fromhex(vector["ledger"]),
            )
            made += proof.hex() == vector["proof"]
    assert made == 2  # the third is the high-S twin


# --- records ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("vector", vectors("record", "expect"))
def test_a_record_reads_as_the_foreign_programs_say(vector: Vector) -> None:
    data = bytes.fromhex(vector["record"])
    for read in (record_module._read_strictly(data), check_form(data), check_form(data)):
        values = {name: plain(value) for name, value in read._asdict().items()}
        if read.content_type == 60:
            members = ("ledger", "contract", "function", "args", "limit")
            values["content"] = dict(zip(members, map(plain_call, read.content), strict=True))
        expect = vector["expect"]
        assert {name: values[name] for name in expect} == expect
        check_signature(read, trusted_cose_key(bytes.fromhex(vector["key"])))


def plain_call(value: Any) -> Any:
    return value.hex() if isinstance(value, bytes) else value


@pytest.mark.parametrize("vector", vectors("record", "write"))
def test_a_record_is_written_byte_for_byte(vector: Vector) -> None:
    expect = vector["expect"]
    secret = SecretKey.from_bytes(bytes.fromhex(vector["write"]["secret"]), alg=expect["alg"])
    payload = bytes.fromhex(expect["payload"])
    if expect["content_type"] == 60:
        members = expect["content"] | {"ledger": bytes.fromhex(expect["content"]["ledger"])}
        assert write_call(**members) == payload
    written = write_record(
        secret=secret,
        payload=payload,
        anchor=None if expect["anchor"] is None else bytes.fromhex(expect["anchor"]),
        **{name: expect[name] for name in ("iss", "sub", "epoch", "seq", "content_type")},
        **{name: expect[name] for name in ("iat", "device")},
    )
    assert written.hex() == vector["record"]


@pytest.mark.parametrize("vector", vectors("record", error=True))
def test_a_bad_record_is_refused_with_its_code(vector: Vector) -> None:
    data = bytes.fromhex(vector["record"])
    assert code_of(lambda: check_form(data)) == vector["error"]
    assert code_of(lambda: record_module._read_strictly(data)) == vector["error"]


@pytest.mark.parametrize("vector", vectors("record", "signature_error"))
def test_a_record_that_nobody_signed_is_refused_with_its_code(vector: Vector) -> None:
    read = check_form(bytes.fromhex(vector["record"]))
    key = parse_cose_key(bytes.fromhex(vector["key"]))
    assert code_of(lambda: check_signature(read, key)) == vector["signature_error"]


# --- streams ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("vector", vectors("stream", "steps"))
def test_a_stream_grows_as_the_foreign_model_says(vector: Vector) -> None:
    state = stream.EMPTY
    for step in vector["steps"]:
        before = state

        def place(before: stream.Stream = before, step: Vector = step) -> stream.Placement:
            return stream.place(
                before,
                epoch=step["epoch"],
                seq=step["seq"],
                record_id=bytes.fromhex(step["id"]),
                register=step["register"],
            )

        assert code_of(place) == step.get("error")
        if "error" in step:
            continue
        placement = place()
        assert (placement.kind, placement.gap_from) == (step["kind"], step["gap_from"])
        state = placement.stream
        assert stream.encode(state).hex() == step["state"]
        assert (state is before) == (step["kind"] == "already")
        stream._known.clear()
        assert stream.decode(bytes.fromhex(step["state"])) == state


@pytest.mark.parametrize("vector", vectors("stream", error=True))
def test_a_bad_stream_is_refused_with_its_code(vector: Vector) -> None:
    assert code_of(lambda: stream.decode(bytes.fromhex(vector["state"]))) == vector["error"]


# --- vertices --------------------------------------------------------------------------------------


def check_vertex(vector: Vector) -> None:
    header = decode_vertex(bytes.fromhex(vector["vertex"])).header
    key = trusted_cose_key(bytes.fromhex(vector["key"]))
    check_vertex_signature(header, key, bytes.fromhex(vector["ledger"]))


@pytest.mark.parametrize("vector", vectors("vertex", "expect"))
def test_a_vertex_reads_as_the_foreign_programs_say(vector: Vector) -> None:
    check_vertex(vector)
    header, body = decode_vertex(bytes.fromhex(vector["vertex"]))
    values = {name: plain(value) for name, value in header._asdict().items()}
    values["links"] = [link.hex() for link in header.links]
    values["id"] = vertex_id(header, bytes.fromhex(vector["ledger"])).hex()
    values["body"] = None if body is None else [record.hex() for record in body]
    values["header"] = header.raw.hex()
    expect = vector["expect"]
    assert {name: values[name] for name in expect} == expect
    assert encode_vertex(header.raw, body).hex() == vector["vertex"]


@pytest.mark.parametrize("vector", vectors("vertex", "seal"))
def test_a_vertex_is_sealed_byte_for_byte(vector: Vector) -> None:
    expect = vector["expect"]
    records = [bytes.fromhex(item) for item in expect["body"]]
    raw, identity = seal_vertex(
        secret=SecretKey.from_bytes(bytes.fromhex(vector["seal"]["secret"]), alg=expect["alg"]),
        parent=None if expect["parent"] is None else bytes.fromhex(expect["parent"]),
        links=[bytes.fromhex(link) for link in expect["links"]],
        records=records,
        entries=[record_module.sha256(item).digest() for item in records],
        ledger=bytes.fromhex(vector["ledger"]),
        **{name: expect[name] for name in ("iss", "sub", "epoch", "seq", "time_ms")},
    )
    assert raw.hex() == expect["header"]
    assert identity.hex() == expect["id"]


@pytest.mark.parametrize("vector", vectors("vertex", "vertex", error=True))
def test_a_bad_vertex_is_refused_with_its_code(vector: Vector) -> None:
    assert code_of(lambda: check_vertex(vector)) == vector["error"]


@pytest.mark.parametrize("vector", vectors("vertex", "fork"))
def test_fork_evidence_gets_its_verdict(vector: Vector) -> None:
    ledger = bytes.fromhex(vector["ledger"])
    key = trusted_cose_key(bytes.fromhex(vector["key"]))

    def check() -> None:
        fork = decode_fork(bytes.fromhex(vector["fork"]), ledger=ledger)
        check_fork(fork, ledger=ledger, key_of=lambda _iss, _sub, _kid: key)
        assert encode_fork(fork.b, fork.a, ledger=ledger).hex() == vector["fork"]

    assert code_of(check) == vector.get("error")
