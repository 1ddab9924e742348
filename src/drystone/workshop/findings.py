"""What a sound folder can still get wrong: rules that only show when a device or a member uses the contract.

Lives here: `findings`, behind `drystone contract check`. May not: repeat what `read_folder` refuses.
"""

import re
from pathlib import Path

from drystone.contracts.rules import RULES
from drystone.contracts.runtime import Program
from drystone.errors import ContractFailed
from drystone.formats import senml
from drystone.workshop.costs import costs_of
from drystone.workshop.folder import MANIFEST, PROFILES, SOURCE, ContractFolder


def findings(folder: ContractFolder) -> list[str]:
    """Return findings as `file:line: rule`, in the order of files and lines; none for a contract that may run."""
    found = [*_manifest_findings(folder), *_source_findings(folder), *_profile_findings(folder)]
    return [f"{file}:{line}: {rule}" for file, line, rule in found]


Finding = tuple[Path, int, str]


def _manifest_findings(folder: ContractFolder) -> list[Finding]:
    """A limit that the function's own entry exceeds: nobody could ever call it."""
    path = folder.path / MANIFEST
    found: list[Finding] = []
    for cost in costs_of(folder.package, {}):
        if cost.limit is not None and cost.entry > cost.limit:
            line = _line(path, cost.function)
            rule = f"{cost.function} may take {cost.limit} steps and pays {cost.entry} on entry"
            found.append((path, line, rule))
    return sorted(found)


def _source_findings(folder: ContractFolder) -> list[Finding]:
    """What only the interpreter sees when it compiles: a name used before it is set at the top."""
    try:
        Program(folder.package)
    except ContractFailed as error:
        place = re.search(r"\.star:(\d+)", str(error))
        return [(folder.path / SOURCE, int(place[1]) if place else 1, str(error))]
    return []


def _profile_findings(folder: ContractFolder) -> list[Finding]:
    path = folder.path / PROFILES
    found: list[Finding] = []
    for profile in folder.profiles:
        line = _line(path, profile["name"])
        rule = profile.get("rule", "accept")
        if rule == folder.name:
            if folder.package.manifest.reading is None:
                found.append((path, line, f"contract {rule!r} handles no readings"))
        elif rule not in RULES:
            found.append((path, line, f"rule {rule!r} is another contract's"))
        for one in profile.get("measurements", []):
            unit = one.get("unit")
            if unit is not None and unit not in senml.UNITS and unit not in senml.SECONDARY:
                found.append((path, line, f"{unit!r} is no SenML unit"))
    return found


def _line(path: Path, word: str) -> int:
    lines = path.read_text(encoding="utf-8").splitlines()
    pattern = re.compile(rf"(?<![\w-]){re.escape(word)}(?![\w-])")
    return next((n for n, line in enumerate(lines, 1) if pattern.search(line)), 1)
