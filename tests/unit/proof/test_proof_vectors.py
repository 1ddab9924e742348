"""Every vector of the proof room, made by programs that are not ours, gives what it says."""

from typing import Any

import pytest
from proof_vectors import (
    SUITES,
    Vector,
    code_of,
    facts_of,
    run,
    suite,
    trust_vectors,
    vectors,
)

from drystone.proof import report, trust


def label(vector: Any) -> str:
    return f"{vector.suite}: {vector.name}"


@pytest.mark.parametrize("vector", [v for v in vectors() if not v.error], ids=label)
def test_good_proof_verifies_and_says_what_the_foreign_program_says(vector: Vector) -> None:
    facts = facts_of(run(vector))
    assert {name: facts[name] for name in vector.expect} == vector.expect


@pytest.mark.parametrize("vector", [v for v in vectors() if v.error], ids=label)
def test_bad_proof_is_refused_with_its_code(vector: Vector) -> None:
    assert code_of(lambda: run(vector)) == vector.error


@pytest.mark.parametrize("vector", trust_vectors(), ids=lambda v: v["name"])
def test_trust_file_is_read_or_refused(vector: dict[str, Any]) -> None:
    if "error" in vector:
        assert code_of(lambda: trust.parse_trust(vector["trust"].encode())) == vector["error"]
        return
    parsed = trust.parse_trust(vector["trust"].encode())
    assert vector["expect"] == {
        "origin": parsed.origin,
        "nodes": len(parsed.nodes),
        "need": parsed.need,
        "witnesses": len(parsed.witnesses),
        "need_witnesses": parsed.need_witnesses,
    }


@pytest.mark.parametrize("name", [*SUITES, "trust"])
def test_a_suite_has_at_least_as_many_bad_as_good_vectors(name: str) -> None:
    every = suite(name)["vectors"]
    bad = [v for v in every if "error" in v]
    assert len(bad) >= len(every) - len(bad) > 0


@pytest.mark.parametrize("name", [*SUITES, "trust"])
def test_a_suite_names_the_programs_behind_it_and_no_name_twice(name: str) -> None:
    assert suite(name)["programs"]
    assert suite(name)["command"]
    names = [v["name"] for v in suite(name)["vectors"]]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("vector", [v for v in vectors() if not v.error], ids=label)
def test_every_verdict_has_a_report_in_words_and_as_json(vector: Vector) -> None:
    verdict = run(vector)
    assert report.as_text(verdict).startswith("Verified: ")
    assert report.as_json(verdict)["verified"] is True
