"""A node of real processes on a temporary home, for the bench."""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from bench import handler
from bench.scales import Memory, measure
from bench.street import ENROL_AT_ONCE, ORGANISATION, PROFILE, Street
from drystone.client.rest import Client, find_endpoint
from drystone.formats import cose
from drystone.home.keyfolder import read_key_file
from drystone.home.layout import init_home
from drystone.records.record import write_call, write_record

OPERATOR = "operator"


class BenchNode:
    """A supervised node in a new home below `folder`; use as a context manager."""

    def __init__(self, folder: Path, **settings: str) -> None:
        self.folder = tempfile.TemporaryDirectory(prefix="node-", dir=folder)
        self.home = Path(self.folder.name) / "home"
        self.log = Path(self.folder.name) / "log"
        init_home(self.home, org=ORGANISATION, node_name="gw-1", origin="bench.example/log")
        self.environment = {**os.environ, "DRYSTONE__HTTP__PORT": "0", **settings}
        self.calls = 0
        self.call_bytes = 0
        """Bytes of the operator's calls on the wire."""
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "drystone.node.supervisor", str(self.home)],
                env=self.environment, stderr=log, stdout=log,
            )  # fmt: skip
        while not self.endpoints_path.exists():
            time.sleep(0.02)
            if self.process.poll() is not None:
                raise RuntimeError(f"the node did not start:\n{self.log.read_text()}")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
        if error is not None:
            sys.stderr.write(self.log.read_text()[-4_000:])
        self.folder.cleanup()

    def stop(self) -> None:
        """Stop it as an operator would."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.terminate()
        self.process.wait(60)

    @property
    def endpoints_path(self) -> Path:
        """Where it says that it is up."""
        return self.home / "run" / "endpoints.json"

    @property
    def endpoints(self) -> dict[str, Any]:
        """Address and processes."""
        found: dict[str, Any] = json.loads(self.endpoints_path.read_bytes())
        return found

    @property
    def url(self) -> str:
        """Its address."""
        return str(self.endpoints["url"])

    def client(self) -> Client:
        """A client of it."""
        return Client(find_endpoint(self.home))

    def call(
        self,
        client: Client,
        function: str,
        args: dict[str, Any],
        *,
        ledger: bytes,
        contract: str = "registry",
    ) -> None:
        """A call of the operator, awaited."""
        operator = read_key_file(self.home / "keys" / "operator.key")
        payload = write_call(
            ledger=ledger, contract=contract, function=function, args=args, limit=0
        )
        record = write_record(
            secret=operator.secret, iss=ORGANISATION, sub=OPERATOR, epoch=0, seq=self.calls,
            payload=payload, content_type=cose.CBOR,
        )  # fmt: skip
        self.calls += 1
        self.call_bytes += len(record)
        answer = client.deliver([record], wait="committed")[0]
        assert answer.outcome == "accepted", answer

    def enrol(self, street: Street, *, contract: bool = False) -> None:
        """Register the profile and every meter of a street; with `contract` its readings run under `handler`."""
        with self.client() as client:
            ledger = bytes.fromhex(client.get("/v1/ledger")["ledger"])
            profile: dict[str, Any] = {
                "name": PROFILE,
                "measurements": [{"name": "e", "unit": "Wh"}],
                "register": {"name": "e", "exponent": 0},
            }
            if contract:
                self._deploy(client, ledger)
                profile["rule"] = handler.MANIFEST["name"]
            self.call(client, "profile", profile, ledger=ledger)
            for first in range(0, street.count, ENROL_AT_ONCE):
                members = street.members(first, ledger)
                self.call(client, "enrol", {"members": members}, ledger=ledger)

    def _deploy(self, client: Client, ledger: bytes) -> None:
        package = {"manifest": handler.MANIFEST, "source": handler.SOURCE}
        which = {name: handler.MANIFEST[name] for name in ("name", "version")}
        self.call(client, "submit", package, ledger=ledger, contract="contracts")
        self.call(client, "deploy", which, ledger=ledger, contract="contracts")

    def memory(self) -> Memory:
        """What its processes have in memory now."""
        return measure(self.endpoints["pids"])
