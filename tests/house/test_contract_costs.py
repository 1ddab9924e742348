"""A bundled contract costs no more than its snapshot says; whoever makes one dearer takes a new one, in the same commit."""

from pathlib import Path

import pytest

from drystone.workshop.costs import compare
from drystone.workshop.folder import COST, bundled_folders, read_folder
from drystone.workshop.testing import run_tests


@pytest.mark.parametrize("path", bundled_folders(), ids=lambda path: path.name)
def test_contract_costs_no_more_than_its_snapshot(path: Path) -> None:
    folder = read_folder(path)
    done = run_tests(folder, show=False)
    assert done.passed, done.output
    compared = compare(path / COST, folder.name, done.costs)
    assert compared.grown == [], f"look, then: drystone contract gas {path.name} --snapshot"
