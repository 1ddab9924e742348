"""The live table of `drystone demo village`: what each process knows of the DAG, and who is cut off. 80 columns."""

import contextlib
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from drystone.cli.dag import Stone, read_page
from drystone.client.rest import Client
from drystone.errors import DrystoneError

if TYPE_CHECKING:
    from rich.table import Table

PAGE: Final = 4_096


class Head(NamedTuple):
    """The last vertex of an author as somebody knows it."""

    author: str
    epoch: int
    seq: int
    id: str


class Observer:
    """A process of the village, asked over HTTP what it knows; while it does not answer, what it last said stands."""

    def __init__(self, name: str, client: Client) -> None:
        """`name` is its member; nothing is asked yet."""
        self.name = name
        self.client = client
        self.stones: dict[int, Stone] = {}
        self.frontier: frozenset[Head] = frozenset()
        self.height = 0
        """Of the last block it has."""
        self._cursor: str | None = None

    def look(self) -> None:
        """Ask for what is new."""
        with contextlib.suppress(DrystoneError):
            while True:
                page = self.client.get("/v1/dag", {"after": self._cursor, "limit": PAGE})
                read_page(page, self.stones)
                self._cursor = str(page["cursor"])
                if not page["more"]:
                    break
            self.frontier = frozenset(
                Head(f"{one['iss']}/{one['sub']}", one["epoch"], one["seq"], one["id"])
                for one in self.client.rows("/v1/frontier")
            )
            self.height = self.client.get("/v1/ledger")["head"]["height"]

    @property
    def waiting(self) -> int:
        """Vertices that are here and in no block that is here."""
        return sum(one.height is None for one in self.stones.values())

    @property
    def own(self) -> int:
        """Vertices that it has signed."""
        return sum(one.author.endswith(f"/{self.name}") for one in self.stones.values())

    def ordered(self, authors: Collection[str]) -> int:
        """Count the records of these members' vertices that are ordered."""
        return sum(
            one.records
            for one in self.stones.values()
            if one.height is not None and one.author.partition("/")[2] in authors
        )

    def standing(self, authors: Collection[str]) -> tuple[int, int]:
        """Count these members' vertices that stand on two others or more that are here, and all of theirs."""
        theirs = [one for one in self.stones.values() if one.author.partition("/")[2] in authors]
        two = sum((one.parent is not None) + len(one.links) >= 2 for one in theirs)
        return two, len(theirs)


def draw(observers: Sequence[Observer], *, cut: frozenset[str], title: str) -> "Table":
    """Draw what each process knows, at most 78 columns wide."""
    from rich import box
    from rich.table import Table

    table = Table(
        box=box.SIMPLE_HEAD,
        title=title,
        title_justify="left",
        title_style="bold",
        padding=(0, 1),
    )
    table.add_column("process", no_wrap=True)
    table.add_column("links", no_wrap=True)
    for column in ("sealed", "knows", "final", "provisional", "block"):
        table.add_column(column, justify="right", no_wrap=True)
    for one in observers:
        alone = one.name in cut
        colour = "yellow" if one.waiting else "dim"
        table.add_row(
            f"[bold]{one.name}[/bold]",
            "[red]✂ cut off[/red]" if alone else "[green]up[/green]",
            f"{one.own:,}",
            f"{len(one.stones):,}",
            f"[green]{len(one.stones) - one.waiting:,}[/green]",
            f"[{colour}]{one.waiting:,}[/{colour}]",
            f"{one.height:,}",
        )
    return table


def line(observers: Sequence[Observer], *, cut: frozenset[str], title: str) -> str:
    """Say the same in one line, where there is no terminal."""
    told = [
        f"{one.name}{' (cut)' if one.name in cut else ''} {len(one.stones)}"
        + (f", {one.waiting} provisional" if one.waiting else "")
        for one in observers
    ]
    return f"{title}: {'; '.join(told)}"
