"""kill -9 of a gateway, again and again, while devices send and its link comes and goes: nothing acknowledged is lost.

A node and a gateway run on temporary homes; clients post signed readings to the gateway and note what was acknowledged.
A seeded generator picks the moment; now and then the node is stopped for a while, so that kills fall into every state:
linked, cut off, catching up. At the end every stream on the node must hold exactly what was sent, each record once, and
`fsck` must find nothing in either home. Used by `tools/torture.py gateway` (500 kills) and, briefly, by tests/process.
"""

import random
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from fleet import NODE, Fleet, Meter, Process, fsck

from drystone.client.rest import Client, find_endpoint
from drystone.errors import Unavailable

GATEWAY = "gw-1"
BATCH = 10


@dataclass(frozen=True)
class Report:
    """What a torture found: `faults` is empty when all is well."""

    kills: int
    outages: int
    acknowledged: int
    restart_s: list[float]
    faults: list[str]

    def __str__(self) -> str:
        times = sorted(self.restart_s) or [0.0]
        return (
            f"{self.kills} kills, {self.outages} outages of the uplink, {self.acknowledged} records acknowledged, "
            f"restart p50 {times[len(times) // 2]:.2f} s, worst {times[-1]:.2f} s, {len(self.faults)} faults"
        )


def torture(
    *, kills: int, seed: int, meters: int = 3, say: Callable[[str], None] = lambda _: None
) -> Report:
    """Kill a gateway `kills` times while `meters` clients send; check everything afterwards."""
    draw = random.Random(seed)
    with tempfile.TemporaryDirectory(prefix="drystone-gateway-") as folder:
        root = Path(folder)
        with Fleet(root, (GATEWAY,)) as fleet:
            fleet.admit()
            devices = [Meter(f"m-{number}", number + 1) for number in range(meters)]
            with fleet.node.client() as client:
                fleet.enrol(client, devices)
            fleet.start_gateways()
            fleet.wait_for_registry()
            gateway = fleet.gateways[GATEWAY]
            stop = threading.Event()
            answers: list[set[str]] = [set() for _ in devices]
            threads = [
                threading.Thread(target=send, args=(gateway, device, codes, stop), daemon=True)
                for device, codes in zip(devices, answers, strict=True)
            ]
            for thread in threads:
                thread.start()
            restart_s: list[float] = []
            outages = 0
            for number in range(1, kills + 1):
                stop.wait(draw.uniform(0.0, 0.3))
                if draw.random() < 0.1:
                    if fleet.node.running:
                        fleet.node.stop()
                        outages += 1
                    else:
                        fleet.node.start()
                restart_s.append(gateway.kill())
                if number % 25 == 0:
                    say(f"{number} kills, slowest restart {max(restart_s):.2f} s")
            stop.set()
            for thread in threads:
                thread.join()
            if not fleet.node.running:
                fleet.node.start()
            fleet.wait_until_ordered(timeout_s=300.0)
            faults = check(fleet, devices, answers)
            for process in (gateway, fleet.node):
                if code := process.stop():
                    faults.append(f"{process.home.name} ended with {code}")
            faults += fsck(root / NODE)
            faults += fsck(root / GATEWAY)
    total = sum(device.acknowledged for device in devices)
    return Report(kills, outages, total, restart_s, faults)


def send(gateway: Process, device: Meter, codes: set[str], stop: threading.Event) -> None:
    """Send batch after batch; one that got no answer is sent again, as a device would."""
    client: Client | None = None
    records: list[bytes] = []
    while not stop.is_set() or device.acknowledged < device.next_seq:
        if device.acknowledged == device.next_seq:
            records = device.next(BATCH)
        try:
            endpoint = find_endpoint(gateway.home)
            if client is not None and client.endpoint.url != endpoint.url:
                client.close()
                client = None
            if client is None:
                client = Client(endpoint)
            answers = client.submit(records)
        except (Unavailable, OSError):
            time.sleep(0.05)
            continue
        codes.update(answer.code for answer in answers)
        if all(answer.code in {"stored", "already"} for answer in answers):
            device.acknowledged += len(answers)
    if client is not None:
        client.close()


def check(fleet: Fleet, devices: list[Meter], answers: list[set[str]]) -> list[str]:
    """Say what of the acknowledged records is missing, doubled or was refused."""
    faults: list[str] = []
    with fleet.node.client() as client:
        for device, codes in zip(devices, answers, strict=True):
            wrong = codes - {"stored", "already"}
            if wrong:
                faults.append(f"{device.name}: answers {wrong}")
            runs = fleet.runs(client, device)
            if runs != [(0, device.next_seq - 1)]:
                faults.append(
                    f"{device.name}: acknowledged {device.next_seq}, the ledger has {runs}"
                )
        faults += [
            f"block {block['height']} refused some of its records"
            for block in client.rows("/v1/blocks")
            if block["accepted"] != block["records"]
        ]
    return faults


if __name__ == "__main__":
    result = torture(kills=int(sys.argv[1]), seed=int(sys.argv[2]), say=print)
    print(result, *result.faults, sep="\n")
    sys.exit(1 if result.faults else 0)
