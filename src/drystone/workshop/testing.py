"""Running the tests of a contract's folder, as `drystone contract test` and `gas` do: pytest in a process of its own.

Lives here: the one place that starts pytest. The tests are ordinary ones (`plugin.py` has the fixtures);
whoever prefers runs `pytest FOLDER` with `-p drystone.workshop.plugin`. May not: judge a result.
"""

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from drystone.errors import WorkshopAbsent
from drystone.workshop.costs import Cost, Measured, costs_of, from_json
from drystone.workshop.folder import ContractFolder

TEST_S_MAX: Final = 600


class Tested(NamedTuple):
    """How a folder's tests ended: pytest's own code and words (when kept), counts, what the contract took."""

    code: int
    tests: int
    failed: int
    costs: list[Cost]
    output: str

    @property
    def passed(self) -> bool:
        """Whether there are tests and all of them pass."""
        return self.code == 0


def run_tests(folder: ContractFolder, *, more: Sequence[str] = (), show: bool) -> Tested:
    """Run the tests beside a contract; `show` lets pytest write to the terminal, else its words are returned.

    `more` is handed to pytest. Raises: WorkshopAbsent when pytest is not installed.
    """
    if importlib.util.find_spec("pytest") is None:
        raise WorkshopAbsent("contracts are tested with pytest, which is not installed")
    with tempfile.TemporaryDirectory(prefix="drystone-test-") as scratch:
        file = Path(scratch) / "costs.json"
        done = subprocess.run(
            [
                *(sys.executable, "-m", "pytest", str(folder.path)),
                *("-q", "-p", "drystone.workshop.plugin", "-p", "no:cacheprovider"),
                *("--contract-costs", str(file), *more),
            ],
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
            stdin=subprocess.DEVNULL,
            stdout=None if show else subprocess.PIPE,
            stderr=None if show else subprocess.STDOUT,
            text=True,
            timeout=TEST_S_MAX,
            check=False,
        )
        told: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {}
    measured: dict[str, dict[str, Measured]] = from_json(told.get("contracts", {}))
    return Tested(
        code=done.returncode,
        tests=told.get("tests", 0),
        failed=told.get("failed", 0),
        costs=costs_of(folder.package, measured.get(folder.name, {})),
        output=done.stdout or "",
    )
