"""Join the proof room and what it stands on into one file, dist/drystone-verify.py.

The file runs on Python 3.11 or later with nothing but `cryptography`. It holds the same source lines as the package:
each module becomes a function of its own, in import order, its imports taken from the modules above. Nothing is
rewritten but the import lines, so that the file can be read, and compared with the package line by line. The same
sources give the same bytes, on every machine and Python.

    python tools/build_verifier.py [TARGET]
"""

import ast
import hashlib
import sys
import tokenize
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src"
COMMAND = ROOT / "tools" / "verify_command.py"
TARGET = ROOT / "dist" / "drystone-verify.py"
FOREIGN = frozenset({"cryptography", "nacl"})
"""Packages a joined module may import beside the standard library; `nacl` only where it may be missing."""
ROOMS = ("errors", "limits", "formats", "trees", "records", "proof")

HEAD = '''\
#!/usr/bin/env python3
"""Drystone's verifier in one file: checks a receipt, a completeness proof or a state value, offline.

    python3 drystone-verify.py FILE --trust TRUST [--key POINT] [--json]

FILE     what the ledger gave you. TRUST: whom you believe, a JSON file that you got another way.
--key    a proof of the sender's key: then the record's own signature is checked too.
Exit codes: 0 everything holds; 1 it does not, and the answer names the rule; 2 wrong use or unreadable file.

Needs Python 3.11 or later and the package `cryptography`. Opens no other file and no network connection.
Version {version}, Apache-2.0. Made by tools/build_verifier.py; the parts below are the package's own modules.
SHA-256 of the parts: {digest}
"""

import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

if sys.version_info < (3, 11):
    sys.exit("drystone-verify needs Python 3.11 or later")
try:
    import cryptography  # noqa: F401
except ImportError:
    print("drystone-verify needs the package cryptography: pip install cryptography", file=sys.stderr)
    sys.exit(2)

_parts: dict[str, SimpleNamespace] = {{}}


def part(name: str) -> Callable[[Callable[[], dict[str, Any]]], SimpleNamespace]:
    """Run a module's body and keep its names for the modules below it."""

    def keep(body: Callable[[], dict[str, Any]]) -> SimpleNamespace:
        _parts[name] = SimpleNamespace(**body())
        return _parts[name]

    return keep
'''

TAIL = """

if __name__ == "__main__":
    sys.exit(_parts["{command}"].main(sys.argv[1:]))
"""


def main() -> None:
    """Write the file and say how long it is."""
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else TARGET
    text = build()
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text, encoding="utf-8", newline="\n")
    target.chmod(0o755)
    print(f"{target.name}: {len(text.splitlines())} lines, {len(text.encode())} bytes")


def build() -> str:
    """Return the whole file."""
    paths = ordered(COMMAND)
    digest = hashlib.sha256()
    for path in paths:
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    with (ROOT / "pyproject.toml").open("rb") as file:
        version = tomllib.load(file)["project"]["version"]
    parts = [joined(path) for path in paths]
    text = HEAD.format(version=version, digest=digest.hexdigest())
    return text + "".join(parts) + TAIL.format(command=name_of(COMMAND))


def ordered(path: Path) -> list[Path]:
    """Return every module that `path` needs, before the modules that need it, itself last."""
    done: list[Path] = []

    def visit(current: Path, above: tuple[Path, ...]) -> None:
        if current in above:
            raise SystemExit(f"{current} imports itself")
        if current in done:
            return
        tree = ast.parse(current.read_text(encoding="utf-8"))
        for statement in imports(tree):
            for needed in sorted(modules_of(statement, current)):
                visit(needed, (*above, current))
        done.append(current)

    visit(path, ())
    return done


def imports(tree: ast.Module) -> list[ast.Import | ast.ImportFrom]:
    """Return every import of a module, which must be at its head or in a `try`."""
    return [node for node in ast.walk(tree) if isinstance(node, (ast.Import, ast.ImportFrom))]


def modules_of(statement: ast.Import | ast.ImportFrom, where: Path) -> set[Path]:
    """Return the files of the package that an import names; refuse what a bare machine does not have."""
    if isinstance(statement, ast.Import):
        roots = {alias.name.split(".")[0] for alias in statement.names}
    else:
        roots = {(statement.module or "").split(".")[0]}
    if roots == {"drystone"} and isinstance(statement, ast.ImportFrom):
        return {file_of(name) for name, _ in taken(statement)}
    strange = roots - FOREIGN - set(sys.stdlib_module_names)
    if strange:
        raise SystemExit(f"{where}:{statement.lineno}: a bare machine has no {sorted(strange)}")
    return set()


def taken(statement: ast.ImportFrom) -> list[tuple[str, ast.alias]]:
    """Return (module, alias) for each name of a `from drystone... import ...`; a name may be a module itself."""
    base = statement.module or ""
    found: list[tuple[str, ast.alias]] = []
    for alias in statement.names:
        inner = f"{base}.{alias.name}"
        found.append((inner if path_of(inner).is_file() else base, alias))
    return found


def path_of(name: str) -> Path:
    return SOURCE / (name.replace(".", "/") + ".py")


def file_of(name: str) -> Path:
    """Return a module's file; refuse rooms that a verifier must not need."""
    if name.split(".")[1] not in ROOMS or not path_of(name).is_file():
        raise SystemExit(f"a verifier does not need {name}")
    return path_of(name)


def name_of(path: Path) -> str:
    """Return a module's dotted name; the command has its file's."""
    if not path.is_relative_to(SOURCE):
        return path.stem
    return ".".join(path.relative_to(SOURCE).with_suffix("").parts)


def joined(path: Path) -> str:
    """Return one module as a function: indented, its imports of the package taken from the parts above."""
    text = path.read_text(encoding="utf-8")
    refuse_long_strings(path, text)
    lines: list[str | None] = list(text.splitlines())
    for statement in imports(ast.parse(text)):
        if isinstance(statement, ast.ImportFrom) and (statement.module or "").startswith(
            "drystone"
        ):
            first, last = statement.lineno - 1, statement.end_lineno or statement.lineno
            indent = " " * statement.col_offset
            lines[first:last] = [
                "\n".join(indent + line for line in replaced(statement)),
                *([None] * (last - first - 1)),
            ]
    body = "\n".join(line for line in lines if line is not None).strip("\n").split("\n")
    name = name_of(path)
    head = f'\n\n@part("{name}")\ndef {name.replace(".", "_")}() -> dict[str, Any]:\n'
    inner = "\n".join(f"    {line}" if line else "" for line in body)
    return f"{head}{inner}\n\n    return locals()\n"


def replaced(statement: ast.ImportFrom) -> list[str]:
    """Return the lines that take an import's names from the parts above."""
    lines: list[str] = []
    for module, alias in taken(statement):
        whole = module == f"{statement.module}.{alias.name}"
        name = alias.asname or alias.name
        lines.append(f'{name} = _parts["{module}"]' + ("" if whole else f".{alias.name}"))
    return lines


def refuse_long_strings(path: Path, text: str) -> None:
    """A docstring may be indented; any other string of several lines would become another string."""
    docstrings = {
        node.value.lineno
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    with path.open("rb") as file:
        for token in tokenize.tokenize(file.readline):
            long = token.start[0] != token.end[0] and token.type == tokenize.STRING
            if long and token.start[0] not in docstrings:
                raise SystemExit(f"{path}:{token.start[0]}: a string of several lines")


if __name__ == "__main__":
    main()
