"""The pages of docs/spec name what the code has: units, hash tags, files."""

import re
from pathlib import Path

import pytest

from drystone.formats import senml
from drystone.formats.senml import Measurement
from drystone.formats.units import SECONDARY, UNITS

ROOT = Path(__file__).parents[2]
SPEC = ROOT / "docs" / "spec"
TAG = re.compile(r"drystone/[a-z-]+/[0-9]+")
LOCAL = {"drystone/row/1", "drystone/import/1"}
"""Tags of files that never leave a node."""


def test_every_unit_stands_on_the_page_of_the_profile_and_no_other() -> None:
    text = (SPEC / "senml.md").read_text()
    primary, secondary = text.split("## Primary units")[1].split("## Secondary units")

    assert set(re.findall(r"`([^`]+)`", primary)) == UNITS
    assert set(re.findall(r"`([^`]+)` =", secondary)) == SECONDARY.keys()


@pytest.mark.parametrize("unit", SECONDARY)
def test_secondary_unit_has_its_ratio_on_the_page(unit: str) -> None:
    text = " ".join((SPEC / "senml.md").read_text().split())
    relation = SECONDARY[unit]
    found = re.search(rf"`{re.escape(unit)}` = ([0-9 ]+)(?: / ([0-9 ]+))? `([^`]+)`( - 30)?", text)

    assert found
    numerator, denominator, base, offset = found.groups()
    assert int(numerator.replace(" ", "")) == relation.numerator
    assert int((denominator or "1").replace(" ", "")) == relation.denominator
    assert base == relation.base
    assert bool(offset) == bool(relation.offset)


def test_every_tag_of_a_hash_or_object_stands_on_the_page_of_hashes() -> None:
    """Contracts bring their own page."""
    used = {
        tag
        for room in ("formats", "trees", "records", "proof", "ledger", "storage", "gateway")
        for path in (ROOT / "src" / "drystone" / room).rglob("*.py")
        for tag in TAG.findall(path.read_text())
    }
    page = set(TAG.findall((SPEC / "hashes.md").read_text()))

    assert used - LOCAL - page == set()
    assert page - used == {"drystone/group/1"}


def test_places_that_make_hashes_exist() -> None:
    text = (SPEC / "hashes.md").read_text()
    for path in set(re.findall(r"\| ([a-z]+/[a-z0-9]+\.py) \|", text)):
        assert (ROOT / "src" / "drystone" / path).is_file(), path


def test_every_file_of_the_specification_is_on_its_first_page() -> None:
    named = set(re.findall(r"\]\(([a-z]+\.(?:cddl|md))\)", (SPEC / "README.md").read_text()))

    assert {p.name for p in SPEC.iterdir()} - {"README.md"} == named


@pytest.mark.parametrize(
    ("measurement", "size"),
    [
        (Measurement("e", "Wh", 48211337, 1762340400), 24),
        (Measurement("e", None, 48211337, 1762340400), 17),
        (Measurement("e", "Wh", 48211337, None), 18),
    ],
)
def test_sizes_of_the_page_are_those_of_the_code(measurement: Measurement, size: int) -> None:
    assert len(senml.write_pack([measurement])) == size
    assert f"| {size} |" in (SPEC / "senml.md").read_text()
