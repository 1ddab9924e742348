"""Line i: single writes, each awaited to its commit before the next, as in Table 1 of the paper (requirement S2.32).

The paper's ledger ran elsewhere and on a network; the factor says what a device's owner would notice, not more.
"""

from bench.client import LoadClient, request, run
from bench.figure import Budget, Figure
from bench.machine import core_count
from bench.node import BenchNode
from bench.stage import Stage
from bench.street import Street, make_load

PAPER_S = {1: 0.27, 100: 19.5, 200: 41.07, 300: 61.98, 400: 82.72, 500: 90.5}
"""Seconds for so many writes in the paper's Table 1."""


def figures(stage: Stage) -> list[Figure]:
    """Line i."""
    counts = stage.sizes.single_writes
    street = Street(1)
    load = make_load(street, first_seq=0, per_meter=sum(counts), processes=core_count())
    found: list[Figure] = []
    used = 0
    with BenchNode(stage.folder) as node:
        stage.say("a node with one meter, one write after the other")
        node.enrol(street)
        client = LoadClient(node.url)
        for count in counts:
            some = load.records[used : used + count]
            used += count
            seconds = run(
                client.one_by_one(
                    [request([one], host=client.host, wait="committed") for one in some]
                )
            )
            paper = PAPER_S.get(count)
            budget = None if paper is None else Budget("at most", paper)
            found.append(
                Figure("i", f"{count} single writes, each to its commit", seconds, "s", budget)
            )
            if paper is not None:
                found.append(Figure("i", "  times faster than the paper", paper / seconds, ""))
    writes_per_s = counts[-1] / seconds
    found.append(Figure("i", "single writes per second (paper: 4.8 to 5.5)", writes_per_s, "1/s"))
    return found
