"""The proof room's vectors as Python values, and how a vector is run."""

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from drystone.errors import DrystoneError
from drystone.proof import moments, trust, verify
from drystone.proof.report import number
from drystone.proof.verdict import Verdict

FOLDER = Path(__file__).parents[3] / "vectors"
SUITES = ("receipt", "completeness", "point")


class Vector(NamedTuple):
    suite: str
    name: str
    trust: str
    file: bytes
    key: bytes | None
    error: str | None
    expect: dict[str, Any]


@cache
def suite(name: str) -> dict[str, Any]:
    return json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))


@cache
def vectors() -> list[Vector]:
    return [
        Vector(
            suite=name,
            name=raw["name"],
            trust=suite(name)["trusts"][raw["trust"]],
            file=bytes.fromhex(raw["file"]),
            key=bytes.fromhex(raw["key"]) if raw.get("key") else None,
            error=raw.get("error"),
            expect=raw.get("expect", {}),
        )
        for name in SUITES
        for raw in suite(name)["vectors"]
    ] + oversize()


def oversize() -> list[Vector]:
    """Two cases too long for a vector file: a receipt and a note beyond their limits."""
    # The worked statement's note is the only place that can grow without another rule breaking first.
    from drystone.formats import cbor, cose

    good = next(v for v in suite("receipt")["vectors"] if "expect" in v)
    statement = cose.decode_sign1(bytes.fromhex(good["file"]))
    receipt = cose.decode_sign1(statement.unprotected[cose.RECEIPTS][0])  # type: ignore[index]
    made: list[Vector] = []
    for length, code in ((140_000, "receipt-malformed"), (66_000, "too-large")):
        loose = {**receipt.unprotected, cose.FINALITY: [1, "x" * length]}
        grown = cose.encode_sign1(receipt._replace(unprotected=loose))
        file = cose.encode_sign1(statement._replace(unprotected={cose.RECEIPTS: [grown]}))
        name = f"finality of {length} characters"
        made.append(
            Vector("receipt", name, suite("receipt")["trusts"]["one"], file, None, code, {})
        )
    assert cbor.decode(made[0].file)
    return made


def trust_vectors() -> list[dict[str, Any]]:
    big = suite("trust")["vectors"][0]["trust"] + " " * 1_048_576
    oversized = {"name": "more than a mebibyte", "trust": big, "error": "trust-malformed"}
    return [*suite("trust")["vectors"], oversized]


def named(name: str, *, among: str = "receipt") -> Vector:
    return next(v for v in vectors() if v.suite == among and v.name == name)


Run = Callable[[Vector], Verdict]


def run(vector: Vector) -> Verdict:
    parsed = trust.parse_trust(vector.trust.encode())
    return verify.verify_file(vector.file, parsed, key_point=vector.key)


def code_of(action: Callable[[], object]) -> str | None:
    try:
        action()
    except DrystoneError as error:
        return error.code
    return None


def facts_of(verdict: Verdict) -> dict[str, Any]:
    """Everything that a vector's `expect` may name."""
    last = verdict.inclusions[-1]
    until, since = moments.until_of(verdict), moments.since_of(verdict)
    facts: dict[str, Any] = {
        "until": None if until is None else [until.height, until.time_ms],
        "since": None if since is None else [since.height, since.time_ms],
        "kind": verdict.kind,
        "index": last.index,
        "size": last.size,
        "root": last.root.hex(),
        "nodes": sum(s.role == "node" for s in last.signers),
        "witnesses": sum(s.role == "witness" for s in last.signers),
        "witness_times": [s.time_s for s in last.signers if s.time_s is not None],
    }
    if verdict.record is not None and verdict.signature is not None:
        record = verdict.record
        facts |= {
            "record_id": record.record_id.hex(),
            "entry": record.entry.hex(),
            "epoch": record.epoch,
            "seq": record.seq,
            "device": record.device,
            "anchor": record.anchor.hex() if record.anchor else None,
            "iat": record.iat,
            "function": record.call[2] if record.call else None,
            "measurements": [
                [name, unit, number(value), None if time is None else number(time)]
                for name, unit, value, time in record.measurements
            ],
            "checked": verdict.signature.checked,
            "signed_by": verdict.signature.signed_by,
            "key_status": verdict.signature.key_status,
        }
    if verdict.stretch is not None:
        stretch = verdict.stretch
        facts |= {
            "items": len(stretch.items),
            "count": stretch.count,
            "height": stretch.end.height,
            "gaps": [list(gap) for gap in stretch.gaps],
            "forks": [fork.epoch for fork in stretch.forks],
        }
    if verdict.state is not None:
        state = verdict.state
        facts |= {
            "key": state.key.hex(),
            "value": None if state.value is None else state.value.hex(),
            "height": state.height,
            "time_ms": state.time_ms,
        }
    return facts
