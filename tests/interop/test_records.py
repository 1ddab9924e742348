"""Foreign programs judge fresh records, proofs of possession and vertices; published signature vectors judge us.

go-cose verifies whatever we write, and computes the same id. The signature vectors are those that Go's own tests use
(all encodings of low-order and mixed points, the set of C2SP/CCTV `ed25519`); they are fetched as a Go module.
"""

import json
import random
import shutil
import subprocess
from collections import Counter
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from drystone.errors import Refused
from drystone.formats import cbor, cose
from drystone.records import ed25519
from drystone.records.enrolment import DOMAIN as ENROLMENT
from drystone.records.enrolment import enrolment_proof
from drystone.records.key import ED25519_BACKENDS, P256_N, SecretKey
from drystone.records.record import check_form, write_record
from drystone.records.vertex import DOMAIN as VERTEX
from drystone.records.vertex import seal_vertex

ROOT = Path(__file__).parents[2]
CACHE = ROOT / ".cache" / "interop"
GENERATOR = ROOT / "vectors" / "generators" / "records"
PUBLISHED = "filippo.io/mostly-harmless/ed25519vectors@v0.0.0-20210322192420-30a2d7243a94"
LEDGER = sha256(b"a ledger").digest()

needs_go = pytest.mark.skipif(shutil.which("go") is None, reason="no Go")


def ask(questions: list[tuple[bytes, SecretKey, bytes]]) -> list[dict[str, Any]]:
    """What go-cose says to messages under keys with external data."""
    program = CACHE / "records-go"
    subprocess.run(["go", "build", "-o", program, "."], cwd=GENERATOR, check=True)
    lines = [
        json.dumps({"message": m.hex(), "key": k.public.cose_key().hex(), "external": e.hex()})
        for m, k, e in questions
    ]
    run = subprocess.run(
        [str(program), "verify"], input="\n".join(lines), capture_output=True, text=True, check=True
    )
    answers = [json.loads(line) for line in run.stdout.splitlines()]
    assert len(answers) == len(questions)
    return answers


def secrets(seed: int) -> list[SecretKey]:
    made = random.Random(seed)
    return [SecretKey.generate(alg, made.randbytes(32)) for alg in (-8, -7) for _ in range(4)]


def some_record(secret: SecretKey, made: random.Random) -> bytes:
    return write_record(
        secret=secret,
        iss="ewz",
        sub=f"m-{made.randrange(10**6)}",
        epoch=made.choice([0, 1, 2**20]),
        seq=made.getrandbits(made.randrange(1, 53)),
        payload=cbor.encode([{0: "e", 2: made.getrandbits(40), 8 - 2: 1762340400}]),
        content_type=cose.SENML,
        iat=made.choice([None, 1762340400]),
        anchor=made.choice([None, bytes(8)]),
        device=made.choice([None, "old-meter"]),
    )


@needs_go
def test_go_cose_accepts_every_record_we_write_and_gives_it_the_same_id() -> None:
    made = random.Random(1)
    asked = [(some_record(secret, made), secret, b"") for secret in secrets(1) for _ in range(40)]
    for (data, _, _), answer in zip(asked, ask(asked), strict=True):
        assert answer == {"accepted": True, "id": check_form(data).id.hex()}


@needs_go
def test_go_cose_accepts_a_high_s_twin_under_the_same_id() -> None:
    secret = secrets(2)[-1]
    data = some_record(secret, random.Random(2))
    twin = data[:-32] + (P256_N - int.from_bytes(data[-32:])).to_bytes(32)
    first, second = ask([(data, secret, b""), (twin, secret, b"")])
    assert first == second == {"accepted": True, "id": check_form(twin).id.hex()}


@needs_go
def test_go_cose_accepts_every_proof_of_possession_and_vertex_header_for_its_ledger_only() -> None:
    asked: list[tuple[bytes, SecretKey, bytes]] = []
    for secret in secrets(3):
        proof = enrolment_proof(secret=secret, iss="ewz", sub="m-1", ledger=LEDGER)
        header, _ = seal_vertex(
            secret=secret,
            iss="ewz",
            sub="gw-1",
            epoch=0,
            seq=1,
            parent=bytes(32),
            links=[LEDGER],
            time_ms=1,
            records=[b"\0"],
            entries=[sha256(b"\0").digest()],
            ledger=LEDGER,
        )
        asked += [(proof, secret, ENROLMENT + LEDGER), (header, secret, VERTEX + LEDGER)]
        asked += [(proof, secret, ENROLMENT + bytes(32)), (header, secret, VERTEX + bytes(32))]
    verdicts = [answer["accepted"] for answer in ask(asked)]
    assert verdicts == [True, True, False, False] * len(secrets(3))


@needs_go
def test_what_we_verify_of_altered_records_go_cose_verifies_too() -> None:
    made = random.Random(4)
    asked: list[tuple[bytes, SecretKey, bytes]] = []
    ours: list[bool] = []
    for secret in secrets(4):
        for _ in range(60):
            data = bytearray(some_record(secret, made))
            for _ in range(made.randrange(3)):
                data[made.randrange(len(data))] ^= 1 << made.randrange(8)
            asked.append((bytes(data), secret, b""))
            try:
                read = check_form(bytes(data))
                secret.public.verify(read.signed, read.signature)
            except Refused:
                ours.append(False)
            else:
                ours.append(True)
    theirs = [answer["accepted"] for answer in ask(asked)]
    assert Counter(ours)[True] > 100
    assert [(a, b) for a, b in zip(ours, theirs, strict=True) if a and not b] == []


@needs_go
@pytest.mark.parametrize("backend", ED25519_BACKENDS)
def test_every_backend_gives_one_verdict_on_the_published_vectors(backend: str) -> None:
    command = ["go", "mod", "download", "-json", PUBLISHED]
    run = subprocess.run(command, capture_output=True, text=True, check=True, cwd=GENERATOR)
    folder = Path(json.loads(run.stdout)["Dir"])
    published = json.loads((folder / "ed25519vectors.json").read_text())
    assert len(published) == 768
    for vector in published:
        key, r, s = (bytes.fromhex(vector[name]) for name in "ARS")
        flags = set(vector["Flags"] or ())
        try:
            ed25519.check_signature_bytes(r + s)
            ed25519.check_key_bytes(key)
            ED25519_BACKENDS[backend](key, vector["M"].encode(), r + s)
        except Refused:
            accepted = False
        else:
            accepted = True
        # Mixed points pass the equation now and then; enrolment lets no such key in.
        mixed = {"LowOrderComponentA", "LowOrderComponentR"}
        assert accepted == (flags <= mixed), vector
        try:
            ed25519.check_key_point(key)
        except Refused:
            assert flags & {"LowOrderA", "LowOrderComponentA", "NonCanonicalA"}, vector
        else:
            assert not flags & {"LowOrderA", "LowOrderComponentA", "NonCanonicalA"}, vector
