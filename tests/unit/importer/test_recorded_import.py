"""Recorded tables, where somebody has them: `DRYSTONE_DATA` names the folder. The project ships none."""

import csv
import os
from importlib import resources
from pathlib import Path

import pytest

from drystone.importer.mapping import read_mapping
from drystone.importer.rows import Pack, exact, read_table

FOLDER = Path(os.environ.get("DRYSTONE_DATA", ""))
SWISS = FOLDER / "swiss_537homes_15min_w44.csv"
needs_data = pytest.mark.skipif(
    not os.environ.get("DRYSTONE_DATA") or not SWISS.is_file(),
    reason="DRYSTONE_DATA names no folder with swiss_537homes_15min_w44.csv",
)


def test_the_mapping_of_the_swiss_week_is_a_mapping() -> None:
    table = read_mapping(resources.files("drystone.sim").joinpath("swiss.toml").read_text())
    assert len(table.measurements[0].columns) == 672


@needs_data
def test_every_cell_of_the_swiss_week_is_read_with_its_digits_s1_30() -> None:
    table = read_mapping(resources.files("drystone.sim").joinpath("swiss.toml").read_text())
    with SWISS.open(newline="") as file:
        packs = list(read_table(file, table))
    assert len(packs) == 3_759
    read = [m.value for pack in packs if isinstance(pack, Pack) for m in pack.measurements]
    with SWISS.open(newline="") as file:
        rows = list(csv.reader(file))[1:]
    assert read == [exact(cell) for row in rows for cell in row[1:]]
    assert (-2, -637) in read
