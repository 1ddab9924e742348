"""Lines a and b: what PyNaCl alone verifies on all cores, and what the node stores durably and commits, beside it.

The yardstick is measured before and after every part of the load, because clocks drift: a ratio stands on its own
neighbours in time, never on another run.
"""

from bench.figure import Figure, at_least
from bench.flood import Flooded, flood, street_flood
from bench.machine import core_count
from bench.stage import Stage
from bench.street import Street, make_load

RATIO_MIN = 0.6
YARDSTICK_METERS = 500
YARDSTICK_EACH = 10


def alone(stage: Stage) -> list[Figure]:
    """Line a."""
    load = make_load(
        Street(YARDSTICK_METERS), first_seq=0, per_meter=YARDSTICK_EACH, processes=core_count()
    )
    if not stage.alone:
        stage.alone.append(stage.measure_alone(load.signed))
    rates = [one.per_second for one in stage.alone]
    mean = sum(rates) / len(rates)
    found = [
        Figure("a", f"PyNaCl alone, {core_count()} cores, mean of {len(rates)}", mean, "verify/s"),
        Figure("a", "signed bytes of one record", len(load.signed[0][0]) - 64, "B"),
    ]
    spent = sum(one.cpu_us for one in stage.alone) / len(rates)
    found.append(Figure("a", "processor time of one signature", spent, "us"))
    if len(rates) > 1:
        found.append(Figure("a", "lowest", min(rates), "verify/s"))
        found.append(Figure("a", "highest", max(rates), "verify/s"))
    return found


def figures(stage: Stage) -> list[Figure]:
    """Line b."""
    plain = stage.once(street_flood)
    contract = flood(
        stage, meters=stage.sizes.meters, parts=stage.sizes.contract_parts, contract=True
    )
    return [
        *_rows("signed records, HTTP to durable commit", plain),
        *_rows("the same under a deployed contract", contract),
    ]


def _rows(name: str, run: Flooded) -> list[Figure]:
    found = [
        Figure("b", name, run.rate, "records/s"),
        Figure("b", "  b/a", run.rate / run.alone, "", at_least(RATIO_MIN)),
        Figure("b", "  a around it", run.alone, "verify/s"),
    ]
    found += [
        Figure("b", f"  processor time per record: {kind}", cpu_us, "us")
        for kind, cpu_us in run.cpu_us.items()
    ]
    if run.not_accepted:
        found.append(Figure("b", "  committed, but not accepted", run.not_accepted, "records"))
    return found
