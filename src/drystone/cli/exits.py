"""Exit codes, and the one place where an error becomes words on a terminal and a code for a script.

Lives here: `guard`, put around every command. May not: decide anything. Errors that this package raises on purpose
are shown as their message, code and fix; anything else is a bug and keeps its traceback.
"""

import errno
import functools
import json
import sys
from collections.abc import Callable
from typing import Final, NoReturn, ParamSpec, TypeVar

import typer

from drystone.errors import Broken, DiskFull, DrystoneError, Unavailable

OK: Final = 0
FAILED: Final = 1
USAGE: Final = 2
REFUSED: Final = 3
UNAVAILABLE: Final = 4
BROKEN: Final = 5
INTERRUPTED: Final = 130

MEANINGS: Final = {
    OK: "it worked, and what was checked holds",
    FAILED: "a check does not hold: a proof, a database, a row of an import, an item of `doctor`",
    USAGE: "the command line itself is wrong",
    REFUSED: "a rule refused it; the code says which, docs/reference/errors.md what to do",
    UNAVAILABLE: "not now: no node answers, it is overloaded, or the disk is full; try again",
    BROKEN: "a file or an invariant of ours is broken; stop, keep the files, run `drystone fsck`",
    INTERRUPTED: "stopped by Ctrl-C",
}

P = ParamSpec("P")
T = TypeVar("T")


class CheckFailed(Exception):  # noqa: N818 - not an error of the program: the answer is no
    """A check said no; the command printed why and ends with code 1."""


def guard(command: Callable[P, T]) -> Callable[P, T]:
    """Turn the errors of a command into a message on stderr (or JSON on stdout) and an exit code."""

    @functools.wraps(command)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> T:
        as_json = bool(kwargs.get("as_json"))
        try:
            return command(*args, **kwargs)
        except CheckFailed:
            raise typer.Exit(FAILED) from None
        except DrystoneError as error:
            fail(error, as_json=as_json)
        except OSError as error:
            if error.errno == errno.EPIPE:
                raise
            kind = DiskFull if error.errno in {errno.ENOSPC, errno.EDQUOT} else Broken
            place = f"{error.filename}: " if error.filename else ""
            fail(kind(f"{place}{error.strerror or error}"), as_json=as_json)

    return guarded


def exit_code(error: DrystoneError) -> int:
    """Give the exit code of an error's family."""
    if isinstance(error, Unavailable):
        return UNAVAILABLE
    return BROKEN if isinstance(error, Broken) else REFUSED


def fail(error: DrystoneError, *, as_json: bool, code: int | None = None) -> NoReturn:
    """Show an error and end the program with its code, or with `code`."""
    if as_json:
        shown = {"ok": False, "code": error.code, "detail": str(error), "fix": error.fix}
        typer.echo(json.dumps(shown, indent=1, ensure_ascii=False))
    else:
        sys.stdout.flush()
        typer.echo(f"{error.code}: {error}", err=True)
        if error.fix:
            typer.echo(f"  fix: {error.fix}", err=True)
    raise typer.Exit(exit_code(error) if code is None else code)
