"""Two real processes with a link between them, and a proxy on the link: cut, flap, slow, killed, revoked."""

import contextlib
import json
import subprocess
import sys
import threading
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from drystone.cli.app import app
from drystone.home.keyfolder import read_key_file
from drystone.home.layout import Home, init_home
from drystone.sim.proxy import control

WAIT_S = 40.0
PROGRAM = Path(__file__).with_name("linked_process.py")

pytestmark = pytest.mark.process


class Linked:
    """One process of `linked_process.py`."""

    def __init__(self, village: "Village", sub: str) -> None:
        self.village = village
        self.name = f"ewz/{sub}"
        self.home = Home(village.root / sub)
        self.closed: list[str | None] = []
        self.process: subprocess.Popen[str] | None = None

    def start(self, **options: str) -> None:
        arguments = [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]
        self.process = subprocess.Popen(
            [
                sys.executable, str(PROGRAM), f"--home={self.home.root}",
                f"--registry={self.village.registry}", *arguments,
            ],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def ask(self) -> dict[str, Any]:
        """How it stands now."""
        assert self.process is not None
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        while True:
            told = json.loads(self.process.stdout.readline())
            if "rows" in told:
                return told
            self.closed.append(told["code"])

    def row(self) -> dict[str, Any]:
        """How it stands with its only peer."""
        (row,) = self.ask()["rows"]
        return row

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.end()

    def end(self) -> None:
        if self.process is not None:
            with contextlib.suppress(OSError, ValueError):
                self.process.communicate(timeout=10)
            if self.process.poll() is None:
                self.process.kill()
                self.process.communicate()


class Village:
    """Two members' homes with certificates, a registry file, a proxy between them."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.registry = root / "registry.json"
        keys: dict[str, str] = {}
        for sub in ("a", "b"):
            home = init_home(root / sub, org="ewz", node_name=sub, origin="x.example/y").home
            keys[f"ewz/{sub}"] = read_key_file(home.node_key).secret.public.raw.hex()
        self.registry.write_text(json.dumps(keys))
        self.ca("init", "--org", "ewz")
        for sub in ("a", "b"):
            self.ca("enrol", f"ewz/{sub}", "--into", str(root / sub))
        self.a, self.b = Linked(self, "a"), Linked(self, "b")
        self.proxy = subprocess.Popen(
            [sys.executable, "-m", "drystone.sim.proxy", "--link=name=a-b", "--until-eof"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self.proxy.stdout is not None
        told = json.loads(self.proxy.stdout.readline())
        self.control, self.between = told["control"], told["links"]["a-b"]

    def ca(self, *arguments: str) -> None:
        done = CliRunner().invoke(app, ["ca", *arguments, "--home", str(self.root / "ca-home")])
        assert done.exit_code == 0, done.output

    def tell_link(self, *command: str) -> dict[str, Any]:
        verb, *rest = command
        return control(self.control, verb, "a-b", *rest)["a-b"]

    def start(self) -> None:
        self.start_b()
        self.a.start(peer=f"ewz/b={self.between}")
        until(lambda: self.a.row()["sent"] > 3 and self.b.row()["heard"] > 3)

    def start_b(self) -> None:
        self.b.start(listen="127.0.0.1:0")
        until(lambda: self.b.ask()["listening"])
        self.tell_link("target", self.b.ask()["listening"])

    def end(self) -> None:
        self.a.end()
        self.b.end()
        self.proxy.communicate(timeout=10)


@pytest.fixture
def village(tmp_path: Path) -> Generator[Village]:
    made = Village(tmp_path)
    try:
        yield made
    finally:
        made.end()


def until(holds: Any, seconds: float = WAIT_S) -> None:
    """Ask until it is so; ten times a second, because the machine is not ours alone."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert not threading.Event().wait(0.1)
        assert time.monotonic() < deadline, "it did not come true in time"


def test_messages_flow_both_ways_between_two_processes(village: Village) -> None:
    village.start()
    first = village.b.row()
    until(lambda: village.b.row()["heard"] > first["heard"] + 50)
    until(lambda: village.a.row()["heard"] > 50)
    state = village.tell_link("status")
    assert state["there_bytes"] > 0 < state["back_bytes"]


def test_a_cut_link_comes_back_and_nothing_is_lost_between_books(village: Village) -> None:
    village.start()
    for _ in range(3):
        links, sent = village.a.row()["links"], village.a.row()["sent"]
        village.tell_link("cut")
        until(lambda: not village.a.row()["connected"] and not village.b.row()["connected"])
        village.tell_link("heal")
        until(lambda n=links: village.a.row()["links"] > n)
        until(lambda n=sent: village.a.row()["sent"] > n + 20)
    assert village.a.row()["faults"] == {}


def test_a_pulled_cable_is_noticed_by_its_silence(village: Village) -> None:
    village.start()
    village.tell_link("cut-silent")
    until(lambda: not village.a.row()["connected"])
    assert "link-silent" in village.a.row()["faults"]
    village.tell_link("heal")
    sent = village.a.row()["sent"]
    until(lambda: village.a.row()["sent"] > sent + 20)


def test_a_flapping_link_still_carries(village: Village) -> None:
    village.start()
    sent = village.a.row()["sent"]
    village.tell_link("flap", "0.4", "0.2")
    until(lambda: village.tell_link("status")["cuts"] >= 3)
    until(lambda: village.a.row()["sent"] > sent + 200)
    assert village.a.row()["links"] >= 2


def test_a_process_that_is_killed_is_dialled_again_when_it_is_back(village: Village) -> None:
    village.start()
    village.b.kill()
    until(lambda: not village.a.row()["connected"])
    sent = village.a.row()["sent"]
    village.start_b()
    until(lambda: village.a.row()["sent"] > sent + 20)


def test_revoking_by_command_ends_the_link_between_running_processes(village: Village) -> None:
    village.start()
    village.ca("revoke", "ewz/a", "--into", str(village.b.home.root))
    until(lambda: not village.b.row()["connected"])
    until(lambda: village.b.ask()["refused"].get("certificate-revoked"))
    assert "certificate-revoked" in village.b.closed
    # A new certificate lets it in again, with no restart.
    village.ca("enrol", "ewz/a", "--into", str(village.a.home.root))
    until(lambda: village.b.row()["connected"])


def test_a_key_that_leaves_the_registry_ends_the_link(village: Village) -> None:
    village.start()
    keys = json.loads(village.registry.read_text())
    village.registry.write_text(json.dumps({"ewz/b": keys["ewz/b"]}))
    until(lambda: not village.b.row()["connected"])
    assert "certificate-unregistered" in village.b.closed


@pytest.mark.slow
def test_a_handshake_and_messages_pass_over_one_kbit_s_with_30_percent_loss(
    village: Village,
) -> None:
    village.tell_link("slow", "village")
    village.start_b()
    village.a.start(peer=f"ewz/b={village.between}", idle_s="60")
    until(lambda: village.a.row()["sent"] >= 1, 110)
    state = village.tell_link("status")
    assert state["air_bytes"] > state["there_bytes"] + state["back_bytes"]
    assert village.a.row()["faults"] == village.b.row()["faults"] == {}
