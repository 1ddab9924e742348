"""The processes of `drystone demo village`: a node, three gateways with homes of their own, certificates, bad links.

Lives here: making those homes, starting and stopping what runs in them. All of it by the installed command and by
files, as an operator would.
"""

import contextlib
import subprocess
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from drystone.cli.demo_links import LOOPBACK, Link, Links, free_ports
from drystone.cli.demo_stage import START_S_MAX, STOP_S_MAX, Stage, program
from drystone.client.rest import Client, find_endpoint
from drystone.errors import DrystoneError, NodeAbsent

ORGANISATION: Final = "village"
NODE: Final = "town"
GATEWAYS: Final = ("mill", "chapel", "quarry")
UPLINK: Final = "wifi"
SIDEWAYS: Final = "ble"
LINKS: Final = (
    *(Link(gateway, NODE, UPLINK) for gateway in GATEWAYS),
    Link("mill", "chapel", SIDEWAYS),
    Link("chapel", "quarry", SIDEWAYS),
)


PROVISIONAL: Final = {"DRYSTONE__GATEWAY__PROVISIONAL": "true"}
"""A gateway executes what it holds: contracts work behind a cut cable."""


class Village:
    """The processes behind a stage's node; use as a context manager, inside the stage's."""

    def __init__(self, stage: Stage, *, seed: int) -> None:
        """Nothing runs yet."""
        self._stage = stage
        names = (NODE, *GATEWAYS)
        self.ports: Mapping[str, int] = dict(zip(names, free_ports(len(names)), strict=True))
        self.links = Links(LINKS, ports=self.ports, seed=seed)
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Self:
        self._stack.enter_context(self.links)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for process in self._running.values():
            if process.poll() is None:
                process.terminate()
        for process in self._running.values():
            try:
                process.wait(STOP_S_MAX)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._stack.close()

    def home(self, name: str) -> Path:
        """Give the home of a process."""
        return self._stage.home if name == NODE else self._stage.folder / name

    def prepare_node(self) -> bool:
        """Begin the ledger, make the authority for links, and let the node listen for peers."""
        made = self._stage.run("init", "--org", ORGANISATION, "--node", NODE)
        authority = self._stage.run("ca", "init")
        issued = self._stage.run("ca", "enrol", f"{ORGANISATION}/{NODE}")
        listen = f'[sync]\nlisten = "{LOOPBACK}:{self.ports[NODE]}"\n'
        (self._stage.home / "config.toml").write_text(listen)
        return self._stage.note(
            "drystone init, ca init: a ledger, and an authority for links",
            held=not (made.code or authority.code or issued.code),
            detail=made.stderr + authority.stderr + issued.stderr,
        )

    def open_gateways(self, *, height: int) -> dict[str, Client]:
        """Make the gateways' homes, let them in, start them; give a client of each, none where it failed.

        They know whoever was enrolled up to the block `height` when this returns.
        """
        with ThreadPoolExecutor(len(GATEWAYS)) as pool:
            failed = "".join(pool.map(self._make, GATEWAYS))
        held = self._stage.note(
            f"drystone gateway init, admit: {', '.join(GATEWAYS)}, each with a home and a key of its own",
            held=not failed,
            detail=failed,
        )
        if not held:
            return {}
        for name in GATEWAYS:
            self._start(name)
        clients = {name: self._stack.enter_context(self._wait(name, height)) for name in GATEWAYS}
        self._stage.note(
            f"{len(GATEWAYS)} gateways run, linked over TLS through {len(LINKS)} cables", held=True
        )
        return clients

    def _make(self, name: str) -> str:
        """Make a gateway's home and let it in; return what a command that failed said."""
        home = self.home(name)
        peers: list[str] = []
        for link in LINKS:
            if link.touches(name):
                other = link.answers if link.dials == name else link.dials
                dialled = f"@{self.links.addresses[link.name]}" if link.dials == name else ""
                kind = "--uplink" if other == NODE else "--peer"
                peers += [kind, f"{ORGANISATION}/{other}{dialled}"]
        files = [
            f"--genesis={self._stage.home}/genesis.cbor",
            f"--trust={self._stage.home}/trust.json",
        ]
        listen = ["--listen", f"{LOOPBACK}:{self.ports[name]}"]
        who = ["--org", ORGANISATION, "--name", name]
        made = self._stage.run("gateway", "init", *who, *files, *peers, *listen, home=home)
        if made.code:
            return made.stderr
        request, admission = str(home / "request.json"), str(home / "admission.json")
        let_in = self._stage.run("gateway", "admit", request, "-o", admission)
        return let_in.stderr if let_in.code else ""

    def _start(self, name: str) -> None:
        """Start a gateway. Does not wait until it is well."""
        with (self._stage.folder / f"{name}.log").open("wb") as out:
            self._running[name] = subprocess.Popen(
                [*program(), "gateway", "up", "--port", "0"],
                env={**self._stage.environment(self.home(name)), **PROVISIONAL},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def _wait(self, name: str, height: int) -> Client:
        """Wait until a gateway knows the registry and has the blocks; give a client of it.

        Raises: NodeAbsent with the end of its log.
        """
        deadline = time.monotonic() + START_S_MAX
        while time.monotonic() < deadline and self._running[name].poll() is None:
            with contextlib.suppress(DrystoneError):
                client = Client(find_endpoint(self.home(name)))
                knows = client.get("/v1/gateway")["rows_height"] >= height
                if knows and client.get("/v1/ledger")["head"]["height"] >= height:
                    return client
                client.close()
            time.sleep(0.05)
        log = (self._stage.folder / f"{name}.log").read_text(errors="replace")
        raise NodeAbsent(f"{name} did not come up:\n" + "\n".join(log.splitlines()[-12:]))
