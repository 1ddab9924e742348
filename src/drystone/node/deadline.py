"""A last resort against a process that does not end: it says where each thread stands, and is gone.

A node that has lost a part ends as a whole and is started again; one that hung while ending would be worse than one
that crashed. Nothing is lost by it: what was acknowledged is on disk. Source: design.md section 8, ADR 11.
"""

import faulthandler
from typing import Final

END_S_MAX: Final = 15
"""Shorter than what the supervisor grants a node that was told to stop."""


def end_soon(_ended: object = None) -> None:
    """From now on this process has `END_S_MAX` seconds to end; then it exits with code 1, every thread's stack logged.

    Takes and ignores one argument, so that it can be a task's done callback.
    """
    faulthandler.dump_traceback_later(END_S_MAX, exit=True)


def ended() -> None:
    """Take it back: for a loop that runs on in a process that has other things to do."""
    faulthandler.cancel_dump_traceback_later()
