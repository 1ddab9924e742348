"""Plays request/expect scripts against the installed program: each line asks for something or says what must come.

    # a comment
    $ drystone init --org ewz        run a command in the script's folder; it must end with 0
    $3 drystone record get x 9       ... with 3
    $ NAME=VALUE drystone ...        ... with NAME in its environment
    > ledger                         a line of stdout, behind the last one found, holds this; `...` stands for anything
    2> member-unknown                stderr holds this
    !> secret                        stdout does not hold this
    up | down | kill                 start the node and wait until it is well; stop it (SIGTERM); kill -9 it
    GET /v1/ledger                   a request to the node; `< 404` after it says another status than 200
    POST /v1/records FILE TYPE       the same with a body
    keep NAME REGEX                  remember the first group of REGEX in the last answer; `${NAME}` stands for it
    write FILE TEXT                  a file of one line
    flip FILE TEXT                   flip one bit where a file holds TEXT first, or in its middle

Pages of docs/ are played too: their `console` blocks hold `$` lines and the lines that must come, and a block
headed `toml NAME` is a file.
"""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Self

START_S_MAX = 60
COMMAND_S_MAX = 120


class ScriptFailed(AssertionError):  # noqa: N818 - a script fails, it does not err
    """A line of a script did not come true."""


class Player:
    """One script's folder, node and last answer."""

    def __init__(self, folder: Path, *, name: str) -> None:
        self.folder = folder
        self.name = name
        self.home = folder / "drystone-data"
        self.kept: dict[str, str] = {}
        self.stdout = ""
        self.stderr = ""
        self.code = 0
        self.status = 0
        self.expected_code = 0
        self.expected_status = 200
        self.found = 0
        self.pending = ""
        self.node: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.node is not None and self.node.poll() is None:
            self._stop(signal.SIGTERM)

    def play(self, text: str) -> None:
        """Play a whole script; raises ScriptFailed with file, line and what came instead."""
        for number, line in enumerate(text.splitlines(), 1):
            try:
                self._line(line)
            except (ScriptFailed, OSError, ValueError, subprocess.TimeoutExpired) as error:
                raise ScriptFailed(
                    f"{self.name}:{number}: {line}\n{error}\n{self._came()}"
                ) from error
        self._settle()

    def play_page(self, text: str) -> None:
        """Play the console blocks of a Markdown page; a block of `LANGUAGE FILE` becomes that file."""
        for name, block in re.findall(r"^```\w+ (\S+)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
            (self.folder / name).write_text(block)
        lines: list[str] = []
        within = False
        for line in text.splitlines():
            if line.strip().startswith("```"):
                within = line.strip() == "```console"
                lines.append("")
            elif within and line.strip() and not line.startswith("$"):
                lines.append(f"> {line.strip()}")
            else:
                lines.append(line if within else "")
        self.play("\n".join(lines))

    def _line(self, line: str) -> None:
        for name, value in self.kept.items():
            line = line.replace("${" + name + "}", value)
        if not line.strip() or line.startswith("#"):
            return
        word, _, rest = line.partition(" ")
        if word.startswith("$"):
            self._settle()
            self.expected_code = int(word[1:] or 0)
            self._run(rest)
        elif word in {">", "2>", "!>", "<"}:
            self._expect(word, rest)
        else:
            self._settle()
            self._act(word, rest)

    def _act(self, word: str, rest: str) -> None:
        if word == "up":
            self._start()
        elif word in {"down", "kill"}:
            self._stop(signal.SIGTERM if word == "down" else signal.SIGKILL)
        elif word in {"GET", "POST"}:
            self._request(word, *rest.split())
        elif word == "keep":
            name, _, pattern = rest.partition(" ")
            match = re.search(pattern, self.stdout)
            if match is None:
                raise ScriptFailed(f"nothing matches {pattern}")
            self.kept[name] = match[1]
        elif word == "write":
            name, _, text = rest.partition(" ")
            (self.folder / name).write_text(text.replace("\\n", "\n") + "\n")
        elif word == "flip":
            name, _, text = rest.partition(" ")
            data = bytearray((self.folder / name).read_bytes())
            at = data.index(text.encode()) if text else len(data) // 2
            data[at] ^= 1
            (self.folder / name).write_bytes(data)
        else:
            raise ScriptFailed(f"no such word: {word}")

    def _run(self, command: str) -> None:
        words = shlex.split(command)
        if words[:2] == ["drystone", "up"] and words[-1] == "&":
            self._start()
            return
        environment = self._environment()
        while "=" in words[0]:
            name, _, environment[name] = words.pop(0).partition("=")
        if words[0] == "drystone":
            words[:1] = program()
        done = subprocess.run(
            words,
            cwd=self.folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=COMMAND_S_MAX,
            check=False,
        )
        self.stdout, self.stderr, self.code = done.stdout, done.stderr, done.returncode
        self.found, self.pending = 0, "command"

    def _request(self, method: str, path: str, file: str = "", kind: str = "") -> None:
        endpoints = json.loads((self.home / "run" / "endpoints.json").read_bytes())
        body = (self.folder / file).read_bytes() if file else None
        headers = {"Content-Type": kind} if kind else {}
        request = urllib.request.Request(endpoints["url"] + path, body, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                self.status, data = response.status, response.read()
        except urllib.error.HTTPError as error:
            self.status, data = error.code, error.read()
        self.stdout, self.stderr = data.decode("utf-8", "replace"), ""
        self.expected_status, self.found, self.pending = 200, 0, "request"

    def _expect(self, word: str, text: str) -> None:
        if word == "<":
            self.expected_status = int(text)
            return
        pattern = re.escape(text.strip()).replace(re.escape("..."), ".*")
        if word == "2>":
            if re.search(pattern, self.stderr) is None:
                raise ScriptFailed("not on stderr")
        elif word == "!>":
            if re.search(pattern, self.stdout) is not None:
                raise ScriptFailed("it came")
        else:
            match = re.compile(pattern).search(self.stdout, self.found)
            if match is None:
                raise ScriptFailed("it did not come, or not in this order")
            self.found = match.end()

    def _settle(self) -> None:
        """Compare code or status of the last command or request, once the script said which it expects."""
        pending, self.pending = self.pending, ""
        if pending == "command" and self.code != self.expected_code:
            raise ScriptFailed(
                f"the command before ended with {self.code}, not {self.expected_code}"
            )
        if pending == "request" and self.status != self.expected_status:
            raise ScriptFailed(f"the request before got {self.status}, not {self.expected_status}")

    def _start(self) -> None:
        with (self.folder / "node.log").open("ab") as log:
            self.node = subprocess.Popen(
                [*program(), "up", "--port", "0"],
                cwd=self.folder,
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        deadline = time.monotonic() + START_S_MAX
        while time.monotonic() < deadline and self.node.poll() is None:
            try:
                self._request("GET", "/healthz")
            except (OSError, ValueError):
                self.pending = ""
                time.sleep(0.05)  # waits for another process, which has no way to call back
                continue
            self.pending = ""
            return
        raise ScriptFailed(
            "the node did not come up:\n" + (self.folder / "node.log").read_text()[-2000:]
        )

    def _stop(self, how: signal.Signals) -> None:
        if self.node is None:
            raise ScriptFailed("no node runs")
        if how == signal.SIGKILL:
            os.killpg(self.node.pid, how)
        else:
            self.node.send_signal(how)
        code = self.node.wait(60)
        self.node = None
        if how == signal.SIGTERM and code != 0:
            raise ScriptFailed(f"the node ended with {code}")

    def _environment(self) -> dict[str, str]:
        kept = {
            name: value for name, value in os.environ.items() if not name.startswith("DRYSTONE")
        }
        return {**kept, "DRYSTONE_HOME": str(self.home), "COLUMNS": "80", "NO_COLOR": "1"}

    def _came(self) -> str:
        return f"--- stdout\n{self.stdout[-3000:]}\n--- stderr\n{self.stderr[-2000:]}"


def program() -> list[str]:
    """The installed program; from a source tree, the module."""
    installed = Path(sys.executable).with_name("drystone")
    return [str(installed)] if installed.exists() else [sys.executable, "-m", "drystone.cli"]
