"""Two partitions of three gateways write on alone, as real processes; then they meet: everything is ordered once.

Each partition is meshed within, the node is away, and the two do not know of each other but by one link that is cut.
While cut off each writes so many vertices (one record each, sealed at once); then the link heals and the node comes.
At the end every stream is whole on the node, every vertex is ordered once, all gateways know all outcomes, and their
frontiers are equal. The rate of writing is measured cut off and, with more vertices, connected.
"""

import contextlib
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path

from fleet import NODE, ORGANISATION, Fleet, Meter, Process, free_port, fsck

LEFT = ("a-1", "a-2", "a-3")
RIGHT = ("b-1", "b-2", "b-3")


@dataclass(frozen=True)
class Report:
    """What came of it: `faults` is empty when all is well; rates in vertices per second, all gateways together."""

    vertices: int
    records: int
    cut_off_per_s: float
    connected_per_s: float
    merge_s: float
    two_parents: float
    memory_max_bytes: int
    faults: list[str]

    def __str__(self) -> str:
        return (
            f"{self.vertices} vertices, {self.records} records; written cut off {self.cut_off_per_s:.0f}/s, "
            f"connected {self.connected_per_s:.0f}/s (ratio {self.cut_off_per_s / self.connected_per_s:.2f}); "
            f"merged and ordered in {self.merge_s:.1f} s; {100 * self.two_parents:.0f} % of vertices with two live "
            f"parents; gateway memory at most {self.memory_max_bytes / 1e6:.1f} MB; {len(self.faults)} faults"
        )


def write(gateway: Process, meter: Meter, count: int) -> None:
    """Write so many vertices through a gateway, one record each."""
    with gateway.client() as client:
        for record in meter.next(count):
            (answer,) = client.deliver([record], wait="sealed")
            assert answer.code == "stored", answer
            assert answer.place is not None, answer


def write_all(fleet: Fleet, meters: dict[str, Meter], count: int) -> float:
    """Write through all gateways at once; give vertices per second."""
    threads = [
        threading.Thread(target=write, args=(fleet.gateways[name], meter, count))
        for name, meter in meters.items()
    ]
    began = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return count * len(meters) / (time.monotonic() - began)


def run(*, vertices: int, say: Callable[[str], None] = lambda _: None) -> Report:
    """Let each partition write about `vertices` vertices alone, merge, and look."""
    each = -(-vertices // 3)
    with tempfile.TemporaryDirectory(prefix="drystone-partitions-") as name:
        folder = Path(name)
        crossing = free_port()
        dials = {(LEFT[0], RIGHT[0]): f"127.0.0.1:{crossing}"}
        with contextlib.ExitStack() as stack:
            fleet = stack.enter_context(
                Fleet(folder, (*LEFT, *RIGHT), meshed=(LEFT, RIGHT), dials=dials)
            )
            fleet.admit()
            meters = {
                gateway: Meter(f"m-{number}", number + 1)
                for number, gateway in enumerate(fleet.gateways)
            }
            with fleet.node.client() as client:
                fleet.enrol(client, list(meters.values()))
            fleet.start_gateways()
            fleet.wait_for_registry()
            fleet.node.stop()
            say("cut off")
            cut_off = write_all(fleet, meters, each)
            memory = max(gateway.pss_bytes() for gateway in fleet.gateways.values())
            say(f"{each * len(meters)} vertices written, {cut_off:.0f}/s")
            began = time.monotonic()
            stack.enter_context(link(crossing, fleet.ports[RIGHT[0]]))
            fleet.node.start()
            fleet.wait_until_ordered(timeout_s=300.0)
            merge_s = time.monotonic() - began
            say(f"merged in {merge_s:.1f} s")
            connected = write_all(fleet, meters, each)
            fleet.wait_until_ordered(timeout_s=300.0)
            memory = max(memory, *(gateway.pss_bytes() for gateway in fleet.gateways.values()))
            faults = check(fleet, meters)
            two = share_of_two_parents(fleet)
            for process in (*fleet.gateways.values(), fleet.node):
                if code := process.stop():
                    faults.append(f"{process.home.name} ended with {code}")
            faults += fsck(folder / NODE)
        count = 2 * each * len(meters)
        return Report(count, count, cut_off, connected, merge_s, two, memory, faults)


@contextlib.contextmanager
def link(listen: int, target: int) -> Generator[None]:
    """Open the one link between the partitions, as a proxy on the port that was closed until now."""
    places = f"target=127.0.0.1:{target},listen=127.0.0.1:{listen}"
    proxy = subprocess.Popen(
        [sys.executable, "-m", "drystone.sim.proxy", "--until-eof", "--link", f"name=x,{places}"],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        proxy.communicate(timeout=20)


def check(fleet: Fleet, meters: dict[str, Meter]) -> list[str]:
    """Say what is missing, doubled or unequal."""
    faults: list[str] = []
    with fleet.node.client() as client:
        for gateway, meter in meters.items():
            runs = fleet.runs(client, meter)
            if runs != [(0, meter.next_seq - 1)]:
                faults.append(f"{meter.name} at {gateway}: wrote {meter.next_seq}, found {runs}")
        vertices = records = refused = 0
        for block in client.rows("/v1/blocks"):
            vertices += block["vertices"]
            records += block["accepted"]
            refused += block["records"] - block["accepted"]
        rows = list(client.rows("/v1/vertices"))
        pending = sum(row["height"] is None for row in rows)
        if refused or pending or vertices != len(rows):
            faults.append(
                f"{len(rows)} vertices, {vertices} ordered, {pending} pending; {refused} records refused"
            )
        if records < sum(meter.next_seq for meter in meters.values()):
            faults.append(f"{records} records accepted in all")
        frontier = ends(client.get("/v1/frontier")["rows"])
    for name, gateway in fleet.gateways.items():
        with gateway.client() as client:
            found = ends(client.get("/v1/frontier")["rows"])
        missing = {author: end for author, end in frontier.items() if found.get(author) != end}
        if missing:
            faults.append(f"{name} has another frontier: {missing}")
    return faults


def ends(rows: list[dict[str, object]]) -> dict[object, tuple[object, object]]:
    """The last place of each gateway."""
    return {row["sub"]: (row["epoch"], row["seq"]) for row in rows if row["sub"] != NODE}


def share_of_two_parents(fleet: Fleet) -> float:
    """How many of the gateways' vertices cite another author's vertex beside their own parent."""
    total = linked = 0
    with fleet.node.client() as client:
        for row in client.rows("/v1/vertices"):
            if row["sub"] != NODE and row["iss"] == ORGANISATION and row["seq"]:
                total += 1
                linked += bool(row["links"])
    return linked / max(1, total)


if __name__ == "__main__":
    found = run(vertices=int(sys.argv[1]) if len(sys.argv) > 1 else 1_000, say=print)
    print(found, *found.faults, sep="\n")
    sys.exit(1 if found.faults else 0)
