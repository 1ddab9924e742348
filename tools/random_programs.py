"""Random contracts by the hundred thousand, under two Pythons and two hash seeds: none may hurt, all must agree.

The programs are those of `tests/unit/contracts/programs.py`, by number. Each round runs the same numbers in one process
per interpreter; codes, values, steps and cells of all must be equal, and no process may end badly or outgrow its
memory. Used by `tools/torture.py`.
"""

import hashlib
import json
import os
import resource
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PROGRAMS = ROOT / "tests" / "unit" / "contracts" / "programs.py"
ROUND = 2_000
MEMORY_BYTES_MAX = 1 << 30
"""Address space of one process: many times what any bound allows, far below what a bomb takes."""


@dataclass
class Report:
    """What ran: interpreters, programs, how they ended, and one digest over all results."""

    pythons: list[str]
    programs: int = 0
    codes: Counter[str] = field(default_factory=Counter[str])
    digests: list[str] = field(default_factory=list[str])
    faults: list[str] = field(default_factory=list[str])

    @property
    def digest(self) -> str:
        """SHA-256 over the rounds' digests."""
        return hashlib.sha256("".join(self.digests).encode()).hexdigest()


def interpreters() -> list[str]:
    """Return this interpreter and a second version, which `DRYSTONE_SECOND_PYTHON` or `second_python.py` names."""
    second = os.environ.get("DRYSTONE_SECOND_PYTHON")
    if not second:
        command = [sys.executable, str(ROOT / "tools" / "second_python.py"), ".venv-second"]
        done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT)
        second = done.stdout.strip()
    return [sys.executable, *([second] if second else [])]


def torture(*, count: int, seed: int, say: Callable[[str], None]) -> Report:
    """Run programs `seed` to `seed + count - 1` under every interpreter; compare round by round."""
    pythons = interpreters()
    report = Report([version_of(python) for python in pythons])
    if len(pythons) < 2:
        report.faults.append("no second Python was found")
    while report.programs < count and not report.faults:
        first, some = seed + report.programs, min(ROUND, count - report.programs)
        found = _round(pythons, first=first, count=some)
        if any(one != found[0] for one in found):
            report.faults.append(f"programs {first} to {first + some - 1}: {found}")
            break
        report.codes.update(found[0].get("codes", {}))
        report.digests.append(str(found[0].get("digest")))
        report.programs += some
        say(f"{report.programs:,} of {count:,}")
    return report


def version_of(python: str) -> str:
    """Return an interpreter's version."""
    command = [python, "-c", "import platform; print(platform.python_version())"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def _round(pythons: list[str], *, first: int, count: int) -> list[dict[str, Any]]:
    """Run one round everywhere at once; what each said, or how it ended badly."""
    running = [
        subprocess.Popen(
            [python, str(PROGRAMS), str(first), str(count)],
            env=os.environ | {"PYTHONHASHSEED": str(number), "PYTHONPATH": str(ROOT / "src")},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number, python in enumerate(pythons, 1)
    ]
    for process in running:
        resource.prlimit(process.pid, resource.RLIMIT_AS, (MEMORY_BYTES_MAX, MEMORY_BYTES_MAX))
    found: list[dict[str, Any]] = []
    for process in running:
        out, errors = process.communicate()
        bad = {"ended": process.returncode, "errors": errors[-500:]}
        found.append(bad if process.returncode else json.loads(out))
    bad = next((one for one in found if "ended" in one), None)
    return found if bad is None else [{}, bad]
