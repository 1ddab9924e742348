"""A contract's source as text: bounded before any parser sees it, then parsed to a syntax tree of whitelisted nodes.

Starlark is a subset of Python's syntax, so Python's own parser reads it; what the two could read differently (chained
comparisons, implicit string joining, keyword tricks) is refused. Nesting, line length and literals are bounded on the
raw bytes first, because parsers differ between Python versions in how they fail on monsters, and every node of a
ledger must refuse the same sources. Pure: the same bytes give the same verdict on every supported Python.

Place in a contract's life: first check at submit; `guard.py` comes next. Source: design section 5.
"""

import ast
import re
from typing import Final

from drystone.errors import ContractSource
from drystone.limits import CONTRACT_SOURCE_BYTES_MAX

LINE_BYTES_MAX: Final = 200
STATEMENT_BYTES_MAX: Final = 2_000
LINES_MAX: Final = 2_000
BRACKETS_MAX: Final = 32
INDENT_MAX: Final = 64
ELIF_MAX: Final = 100
DEPTH_MAX: Final = 100
"""Levels of the syntax tree."""
DIGITS_MAX: Final = 80

_TOKEN: Final = re.compile(
    r'(?P<string>"""(?:\\.|(?!""").)*"""|\'\'\'(?:\\.|(?!\'\'\').)*\'\'\'|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\')'
    r"|(?P<comment>#[^\n]*)|(?P<open>[(\[{])|(?P<close>[)\]}])|(?P<newline>\n)"
    r"|(?P<word>[A-Za-z_][A-Za-z0-9_]*)|(?P<number>[0-9][A-Za-z0-9_.]*)|(?P<other>.)",
    re.DOTALL | re.ASCII,
)
_PLAIN: Final = re.compile(r"[ -~\n]*", re.ASCII)
_NUMBER: Final = re.compile(r"0|[1-9][0-9]*|0x[0-9a-f]+", re.ASCII)


def read_source(name: str, source: str) -> ast.Module:
    """Return the syntax tree of `source`, every bound of this file checked.

    Checks size, characters, nesting and spelling; not which nodes stand in it (`guard.py`).

    Raises:
        ContractSource: naming file, line and rule.
    """
    _check_text(name, source)
    _check_tokens(name, source)
    try:
        tree = ast.parse(source, filename=name)
    except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
        line = getattr(error, "lineno", None) or 1
        raise ContractSource(f"{name}:{line}: not valid syntax") from error
    _check_depth(name, tree)
    return tree


def _check_text(name: str, source: str) -> None:
    if len(source) > CONTRACT_SOURCE_BYTES_MAX:
        raise ContractSource(f"{name}:1: {len(source)} bytes, at most {CONTRACT_SOURCE_BYTES_MAX}")
    if not source.endswith("\n"):
        raise ContractSource(f"{name}:1: the last line must end")
    if not _PLAIN.fullmatch(source):
        at = next(i for i, c in enumerate(source) if not _PLAIN.fullmatch(c))
        line = source.count("\n", 0, at) + 1
        raise ContractSource(f"{name}:{line}: only printable ASCII and line ends, no tabs")
    lines = source.split("\n")
    if len(lines) > LINES_MAX:
        raise ContractSource(f"{name}:{LINES_MAX}: at most {LINES_MAX} lines")
    elifs = 0
    for number, line in enumerate(lines, 1):
        stripped = line.lstrip(" ")
        if len(line) > LINE_BYTES_MAX:
            raise ContractSource(f"{name}:{number}: at most {LINE_BYTES_MAX} characters a line")
        if stripped and len(line) - len(stripped) > INDENT_MAX:
            raise ContractSource(f"{name}:{number}: indented deeper than {INDENT_MAX} columns")
        elifs += stripped.startswith("elif")
    if elifs > ELIF_MAX:
        raise ContractSource(f"{name}:1: more than {ELIF_MAX} elif")


def _check_tokens(name: str, source: str) -> None:
    depth, line, start, before = 0, 1, 0, ""
    for found in _TOKEN.finditer(source):
        kind, text = str(found.lastgroup), found.group()
        if kind == "open":
            depth += 1
            if depth > BRACKETS_MAX:
                raise ContractSource(f"{name}:{line}: brackets nest deeper than {BRACKETS_MAX}")
        elif kind == "close":
            depth -= 1
        elif kind == "number" and (not _NUMBER.fullmatch(text) or len(text) > DIGITS_MAX):
            raise ContractSource(f"{name}:{line}: {text[:20]!r}: whole decimal or hex numbers only")
        elif kind == "string" and before == "word" and source[found.start() - 1].isalpha():
            raise ContractSource(f"{name}:{line}: string prefixes are not allowed")
        elif kind == "other" and text in "\\`$?!;" and not source.startswith("!=", found.start()):
            raise ContractSource(f"{name}:{line}: {text!r} is not allowed")
        if kind == "newline" and depth <= 0:
            start = found.end()
        if found.end() - start > STATEMENT_BYTES_MAX and kind != "string":
            raise ContractSource(f"{name}:{line}: a statement of over {STATEMENT_BYTES_MAX} bytes")
        line += text.count("\n")
        before = kind


def _check_depth(name: str, tree: ast.Module) -> None:
    level: list[ast.AST] = [tree]
    for _ in range(DEPTH_MAX):
        level = [child for node in level for child in ast.iter_child_nodes(node)]
        if not level:
            return
    line = next((getattr(n, "lineno", None) for n in level if hasattr(n, "lineno")), 1)
    raise ContractSource(f"{name}:{line}: nested deeper than {DEPTH_MAX} levels")
