"""`python -m bench`: what one node does, beside its budgets, in one run with the machine's facts.

Every line is a module; this file chooses them, gives them one stage and prints what they found. It never fails because
a figure is bad: a bench that asserts is a test that flickers. `docs/reference/bench.md` explains each line.
"""

import argparse
import gc
import json
import shlex
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from bench import (
    contracts,
    disk,
    growth,
    latency,
    machine,
    memory,
    net,
    packs,
    receipts,
    single_writes,
    table,
    throughput,
)
from bench.figure import Figure
from bench.sizes import FULL, QUICK
from bench.stage import Stage

LINES: dict[str, tuple[str, Callable[[Stage], list[Figure]]]] = {
    "b": ("signed records from a socket to durable commit", throughput.figures),
    "c": ("readings, 60 per signature", packs.figures),
    "d": ("latency, one record per request, open loop", latency.figures),
    "e": ("disk, after b's run", disk.figures),
    "f": ("memory, over b's run", memory.figures),
    "g": ("growth", growth.figures),
    "h": ("receipts", receipts.figures),
    "i": ("single writes (paper, Table 1)", single_writes.figures),
    "j": ("a reading under a contract", contracts.figures),
    "k": ("links and gateways, simulated", net.figures),
    "a": ("signatures alone", throughput.alone),
}
"""In the order in which they run: the yardstick last, because the others take its readings."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the lines that were asked for."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="smaller counts, below 3 minutes")
    parser.add_argument("--only", metavar="LINES", default="", help="for example b,d")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write the figures here as well")
    parser.add_argument(
        "--folder",
        type=Path,
        default=None,
        help="on the disk to measure; default: for temporary files",
    )
    options = parser.parse_args(arguments)
    wanted = [letter for letter in options.only.lower().replace(" ", "").split(",") if letter]
    unknown = sorted(set(wanted) - LINES.keys())
    if unknown:
        parser.error(f"there is no line {', '.join(unknown)}; there are a to k")
    command = shlex.join(
        ["python", "-m", "bench", *(sys.argv[1:] if arguments is None else arguments)]
    )
    with tempfile.TemporaryDirectory(prefix="drystone-bench-", dir=options.folder) as folder:
        facts = machine.facts(Path(folder))
        stage = Stage(sizes=QUICK if options.quick else FULL, folder=Path(folder))
        print("\n".join(table.machine_lines(facts)) + "\n", flush=True)
        found = run(stage, [letter for letter in LINES if letter in wanted or not wanted])
    seconds = time.monotonic() - stage.began_s
    print("\n".join(render(found, seconds=seconds)))
    if options.json is not None:
        report = {
            "command": command,
            "machine": facts,
            "seconds": round(seconds),
            "figures": [figure.as_json() for figures in found.values() for figure in figures],
        }
        options.json.write_text(json.dumps(report, indent=1) + "\n")
    return 0


def run(stage: Stage, letters: Sequence[str]) -> dict[str, list[Figure]]:
    """Run lines; their figures by letter, in the alphabet's order."""
    found: dict[str, list[Figure]] = {}
    for letter in letters:
        title, figures = LINES[letter]
        stage.say(f"({letter}) {title}")
        found[letter] = figures(stage)
        gc.collect()
    return dict(sorted(found.items()))


def render(found: dict[str, list[Figure]], *, seconds: float) -> list[str]:
    """The whole table."""
    lines = ["", *table.heading()]
    for figures in found.values():
        lines += [*table.rows(figures), ""]
    missed = [
        figure for figures in found.values() for figure in figures if "missed" in figure.verdict
    ]
    budgets = sum(figure.budget is not None for figures in found.values() for figure in figures)
    return [*lines, f"{budgets - len(missed)} of {budgets} budgets met, in {seconds:.0f} s"]


if __name__ == "__main__":
    sys.exit(main())
