"""The layout of a contract's text: indentation, spaces, blank lines; never its meaning.

Lives here: `layout`, behind `drystone contract fmt`. Lines stay where the author broke them, comments and texts
stay as they are. What comes out has the same syntax tree as what went in, compared each time; a text that does
not parse is refused. May not: wrap lines, reorder or rename anything.

Four spaces a level; one space around operators and after commas; two before a comment behind code; one blank line
between functions, at most one elsewhere, none where a block begins.
"""

import ast
import io
import keyword
import tokenize
from collections.abc import Iterator
from typing import Final

from drystone.errors import ContractSource, InvariantBroken

INDENT: Final = "    "
_OPEN: Final = frozenset("([{")
_CLOSE: Final = frozenset(")]}")
_SILENT: Final = frozenset({tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER})
_ENDS: Final = frozenset({tokenize.NEWLINE, tokenize.NL})
_TIGHT: Final = frozenset({".", "~"})
_SIGNS: Final = frozenset({"-", "+"})

Token = tokenize.TokenInfo


def layout(name: str, source: str) -> str:
    """Return `source` laid out; applying it twice changes nothing more.

    Checks that the syntax tree is the same. Does not check what a contract may hold: `read_folder` does.

    Raises:
        ContractSource: `source` does not parse; `name` stands in the message.
    """
    text = source.replace("\r\n", "\n").replace("\r", "\n")
    try:
        before = ast.dump(ast.parse(text))
        lines = list(_lines(text))
    except (SyntaxError, tokenize.TokenError, ValueError, MemoryError, RecursionError) as error:
        line = getattr(error, "lineno", None) or 1
        raise ContractSource(f"{name}:{line}: not valid syntax") from error
    out = "\n".join(_spaced(lines)) + "\n"
    if ast.dump(ast.parse(out)) != before:
        raise InvariantBroken(f"the layout of {name} would change its meaning")
    return out


class _Line:
    """One line of the result: its level, text, and what it is to the lines around it."""

    def __init__(self, level: int, text: str, *, inside: bool, verbatim: bool = False) -> None:
        self.level = level
        self.text = text
        self.inside = inside
        """Within brackets, so no blank line comes before it."""
        self.verbatim = verbatim
        """The further lines of a long text: exactly as they are."""

    @property
    def is_comment(self) -> bool:
        return self.text.startswith("#") and not self.verbatim

    def __str__(self) -> str:
        return self.text if self.verbatim else (INDENT * self.level + self.text).rstrip()


def _lines(text: str) -> "Iterator[_Line | None]":
    """Yield laid out lines; None for one or more blank lines."""
    columns = [0]
    brackets: list[tuple[str, int]] = []
    row: list[Token] = []
    opens_block = False
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.INDENT:
            columns.append(len(token.string))
        elif token.type == tokenize.DEDENT:
            columns.pop()
        if token.type in _SILENT:
            continue
        if token.type not in _ENDS:
            row.append(token)
            continue
        if not row:
            if not brackets:
                yield None
            continue
        level = len(columns) - 1
        if row[0].type == tokenize.COMMENT and not brackets:
            level = _comment_level(row[0].start[1], columns, opens_block=opens_block)
        yield from _row(row, level, brackets)
        if row[-1].type != tokenize.COMMENT or len(row) > 1:
            opens_block = _last_code(row) == ":" and not brackets
        row = []


def _comment_level(column: int, columns: list[int], *, opens_block: bool) -> int:
    """Return the level of a comment that stands alone: the block whose column it has or lies right of."""
    level = sum(column >= one for one in columns) - 1
    deeper = opens_block and column > columns[-1]
    return level + 1 if deeper else max(level, 0)


def _last_code(row: list[Token]) -> str:
    code = [token for token in row if token.type != tokenize.COMMENT]
    return code[-1].string if code else ""


def _row(row: list[Token], level: int, brackets: list[tuple[str, int]]) -> Iterator[_Line]:
    """Yield the lines of one row of tokens; `brackets` holds what is open before, and after."""
    inside = bool(brackets)
    closing = 0
    for token in row:
        if token.string not in _CLOSE or token.type != tokenize.OP:
            break
        closing += 1
    still_open = brackets[: len(brackets) - closing]
    level += len({line for _, line in still_open})
    parts: list[str] = []
    before: Token | None = None
    for token in row:
        if before is not None:
            parts.append(_gap(before, token, brackets, row))
        parts.append(token.string)
        if token.type == tokenize.OP and token.string in _OPEN:
            brackets.append((token.string, token.start[0]))
        elif token.type == tokenize.OP and token.string in _CLOSE:
            brackets.pop()
        before = token
    first, *more = "".join(parts).split("\n")
    yield _Line(level, first, inside=inside)
    for text in more:
        yield _Line(level, text, inside=True, verbatim=True)


def _gap(before: Token, token: Token, brackets: list[tuple[str, int]], row: list[Token]) -> str:
    """Return the space between two tokens of one line."""
    within = brackets[-1][0] if brackets else ""
    left, right = before.string, token.string
    if token.type == tokenize.COMMENT:
        return "  "
    if before.type == tokenize.OP and (left in _OPEN or left in _TIGHT):
        return ""
    if token.type == tokenize.OP and (right in _CLOSE or right in _TIGHT or right in ",:;"):
        return ""
    if token.type == tokenize.OP and right in "([":
        return "" if _is_called(before) else " "
    if right == "=" or left == "=":
        return "" if within == "(" else " "
    if left == ":" and within == "[":
        return ""
    if before.type == tokenize.OP and left in _SIGNS and _is_sign(before, row):
        return ""
    return " "


def _is_called(before: Token) -> bool:
    """Say whether a bracket behind this token calls or indexes it."""
    if before.type == tokenize.NAME:
        return not keyword.iskeyword(before.string)
    return before.type == tokenize.STRING or before.string in _CLOSE


def _is_sign(token: Token, row: list[Token]) -> bool:
    """Say whether + or - stands before a value instead of between two."""
    index = row.index(token)
    if index == 0:
        return True
    left = row[index - 1]
    if left.type == tokenize.OP:
        return left.string not in _CLOSE
    return left.type == tokenize.NAME and keyword.iskeyword(left.string)


def _spaced(lines: list[_Line | None]) -> Iterator[str]:
    """Yield the lines with blank ones where they belong."""
    before: _Line | None = None
    blank = False
    within_function = False
    for index, line in enumerate(lines):
        if line is None:
            blank = True
            continue
        starts = line.level == 0 and not line.inside and _leads_to_function(lines, index)
        leaves = line.level == 0 and not line.inside and within_function
        if before is not None and not line.inside:
            follows_comment = before.is_comment and before.level == 0 and not blank
            wanted = blank or leaves or (starts and not follows_comment)
            if wanted and not _opens_block(before):
                yield ""
        if not line.inside and line.level == 0 and not line.is_comment:
            within_function = line.text.startswith("def ")
        elif leaves:
            within_function = False
        yield str(line)
        before, blank = line, False


def _opens_block(line: _Line) -> bool:
    code = line.text.partition("  #")[0].rstrip()
    return not line.verbatim and code.endswith(":") and not line.is_comment


def _leads_to_function(lines: list[_Line | None], index: int) -> bool:
    """Say whether a function starts here, or behind comments that start here."""
    for line in lines[index:]:
        if line is None:
            return False
        if not line.is_comment or line.level:
            return line.level == 0 and line.text.startswith("def ")
    return False
