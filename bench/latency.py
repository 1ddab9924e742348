"""Line d: how long a device waits, at rates that are offered whatever the node does (an open loop).

One record per request. *Accept* is the answer `stored`: the record survives a power loss. *Commit* is the answer with
the outcome: it stands in the log. Both count from the time the request was due, not from when it got its turn.
"""

import gc

from bench.client import LoadClient, request, run
from bench.figure import Budget, Figure, at_most, percentile
from bench.machine import core_count
from bench.node import BenchNode
from bench.stage import Stage
from bench.street import Street, make_load

CONNECTIONS = 64
BUDGETS = {("accept", 1_000): 10, ("commit", 1_000): 100}
"""Milliseconds at the 99th percentile, by what is waited for and the rate."""


def figures(stage: Stage) -> list[Figure]:
    """Line d."""
    sizes = stage.sizes
    street = Street(sizes.latency_meters)
    count = 2 * sizes.latency_s * sum(sizes.latency_rates)
    load = make_load(
        street, first_seq=0, per_meter=-(-count // street.count), processes=core_count()
    )
    found: list[Figure] = []
    late: list[float] = []
    used = 0
    with BenchNode(stage.folder) as node:
        stage.say(f"a node with {street.count} meters")
        node.enrol(street)
        client = LoadClient(node.url)
        for rate in sizes.latency_rates:
            for what, wait in (("accept", None), ("commit", "committed")):
                some = load.records[used : used + rate * sizes.latency_s]
                used += len(some)
                requests = [request([one], host=client.host, wait=wait) for one in some]
                gc.collect()
                gc.disable()
                paced = run(client.pace(requests, per_second=rate, connections=CONNECTIONS))
                gc.enable()
                late += paced.delays
                stage.say(f"{what} at {rate}/s: {len(requests)} requests, {paced.refused} refused")
                found += _rows(what, rate, paced.latencies)
                if paced.refused:
                    found.append(Figure("d", "  refused", paced.refused, "requests"))
    found.append(Figure("d", "the client's own delay, p99 (in all of them)", _ms(late, 0.99), "ms"))
    return found


def _rows(what: str, rate: int, latencies: list[float]) -> list[Figure]:
    limit = BUDGETS.get((what, rate))
    budget: Budget | None = None if limit is None else at_most(limit)
    return [
        Figure("d", f"{what} at {rate:,} records/s, p50", _ms(latencies, 0.5), "ms"),
        Figure("d", f"{what} at {rate:,} records/s, p99", _ms(latencies, 0.99), "ms", budget),
    ]


def _ms(values: list[float], share: float) -> float:
    return 1_000 * percentile(values, share)
