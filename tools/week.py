"""A week of one gateway's readings, taken and kept while cut off, then caught up while live readings flow.

Recorded homes (a wide CSV: one line per home, one column per quarter of an hour, kWh) become signed registers: 900
meters, 672 quarters, 604,800 readings; homes are read again under other names where there are fewer than 900, and
without the file a plain curve is used. The node is away while the week comes in, then it comes back. Printed: rates,
the ratio of catching up to the rate at which the week was measured, latency of live readings meanwhile, memory, disk.
At the end every stream on the node must be whole, each record once. `python tools/week.py --csv FILE --quarters 672`.
"""

import argparse
import csv
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from pathlib import Path

from fleet import NODE, ORGANISATION, Fleet, Meter, fsck

from drystone.errors import DrystoneError
from drystone.formats import cose
from drystone.formats.senml import Measurement, write_pack
from drystone.records.record import write_record

GATEWAY = "gw-1"
METERS = 900
QUARTERS = 672
QUARTER_S = 900
START_S = 1_762_128_000
POST = 900
LIVE_S = 0.2
"""Time between two live readings while it catches up: five times as many as the week had."""


@dataclass
class Seen:
    """What was measured on the way."""

    memory: list[int] = field(default_factory=list)
    live_s: list[float] = field(default_factory=list)
    live: int = 0


def curves(path: Path | None, meters: int, quarters: int) -> list[list[int]]:
    """Watt-hours of each quarter, by meter."""
    rows: list[list[int]] = []
    if path is not None:
        with path.open(newline="") as file:
            rows = [
                [watt_hours(cell) for cell in row[1 : quarters + 1]]
                for row in list(csv.reader(file))[1:]
            ]
    if not rows:
        rows = [
            [(17 * number + quarter) % 400 for quarter in range(quarters)] for number in range(97)
        ]
    return [rows[number % len(rows)] for number in range(meters)]


def watt_hours(cell: str) -> int:
    """A cell's energy; one that is no number, or negative, counts nothing."""
    try:
        return max(0, int(Decimal(cell) * 1000))
    except InvalidOperation:
        return 0


def sign(job: tuple[int, Sequence[int]]) -> list[bytes]:
    """All readings of one meter, signed."""
    number, energy = job
    meter = meter_of(number)
    register = 0
    signed: list[bytes] = []
    for seq, value in enumerate(energy):
        register += value
        pack = write_pack([Measurement("e", "Wh", register, START_S + QUARTER_S * seq)])
        signed.append(
            write_record(
                secret=meter.secret,
                iss=ORGANISATION,
                sub=meter.name,
                epoch=0,
                seq=seq,
                payload=pack,
                content_type=cose.SENML,
            )
        )
    return signed


def meter_of(number: int) -> Meter:
    """A meter by its number."""
    return Meter(f"h-{number:04}", number + 1)


def batches(signed: Sequence[Sequence[bytes]], quarters: int) -> Iterator[list[bytes]]:
    """Requests in the order of time: every meter's reading of one quarter."""
    for quarter in range(quarters):
        readings = [one[quarter] for one in signed]
        for begin in range(0, len(readings), POST):
            yield readings[begin : begin + POST]


def run(*, csv_file: Path | None, meters: int, quarters: int) -> int:
    """Live the week; give the number of faults."""
    energy = curves(csv_file, meters, quarters)
    print(f"{meters} meters, {quarters} quarters: {meters * quarters:,} readings", flush=True)
    with ProcessPoolExecutor(2) as pool:
        signed = list(pool.map(sign, enumerate(energy), chunksize=20))
    size = sum(len(record) for one in signed for record in one)
    print(f"signed, {size / 1e6:.0f} MB", flush=True)
    seen = Seen()
    with tempfile.TemporaryDirectory(prefix="drystone-week-") as folder:
        root = Path(folder)
        with Fleet(root, (GATEWAY,)) as fleet:
            fleet.admit()
            devices = [meter_of(number) for number in range(meters)]
            live = Meter("live", 1_000_000)
            with fleet.node.client() as client:
                fleet.enrol(client, [*devices, live])
            fleet.start_gateways()
            fleet.wait_for_registry()
            fleet.node.stop()
            buffered(fleet, signed, quarters, seen)
            caught_up(fleet, live, meters * quarters, quarters, seen)
            faults = check(fleet, devices, quarters)
            with fleet.node.client() as client:
                if fleet.runs(client, live) != [(0, live.next_seq - 1)]:
                    faults.append(f"live: {fleet.runs(client, live)} of {live.next_seq}")
            for process in (fleet.gateways[GATEWAY], fleet.node):
                if code := process.stop():
                    faults.append(f"{process.home.name} ended with {code}")
            faults += fsck(root / GATEWAY)
            faults += fsck(root / NODE)
    print(*faults[:10], f"{len(faults)} faults", sep="\n", flush=True)
    return len(faults)


