"""A node and gateways as real processes on loopback, with certificates and bad links: for torture, tests and benches.

Homes are made as an operator would (request, admission), links may lead through proxies that can be cut and healed.
Nothing here judges: who uses it looks at what the processes say.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from drystone.client.rest import Client, find_endpoint
from drystone.errors import NodeAbsent, Unavailable
from drystone.formats import cose
from drystone.formats.senml import Measurement, write_pack
from drystone.home.admission import (
    ADMISSION_FILE,
    REQUEST_FILE,
    Admission,
    init_gateway_home,
    read_request,
    write_admission,
)
from drystone.home.authority import Authority, TlsFiles, install
from drystone.home.config import PeerSettings
from drystone.home.keyfolder import read_key_file
from drystone.home.layout import Home, init_home
from drystone.records.key import SecretKey
from drystone.records.record import enrolment_proof, write_call, write_record

ORGANISATION = "ewz"
NODE = "node"
START_S_MAX = 60.0
POLL_S = 0.02


class Process:
    """A supervised process of one home."""

    def __init__(self, home: Path, **settings: str) -> None:
        self.home = home
        self.settings = settings
        self.log = home.parent / f"{home.name}.log"
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def running(self) -> bool:
        """Whether its supervisor runs."""
        return self.process is not None and self.process.poll() is None

    def start(self, *, wait: bool = True) -> None:
        """Start it, and wait until it answers."""
        left = self.endpoints()
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [
                    sys.executable, "-m", "drystone.node.supervisor", str(self.home),
                    "--restarts-max", "1000000",
                ],
                env={**os.environ, "DRYSTONE__HTTP__PORT": "0", **self.settings},
                stderr=log,
            )  # fmt: skip
        if wait:
            self.wait_until_up(not_pid=None if left is None else left["pids"]["front"][0])

    def wait_until_up(self, *, not_pid: int | None = None) -> None:
        """Wait for a front that is not `not_pid`."""
        assert self.process is not None
        deadline = time.monotonic() + START_S_MAX
        while time.monotonic() < deadline:
            endpoints = self.endpoints()
            if endpoints is not None and endpoints["pids"]["front"] != [not_pid]:
                return
            if self.process.poll() is not None:
                break
            time.sleep(POLL_S)
        raise AssertionError(f"{self.home.name} did not start:\n{self.log.read_text()[-3000:]}")

    def endpoints(self) -> dict[str, Any] | None:
        """What its endpoints file says now."""
        try:
            found: dict[str, Any] = json.loads((self.home / "run" / "endpoints.json").read_bytes())
        except (FileNotFoundError, ValueError):
            return None
        return found

    @property
    def pid(self) -> int:
        """Its front."""
        endpoints = self.endpoints()
        assert endpoints is not None
        return int(endpoints["pids"]["front"][0])

    def kill(self) -> float:
        """Kill the front with signal 9; give the seconds until it answers again."""
        pid, began = self.pid, time.monotonic()
        os.kill(pid, signal.SIGKILL)
        self.wait_until_up(not_pid=pid)
        return time.monotonic() - began

    def stop(self) -> int:
        """Stop it as an operator would; give the exit code."""
        if self.process is None:
            return 0
        if self.process.poll() is None:
            self.process.terminate()
        return self.process.wait(START_S_MAX)

    def client(self) -> Client:
        """A client of it as it runs now."""
        return Client(find_endpoint(self.home))

    def pss_bytes(self) -> int:
        """Memory of its front: what it has alone and its share of the rest."""
        for line in Path(f"/proc/{self.pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
        raise AssertionError("smaps_rollup says no Pss")


class Fleet:
    """A node and gateways; use as a context manager. Nothing runs until it is started."""

    def __init__(
        self,
        folder: Path,
        gateways: Sequence[str],
        *,
        meshed: Sequence[Sequence[str]] = (),
        dials: dict[tuple[str, str], str] | None = None,
        **settings: str,
    ) -> None:
        """Make homes. `meshed` are groups of gateways that dial each other; `dials` overrides an address dialled."""
        self.folder = folder
        self.ports = {name: free_port() for name in (NODE, *gateways)}
        made = init_home(
            folder / NODE, org=ORGANISATION, node_name=NODE, origin="ledger.example/fleet"
        )
        self.ledger = made.ledger
        self.trust = made.home.trust.read_bytes()
        self.node = Process(folder / NODE, DRYSTONE__NODE__VERIFIERS="1", **settings)
        self.operator = read_key_file(folder / NODE / "keys" / "operator.key")
        self.gateways: dict[str, Process] = {}
        self._calls = 0
        self._authority = Authority(Home(folder / NODE).ca)
        self._authority.create(
            organisation=ORGANISATION, now_s=int(time.time()), entropy=os.urandom(48)
        )
        key = made.node.secret.public
        _, pem = self._issue(NODE, key)
        authority = self._authority
        install(
            TlsFiles(Home(folder / NODE).tls), ca=authority.pem, node=pem, crl=authority.crl_pem
        )
        self._write_node_settings()
        overrides = dials or {}
        for name in gateways:
            others = {other for group in meshed if name in group for other in group} - {name}
            peers = [self._peer(name, NODE, overrides, uplink=True)]
            peers += [self._peer(name, other, overrides, uplink=False) for other in sorted(others)]
            peers += [
                self._peer(name, other, overrides, uplink=False)
                for (dialling, other) in overrides
                if dialling == name and other != NODE and other not in others
            ]
            init_gateway_home(
                folder / name,
                genesis=made.genesis_bytes,
                trust=self.trust,
                org=ORGANISATION,
                name=name,
                listen=f"127.0.0.1:{self.ports[name]}",
                peers=tuple(peers),
            )
            self.gateways[name] = Process(folder / name, **settings)

    def _write_node_settings(self) -> None:
        text = f'[sync]\nlisten = "127.0.0.1:{self.ports[NODE]}"\n'
        (self.folder / NODE / "config.toml").write_text(text)

    def _peer(
        self, name: str, other: str, overrides: dict[tuple[str, str], str], *, uplink: bool
    ) -> PeerSettings:
        # Of two gateways that mesh only the first by name dials: one link is enough.
        address = overrides.get((name, other), f"127.0.0.1:{self.ports[other]}")
        dials = uplink or name < other or (name, other) in overrides
        return PeerSettings(
            name=f"{ORGANISATION}/{other}", address=address if dials else "", uplink=uplink
        )

    def _issue(self, member: str, key: Any) -> tuple[Any, bytes]:
        return self._authority.enrol(
            iss=ORGANISATION,
            sub=member,
            key=key,
            now_s=int(time.time()),
            entropy=os.urandom(16),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for process in (*self.gateways.values(), self.node):
            if process.process is not None and process.process.poll() is None:
                process.process.terminate()
        for process in (*self.gateways.values(), self.node):
            process.stop()

    def admit(self) -> None:
        """Start the node, and let every gateway in: enrolled on the ledger, with a certificate."""
        self.node.start()
        with self.node.client() as client:
            members: list[dict[str, Any]] = []
            for name, gateway in self.gateways.items():
                asked = read_request((gateway.home / REQUEST_FILE).read_bytes(), ledger=self.ledger)
                members.append({"sub": name, "proof": asked.proof.hex(), "roles": ["gateway"]})
                _, pem = self._issue(name, asked.key)
                admission = Admission(
                    ORGANISATION,
                    name,
                    ca=self._authority.pem,
                    node=pem,
                    crl=self._authority.crl_pem,
                )
                (gateway.home / ADMISSION_FILE).write_bytes(
                    write_admission(admission, ledger=self.ledger)
                )
            if members:
                self.call(client, "enrol", {"members": members})

    def enrol(self, client: Client, meters: Sequence["Meter"]) -> None:
        """Register a profile and meters, 64 at a time."""
        measurements = [{"name": "e", "unit": "Wh"}]
        register = {"name": "e", "exponent": 0}
        self.call(
            client, "profile", {"name": "meter", "measurements": measurements, "register": register}
        )
        members = [
            {"sub": meter.name, "proof": meter.proof(self.ledger).hex(), "profile": "meter"}
            for meter in meters
        ]
        for begin in range(0, len(members), 64):
            self.call(client, "enrol", {"members": members[begin : begin + 64]})

    def call(self, client: Client, function: str, args: dict[str, Any]) -> None:
        """A call of the operator, awaited."""
        payload = write_call(
            ledger=self.ledger, contract="registry", function=function, args=args, limit=0
        )
        record = write_record(
            secret=self.operator.secret, iss=ORGANISATION, sub="operator", epoch=0,
            seq=self._calls, payload=payload, content_type=cose.CBOR,
        )  # fmt: skip
        self._calls += 1
        (answer,) = client.deliver([record], wait="committed")
        assert answer.outcome == "accepted", answer

    def start_gateways(self, *names: str) -> None:
        """Start gateways, all at once."""
        chosen = [self.gateways[name] for name in names or self.gateways]
        for gateway in chosen:
            gateway.start(wait=False)
        for gateway in chosen:
            gateway.wait_until_up()

    def wait_for_registry(self, *names: str, timeout_s: float = 30.0) -> None:
        """Wait until gateways have copied the registry as it is now at the node."""
        with self.node.client() as client:
            height = client.get("/v1/ledger")["head"]["height"]
        for name in names or self.gateways:
            self.wait_for(
                name, lambda s: s["rows_height"] >= height, f"registry {height}", timeout_s
            )

    def wait_for(self, name: str, holds: Any, what: str, timeout_s: float = 60.0) -> dict[str, Any]:
        """Wait until something holds of a gateway's status; give it."""
        deadline = time.monotonic() + timeout_s
        status: dict[str, Any] = {}
        while time.monotonic() < deadline:
            try:
                with self.gateways[name].client() as client:
                    while time.monotonic() < deadline:
                        status = client.get("/v1/gateway")
                        if holds(status):
                            return status
                        time.sleep(POLL_S)
            except (Unavailable, NodeAbsent):
                time.sleep(POLL_S)
        log = self.gateways[name].log.read_text()[-3000:]
        raise AssertionError(f"{name}: waited {timeout_s} s for {what}: {status}\n{log}")

    def wait_until_ordered(self, *names: str, timeout_s: float = 120.0) -> None:
        """Wait until gateways know the outcome of everything they sealed."""
        for name in names or self.gateways:
            self.wait_for(
                name,
                lambda s: s["buffered_vertices"] == 0 and s["intake_records"] == 0,
                "all ordered",
                timeout_s,
            )

    def runs(self, client: Client, meter: "Meter") -> list[tuple[int, int]]:
        """The runs of a meter's stream on the node."""
        state = client.get(f"/v1/streams/{ORGANISATION}/{meter.name}")
        return [(run["first"], run["last"]) for run in state["there"]]


