"""The heads of a seeded ledger, as any interpreter comes to them: `python -m drystone.sim.heads`.

Makes the chain of a seed, executes it through the real executor and its database in a folder of its
own, and prints one head per line. Two machines, interpreters or hash seeds that print different
lines for one seed do not agree on the ledger. Restarts and cold caches on the way must not show.
"""

import argparse
import sys
import tempfile
from pathlib import Path

from drystone.sim.chain import make_chain, write_home
from drystone.workers.executor import Executor


def heads(seed: str, *, blocks: int, restart_every: int, cold: bool) -> list[str]:
    """Return the head at each height, as hex.

    Args:
        seed: of the chain.
        blocks: how many blocks it has behind the one that enrols.
        restart_every: blocks after which the executor is closed and opened again; 0 for never.
        cold: whether nothing is remembered from one block to the next.
    """
    chain = make_chain(seed, blocks=blocks, devices=5, records=30)
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        write_home(chain, home, height=0)
        executor = Executor.open(home)
        found = [executor.ledger.last.head.hex()]
        for block in chain.blocks:
            if restart_every and block.height % restart_every == 0:
                executor.close()
                executor = Executor.open(home)
            if cold:
                executor.forget()
            found.append(executor.execute(block).head.hex())
        executor.close()
    return found


def main() -> None:
    """Print the heads that the arguments ask for."""
    parser = argparse.ArgumentParser(description="Print the heads of a seeded ledger.")
    parser.add_argument("seed")
    parser.add_argument("--blocks", type=int, default=30)
    parser.add_argument("--restart-every", type=int, default=0)
    parser.add_argument("--cold", action="store_true")
    chosen = parser.parse_args()
    lines = heads(
        chosen.seed, blocks=chosen.blocks, restart_every=chosen.restart_every, cold=chosen.cold
    )
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
