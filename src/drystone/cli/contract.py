"""`contract`: everything an author does on the own machine: new, check, test, fmt, gas. No node is asked.

What needs a node is in `contract_ledger.py`; both fill the same group.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from drystone.cli import exits, options
from drystone.cli.command import command
from drystone.cli.output import emit, facts

if TYPE_CHECKING:
    from drystone.workshop.folder import ContractFolder
    from drystone.workshop.testing import Tested

app = typer.Typer(
    help="Contracts: write, test, measure, deploy, call.",
    no_args_is_help=True,
)

Folder = Annotated[
    Path,
    typer.Argument(
        metavar="[FOLDER]",
        help="Folder with contract.toml and contract.star; without it: this one.",
        show_default=False,
    ),
]
Folders = Annotated[
    list[Path] | None,
    typer.Argument(
        metavar="[FOLDER]...", help="Contracts' folders; without any: this one.", show_default=False
    ),
]
HERE = Path()


@command(app)
def new(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="Lower case, digits, hyphen; used for ever.")
    ],
    folder: Annotated[
        Path | None,
        typer.Option("--folder", help="Where to write it. Without it: ./NAME.", show_default=False),
    ] = None,
    as_json: options.AsJson = False,
) -> None:
    """Begin a contract: a small one that works, with its tests.

    Examples:
      drystone contract new frost-alarm
      drystone contract test frost-alarm
    """
    from drystone.workshop.start import begin

    where = folder or Path(name)
    written = [str(path) for path in begin(name, where)]
    emit(
        {"ok": True, "contract": name, "files": written},
        as_json=as_json,
        text=lambda: facts(
            [*(("wrote", path) for path in written), ("next", f"drystone contract test {where}")]
        ),
    )


@command(app)
def check(folders: Folders = None, as_json: options.AsJson = False) -> None:
    """Check contracts: manifest, every rule of the language, profiles. Ends with 1 when one breaks a rule.

    Each finding is FILE:LINE: RULE.

    Examples:
      drystone contract check frost-alarm
      drystone contract check apps/*
    """
    from drystone.errors import ContractManifest, ContractSource
    from drystone.workshop.findings import findings
    from drystone.workshop.folder import read_folder

    wrong: list[str] = []
    shown: list[tuple[str, object]] = []
    for path in folders or [HERE]:
        try:
            found = read_folder(path)
        except (ContractManifest, ContractSource) as error:
            wrong.append(str(error))
            continue
        wrong += findings(found)
        package = found.package
        shown.append((f"{found.name} {found.version}", f"hash {package.hash().hex()}"))
    _show_findings(wrong, shown, as_json=as_json)


def _show_findings(wrong: list[str], shown: list[tuple[str, object]], *, as_json: bool) -> None:
    emit(
        {"ok": not wrong, "findings": wrong, "checked": [name for name, _ in shown]},
        as_json=as_json,
        text=lambda: "\n".join([*wrong, *([] if wrong else [facts(shown)])]),
    )
    if wrong:
        raise exits.CheckFailed


@command(app, "test")
def run_tests_here(
    folder: Folder = HERE,
    only: Annotated[
        str | None,
        typer.Option("-k", metavar="WORDS", help="Only tests whose names fit.", show_default=False),
    ] = None,
    as_json: options.AsJson = False,
) -> None:
    """Run a contract's tests and print what its functions take. Ends with 1 when one fails.

    The tests are plain pytest (`test_*.py` beside the contract) with the fixtures chain, device,
    org and clock; `pytest FOLDER -p drystone.workshop.plugin` runs them as well. Steps, cells
    and bytes are what the tests' successful calls and readings used.

    Examples:
      drystone contract test frost-alarm
      drystone contract test frost-alarm -k limit
    """
    from drystone.workshop.costs import table
    from drystone.workshop.testing import run_tests

    found = _read(folder)
    more = [] if only is None else ["-k", only]
    done = run_tests(found, more=more, show=not as_json)
    value = {"ok": done.passed, "contract": found.name, "tests": done.tests, "failed": done.failed}
    emit(
        {**value, "functions": _functions(done), "output": done.output},
        as_json=as_json,
        text=lambda: "\n" + table(done.costs),
    )
    if not done.passed:
        raise exits.CheckFailed


@command(app)
def fmt(
    folders: Folders = None,
    only_check: Annotated[
        bool, typer.Option("--check", help="Change nothing; end with 1 where a file would change.")
    ] = False,
    as_json: options.AsJson = False,
) -> None:
    """Lay out contract.star: four spaces a level, spaces, blank lines. Never its meaning.

    Examples:
      drystone contract fmt frost-alarm
      drystone contract fmt --check apps/*
    """
    from drystone.workshop.folder import SOURCE, read_source
    from drystone.workshop.layout import layout

    changed: list[str] = []
    for path in folders or [HERE]:
        file = path / SOURCE
        before = read_source(file)
        after = layout(str(file), before)
        if after != before:
            changed.append(str(file))
            if not only_check:
                file.write_text(after, encoding="utf-8")
    word = "would change" if only_check else "laid out"
    emit(
        {"ok": not (only_check and changed), "changed": changed},
        as_json=as_json,
        text=lambda: "\n".join(f"{word}  {file}" for file in changed) or "nothing to do",
    )
    if only_check and changed:
        raise exits.CheckFailed


@command(app)
def gas(
    folder: Folder = HERE,
    snapshot: Annotated[
        bool, typer.Option("--snapshot", help="Write cost.json beside the contract.")
    ] = False,
    only_check: Annotated[
        bool, typer.Option("--check", help="End with 1 when something costs more than cost.json.")
    ] = False,
    as_json: options.AsJson = False,
) -> None:
    """Show what each function costs: counted in its text, and measured by its tests.

    entry: steps a call pays at once; loops: steps of one turn@line; then how many runs the tests
    made and the steps, cells (characters and items made) and bytes (kept in the state) they took.
    Functions that a function calls pay their own entry.

    Examples:
      drystone contract gas frost-alarm
      drystone contract gas frost-alarm --snapshot
      drystone contract gas frost-alarm --check
    """
    from drystone.workshop.costs import compare, snapshot_text, table
    from drystone.workshop.folder import COST
    from drystone.workshop.testing import run_tests

    found = _read(folder)
    done = run_tests(found, show=False)
    if not done.passed:
        typer.echo(done.output, err=True)
        typer.echo("the tests fail or are missing, so nothing can be measured", err=True)
        raise exits.CheckFailed
    file = folder / COST
    if snapshot:
        file.write_text(snapshot_text(found.name, done.costs), encoding="utf-8")
    grown, news = compare(file, found.name, done.costs) if only_check else ([], [])
    emit(
        {"ok": not grown, "functions": _functions(done), "grown": grown, "news": news},
        as_json=as_json,
        text=lambda: "\n".join(
            [table(done.costs), *(f"dearer: {g}" for g in grown), *(f"other: {n}" for n in news)]
        ),
    )
    if grown:
        raise exits.CheckFailed


def _read(folder: Path) -> "ContractFolder":
    """Read a folder for a command that needs a sound one; a finding ends it with 1."""
    from drystone.errors import ContractManifest, ContractSource
    from drystone.workshop.folder import read_folder

    try:
        return read_folder(folder)
    except (ContractManifest, ContractSource) as error:
        typer.echo(str(error), err=True)
        raise exits.CheckFailed from error


def _functions(done: "Tested") -> list[dict[str, Any]]:
    """What `--json` says of each function."""
    listed: list[dict[str, Any]] = []
    for cost in done.costs:
        one: dict[str, Any] = {"function": cost.function, "limit": cost.limit, "entry": cost.entry}
        one["loops"] = [{"line": line, "turn": turn} for line, turn in cost.loops]
        if cost.measured is not None:
            low, median, high = cost.measured.steps
            one |= {"runs": cost.measured.runs, "steps_min": low, "steps_median": median}
            one |= {"steps_max": high, "cells_max": cost.measured.cells}
            one["bytes_max"] = cost.measured.kept_bytes
        listed.append(one)
    return listed