class Meter:
    """A device: its key, and how far its stream was sent."""

    def __init__(self, name: str, number: int) -> None:
        self.name = name
        self.secret = SecretKey.generate(cose.ALG_EDDSA, number.to_bytes(32, "big"))
        self.next_seq = 0
        self.acknowledged = 0

    def proof(self, ledger: bytes) -> bytes:
        """Its proof of possession."""
        return enrolment_proof(secret=self.secret, iss=ORGANISATION, sub=self.name, ledger=ledger)

    def reading(self, seq: int) -> bytes:
        """One signed reading; the register is the sequence number."""
        return write_record(
            secret=self.secret, iss=ORGANISATION, sub=self.name, epoch=0, seq=seq,
            payload=write_pack([Measurement("e", "Wh", seq, None)]), content_type=cose.SENML,
        )  # fmt: skip

    def next(self, count: int = 1) -> list[bytes]:
        """The next readings."""
        first = self.next_seq
        self.next_seq += count
        return [self.reading(seq) for seq in range(first, first + count)]


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def fsck(home: Path) -> list[str]:
    """Say what `drystone fsck` finds."""
    done = subprocess.run(
        [sys.executable, "-m", "drystone.cli", "fsck", "--home", str(home), "--json"],
        capture_output=True,
        text=True,
        check=False,
    )
    return [] if done.returncode == 0 else [f"fsck {home.name}: {done.stdout}{done.stderr}"]
