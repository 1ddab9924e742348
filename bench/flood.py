"""A node under load: a street of meters sends as fast as the node answers, in parts, the yardstick between them.

One such run gives lines b, e and f; others line c and the contract's part of line b. Every part ends when its last
record is committed, so that a queue inside the node never counts as done.
"""

import gc
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from bench.client import LoadClient, run
from bench.machine import core_count
from bench.node import BenchNode
from bench.scales import Disk, Memory, weigh
from bench.stage import Stage
from bench.street import ORGANISATION, Street, make_load, name_of
from drystone.client.rest import StreamName

PER_REQUEST = 100
CONNECTIONS = 8


class Part(NamedTuple):
    """One stretch of load."""

    records: int
    seconds: float
    alone: float
    """The yardstick around it: mean of before and after, signatures per second."""
    cpu_s: dict[str, float]
    """Processor time per kind of process, and of the client."""


class Sample(NamedTuple):
    """Memory when so many readings were committed."""

    records: int
    memory: Memory


class Flooded(NamedTuple):
    """What a run came to."""

    parts: list[Part]
    memory: list[Sample]
    """First with every meter enrolled and no reading yet, then after each part."""
    wire_bytes: int
    """Everything signed that was sent, calls included."""
    record_bytes: int
    """Of one reading."""
    disk: Disk
    statement: bytes
    """One reading with its receipt, at the ledger's full size."""
    trust: bytes
    size: int
    """Entries of the log at the end."""
    not_accepted: int
    """Readings that were stored and committed, but with another outcome."""

    @property
    def records(self) -> int:
        """Readings committed."""
        return sum(part.records for part in self.parts)

    @property
    def rate(self) -> float:
        """Records per second, all parts together."""
        return self.records / sum(part.seconds for part in self.parts)

    @property
    def cpu_us(self) -> dict[str, float]:
        """Processor time per record, by kind of process."""
        kinds = self.parts[0].cpu_s
        return {
            kind: 1e6 * sum(part.cpu_s[kind] for part in self.parts) / self.records
            for kind in kinds
        }

    @property
    def alone(self) -> float:
        """The yardstick, weighted like the parts."""
        took = sum(part.seconds for part in self.parts)
        return sum(part.alone * part.seconds for part in self.parts) / took


def street_flood(stage: Stage) -> Flooded:
    """The run of lines b, e and f: readings under the built-in rule."""
    return flood(stage, meters=stage.sizes.meters, parts=stage.sizes.parts)


def flood(
    stage: Stage,
    *,
    meters: int,
    parts: Sequence[int],
    contract: bool = False,
    measurements: int = 1,
) -> Flooded:
    """Run a node of `meters` meters through the parts (readings per meter in each) and stop it."""
    street = Street(meters)
    done: list[Part] = []
    seq = record_bytes = wire_bytes = 0
    with BenchNode(stage.folder) as node:
        stage.say(f"a node with {meters} meters")
        node.enrol(street, contract=contract)
        wire_bytes += node.call_bytes
        memory = [Sample(0, node.memory())]
        for per_meter in parts:
            load = make_load(
                street,
                first_seq=seq,
                per_meter=per_meter,
                processes=core_count(),
                measurements=measurements,
            )
            seq += per_meter
            wire_bytes += load.size
            record_bytes = len(load.records[-1])
            before = stage.measure_alone(load.signed)
            part = _flood(node, load.records)
            after = stage.measure_alone(load.signed)
            if measurements == 1:
                stage.alone += [before, after]
            done.append(part._replace(alone=(before.per_second + after.per_second) / 2))
            memory.append(Sample(sum(one.records for one in done), node.memory()))
            rate = part.records / part.seconds
            stage.say(f"{part.records} records, {rate:.0f}/s, alone {done[-1].alone:.0f}/s")
            del load
        with node.client() as client:
            ledger = client.get("/v1/ledger")["head"]
            statement = client.receipt(
                StreamName(ORGANISATION, name_of(meters // 2), None), epoch=0, seq=0
            )
        # Beside records the log holds one entry per block, the genesis block's included.
        accepted: int = ledger["size"] - ledger["height"] - 1 - node.calls
        trust = (node.home / "trust.json").read_bytes()
        node.stop()
        disk = weigh(node.home)
    return Flooded(
        done,
        memory,
        wire_bytes,
        record_bytes,
        disk,
        statement,
        trust,
        ledger["size"],
        seq * meters - accepted,
    )


def _flood(node: BenchNode, records: Sequence[bytes]) -> Part:
    gc.collect()
    gc.disable()
    try:
        before = _cpu(node)
        client = LoadClient(node.url)
        sent = run(client.flood(records, per_request=PER_REQUEST, connections=CONNECTIONS))
        after = _cpu(node)
    finally:
        gc.enable()
    assert sent.stored == len(records), sent
    spent = {kind: after[kind] - before[kind] for kind in after}
    return Part(sent.records, sent.seconds, 0.0, spent)


def _cpu(node: BenchNode) -> dict[str, float]:
    """Processor seconds so far, by kind of process."""
    spent = {"client": time.process_time()}
    for kind, pids in node.endpoints["pids"].items():
        spent[kind] = sum(map(_cpu_s, pids))
    return spent


def _cpu_s(pid: int) -> float:
    after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(after_name[11]) + int(after_name[12])) / os.sysconf("SC_CLK_TCK")
