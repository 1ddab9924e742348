"""Each room of the page's JavaScript is held to the vectors of the room it implements a second time.

The proof vectors run through the whole page (`test_verify_page.py`); here its CBOR, COSE, SenML, notes, streams,
signatures, state and log proofs run alone, so that a rule of theirs that no proof vector reaches is reached as well.
"""

import json
from typing import Any

import pytest
from page_under_test import IN_CHROMIUM, ROOT, browser, page

__all__ = ["browser", "page"]
pytestmark = IN_CHROMIUM


def suite(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((ROOT / "vectors" / f"{name}.json").read_text("utf-8"))
    return loaded


def each(page: Any, cases: list[Any], work: str) -> list[tuple[str | None, Any]]:
    """Run `work`, a JavaScript function of (given, page), on each case: its answer, or the code of its refusal."""
    script = f"""async (cases) => {{
      const work = {work}, answers = [];
      for (const given of cases) {{
        try {{ answers.push([null, await work(given, drystone) ?? null]); }}
        catch (error) {{ answers.push([error.code ?? String(error), null]); }}
      }}
      return answers;
    }}"""
    return [(code, value) for code, value in page.evaluate(script, cases)]


def compare(names: list[str], got: list[Any], wanted: list[Any]) -> None:
    assert {n: g for n, g, w in zip(names, got, wanted, strict=True) if g != w} == {}


def test_cbor_of_the_page_takes_one_spelling(page: Any) -> None:
    vectors = suite("cbor")
    cases = [*vectors["valid"], *vectors["invalid"]]
    answers = each(page, [v["data"] for v in cases], "(d, p) => void p.rooms.decode(p.fromHex(d))")
    compare(
        [v["name"] for v in cases], [code for code, _ in answers], [v.get("error") for v in cases]
    )


def test_cose_of_the_page_takes_the_one_shape(page: Any) -> None:
    vectors = suite("cose")
    cases = [*vectors["valid"]["sign1"], *vectors["invalid"]]
    work = "(d, p) => void p.rooms.readSign1(p.fromHex(d))"
    sign1 = [v for v in cases if not v["name"].startswith("encrypt0")]
    answers = each(page, [v["message"] for v in sign1], work)
    compare(
        [v["name"] for v in sign1], [code for code, _ in answers], [v.get("error") for v in sign1]
    )


def test_senml_of_the_page_resolves_packs_as_the_foreign_program(page: Any) -> None:
    vectors = suite("senml")
    work = """(d, p) => p.rooms.readPack(p.fromHex(d)).map((m) => [m.name, m.unit,
        m.value instanceof Uint8Array ? p.hex(m.value) : typeof m.value === "object" ? p.shownNumber(m.value) : m.value,
        m.time && p.shownNumber(m.time)])"""
    answers = each(page, [v["pack"] for v in vectors["valid"]], work)
    assert [code for code, _ in answers] == [None] * len(answers)
    for vector, (_, rows) in zip(vectors["valid"], answers, strict=True):
        assert len(rows) == len(vector["measurements"]), vector["name"]
        for (name, unit, value, time), wanted in zip(rows, vector["measurements"], strict=True):
            assert [name, unit] == wanted[:2]
            number = isinstance(wanted[2], (int, float)) and not isinstance(wanted[2], bool)
            if number:
                assert float(value) == pytest.approx(float(wanted[2])), vector["name"]
            elif isinstance(wanted[2], dict):
                assert value == wanted[2]["hex"]
            else:
                assert value == wanted[2]
            assert float(time or 0) == pytest.approx(float(wanted[3]))


def test_senml_of_the_page_refuses_what_the_profile_refuses(page: Any) -> None:
    cases = suite("senml")["invalid"]
    answers = each(page, [v["pack"] for v in cases], "(d, p) => p.rooms.readPack(p.fromHex(d))")
    compare([v["name"] for v in cases], [code for code, _ in answers], [v["error"] for v in cases])


def test_records_of_the_page_are_read_or_refused_as_by_the_node(page: Any) -> None:
    cases = suite("record")["vectors"]
    work = """(d, p) => { const r = p.rooms.readRecord(p.fromHex(d)); return [r.iss, r.sub, Number(r.epoch), Number(r.seq),
        p.hex(r.kid), r.device, r.anchor && p.hex(r.anchor)]; }"""
    answers = each(page, [v["record"] for v in cases], work)
    compare(
        [v["name"] for v in cases], [code for code, _ in answers], [v.get("error") for v in cases]
    )
    for vector, (_, got) in zip(cases, answers, strict=True):
        if "expect" in vector:
            names = ("iss", "sub", "epoch", "seq", "kid", "device", "anchor")
            assert got == [vector["expect"][name] for name in names], vector["name"]


def test_notes_of_the_page_are_verified_or_refused(page: Any) -> None:
    vectors = suite("note")
    cases = [*vectors["valid"], *vectors["invalid"]]
    work = """async ([signed, spelled], p) => {
      const noted = p.rooms.parseNote(signed), known = [], signers = [];
      for (const one of spelled) known.push(await p.rooms.parseVkey(one));
      for (const line of noted.signatures) {
        const verifier = known.find((v) => v.line === line.line);
        if (!verifier) continue;
        if (signers.includes(verifier)) throw { code: "note-malformed" };
        await p.rooms.checkLine(noted.text, line, verifier);
        signers.push(verifier);
      }
      let size = null;
      try { size = String(p.rooms.parseCheckpoint(noted.text).size); } catch { size = null; }
      return [noted.text, signers.map((v) => v.name), size];
    }"""
    answers = each(page, [[v["note"], v["verifiers"]] for v in cases], work)
    compare(
        [v["name"] for v in cases], [code for code, _ in answers], [v.get("error") for v in cases]
    )
    for vector, (_, got) in zip(vectors["valid"], answers, strict=False):
        assert got[:2] == [vector["text"], vector["signers"]], vector["name"]
        if vector.get("root"):
            assert got[2] == str(vector["size"])


def test_signatures_of_the_page_follow_the_strict_rule(page: Any) -> None:
    cases = suite("signature")["vectors"]
    work = "([k, m, s], p) => p.rooms.verifySignature(p.fromHex(k), p.fromHex(m), p.fromHex(s))"
    answers = each(page, [[v["key"], v["message"], v["signature"]] for v in cases], work)
    compare(
        [v["name"] for v in cases], [code for code, _ in answers], [v.get("error") for v in cases]
    )


def test_keys_of_a_trust_file_get_the_full_check_in_the_page(page: Any) -> None:
    cases = [v for v in suite("signature")["vectors"] if v["key"].startswith("a3010120062158")]
    unique = {v["key"]: v.get("key_error") for v in cases}
    work = "(key, p) => p.rooms.checkKeyPoint(p.fromHex(key).subarray(8))"
    answers = each(page, list(unique), work)
    compare(list(unique), [code for code, _ in answers], list(unique.values()))


def test_streams_of_the_page_are_read_or_refused(page: Any) -> None:
    cases = suite("stream")["vectors"]
    work = "(d, p) => { const s = p.rooms.readStream(p.fromHex(d)); return [p.hex(s.digest), Number(s.count)]; }"
    answers = each(page, [v["state"] for v in cases], work)
    compare(
        [v["name"] for v in cases],
        [c is None for c, _ in answers],
        ["error" not in v for v in cases],
    )


def test_state_proofs_of_the_page_hold_or_are_refused(page: Any) -> None:
    vectors = suite("state-proof")
    presence = [*vectors["presence"], *vectors["presence_refused"]]
    work = """async ([root, key, value, proof], p) => p.rooms.checkPresence(p.fromHex(root), p.fromHex(key), p.fromHex(value),
        await p.rooms.stateProof(p.fromHex(proof)))"""
    given = [[v["root"], v["key"], v["value"], v["proof"]] for v in presence]
    answers = each(page, given, work)
    compare(
        [v["name"] for v in presence], [c for c, _ in answers], [v.get("error") for v in presence]
    )
    absence = [*vectors["absence"], *vectors["absence_refused"]]
    work = """async ([root, key, proof], p) => p.rooms.checkAbsence(p.fromHex(root), p.fromHex(key),
        await p.rooms.stateProof(p.fromHex(proof)))"""
    answers = each(page, [[v["root"], v["key"], v["proof"]] for v in absence], work)
    compare(
        [v["name"] for v in absence], [c for c, _ in answers], [v.get("error") for v in absence]
    )
