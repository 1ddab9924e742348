"""`contract fmt`: the layout changes, the syntax tree never does."""

import ast
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drystone.errors import ContractSource
from drystone.workshop.folder import bundled_folders
from drystone.workshop.layout import layout

UGLY = '''"""Doc
   keeps   its inside
"""
LIMIT=-3
TABLE = {"a":1,"b" : [ 1,2 ,-3],
   "c":{ "x":(1,), },   # behind
}
# about f
def f( ctx,old , record=None ):

   """d"""
   # first
   x=old[ 1:-2 ]+ctx ["a"]
   if not(x in y):

      # deep
      return -x


      # after return
   elif x== -1 :
         pass
   # before else
   else :
         return [a for a in (1,2) if a!=3][0]
   return sorted( x , reverse = True)
# between
X = 1
def g(ctx):
    z = call(
     "a",

       [
         1],
       "x")
    for_ = 1
'''
NEAT = '''"""Doc
   keeps   its inside
"""
LIMIT = -3
TABLE = {"a": 1, "b": [1, 2, -3],
    "c": {"x": (1,),},  # behind
}

# about f
def f(ctx, old, record=None):
    """d"""
    # first
    x = old[1:-2] + ctx["a"]
    if not (x in y):
        # deep
        return -x

        # after return
    elif x == -1:
        pass
    # before else
    else:
        return [a for a in (1, 2) if a != 3][0]
    return sorted(x, reverse=True)

# between
X = 1

def g(ctx):
    z = call(
        "a",
        [
            1],
        "x")
    for_ = 1
'''
SOURCES = [NEAT, *((path / "contract.star").read_text() for path in bundled_folders())]
SOURCES.append((Path(__file__).parent / "meter" / "contract.star").read_text())


def test_text_is_laid_out() -> None:
    assert layout("x.star", UGLY) == NEAT


@pytest.mark.parametrize("source", SOURCES)
def test_layout_twice_is_layout_once(source: str) -> None:
    once = layout("x.star", source)
    assert layout("x.star", once) == once


@pytest.mark.parametrize(
    "source",
    ["def f(:\n", "x = (1\n", "if x:\npass\n", "x = '\n", "def f(ctx):\n  a = 1\n b = 2\n"],
)
def test_text_that_does_not_parse_is_refused_with_its_place(source: str) -> None:
    with pytest.raises(ContractSource, match=r"^x\.star:\d: not valid syntax$"):
        layout("x.star", source)


def test_carriage_returns_and_tabs_go() -> None:
    assert layout("x", "def f(ctx):\r\n\tif ctx:\r\n\t\treturn 1\r\n") == (
        "def f(ctx):\n    if ctx:\n        return 1\n"
    )


def test_texts_stay_as_they_are() -> None:
    source = 'X = \'  a ,b#c\t\'\nY = """\n # no  comment\n\n\n   def f():\n"""\n'
    assert layout("x", source) == source


@pytest.mark.parametrize("path", bundled_folders(), ids=lambda path: path.name)
def test_every_bundled_contract_is_laid_out(path: Path) -> None:
    source = (path / "contract.star").read_text()
    assert layout("contract.star", source) == source, "drystone contract fmt"


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 2**32), which=st.integers(0, len(SOURCES) - 1))
def test_meaning_never_changes(seed: int, which: int) -> None:
    messed = mess(SOURCES[which], random.Random(seed))
    out = layout("x.star", messed)
    assert ast.dump(ast.parse(out)) == ast.dump(ast.parse(messed))
    assert layout("x.star", out) == out
    assert comments(out) == comments(messed)


def comments(text: str) -> list[str]:
    return [line.strip() for line in text.split("\n") if line.strip().startswith("#")]


def mess(text: str, dice: random.Random) -> str:
    """Return a text of the same meaning in a worse layout: other indents, blank lines, comments, trailing blanks."""
    width = dice.choice([1, 2, 3, 5, 8])
    out: list[str] = []
    within_text = False
    for line in text.split("\n"):
        quotes = line.count('"""')
        stripped = line.lstrip(" ")
        indent = len(line) - len(stripped)
        spaces = " " * (indent // 4 * width + indent % 4)
        if within_text or quotes == 1:
            out.append(line if within_text else spaces + stripped)
            within_text = within_text != (quotes == 1)
            continue
        if dice.random() < 0.1:
            out += [""] * dice.randint(1, 3)
        if stripped and dice.random() < 0.1:
            out.append(" " * dice.randint(0, 12) + "# said  in between ")
        plain = '"' not in stripped and "#" not in stripped
        words = stripped.replace(" ", " " * dice.randint(1, 3)) if plain else stripped
        out.append(spaces + words + " " * dice.choice([0, 0, 2]))
    return "\n".join(out) + "\n" * dice.randint(1, 3)
