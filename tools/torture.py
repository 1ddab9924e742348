"""`make torture`: what a disk, a power line and a process table can do to a node, thousands of times.

Parts: `power` (simulated power losses of each database), `fail` (operations that fail, not persisted
and persisted but reported failed), `full` (full disk), `kill` (kill -9 of a running node's front,
executor and both), `gateway` (kill -9 of a gateway whose link comes and goes; two partitions that
meet), `sync` (simulated networks of gateways and a node in virtual time), `programs` (random
contracts under two Pythons and two hash seeds). Each prints what it lived through and ends with exit code 1 when anything that was acknowledged is missing,
`fsck` finds anything, or results differ. One seed repeats a run of all but `kill` and `gateway`;
`sync --seeds 1 --seed N` prints the trace of network N.
"""

import argparse
import logging
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from drystone.sim.chain import Chain, make_chain
from drystone.sim.torture import (
    Lives,
    fail_once,
    torture_full_disk,
    torture_ledger,
    torture_vertices,
)

LOSSES = 5_000
KILLS = 1_000
GATEWAY_KILLS = 500
VERTICES = 1_000
"""Vertices that each of two partitions writes alone."""

NETWORKS = 2_000
PROGRAMS = 100_000
ROUND = 250
"""Losses between two lines of progress; each round has a chain and a seed of its own."""


class Part(NamedTuple):
    """One kind of trouble: its name, and what runs so many of it from a seed."""

    name: str
    run: Callable[[Chain, int, int], Lives]


def power(chain: Chain, count: int, seed: int, *, of_ledger: bool) -> Lives:
    """Let the power go; every other round torn sectors hold garbage."""
    torture = torture_ledger if of_ledger else torture_vertices
    return torture(chain, losses=count, seed=seed, garbage=seed % 2 == 1)


def fail(chain: Chain, count: int, seed: int, *, of_ledger: bool) -> Lives:
    """Let operations fail."""
    torture = torture_ledger if of_ledger else torture_vertices
    return torture(chain, losses=count, seed=seed, trouble=fail_once)


def full(chain: Chain, count: int, seed: int) -> Lives:
    """Let the disk fill up."""
    return torture_full_disk(chain, times=count, seed=seed)


PARTS = {
    "power": [
        Part("power losses of ledger.db", partial(power, of_ledger=True)),
        Part("power losses of vertices.db", partial(power, of_ledger=False)),
    ],
    "fail": [
        Part("failing operations of ledger.db", partial(fail, of_ledger=True)),
        Part("failing operations of vertices.db", partial(fail, of_ledger=False)),
    ],
    "full": [Part("full disks under ledger.db", full)],
}


def run_part(part: Part, *, count: int, seed: int) -> None:
    """Run one part in rounds and say how far it is."""
    started = time.monotonic()
    happened = checked = 0
    while happened < count:
        chain = make_chain(f"torture-{seed}", blocks=25, devices=4, records=12)
        lives = part.run(chain, min(ROUND, count - happened), seed)
        happened += lives.losses
        checked += lives.checked
        seed += 1
        print(f"\r{part.name}: {happened:,} of {count:,}", end="", flush=True)
    seconds = time.monotonic() - started
    print(f"\r{part.name}: {happened:,} lived through, {checked:,} fsck clean, {seconds:.0f} s")


def run_kills(*, count: int, seed: int) -> None:
    """Kill a running node's processes while clients send: see `kills.py`."""
    from kills import torture

    report = torture(kills=count, seed=seed, say=lambda text: print(f"\rkill -9: {text}", end=""))
    print(
        f"\rkill -9: {report.kills:,} lived through, {report.acknowledged:,} records acknowledged"
    )
    assert not report.faults, "; ".join(report.faults[:10])


def run_gateways(*, count: int, seed: int) -> None:
    """Kill a gateway while devices send and its link comes and goes, then let two partitions meet."""
    import gateway_kills
    import partitions

    report = gateway_kills.torture(
        kills=count, seed=seed, say=lambda text: print(f"\rgateway: {text}", end="")
    )
    print(f"\rgateway: {report}")
    assert not report.faults, "; ".join(report.faults[:10])
    met = partitions.run(vertices=VERTICES, say=lambda text: print(f"\rpartitions: {text}", end=""))
    print(f"\rpartitions: {met}")
    assert not met.faults, "; ".join(met.faults[:10])


def run_networks(*, count: int, seed: int) -> None:
    """Simulate networks, one per seed; of a single one print the trace."""
    from drystone.sim.network import run_seed

    logging.disable(logging.CRITICAL)  # Hosts complain of what is done to them; the trace has it.
    began = time.monotonic()
    vertices = records = crashes = forks = 0
    for number in range(seed, seed + count):
        result = run_seed(number)
        if count == 1:
            print("\n".join(result.trace))
        assert result.wrong is None, f"network {number}: {result.wrong}"
        vertices, records = vertices + result.vertices, records + result.records
        crashes, forks = crashes + result.crashes, forks + result.forks
        print(f"\rnetworks: {number - seed + 1:,} of {count:,}", end="", flush=True)
    seconds = time.monotonic() - began
    print(
        f"\rnetworks: {count:,} ended in one set and one state; {vertices:,} vertices,"
        f" {records:,} records acknowledged, {crashes:,} crashes, {forks:,} forks, {seconds:.0f} s"
    )
    logging.disable(logging.NOTSET)


def run_programs(*, count: int, seed: int) -> None:
    """Run random contracts under two interpreters: see `random_programs.py`."""
    from random_programs import torture

    report = torture(count=count, seed=seed, say=lambda text: print(f"\rprograms: {text}", end=""))
    codes = ", ".join(f"{code} {number:,}" for code, number in sorted(report.codes.items()))
    print(f"\rprograms: {report.programs:,} ran alike under Python {' and '.join(report.pythons)}")
    print(f"  {codes}; digest {report.digest[:16]}")
    assert not report.faults, "; ".join(report.faults)


def main() -> None:
    """Run the parts that the arguments name, all by default."""
    parser = argparse.ArgumentParser(description="Torture the stores and a node.")
    parser.add_argument(
        "parts", nargs="*", choices=[*PARTS, "kill", "gateway", "sync", "programs", []], default=[]
    )
    parser.add_argument("--losses", type=int, default=LOSSES, help="of each kind, each database")
    parser.add_argument("--kills", type=int, default=KILLS)
    parser.add_argument("--gateway-kills", type=int, default=GATEWAY_KILLS)
    parser.add_argument("--seeds", type=int, default=NETWORKS, help="simulated networks")
    parser.add_argument("--programs", type=int, default=PROGRAMS)
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    try:
        for name in chosen.parts or [*PARTS, "kill", "gateway", "sync", "programs"]:
            if name == "sync":
                run_networks(count=chosen.seeds, seed=chosen.seed)
                continue
            if name == "programs":
                run_programs(count=chosen.programs, seed=chosen.seed)
                continue
            if name == "gateway":
                run_gateways(count=chosen.gateway_kills, seed=chosen.seed)
                continue
            if name == "kill":
                run_kills(count=chosen.kills, seed=chosen.seed)
                continue
            for part in PARTS[name]:
                run_part(part, count=chosen.losses, seed=chosen.seed)
    except AssertionError as error:
        print(f"\nBROKEN: {error}")
        sys.exit(1)
    print("nothing acknowledged is missing")


if __name__ == "__main__":
    main()
