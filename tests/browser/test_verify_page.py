"""The page in the browser is a second implementation: it passes the same vectors, says the same, and asks nobody.

Goal: run every vector of the proof room through `verify.html` in headless Chromium, opened from disk as a person would
open it, and compare answers, codes, figures and sentences with the Python verifier. Then use the page as a person does.
"""

import re
import sys
from typing import Any

import pytest
from page_under_test import IN_CHROMIUM, PAGE, ROOT, browser, page

sys.path[:0] = [str(ROOT / "tests" / "unit" / "proof"), str(ROOT / "tools")]

import seal_page  # noqa: E402
from proof_vectors import Vector, facts_of, named, run, trust_vectors, vectors  # noqa: E402

from drystone.proof import report  # noqa: E402

__all__ = ["browser", "page"]

pytestmark = IN_CHROMIUM

CHECK = """async ([file, trust, key]) => {
  const from = (text) => drystone.fromHex(text), hex = (bytes) => bytes ? drystone.hex(bytes) : null;
  const answer = await drystone.check(from(file), from(trust), key ? from(key) : null);
  if (!answer.verified) return answer;
  const { verdict, headline, proved, notProved } = answer, last = verdict.inclusions.at(-1);
  const facts = { kind: verdict.kind, index: Number(last.index), size: Number(last.size), root: hex(last.root),
    nodes: last.signers.filter((s) => s.role === "node").length,
    witnesses: last.signers.filter((s) => s.role === "witness").length,
    witness_times: last.signers.filter((s) => s.time !== null).map((s) => Number(s.time)) };
  const { record, signature, stretch, state } = verdict, number = (value) => value === null ? null : Number(value);
  const { until, since } = drystone.provenTime(verdict), moment = (one) => one && [one.height, one.timeMs].map(Number);
  Object.assign(facts, { until: moment(until), since: moment(since) });
  if (record) Object.assign(facts, { record_id: hex(record.id), entry: hex(record.entry), epoch: Number(record.epoch),
    seq: Number(record.seq), device: record.device, anchor: hex(record.anchor), iat: number(record.iat),
    function: record.call ? record.call.name : null, checked: signature.checked, signed_by: signature.signedBy,
    key_status: number(signature.keyStatus),
    measurements: record.measurements.map((m) => [m.name, m.unit, drystone.shownNumber(m.value), m.time && drystone.shownNumber(m.time)]) });
  if (stretch) Object.assign(facts, { items: stretch.items.length, count: Number(stretch.count),
    height: Number(stretch.end.height), gaps: stretch.gaps.map((g) => [g.epoch, g.first, g.last].map(Number)),
    forks: stretch.forks.map((one) => Number(one.epoch)) });
  if (state) Object.assign(facts, { key: hex(state.key), value: hex(state.value), height: Number(state.height), time_ms: Number(state.timeMs) });
  return { verified: true, facts, headline, proved, notProved };
}"""


def answer_of(page: Any, vector: Vector) -> dict[str, Any]:
    key = vector.key.hex() if vector.key else None
    answer: dict[str, Any] = page.evaluate(
        CHECK, [vector.file.hex(), vector.trust.encode().hex(), key]
    )
    return answer


def test_every_good_vector_verifies_in_the_page_with_the_same_figures_and_words(page: Any) -> None:
    for vector in vectors():
        if vector.error:
            continue
        answer = answer_of(page, vector)
        assert answer["verified"], (vector.name, answer)
        verdict = run(vector)
        assert answer["facts"] == {**facts_of(verdict)}, vector.name
        assert {name: answer["facts"][name] for name in vector.expect} == vector.expect
        assert answer["headline"] == report.headline(verdict)
        assert answer["proved"] == report.proved(verdict)
        assert answer["notProved"] == report.unproved(verdict)


def test_every_bad_vector_is_refused_in_the_page_with_the_same_code(page: Any) -> None:
    for vector in vectors():
        if vector.error:
            answer = answer_of(page, vector)
            assert (answer["verified"], answer.get("code")) == (False, vector.error), vector.name


def test_every_trust_vector_is_read_or_refused_in_the_page(page: Any) -> None:
    probe = "(text) => drystone.parseTrust(drystone.fromHex(text)).then(() => null, (e) => e.code)"
    for vector in trust_vectors():
        code = page.evaluate(probe, vector["trust"].encode().hex())
        assert code == vector.get("error"), vector["name"]


FLIPS = """async ([file, trust]) => {
  const bytes = drystone.fromHex(file), believed = drystone.fromHex(trust), accepted = [];
  for (let at = 0; at < bytes.length; at++) {
    const bit = (at * 5 + 3) % 8;
    bytes[at] ^= 1 << bit;
    if ((await drystone.check(bytes, believed)).verified) accepted.push(at);
    bytes[at] ^= 1 << bit;
  }
  return accepted;
}"""


