"""A node that a command starts for itself and stops again: `drystone up` on a free port, in a process group of its own.

Ctrl-C is for the command, which then stops the node in its own time; the node's log lies beside its home.
"""

import contextlib
import os
import subprocess
import time
from collections.abc import Generator
from pathlib import Path
from typing import Final

from drystone.cli.demo_stage import program
from drystone.client.rest import Client, find_endpoint
from drystone.errors import DrystoneError, NodeAbsent

START_S_MAX: Final = 60.0
STOP_S_MAX: Final = 30.0


@contextlib.contextmanager
def started(home: Path) -> Generator[None]:
    """Run the node of a home until the block ends. Raises: NodeAbsent with the end of its log."""
    log = home / "run" / "dev.log"
    log.parent.mkdir(exist_ok=True)
    with log.open("wb") as out:
        process = subprocess.Popen(
            [*program(), "up", "--port", "0", "--home", str(home)],
            env={k: v for k, v in os.environ.items() if not k.startswith("DRYSTONE")},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        _wait_until_well(process, home, log)
        yield
    finally:
        _stop(process)


def is_well(home: Path) -> bool:
    """Say whether a node answers for this home."""
    try:
        with Client(find_endpoint(home)) as node:
            node.get("/healthz")
    except DrystoneError:
        return False
    return True


def _wait_until_well(process: subprocess.Popen[bytes], home: Path, log: Path) -> None:
    deadline = time.monotonic() + START_S_MAX
    while time.monotonic() < deadline and process.poll() is None:
        if is_well(home):
            return
        time.sleep(0.05)
    tail = log.read_text(errors="replace").splitlines()[-12:]
    raise NodeAbsent("the node did not come up:\n" + "\n".join(tail))


def _stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is not None:
        return
    process.terminate()
    try:
        process.wait(STOP_S_MAX)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
