"""A network of gateways and a node in virtual time, from one seed: `python -m drystone.sim.network --seed N`.

The real sessions, holdings, intake, sealer, feeder, engine and executor run on simulated machines over simulated links,
while links break and heal, processes die, disks lose power and fill up, clocks are wrong, disks are rolled back. Then
the trouble ends, and what must hold is checked (`net_check.py`): equal vertex sets, equal pending sets, the same blocks
the same state, every acknowledged record in the log exactly once.

A run is a function of its seed: the trace that `--seed` prints has one digest on every machine. May not: decide what is
right (the checker does) or what goes wrong (the story does).

Place in a record's life: all of it. Source: design.md sections 3.4 and 8, style rule 25.
"""

import argparse
import logging
import sys
import time
from typing import Final

from drystone.sim.net_check import NotHeldError
from drystone.sim.net_run import Result, Simulation
from drystone.sim.net_story import Story, make_story
from drystone.sim.net_time import run_virtually

TRACE_SHOWN: Final = 60


def run_seed(seed: int) -> Result:
    """Run one seed to its end; `wrong` says what did not hold. Raises what no fault explains."""
    return run_story(make_story(seed))


def run_story(story: Story) -> Result:
    """Run a story to its end."""
    simulation = Simulation(story)
    wrong: str | None = None

    async def run() -> None:
        nonlocal wrong
        try:
            await simulation.run()
        except NotHeldError as error:
            wrong = str(error)
            simulation.say(f"WRONG: {wrong}")
        finally:
            for host in simulation.hosts.values():
                host.stop()

    run_virtually(run())
    return simulation.result(wrong)


def main(arguments: list[str] | None = None) -> int:
    """Run seeds; print the trace of a single one, and of the first that fails."""
    parser = argparse.ArgumentParser(description="Simulate gateways and a node on bad links.")
    parser.add_argument("--seed", type=int, default=None, help="this one, with its trace")
    parser.add_argument("--seeds", type=int, default=200)
    parser.add_argument("--first", type=int, default=0)
    options = parser.parse_args(arguments)
    write = sys.stdout.write
    logging.disable(logging.CRITICAL)  # What hosts complain of is in the trace.
    if options.seed is not None:
        result = run_seed(options.seed)
        write("\n".join(result.trace) + "\n")
        write(f"seed {result.seed}: digest {result.digest}, {result.wrong or 'all holds'}\n")
        return 1 if result.wrong else 0
    began = time.monotonic()
    for seed in range(options.first, options.first + options.seeds):
        result = run_seed(seed)
        if result.wrong is not None:
            write("\n".join(result.trace[-TRACE_SHOWN:]) + "\n")
            write(f"seed {seed}: {result.wrong}\n")
            return 1
    seconds = time.monotonic() - began
    write(f"{options.seeds} seeds hold, {seconds:.1f} s\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