@pytest.mark.parametrize(
    "vector",
    [
        named("two of three nodes and one of two witnesses"),
        named("a stretch without records", among="completeness"),
        named("an organisation", among="point"),
    ],
    ids=lambda v: v.name,
)
def test_a_bit_flipped_in_any_byte_is_refused_in_the_page(page: Any, vector: Vector) -> None:
    assert page.evaluate(FLIPS, [vector.file.hex(), vector.trust.encode().hex()]) == []


def test_the_policy_of_the_page_allows_its_own_parts_and_nothing_else() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert seal_page.sealed(text) == text, "run tools/seal_page.py"
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', text)
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe" not in policy
    assert "connect-src" not in policy
    assert not re.findall(r"https?://(?!www\.w3\.org)", text)
    assert not re.findall(
        r"innerHTML|insertAdjacentHTML|document\.write|eval\(|fetch\(|XMLHttp", text
    )


def test_the_page_cannot_reach_the_network_even_if_its_script_tried(browser: Any) -> None:
    fresh = browser.new_page()
    fresh.goto(PAGE.as_uri())
    tried = fresh.evaluate("() => fetch('http://127.0.0.1:9/').then(() => 'sent', () => 'refused')")
    violations = fresh.evaluate(
        """() => new Promise((resolve) => {
          document.addEventListener('securitypolicyviolation', (e) => resolve(e.effectiveDirective));
          fetch('http://127.0.0.1:9/').catch(() => {});
        })"""
    )
    fresh.close()
    assert tried == "refused"
    assert violations == "connect-src"


def put(page: Any, slot: str, name: str, data: bytes) -> None:
    page.set_input_files(
        f"#{slot}", {"name": name, "mimeType": "application/octet-stream", "buffer": data}
    )


def test_a_person_gives_a_receipt_and_a_trust_file_and_reads_the_verdict(page: Any) -> None:
    vector = named("two of three nodes and one of two witnesses")
    put(page, "file", "reading.cbor", vector.file)
    page.get_by_text("Now the trust file").wait_for()
    put(page, "trust", "trust.json", vector.trust.encode())
    page.get_by_role(
        "heading", name="Verified: ledger.example/main accepted this reading"
    ).wait_for()
    assert page.get_by_text("48,211,337 Wh").count() == 1
    assert page.get_by_text("own signature was not checked here").count() == 1


def test_a_flipped_bit_turns_the_verdict_and_back(page: Any) -> None:
    page.get_by_role("button", name="Try the example").click()
    page.get_by_role("button", name="Flip one bit and see").click()
    page.get_by_role("heading", name="Not verified").wait_for()
    page.get_by_text("You flipped bit").wait_for()
    page.get_by_role("button", name="Put it back").click()
    page.get_by_role("heading", name="Verified").wait_for()
    page.get_by_role("button", name="Start over").click()
    assert page.locator("#result").inner_text() == ""


def test_files_dropped_together_find_their_places(page: Any) -> None:
    vector = named("the worked record in a log of three entries, its key proved")
    assert vector.key is not None
    page.evaluate(
        """(parts) => {
          const transfer = new DataTransfer();
          for (const [name, data] of parts) transfer.items.add(new File([drystone.fromHex(data)], name));
          document.body.dispatchEvent(new DragEvent('drop', { dataTransfer: transfer, bubbles: true, cancelable: true }));
        }""",
        [
            ["key.cbor", vector.key.hex()],
            ["trust.json", vector.trust.encode().hex()],
            ["reading.cbor", vector.file.hex()],
        ],
    )
    page.get_by_text("own signature is valid under the key").wait_for()


def test_a_completeness_proof_shows_its_gaps(page: Any) -> None:
    vector = named("from the beginning, one gap", among="completeness")
    put(page, "file", "week.cbor", vector.file)
    put(page, "trust", "trust.json", vector.trust.encode())
    page.get_by_text("1 number had not arrived by then (epoch/number): 0/3.").wait_for()
    assert page.locator("svg.run rect.none").count() == 1


def test_every_control_has_a_name_and_the_result_is_announced(page: Any) -> None:
    page.get_by_role("button", name="Try the example").click()
    page.get_by_role("heading", name="Verified").wait_for()
    assert page.evaluate(
        "() => [...document.querySelectorAll('input, button')].every("
        "(c) => (c.labels?.[0]?.innerText || c.innerText || '').trim())"
    )
    assert page.get_attribute("#result", "aria-live") == "polite"
    assert page.get_attribute("html", "lang") == "en"
