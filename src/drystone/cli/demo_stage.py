"""The stage of a demo: a throw-away home, the installed command, a node in processes of its own.

Everything a demo shows goes through what a user has: the command `drystone`, sockets and files. Nothing here reaches
into a node. What a step found is noted as held or not; the demo ends with 0 only if all held.
"""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any, Final, NamedTuple, NoReturn, Self

from rich.markup import escape

from drystone.client.rest import Client, find_endpoint
from drystone.errors import DrystoneError, NodeAbsent

if TYPE_CHECKING:
    from rich.console import Console

START_S_MAX: Final = 60.0
STOP_S_MAX: Final = 30.0
COMMAND_S_MAX: Final = 300.0
DETAIL_LINES_MAX: Final = 8


class Result(NamedTuple):
    """How a command ended and what it said."""

    code: int
    stdout: str
    stderr: str

    def json(self) -> dict[str, Any]:
        """Read what `--json` printed; an empty object where it printed none."""
        try:
            return json.loads(self.stdout)
        except ValueError:
            return {}


class Stage:
    """A temporary home with a node that runs in it; use as a context manager."""

    def __init__(self, console: "Console", *, keep: bool) -> None:
        """`keep` leaves the folder where it is."""
        self.console = console
        self.folder = Path(tempfile.mkdtemp(prefix="drystone-demo-"))
        self.home = self.folder / "home"
        self.held: list[tuple[str, bool]] = []
        self._keep = keep
        self._node: subprocess.Popen[bytes] | None = None
        self._handlers: dict[signal.Signals, Any] = {}
        self._mark = "✓" if "utf" in (console.encoding or "").lower() else "ok"

    def __enter__(self) -> Self:
        # A closed terminal or a SIGTERM ends the demo through `__exit__`, so that no node stays behind.
        self._handlers = {
            number: signal.signal(number, _end) for number in (signal.SIGTERM, signal.SIGHUP)
        }
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop_node()
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        if self._keep:
            self.console.print(f"[dim]kept: {self.folder}[/dim]")
        else:
            shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def all_held(self) -> bool:
        """Whether every step held so far."""
        return bool(self.held) and all(held for _, held in self.held)

    def say(self, text: str) -> None:
        """Print a line that is no check."""
        self.console.print(text, highlight=False, soft_wrap=True)

    def note(self, text: str, *, held: bool, detail: str = "") -> bool:
        """Print a check and whether it held; returns `held`."""
        self.held.append((text, held))
        mark = f"[green]{self._mark}[/green]" if held else "[red]FAILED[/red]"
        first, *rest = textwrap.wrap(text, 74, break_on_hyphens=False)
        self.say(f" {mark} {escape(first)}")
        for line in rest:
            self.say(f"   {escape(line)}")
        for line in detail.splitlines()[-DETAIL_LINES_MAX:]:
            for part in textwrap.wrap(line, 72, subsequent_indent="  ", break_on_hyphens=False):
                self.say(f"     [dim]{escape(part)}[/dim]")
        return held

    def run(self, *arguments: str, offline: bool = False, home: Path | None = None) -> Result:
        """Run `drystone ARGUMENTS` with the demo's home; `offline` without any network where the system can."""
        prefix = offline_prefix() if offline else []
        command = [*prefix, *program(), *arguments]
        return run_command(command, environment=self.environment(home))

    def environment(self, home: Path | None = None) -> dict[str, str]:
        """Give the environment of the demo's commands: nothing of the caller's own node in it."""
        kept = {name: text for name, text in os.environ.items() if not name.startswith("DRYSTONE")}
        return {**kept, "DRYSTONE_HOME": str(home or self.home)}

    def start_node(self) -> str:
        """Start `drystone up` on a free port and wait until it is well; return its address.

        Raises: NodeAbsent with the end of its log when it does not come up.
        """
        log = self.folder / "node.log"
        with log.open("wb") as out:
            self._node = subprocess.Popen(
                [*program(), "up", "--port", "0"],
                env=self.environment(),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                # Ctrl-C is for the demo, which then stops the node in its own time.
                start_new_session=True,
            )
        deadline = time.monotonic() + START_S_MAX
        while time.monotonic() < deadline and self._node.poll() is None:
            with contextlib.suppress(DrystoneError), Client(find_endpoint(self.home)) as node:
                node.get("/healthz")
                return node.endpoint.url
            time.sleep(0.05)
        tail = log.read_text(errors="replace").splitlines()[-12:]
        raise NodeAbsent("the node did not come up:\n" + "\n".join(tail))

    def stop_node(self) -> None:
        """Stop the node as an operator does (SIGTERM), and wait for it."""
        if self._node is None or self._node.poll() is not None:
            return
        self._node.terminate()
        try:
            self._node.wait(STOP_S_MAX)
        except subprocess.TimeoutExpired:
            self._node.kill()
            self._node.wait()


def _end(number: int, _frame: FrameType | None) -> NoReturn:
    sys.exit(128 + number)


def program() -> list[str]:
    """Give the installed command; from a source tree, the module."""
    installed = Path(sys.executable).with_name("drystone")
    return [str(installed)] if installed.exists() else [sys.executable, "-m", "drystone.cli"]


def run_command(command: Sequence[str], *, environment: dict[str, str] | None = None) -> Result:
    """Run a command to its end and keep what it printed."""
    done = subprocess.run(
        list(command),
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=COMMAND_S_MAX,
        check=False,
    )
    return Result(done.returncode, done.stdout, done.stderr)


def offline_prefix() -> list[str]:
    """Give what runs a command in a network of its own with nothing in it; empty where the system cannot."""
    for prefix in (["unshare", "--net"], ["unshare", "--map-root-user", "--net"]):
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            done = subprocess.run([*prefix, "true"], capture_output=True, timeout=10, check=False)
            if done.returncode == 0:
                return prefix
    return []


def single_file_verifier() -> Path | None:
    """Find `drystone-verify.py` where a source tree builds it."""
    import drystone

    built = Path(drystone.__file__).parents[2] / "dist" / "drystone-verify.py"
    return built if built.is_file() else None
