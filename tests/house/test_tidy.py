"""The style guide's checkable rules: a rule that no test checks is a wish.

Limits are ratchets: they stop small things growing. A long function or module that reads better whole carries
`# tidy: long, because ...` (on the `def` line, or in the first lines of the module); the reason is the price.
"""

import ast
import re
import subprocess
import tokenize
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = sorted((ROOT / "src").rglob("*.py"))
SCRIPTS = sorted([*(ROOT / "tools").rglob("*.py"), *(ROOT / "bench").rglob("*.py")])
COLUMNS_MAX = 100
DOCSTRING_COLUMNS_MAX = 120
MODULE_LINES_MAX = 400
FUNCTION_LINES_MAX = 70
CLEARED = re.compile(r"# tidy: long, because \S+")
# `wait_for` of Python 3.11 swallows a cancellation that comes together with its result: `asyncio.timeout`.
BANNED = re.compile(
    r"\b(TODO|FIXME|XXX|breakpoint\(|print\(|pickle\b|NotImplementedError|asyncio\.wait_for\()"
)
MAY_PRINT = {"cli", "sim"}
PURE = {"formats", "trees", "records", "proof", "contracts", "ledger"}
"""Replicas must agree on every bit: integers only."""
EMPTY_WORDS = {"utils", "util", "helpers", "helper", "common", "manager", "misc", "base"}
MACHINE_PATH = re.compile(r"(^|[^A-Za-z0-9_.])/(work|farm|root|tmp/plan)/")


def functions(tree: ast.AST) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    return [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]


def line_faults(path: Path, lines: list[str]) -> list[str]:
    within = set(path.relative_to(ROOT).parts)
    wrong: list[str] = []
    for number, line in enumerate(lines, 1):
        if len(line) > DOCSTRING_COLUMNS_MAX and "https://" not in line:
            wrong.append(f"{number}: {len(line)} columns, at most {DOCSTRING_COLUMNS_MAX}")
        found = BANNED.search(line)
        if found and not (found[1] == "print(" and MAY_PRINT & within):
            wrong.append(f"{number}: {found[1]} is banned")
    return wrong


def function_faults(tree: ast.AST, lines: list[str]) -> list[str]:
    wrong: list[str] = []
    for node in functions(tree):
        length = (node.end_lineno or node.lineno) - node.lineno + 1
        if length > FUNCTION_LINES_MAX and not CLEARED.search(lines[node.lineno - 1]):
            wrong.append(f"{node.lineno}: {node.name} has {length} lines")
        if not node.name.startswith("_") and node.returns is None:
            wrong.append(f"{node.lineno}: {node.name} does not say what it returns")
    wrong += [
        f"{part.lineno}: bare except"
        for part in ast.walk(tree)
        if isinstance(part, ast.ExceptHandler) and part.type is None
    ]
    return wrong


def impurities(tree: ast.AST) -> list[str]:
    return [
        f"{part.lineno}: floats, / and address-dependent hashes break replication"
        for part in ast.walk(tree)
        if (isinstance(part, ast.Constant) and isinstance(part.value, float))
        or (isinstance(part, ast.BinOp) and isinstance(part.op, ast.Div))
        or (
            isinstance(part, ast.Call)
            and isinstance(part.func, ast.Name)
            and part.func.id in {"float", "hash", "id"}
        )
    ]


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_source_is_tidy(path: Path) -> None:
    with tokenize.open(path) as file:
        text = file.read()
    lines = text.splitlines()
    tree = ast.parse(text)
    wrong = line_faults(path, lines) + function_faults(tree, lines)
    if text.strip() and not ast.get_docstring(tree):
        wrong.append("1: module has no docstring")
    if len(lines) > MODULE_LINES_MAX and not CLEARED.search("\n".join(lines[:20])):
        wrong.append(f"1: module has {len(lines)} lines, at most {MODULE_LINES_MAX}")
    if path.stem in EMPTY_WORDS:
        wrong.append(f"1: {path.stem} says nothing about what lives here")
    if PURE & set(path.relative_to(ROOT).parts):
        wrong += impurities(tree)
    assert not wrong, "\n".join(f"{path.relative_to(ROOT)}:{w}" for w in wrong)


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda p: str(p.relative_to(ROOT)))
def test_script_says_what_it_does(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text())), f"{path} has no docstring"


def tracked_files() -> list[Path]:
    names = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout.splitlines()
    return [ROOT / name for name in names if (ROOT / name).is_file()]


def test_no_tracked_file_names_a_path_of_somebodys_machine() -> None:
    wrong: list[str] = []
    for path in tracked_files():
        try:
            text = path.read_text()
        except UnicodeDecodeError:
            continue
        if path != Path(__file__) and MACHINE_PATH.search(text):
            wrong.append(str(path.relative_to(ROOT)))
    assert not wrong


def test_locked_requirements_hold_hashes_and_no_address() -> None:
    for path in (ROOT / "requirements").glob("*.txt"):
        text = path.read_text()
        assert "--hash=sha256:" in text
        assert "://" not in text, path
        assert "index-url" not in text, path
        pins = re.findall(r"^[a-z0-9-]+==", text, re.MULTILINE)
        assert len(pins) == len(re.findall(r"^[a-z0-9]", text, re.MULTILINE)), (
            "a line is not pinned"
        )


def test_no_lock_file_that_records_addresses_is_tracked() -> None:
    assert not [p for p in tracked_files() if p.name in {"uv.lock", "poetry.lock"}]


def test_no_two_test_files_share_a_name() -> None:
    # pytest imports them by their names alone, and collects only the first.
    names = [path.name for place in ("tests", "src") for path in (ROOT / place).rglob("*.py")]
    tests = sorted(n for n in names if n.startswith("test_") or n == "tests.py")
    assert len(tests) == len(set(tests)), sorted({n for n in tests if tests.count(n) > 1})
