"""`drystone demo branches`: how a valley grows with its branches, in the simulator's time.

Each branch is a gateway with a meter behind it, around one node. The real code runs on simulated machines and links, so
fifty branches fit into one process and an hour into a minute. Nothing here opens a socket or a file.
"""

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from rich.console import Console

from drystone.cli.output import size
from drystone.errors import DrystoneError
from drystone.sim.branches import Grown, grow
from drystone.sim.net_check import NotHeldError
from drystone.sim.profiles import PROFILES

if TYPE_CHECKING:
    from rich.table import Table

STEPS: Final = (1, 5)
"""Before all branches: one of them, and a fifth."""


def show_branches(*, count: int, minutes: int, link: str, seed: int) -> bool:
    """Run the demo; return whether everything held at each number of branches."""
    console = Console()
    console.print(
        f"Each branch: a gateway, a meter that reads once a minute for {minutes} minutes, {link} to the node.",
        highlight=False,
        soft_wrap=True,
    )
    rows: list[Grown] = []
    began = time.monotonic()
    for branches in sorted({min(count, STEPS[0]), max(1, count // STEPS[1]), count}):
        with console.status(f"{branches} branches"):
            try:
                grown = grow(count=branches, minutes=minutes, seed=seed, profile=PROFILES[link])
            except (NotHeldError, DrystoneError) as error:
                console.print(f"[red]FAILED[/red] {branches} branches: {error}", highlight=False)
                return False
        rows.append(grown)
    console.print(draw(rows))
    real_s = time.monotonic() - began
    virtual_s = sum(row.virtual_s for row in rows)
    console.print(
        "Every acknowledged record is in the log exactly once; all branches end with equal vertices.",
        highlight=False,
        soft_wrap=True,
    )
    console.print(
        f"[bold]{virtual_s:,.0f} s of the simulator's time[/bold] in {real_s:.0f} s.",
        highlight=False,
    )
    return True


def draw(rows: Sequence[Grown]) -> "Table":
    """Draw a line for each number of branches, at most 78 columns wide."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1))
    for name in ("branches", "records", "vertices", "blocks", "ordered in", "up each", "down each"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(
            f"{row.branches:,}",
            f"{row.records:,}",
            f"{row.vertices:,}",
            f"{row.blocks:,}",
            f"{row.behind_s:.1f} s",
            size(row.up_bytes // row.branches),
            size(row.down_bytes // row.branches),
        )
    return table
