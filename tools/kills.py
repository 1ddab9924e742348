"""kill -9 of a running node's processes, again and again, while clients send: nothing acknowledged may be missing.

A supervised node runs on a temporary home; clients send signed readings and note what was acknowledged. A seeded
generator picks moment and victim: front, executor, a verifier, or front and executor at once. At the end every stream
must hold exactly what was sent, each record once, and `fsck` must find nothing. How long restarts took is reported and
judged by who reads it, because it depends on what else the machine does. Used by `tools/torture.py` (1,000 kills) and, briefly, by `tests/process`.
"""

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from drystone.client.rest import Client, StreamName, find_endpoint
from drystone.errors import Unavailable
from drystone.formats import cose
from drystone.formats.senml import Measurement, write_pack
from drystone.home.keyfolder import read_key_file
from drystone.home.layout import init_home
from drystone.proof.trust import parse_trust
from drystone.proof.verify import verify_completeness
from drystone.records.key import SecretKey
from drystone.records.record import enrolment_proof, write_call, write_record

ORGANISATION = "ewz"
VICTIMS = (("front",), ("executor",), ("front", "executor"), ("verifiers",))
BATCH = 20
START_S_MAX = 60.0


@dataclass
class Meter:
    """A device of the torture: its key, and how far its stream was sent and acknowledged."""

    name: str
    secret: SecretKey
    next_seq: int = 0
    acknowledged: int = 0
    answers: dict[str, int] = field(default_factory=dict)

    def batch(self) -> list[bytes]:
        """The next readings, signed."""
        return [self.reading(self.next_seq + offset) for offset in range(BATCH)]

    def reading(self, seq: int) -> bytes:
        """One signed reading; the register is the sequence number."""
        return write_record(
            secret=self.secret, iss=ORGANISATION, sub=self.name, epoch=0, seq=seq,
            payload=write_pack([Measurement("e", "Wh", seq, None)]), content_type=cose.SENML,
        )  # fmt: skip


@dataclass(frozen=True)
class Report:
    """What a torture found: `faults` is empty when all is well."""

    kills: int
    acknowledged: int
    restart_s: list[float]
    faults: list[str]

    def __str__(self) -> str:
        times = sorted(self.restart_s)
        worst = f"{times[-1]:.2f} s" if times else "-"
        half = f"{times[len(times) // 2]:.2f} s" if times else "-"
        return (
            f"{self.kills} kills, {self.acknowledged} records acknowledged, "
            f"restart p50 {half}, worst {worst}, {len(self.faults)} faults"
        )


class Victim:
    """A supervised node that is killed part by part."""

    def __init__(self, folder: Path) -> None:
        self.home = folder / "home"
        self.log = (folder / "node.log").open("w")
        init_home(self.home, org=ORGANISATION, node_name="gw-1", origin="torture.example/log")
        command = [sys.executable, "-m", "drystone.node.supervisor", str(self.home)]
        self.process = subprocess.Popen(
            [*command, "--restarts-max", "1000000"],
            env={**os.environ, "DRYSTONE__HTTP__PORT": "0"},
            stderr=self.log,
        )

    def wait_until_up(self, *, not_pid: int | None = None) -> dict[str, list[int]]:
        """Wait for a front that is not `not_pid`; give its processes."""
        deadline = time.monotonic() + START_S_MAX
        path = self.home / "run" / "endpoints.json"
        while time.monotonic() < deadline:
            try:
                pids: dict[str, list[int]] = json.loads(path.read_bytes())["pids"]
            except (FileNotFoundError, ValueError):
                pids = {}
            if pids and pids["front"] != [not_pid] and _alive(pids["front"][0]):
                return pids
            try:
                code = self.process.wait(0.01)
            except subprocess.TimeoutExpired:
                continue
            raise RuntimeError(f"the supervisor ended with {code}")
        raise RuntimeError(f"the node is not up after {START_S_MAX} s")

    def kill(self, pids: dict[str, list[int]], victims: tuple[str, ...]) -> float:
        """Kill processes at once; give the seconds until the node answers again."""
        began = time.monotonic()
        for name in victims:
            os.kill(pids[name][0], signal.SIGKILL)
        self.wait_until_up(not_pid=pids["front"][0])
        return time.monotonic() - began

    def stop(self) -> int:
        """Stop as an operator would; once stopped, only say how it ended."""
        if self.process.poll() is None:
            self.process.terminate()
        code = self.process.wait(START_S_MAX)
        self.log.close()
        return code


