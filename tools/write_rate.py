"""The rate at which a gateway writes, cut off and connected: they should be the same (S1.15).

One gateway, one client that waits for each record's place; the node is stopped and started in turns, so that what else
the machine does falls on both alike. Printed: records per second of each turn, the ratio of the medians, and the time
that the gateway's process computes for a vertex: connected it exchanges as well, and the node computes beside it.
"""

import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from fleet import Fleet, Meter

GATEWAY = "gw-1"


class Turn(NamedTuple):
    """Vertices per second, and milliseconds that the gateway computed for each."""

    per_s: float
    cpu_ms: float


def computed_s(pid: int) -> float:
    """Seconds that a process has computed."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def turn(fleet: Fleet, meter: Meter, count: int) -> Turn:
    """Write so many vertices of one record."""
    pid = fleet.gateways[GATEWAY].pid
    with fleet.gateways[GATEWAY].client() as client:
        client.deliver(meter.next(1), wait="sealed")
        began, before = time.monotonic(), computed_s(pid)
        for record in meter.next(count):
            (answer,) = client.deliver([record], wait="sealed")
            assert answer.code == "stored", answer
        seconds = time.monotonic() - began
        return Turn(count / seconds, 1000 * (computed_s(pid) - before) / count)


def run(*, vertices: int, turns: int) -> tuple[list[Turn], list[Turn]]:
    """Write in turns; give the rates cut off and connected."""
    cut_off: list[Turn] = []
    connected: list[Turn] = []
    with (
        tempfile.TemporaryDirectory(prefix="drystone-rate-") as folder,
        Fleet(Path(folder), (GATEWAY,)) as fleet,
    ):
        fleet.admit()
        meter = Meter("m-1", 1)
        with fleet.node.client() as client:
            fleet.enrol(client, [meter])
        fleet.start_gateways()
        fleet.wait_for_registry()
        for _ in range(turns):
            connected.append(turn(fleet, meter, vertices))
            fleet.wait_until_ordered()
            fleet.node.stop()
            cut_off.append(turn(fleet, meter, vertices))
            fleet.node.start()
            fleet.wait_until_ordered()
        with fleet.node.client() as client:
            assert fleet.runs(client, meter) == [(0, meter.next_seq - 1)]
    return cut_off, connected


if __name__ == "__main__":
    alone, together = run(vertices=int(sys.argv[1]) if len(sys.argv) > 1 else 300, turns=3)
    ratio = statistics.median(one.per_s for one in alone) / statistics.median(
        one.per_s for one in together
    )
    for name, turns_of in (("cut off", alone), ("connected", together)):
        print(name, *(f"{one.per_s:.0f}/s ({one.cpu_ms:.1f} ms)" for one in turns_of))
    print(f"cut off is {ratio:.2f} of connected")
