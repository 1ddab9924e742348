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

from bench.street import ENROL_AT_ONCE, ORGANISATION, PROFILE, Street
from drystone.client import Client, find_endpoint
from drystone.formats import cose
from drystone.home import init_home
from drystone.keyfolder import read_key_file
from drystone.records.record import write_call, write_record


class BenchNode:
    """A supervised node; use as a context manager."""

    def __init__(self, **settings: str) -> None:
        self.folder = tempfile.TemporaryDirectory(prefix="drystone-bench-")
        self.home = Path(self.folder.name) / "home"
        init_home(self.home, org=ORGANISATION, node_name="gw-1", origin="bench.example/log")
        self.environment = {**os.environ, "DRYSTONE__HTTP__PORT": "0", **settings}
        self.calls = 0
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "drystone.supervisor", str(self.home)], env=self.environment
        )
        while not self.endpoints_path.exists():
            time.sleep(0.02)
            assert self.process.poll() is None, "the node did not start"
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
        self.folder.cleanup()

    def stop(self) -> None:
        """Stop it as an operator would."""
        assert self.process is not None
        self.process.terminate()
        self.process.wait(30)

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

    def call(self, client: Client, function: str, args: dict[str, Any], ledger: bytes) -> None:
        """A registry call of the operator, awaited."""
        operator = read_key_file(self.home / "keys" / "operator.key")
        payload = write_call(
            ledger=ledger, contract="registry", function=function, args=args, limit=0
        )
        record = write_record(
            secret=operator.secret, iss=ORGANISATION, sub="operator", epoch=0, seq=self.calls,
            payload=payload, content_type=cose.CBOR,
        )  # fmt: skip
        self.calls += 1
        answer = client.deliver([record], wait="committed")[0]
        assert answer.outcome == "accepted", answer

    def enrol(self, street: Street, *, measurements: int = 1) -> None:
        """Register the profile and every meter of a street."""
        names = ["e", *(f"e{index}" for index in range(1, measurements))]
        with self.client() as client:
            ledger = bytes.fromhex(client.get("/v1/ledger")["ledger"])
            listed = [{"name": name, "unit": "Wh"} for name in names]
            profile = {"name": PROFILE, "measurements": listed}
            profile["register"] = {"name": "e", "exponent": 0}  # type: ignore[assignment]
            self.call(client, "profile", profile, ledger)
            for first in range(0, street.count, ENROL_AT_ONCE):
                members = street.members(first, ledger)
                self.call(client, "enrol", {"members": members}, ledger)

    def memory(self) -> dict[str, int]:
        """Bytes per kind of process: proportional set size, so that what is shared counts once."""
        found: dict[str, int] = {}
        for name, pids in self.endpoints["pids"].items():
            total = 0
            for pid in pids:
                text = Path(f"/proc/{pid}/smaps_rollup").read_text()
                total += next(
                    int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:")
                )
            found[name] = total * 1024
        return found

    def disk_bytes(self) -> int:
        """Bytes of both databases."""
        return sum(path.stat().st_size for path in self.home.glob("*.db*"))