def buffered(fleet: Fleet, signed: Sequence[Sequence[bytes]], quarters: int, seen: Seen) -> None:
    """Take the week in while cut off."""
    gateway = fleet.gateways[GATEWAY]
    began = time.monotonic()
    count = 0
    with gateway.client() as client:
        for number, batch in enumerate(batches(signed, quarters)):
            answers = client.deliver(batch)
            assert {answer.code for answer in answers} == {"stored"}, answers[0]
            count += len(batch)
            if number % 32 == 0:
                seen.memory.append(gateway.pss_bytes())
        seconds = time.monotonic() - began
        seen.memory.append(gateway.pss_bytes())
        fleet.wait_for(GATEWAY, lambda s: s["intake_records"] == 0, "all sealed")
        status = client.get("/v1/gateway")
    first, last = seen.memory[1], seen.memory[-1]
    print(
        f"cut off: {count:,} readings taken at {count / seconds:,.0f}/s, in {status['buffered_vertices']:,} vertices,"
        f" {status['vertices_bytes'] / 1e6:.0f} MB on disk; memory {first / 1e6:.1f} MB at the start,"
        f" {max(seen.memory) / 1e6:.1f} at most, {last / 1e6:.1f} at the end",
        flush=True,
    )


def caught_up(fleet: Fleet, live: Meter, count: int, quarters: int, seen: Seen) -> None:
    """Let the node come back, and catch up while live readings come."""
    stop = threading.Event()
    flowing = threading.Thread(target=flow, args=(fleet, live, stop, seen))
    during: list[int] = []
    fleet.node.start()
    began = time.monotonic()
    flowing.start()
    gateway = fleet.gateways[GATEWAY]
    while True:
        with gateway.client() as client:
            left = client.get("/v1/gateway")["buffered_vertices"]
        during.append(gateway.pss_bytes())
        if left <= 2 or time.monotonic() - began > 3_600:
            break
        time.sleep(0.5)
    seconds = time.monotonic() - began
    stop.set()
    flowing.join()
    fleet.wait_until_ordered()
    rate = count / (quarters * QUARTER_S)
    waits = sorted(seen.live_s) or [0.0]
    print(
        f"caught up in {seconds:.0f} s: {count / seconds:,.0f} readings/s, {count / seconds / rate:,.0f} times the"
        f" rate of the week ({rate:.2f}/s); {seen.live} live readings meanwhile, acknowledged in"
        f" {1000 * waits[len(waits) // 2]:.0f} ms p50, {1000 * waits[int(0.99 * len(waits))]:.0f} ms p99;"
        f" memory {min(during) / 1e6:.1f} to {max(during) / 1e6:.1f} MB",
        flush=True,
    )


def flow(fleet: Fleet, live: Meter, stop: threading.Event, seen: Seen) -> None:
    """Send live readings until told to stop."""
    with fleet.gateways[GATEWAY].client() as client:
        while not stop.is_set():
            record = live.next(1)
            began = time.monotonic()
            try:
                (answer,) = client.deliver(record)
            except DrystoneError as error:
                print(f"live: {error}", flush=True)
                return
            assert answer.code == "stored", answer
            seen.live_s.append(time.monotonic() - began)
            seen.live += 1
            stop.wait(LIVE_S)


def check(fleet: Fleet, devices: Sequence[Meter], quarters: int) -> list[str]:
    """Say which streams are not whole."""
    faults: list[str] = []
    with fleet.node.client() as client:
        for device in devices:
            runs = fleet.runs(client, device)
            if runs != [(0, quarters - 1)]:
                faults.append(f"{device.name}: {runs}")
    return faults


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--csv", type=Path, default=None, help="recorded homes")
    parser.add_argument("--meters", type=int, default=METERS)
    parser.add_argument("--quarters", type=int, default=QUARTERS)
    chosen = parser.parse_args()
    sys.exit(run(csv_file=chosen.csv, meters=chosen.meters, quarters=chosen.quarters) > 0)