def torture(
    *, kills: int, seed: int, meters: int = 4, say: Callable[[str], None] = lambda _: None
) -> Report:
    """Kill a node's processes `kills` times while `meters` clients send; check everything afterwards."""
    generator = random.Random(seed)
    with tempfile.TemporaryDirectory(prefix="drystone-torture-") as folder:
        node = Victim(Path(folder))
        try:
            pids = node.wait_until_up()
            devices = enrol(node.home, meters)
            stop = threading.Event()
            threads = [
                threading.Thread(target=send, args=(node.home, device, stop), daemon=True)
                for device in devices
            ]
            for thread in threads:
                thread.start()
            restart_s: list[float] = []
            for number in range(1, kills + 1):
                stop.wait(generator.uniform(0.0, 0.4))
                restart_s.append(node.kill(pids, generator.choice(VICTIMS)))
                pids = node.wait_until_up()
                if number % 50 == 0:
                    say(f"{number} kills, slowest restart {max(restart_s):.2f} s")
            stop.set()
            for thread in threads:
                thread.join()
            faults = check(node.home, devices)
            code = node.stop()
            if code:
                faults.append(f"the node did not stop cleanly: exit code {code}")
            faults += fsck(node.home)
        finally:
            node.stop()
    return Report(kills, sum(device.acknowledged for device in devices), restart_s, faults)


def enrol(home: Path, count: int) -> list[Meter]:
    """Register a profile and `count` meters."""
    devices = [
        Meter(f"m-{number}", SecretKey.generate(cose.ALG_EDDSA, bytes([number + 1]) * 32))
        for number in range(count)
    ]
    operator = read_key_file(home / "keys" / "operator.key")
    with Client(find_endpoint(home)) as client:
        ledger = bytes.fromhex(client.get("/v1/ledger")["ledger"])
        members: list[dict[str, Any]] = []
        for device in devices:
            proof = enrolment_proof(
                secret=device.secret, iss=ORGANISATION, sub=device.name, ledger=ledger
            )
            members.append({"sub": device.name, "proof": proof.hex(), "profile": "meter"})
        profile = {
            "name": "meter",
            "measurements": [{"name": "e", "unit": "Wh"}],
            "register": {"name": "e", "exponent": 0},
        }
        calls = [("profile", profile), ("enrol", {"members": members})]
        for seq, (function, args) in enumerate(calls):
            payload = write_call(
                ledger=ledger, contract="registry", function=function, args=args, limit=0
            )
            record = write_record(
                secret=operator.secret, iss=ORGANISATION, sub="operator", epoch=0, seq=seq,
                payload=payload, content_type=cose.CBOR,
            )  # fmt: skip
            (answer,) = client.deliver([record], wait="committed")
            if answer.outcome != "accepted":
                raise RuntimeError(f"{function}: {answer}")
    return devices


def send(home: Path, device: Meter, stop: threading.Event) -> None:
    """Send batch after batch; one that got no answer is sent again, as a device would."""
    client: Client | None = None
    records: list[bytes] = []
    while not stop.is_set() or device.acknowledged < device.next_seq:
        if device.acknowledged == device.next_seq:
            records = device.batch()
            device.next_seq += len(records)
        try:
            endpoint = find_endpoint(home)
            # A client is dear to make: a new one only for a new address.
            if client is not None and client.endpoint.url != endpoint.url:
                client.close()
                client = None
            if client is None:
                client = Client(endpoint)
            answers = client.submit(records)
        except (Unavailable, OSError):
            time.sleep(0.1)
            continue
        for answer in answers:
            device.answers[answer.code] = device.answers.get(answer.code, 0) + 1
        if all(answer.code in {"stored", "already"} for answer in answers):
            device.acknowledged += len(answers)
    if client is not None:
        client.close()


def check(home: Path, devices: list[Meter]) -> list[str]:
    """Say what of the acknowledged records is missing, doubled or was refused."""
    faults: list[str] = []
    trust = parse_trust((home / "trust.json").read_bytes())
    with Client(find_endpoint(home)) as client:
        for device in devices:
            # A last record, awaited: everything before it is committed then.
            (last,) = client.deliver([device.reading(device.next_seq)], wait="committed")
            wrong = {code for code in device.answers if code not in {"stored", "already"}}
            if last.outcome != "accepted" or wrong:
                faults.append(f"{device.name}: last record {last}, other answers {wrong}")
            stream = StreamName(ORGANISATION, device.name, None)
            verdict = verify_completeness(client.completeness(stream), trust)
            assert verdict.stretch is not None
            runs = [(run.first, run.last) for run in verdict.stretch.runs]
            if runs != [(0, device.next_seq)] or verdict.stretch.count != device.next_seq + 1:
                faults.append(
                    f"{device.name}: acknowledged 0 to {device.next_seq}, the ledger has {runs}, "
                    f"{verdict.stretch.count} records"
                )
    return faults


def fsck(home: Path) -> list[str]:
    """Say what `drystone fsck` finds."""
    done = subprocess.run(
        [sys.executable, "-m", "drystone.cli", "fsck", "--home", str(home), "--json"],
        capture_output=True,
        text=True,
        check=False,
    )
    return [] if done.returncode == 0 else [f"fsck: {done.stdout}{done.stderr}"]


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


if __name__ == "__main__":
    found = torture(kills=int(sys.argv[1]), seed=int(sys.argv[2]), say=print)
    print(found, *found.faults, sep="\n")
    sys.exit(1 if found.faults else 0)
