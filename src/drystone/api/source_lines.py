"""A contract's text as lines for people: comments, texts and words of the language marked.

Marks only; every character of the text is shown, escaped. A text that cannot be taken apart is
shown as it is. Source: the text is Starlark, whose words and tokens are Python's.
"""

import io
import keyword
import tokenize
from functools import lru_cache
from typing import Final

from markupsafe import Markup, escape

TEXTS_REMEMBERED: Final = 8


@lru_cache(maxsize=TEXTS_REMEMBERED)
def source_lines(source: str) -> tuple[Markup, ...]:
    """The lines of a source, marked up."""
    lines = source.split("\n")
    marks: dict[int, list[tuple[int, int, str]]] = {}
    try:
        for token in tokenize.generate_tokens(io.StringIO(source).readline):
            kind = _kind(token)
            if kind:
                _mark(marks, token, kind, lines)
    except (tokenize.TokenError, SyntaxError):
        marks = {}
    made = [_line(line, marks.get(number, [])) for number, line in enumerate(lines, 1)]
    return tuple(made[:-1] if lines[-1] == "" else made)


def _kind(token: tokenize.TokenInfo) -> str:
    if token.type == tokenize.COMMENT:
        return "c"
    if token.type == tokenize.STRING:
        return "s"
    if token.type == tokenize.NUMBER:
        return "n"
    if token.type == tokenize.NAME and keyword.iskeyword(token.string):
        return "k"
    return ""


def _mark(
    marks: dict[int, list[tuple[int, int, str]]],
    token: tokenize.TokenInfo,
    kind: str,
    lines: list[str],
) -> None:
    """Notes a token's stretch on each line that it covers."""
    (first, start), (last, end) = token.start, token.end
    for number in range(first, last + 1):
        left = start if number == first else 0
        right = end if number == last else len(lines[number - 1])
        marks.setdefault(number, []).append((left, right, kind))


def _line(line: str, marks: list[tuple[int, int, str]]) -> Markup:
    parts: list[Markup] = []
    at = 0
    for left, right, kind in marks:
        parts.append(escape(line[at:left]))
        parts.append(Markup('<span class="{}">{}</span>').format(kind, line[left:right]))
        at = right
    parts.append(escape(line[at:]))
    return Markup("").join(parts)
