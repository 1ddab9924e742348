"""Real processes of a node, for tests: a temporary home, port 0, and a client that waits for files, not for time."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from drystone.client.rest import Client, StreamName, find_endpoint
from drystone.formats import cose
from drystone.formats.senml import Measurement, write_pack
from drystone.gateway.answer import Answer
from drystone.home.keyfolder import read_key_file
from drystone.home.layout import Identity, init_home
from drystone.records.key import SecretKey
from drystone.records.record import enrolment_proof, write_call, write_record

START_S_MAX = 30.0
STREAM = StreamName("ewz", "m-1", None)
METER = SecretKey.generate(cose.ALG_EDDSA, b"m" * 32)


def make_home(root: Path) -> Identity:
    """A fresh home of organisation `ewz`."""
    return init_home(root, org="ewz", node_name="gw-1", origin="ledger.example/main")


class RunningNode:
    """A supervised node in a home; use as a context manager."""

    def __init__(self, home: Path, *, restarts_max: int = 10, **settings: str) -> None:
        self.home = home
        self.restarts_max = restarts_max
        self.environment = {**os.environ, "DRYSTONE__HTTP__PORT": "0", **settings}
        self.process: subprocess.Popen[str] | None = None
        self.log = home.parent / f"{home.name}.log"
        self._calls = 0

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start it and wait until it answers."""
        left = self.endpoints()
        with self.log.open("a") as log:
            self.process = subprocess.Popen(
                [
                    sys.executable, "-m", "drystone.node.supervisor", str(self.home),
                    "--restarts-max", str(self.restarts_max),
                ],
                env=self.environment, stderr=log, text=True,
            )  # fmt: skip
        self.wait_until_up(not_pid=None if left is None else left["pids"]["front"][0])

    def wait_until_up(self, *, not_pid: int | None = None) -> dict[str, Any]:
        """Wait for the endpoints file of a front that is not `not_pid`; give its content."""
        assert self.process is not None
        deadline = time.monotonic() + START_S_MAX
        while time.monotonic() < deadline:
            endpoints = self.endpoints()
            if endpoints is not None and endpoints["pids"]["front"] != [not_pid]:
                return endpoints
            try:
                code = self.process.wait(0.02)
            except subprocess.TimeoutExpired:
                continue
            raise AssertionError(f"the node ended with {code}:\n{self.log.read_text()}")
        raise AssertionError(f"the node did not start:\n{self.log.read_text()}")

    def endpoints(self) -> dict[str, Any] | None:
        """What the endpoints file says now."""
        try:
            found: dict[str, Any] = json.loads((self.home / "run" / "endpoints.json").read_bytes())
        except FileNotFoundError:
            return None
        return found

    def pid(self, name: str) -> int:
        """One of its processes."""
        endpoints = self.endpoints()
        assert endpoints is not None
        return int(endpoints["pids"][name][0])

    def kill(self, *names: str) -> None:
        """Kill processes with signal 9 and wait until the node is up again."""
        front = self.pid("front")
        for pid in [self.pid(name) for name in names]:
            os.kill(pid, signal.SIGKILL)
        self.wait_until_up(not_pid=front)

    def stop(self) -> int:
        """Stop it as an operator would; give the exit code."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.terminate()
        return self.process.wait(START_S_MAX)

    def client(self) -> Client:
        """A client of the node as it runs now."""
        return Client(find_endpoint(self.home))

    def call(self, client: Client, function: str, args: dict[str, Any]) -> Answer:
        """A call of the operator to the registry, awaited."""
        operator = read_key_file(self.home / "keys" / "operator.key")
        ledger = bytes.fromhex(client.get("/v1/ledger")["ledger"])
        payload = write_call(
            ledger=ledger, contract="registry", function=function, args=args, limit=0
        )
        record = write_record(
            secret=operator.secret, iss="ewz", sub="operator", epoch=0, seq=self._calls,
            payload=payload, content_type=cose.CBOR,
        )  # fmt: skip
        self._calls += 1
        answer = client.deliver([record], wait="committed")[0]
        assert answer.outcome == "accepted", answer
        return answer

    def enrol_meter(self, client: Client) -> None:
        """A profile, the signing meter m-1 and the unsigned device `old`."""
        ledger = bytes.fromhex(client.get("/v1/ledger")["ledger"])
        measurements = [{"name": "e", "unit": "Wh"}]
        register = {"name": "e", "exponent": 0}
        proof = enrolment_proof(secret=METER, iss="ewz", sub="m-1", ledger=ledger)
        member = {"sub": "m-1", "proof": proof.hex(), "profile": "meter"}
        self.call(
            client, "profile", {"name": "meter", "measurements": measurements, "register": register}
        )
        self.call(client, "enrol", {"members": [member]})
        self.call(client, "attach", {"gateway": "gw-1", "device": "old", "profile": "meter"})


def reading(seq: int, *, wh: int | None = None) -> bytes:
    """A signed reading of the meter."""
    pack = write_pack([Measurement("e", "Wh", seq if wh is None else wh, None)])
    return write_record(
        secret=METER, iss="ewz", sub="m-1", epoch=0, seq=seq, payload=pack, content_type=cose.SENML
    )
