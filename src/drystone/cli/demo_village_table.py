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
        self.frontier: frozenset[Head] = frozenset()
        self.waiting = 0
        """Vertices that it holds and does not know to be ordered; of a gateway, its own."""
        self.height = 0
        """Of the last block it knows of."""

    def look(self) -> None:
        """Ask for what is new."""
        with contextlib.suppress(DrystoneError):
            self.frontier = frozenset(
                Head(f"{one['iss']}/{one['sub']}", one["epoch"], one["seq"], one["id"])
                for one in self.client.rows("/v1/frontier")
            )
            self._look()

    def _look(self) -> None:
        status = self.client.get("/v1/gateway")
        self.waiting = status["buffered_vertices"]
        self.height = status["uplink_height"]

    @property
    def known(self) -> int:
        """Vertices up to its frontier; each author's are numbered from 0."""
        return sum(one.seq + 1 for one in self.frontier)

    @property
    def own(self) -> int:
        """Vertices that it has signed."""
        return sum(one.seq + 1 for one in self.frontier if one.author.endswith(f"/{self.name}"))


class NodeObserver(Observer):
    """The node, which draws the DAG: it knows every vertex by itself."""

    def __init__(self, name: str, client: Client) -> None:
        """Nothing is asked yet."""
        super().__init__(name, client)
        self.stones: dict[int, Stone] = {}
        self._cursor: str | None = None

    def _look(self) -> None:
        while True:
            page = self.client.get("/v1/dag", {"after": self._cursor, "limit": PAGE})
            read_page(page, self.stones)
            self._cursor = str(page["cursor"])
            if not page["more"]:
                break
        self.waiting = sum(one.height is None for one in self.stones.values())
        self.height = self.client.get("/v1/ledger")["head"]["height"]

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
    for column in ("sealed", "knows", "not ordered yet", "last block"):
        table.add_column(column, justify="right", no_wrap=True)
    for one in observers:
        alone = one.name in cut
        colour = "yellow" if one.waiting else "dim"
        table.add_row(
            f"[bold]{one.name}[/bold]",
            "[red]✂ cut off[/red]" if alone else "[green]up[/green]",
            f"{one.own:,}",
            f"{one.known:,}",
            f"[{colour}]{one.waiting:,}[/{colour}]",
            f"{one.height:,}",
        )
    return table


def line(observers: Sequence[Observer], *, cut: frozenset[str], title: str) -> str:
    """Say the same in one line, where there is no terminal."""
    told = [
        f"{one.name}{' (cut)' if one.name in cut else ''} {one.known}"
        + (f", {one.waiting} wait" if one.waiting else "")
        for one in observers
    ]
    return f"{title}: {'; '.join(told)}"
