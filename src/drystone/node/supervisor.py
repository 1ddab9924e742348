"""The supervisor: keeps one node running, and holds nothing but its process.

`drystone up` becomes this process. It starts the front, which starts the verifiers and the executor; when any of them
dies the front ends, and the supervisor starts the whole node again, from its files. A node that cannot start (port
taken, foreign database, bad setting) is not tried again. Imports nothing but the standard library's smallest parts,
because it stays in memory as long as the node.

Source: design.md section 7; reliability.md (kill -9, back in service below 5 s).
"""

import argparse
import contextlib
import logging
import os
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Final, NoReturn

from drystone import limits

STOP_S_MAX: Final = 20
"""A front that has not drained this many seconds after SIGTERM is killed."""

EXIT_CLEAN: Final = 0
"""The front drained and stopped because it was told to."""

EXIT_REFUSED: Final = 3
"""The front will not start with these files or settings; trying again changes nothing."""

EXIT_BROKEN: Final = 5
"""The node died too often, or of something that a restart does not mend."""

log = logging.getLogger("drystone.node.supervisor")


class Supervisor:
    """One node's front and what became of its forerunners."""

    def __init__(self, home: Path, *, restarts_max: int = limits.RESTARTS_MAX) -> None:
        self._home = home
        self._restarts_max = restarts_max
        self._restarts = 0
        self._recent: deque[float] = deque()
        self._front: subprocess.Popen[bytes] | None = None
        self._stopping = False

    def run(self) -> int:
        """Keep the node running until it is told to stop or cannot go on; give the exit code."""
        signal.signal(signal.SIGTERM, self._stop)
        signal.signal(signal.SIGINT, self._stop)
        signal.signal(signal.SIGALRM, self._kill)
        while True:
            code = self._run_once()
            signal.alarm(0)
            if self._stopping or code in {EXIT_CLEAN, EXIT_REFUSED}:
                return EXIT_CLEAN if self._stopping else code
            if not self._may_restart():
                log.error("the node died %d times in a minute, giving up", len(self._recent))
                return EXIT_BROKEN
            self._restarts += 1
            log.warning("the node ended with %s, starting it again", _ending(code))

    def _run_once(self) -> int:
        """Start a front and wait for its end."""
        # The front reads end-of-file on the lifeline when this process dies, however it dies.
        lifeline, held = os.pipe()
        try:
            self._front = subprocess.Popen(
                front_command(self._home, lifeline=lifeline, restarts=self._restarts),
                pass_fds=[lifeline],
            )
            os.close(lifeline)
            if self._stopping:
                self._front.terminate()
            return self._front.wait()
        finally:
            os.close(held)

    def _may_restart(self) -> bool:
        now = time.monotonic()
        self._recent.append(now)
        while self._recent and now - self._recent[0] > limits.RESTART_WINDOW_MS / 1000:
            self._recent.popleft()
        return len(self._recent) <= self._restarts_max

    def _stop(self, _signal: int, _frame: FrameType | None) -> None:
        self._stopping = True
        signal.alarm(STOP_S_MAX)
        if self._front is not None:
            with contextlib.suppress(ProcessLookupError):
                self._front.terminate()

    def _kill(self, _signal: int, _frame: FrameType | None) -> None:
        log.error("the node did not stop within %d s, killing it", STOP_S_MAX)
        if self._front is not None:
            with contextlib.suppress(ProcessLookupError):
                self._front.kill()


def front_command(home: Path, *, lifeline: int, restarts: int) -> Sequence[str]:
    """Give the command line of a front process."""
    arguments = ["--lifeline", str(lifeline), "--restarts", str(restarts)]
    return [sys.executable, "-m", "drystone.node", str(home), *arguments]


def become(home: Path, *, restarts_max: int = limits.RESTARTS_MAX) -> NoReturn:
    """Replace this process by the node's supervisor, so that nothing of the caller stays in memory."""
    sys.stdout.flush()
    sys.stderr.flush()
    arguments = [str(home), "--restarts-max", str(restarts_max)]
    os.execv(sys.executable, [sys.executable, "-m", "drystone.node.supervisor", *arguments])  # noqa: S606


def _ending(code: int) -> str:
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Supervise the node whose home is the first argument."""
    parser = argparse.ArgumentParser(
        prog="drystone.node.supervisor", description="Keep a node running."
    )
    parser.add_argument("home", type=Path)
    parser.add_argument("--restarts-max", type=int, default=limits.RESTARTS_MAX)
    options = parser.parse_args(arguments)
    logging.basicConfig(format="drystone: %(message)s", level=logging.INFO)
    return Supervisor(options.home, restarts_max=options.restarts_max).run()


if __name__ == "__main__":
    sys.exit(main())
