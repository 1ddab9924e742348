"""What a process of a home is: a node, a gateway or a follower, as its settings say; started, and ended in order.

Each role has its own wiring, imported only when it is run: a gateway on a small machine never loads what it does not
use. Signals, the lifeline and exit codes are the same for all. Source: design.md section 7, issue 5 (roles).
"""

import argparse
import asyncio
import faulthandler
import importlib.util
import logging
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, cast

from drystone.errors import DatabaseCorrupt, DatabaseForeign, DrystoneError, Refused
from drystone.home.layout import Identity, open_home
from drystone.node import deadline, logs
from drystone.node.supervisor import EXIT_BROKEN, EXIT_CLEAN, EXIT_REFUSED

START_REFUSED: Final = (Refused, DatabaseForeign, DatabaseCorrupt)
"""Errors that another start does not mend."""

log = logging.getLogger("drystone.node")


async def _run_role(identity: Identity, *, restarts: int, stop: asyncio.Event) -> None:
    role = identity.settings.node.role
    if role == "gateway":
        from drystone.node.gateway_wiring import run_gateway

        await run_gateway(identity, restarts=restarts, stop=stop)
        return
    if role == "follower":
        from drystone.node.follower_wiring import run_follower

        await run_follower(identity, restarts=restarts, stop=stop)
        return
    from drystone.node.wiring import run_front

    await run_front(identity, restarts=restarts, stop=stop)


async def run_until_told(identity: Identity, *, lifeline: int | None, restarts: int) -> None:
    """Run the front until SIGTERM, or until the lifeline's other end is closed."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    if lifeline is None:
        loop.add_signal_handler(signal.SIGINT, stop.set)
    else:
        # Ctrl-C reaches the whole foreground group; the supervisor answers for all of it.
        signal.signal(signal.SIGINT, signal.SIG_IGN)

        def gone() -> None:
            loop.remove_reader(lifeline)
            stop.set()

        loop.add_reader(lifeline, gone)
    try:
        await _run_role(identity, restarts=restarts, stop=stop)
    finally:
        # What is left are tasks and threads of libraries: they end now, or with the process.
        deadline.end_soon()


def explain(error: BaseException) -> DrystoneError | None:
    """Give the first error of ours in a group of errors; the rest followed from it."""
    if isinstance(error, BaseExceptionGroup):
        group = cast("BaseExceptionGroup[BaseException]", error)
        return next((found for one in group.exceptions if (found := explain(one))), None)
    return error if isinstance(error, DrystoneError) else None


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the front of the node whose home is the first argument; give the exit code."""
    parser = argparse.ArgumentParser(prog="drystone.node", description="The front of a node.")
    parser.add_argument("home", type=Path)
    parser.add_argument("--lifeline", type=int, default=None)
    parser.add_argument("--restarts", type=int, default=0)
    options = parser.parse_args(arguments)
    logs.configure(form="auto", level="info")
    # `kill -USR1` makes a node that hangs say where.
    faulthandler.register(signal.SIGUSR1)
    if not __debug__:
        log.error("a node does not run under -O: its assertions are what stops it in time")
        return EXIT_REFUSED
    try:
        identity = open_home(options.home)
        logs.configure(
            form=identity.settings.node.log_format, level=identity.settings.node.log_level
        )
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(
                run_until_told(identity, lifeline=options.lifeline, restarts=options.restarts)
            )
    except (DrystoneError, BaseExceptionGroup) as error:
        known = explain(error)
        if known is None:
            log.exception("the node failed")
            return EXIT_BROKEN
        log.error("the node stops: %s", known, extra={"code": known.code, "fix": known.fix})
        return EXIT_REFUSED if isinstance(known, START_REFUSED) else EXIT_BROKEN
    return EXIT_CLEAN


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Give uvloop's loop where it is installed."""
    if importlib.util.find_spec("uvloop") is None:
        return None
    import uvloop

    return uvloop.new_event_loop
