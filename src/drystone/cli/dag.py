"""`dag`, `tips`, `frontier`, `forks`, `peers`: the DAG in a terminal.

Every figure comes from the REST API; `--json` gives its rows as they are. Colours only repeat what the signs say.
"""

import time
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Final, NamedTuple

import typer

from drystone.cli import options
from drystone.cli.output import emit, facts, number, table

if TYPE_CHECKING:
    from rich.text import Text

    from drystone.client.rest import Client

LANES_MAX: Final = 16
"""Gateways whose lanes are drawn; of more, vertices are only listed."""

FOLLOW_S: Final = 1.0
PAGE: Final = 4_096

SIGNS: Final = {"final": "●", "waits": "○", "fork": "✗"}
STYLES: Final = {"final": "green", "waits": "yellow", "fork": "red"}

Follow = Annotated[
    bool, typer.Option("--follow", "-f", help="Go on with what comes, until Ctrl-C.")
]
Vertices = Annotated[int, typer.Option("--limit", min=1, help="Show at most this many vertices.")]


class Stone(NamedTuple):
    """A vertex of `/v1/dag`, its author in words."""

    number: int
    author: str
    epoch: int
    seq: int
    id: str
    parent: int | None
    links: tuple[int, ...]
    dangling: int
    claimed_ms: int | None
    records: int
    length: int
    height: int | None
    witnesses: int
    forked: bool

    @property
    def state(self) -> str:
        """Whether it is final, waits, or is one of two at its place."""
        if self.forked:
            return "fork"
        return "waits" if self.height is None else "final"

    @property
    def place(self) -> str:
        """Its number, with the epoch where that is not the first."""
        return f"{self.epoch}.{self.seq}" if self.epoch else str(self.seq)


def dag(
    limit: Vertices = 40,
    follow: Follow = False,
    home: options.Home = options.HOME_DEFAULT,
    url: options.Url = None,
    as_json: options.AsJson = False,
) -> None:
    """Draw the newest vertices: a lane for each gateway.

    The newest comes last, and every line says on what its vertex stands. A filled sign is final,
    a hollow one waits to be ordered, a cross is one of two at one place; `tip` marks what nothing
    stands on yet. The page /dag of the node draws the same with a mouse.

    Examples:
      drystone dag
      drystone dag --limit 200
      drystone dag --follow
    """
    from rich.console import Console

    from drystone.cli.node_access import connect

    with connect(home, url) as node:
        known: dict[int, Stone] = {}
        cursor = _read(node, known, None)
        newest = [known[at] for at in sorted(known)][-limit:]
        if as_json:
            rows = [one._asdict() for one in newest]
            emit({"ok": True, "vertices": rows, "cursor": cursor}, as_json=True, text=str)
            return
        if not newest and not follow:
            typer.echo("no gateway has sealed a vertex yet")
            return
        console = Console(highlight=False, soft_wrap=True)
        for line in draw(newest, known):
            console.print(line)
        while follow:
            time.sleep(FOLLOW_S)
            last = max(known, default=0)
            cursor = _read(node, known, cursor)
            fresh = [known[at] for at in sorted(known) if at > last]
            for line in draw(fresh, known, heads=False):
                console.print(line)


def tips(
    home: options.Home = options.HOME_DEFAULT,
    url: options.Url = None,
    as_json: options.AsJson = False,
) -> None:
    """List the vertices on which nothing is built yet.

    The next vertex of a gateway links to those of others.

    Example:
      drystone tips
    """
    found = _rows("/v1/tips", home, url)
    emit({"ok": True, "tips": found}, as_json=as_json, text=lambda: tips_text(found))


def frontier(
    home: options.Home = options.HOME_DEFAULT,
    url: options.Url = None,
    as_json: options.AsJson = False,
) -> None:
    """List the last vertex of every gateway.

    Two nodes with equal frontiers hold equal vertices.

    Example:
      drystone frontier
    """
    found = _rows("/v1/frontier", home, url)
    emit({"ok": True, "frontier": found}, as_json=as_json, text=lambda: frontier_text(found))


def forks(
    home: options.Home = options.HOME_DEFAULT,
    url: options.Url = None,
    as_json: options.AsJson = False,
) -> None:
    """List places at which an author signed two things.

    Both are evidence: the branch is suspended, and the author goes on with its next epoch.

    Example:
      drystone forks
    """
    found = _rows("/v1/forks", home, url)
    emit({"ok": True, "forks": found}, as_json=as_json, text=lambda: forks_text(found))


def peers(
    home: options.Home = options.HOME_DEFAULT,
    url: options.Url = None,
    as_json: options.AsJson = False,
) -> None:
    """List whom the node exchanges vertices with.

    Shows how the links are, who is behind, and who broke which rule how often.

    Example:
      drystone peers
    """
    found = _rows("/v1/peers", home, url)
    emit({"ok": True, "peers": found}, as_json=as_json, text=lambda: peers_text(found))


def draw(
    stones: Sequence[Stone], known: dict[int, Stone], *, heads: bool = True
) -> Iterable["Text"]:
    """Yield a line for each vertex: the lanes, what it is, what it stands on."""
    from rich.text import Text

    authors = sorted({one.author for one in known.values()})
    named = {below for one in known.values() for below in (one.parent, *one.links)}
    lanes = authors if len(authors) <= LANES_MAX else []
    begun: set[str] = set() if heads else set(authors)
    for stone in stones:
        begun.add(stone.author)
        line = Text()
        for author in lanes:
            if author == stone.author:
                line.append(f"{SIGNS[stone.state]} ", style=STYLES[stone.state])
            else:
                line.append("│ " if author in begun else "  ", style="dim")
        if not lanes:
            line.append(f"{SIGNS[stone.state]} ", style=STYLES[stone.state])
        line.append(f" {stone.author} {stone.place}", style="bold")
        line.append(f"  {_count(stone.records, 'record')}")
        line.append("" if stone.height is None else f"  block {stone.height}", style="dim")
        if stone.height is None:
            line.append("  waits", style=STYLES["waits"])
        if stone.forked:
            line.append("  fork", style=STYLES["fork"])
        line.append(f"  {_count(stone.witnesses, 'witness')}" if stone.witnesses else "")
        on = [f"{known[at].author} {known[at].place}" for at in stone.links if at in known]
        if stone.dangling:
            on.append(f"{stone.dangling} not here")
        line.append(f"  on {', '.join(on)}" if on else "", style="dim")
        line.append("" if stone.number in named else "  tip", style="bold")
        yield line


def tips_text(found: list[dict[str, Any]]) -> str:
    """Lay out tips as a table."""
    rows = [
        (
            f"{one['iss']}/{one['sub']}",
            _place(one),
            one["records"],
            _order(one),
            one["links"],
            one["id"][:16],
        )
        for one in found
    ]
    columns = ("gateway", "vertex", "records", "order", "links", "id")
    if not rows:
        return "no gateway has sealed a vertex yet"
    return table(columns, rows, right=frozenset({"vertex", "records", "links"}))


def frontier_text(found: list[dict[str, Any]]) -> str:
    """Lay out a frontier as a table."""
    rows = [
        (
            f"{one['iss']}/{one['sub']}",
            _place(one),
            _order(one),
            None if one.get("waiting") is None else number(one["waiting"]),
            one.get("claimed"),
            one["id"][:16],
        )
        for one in found
    ]
    columns = ("gateway", "vertex", "order", "waiting", "says", "id")
    if not rows:
        return "no gateway has sealed a vertex yet"
    return table(columns, rows, right=frozenset({"vertex", "waiting"}))


def forks_text(found: list[dict[str, Any]]) -> str:
    """Lay out forks, the two ids whole: they are evidence."""
    if not found:
        return "no fork is known"
    return "\n\n".join(
        facts(
            [
                ("author", f"{one['iss']}/{one['sub']}"),
                ("place", f"{one['kind']} {_place(one)}"),
                ("one", one["a"]),
                ("other", one["b"]),
                (
                    "state",
                    f"suspended; goes on with epoch {one['epoch_min']}"
                    if one["convicted"]
                    else "seen here; the ledger has no evidence yet",
                ),
            ]
        )
        for one in found
    )


def peers_text(found: list[dict[str, Any]]) -> str:
    """Lay out peers as a table."""
    rows = [
        (
            f"{one['iss']}/{one['sub']}",
            " ".join(filter(None, (one["role"], "uplink" if one["uplink"] else ""))) or None,
            one["degraded"] or ("connected" if one["connected"] else "cut off"),
            one["behind"],
            one["height"],
            number(one["bytes_in"]),
            number(one["bytes_out"]),
            one["faults"] or None,
        )
        for one in found
    ]
    columns = ("peer", "role", "link", "behind", "block", "bytes in", "bytes out", "faults")
    if not rows:
        return "this node exchanges vertices with nobody ([sync] in config.toml)"
    return table(columns, rows, right=frozenset({"behind", "block", "bytes in", "bytes out"}))


def read_page(page: dict[str, Any], known: dict[int, Stone]) -> None:
    """Take the rows of a page of `/v1/dag`; what comes twice replaces what came before."""
    for row in page["rows"]:
        cells: dict[str, Any] = dict(zip(page["columns"], row, strict=True))
        cells["author"] = "/".join(page["authors"][cells["author"]])
        cells["links"] = tuple(cells["links"])
        known[cells["number"]] = Stone(**cells)


def _read(node: "Client", known: dict[int, Stone], cursor: str | None) -> str:
    while True:
        page = node.get("/v1/dag", {"after": cursor, "limit": PAGE})
        read_page(page, known)
        cursor = str(page["cursor"])
        if not page["more"]:
            return cursor


def _rows(path: str, home: Any, url: str | None) -> list[dict[str, Any]]:
    from drystone.cli.node_access import connect

    with connect(home, url) as node:
        return list(node.rows(path))


def _place(row: dict[str, Any]) -> str:
    seq = "?" if row["seq"] is None else row["seq"]
    return f"{row['epoch']}.{seq}" if row["epoch"] or row["seq"] is None else str(seq)


def _order(row: dict[str, Any]) -> str:
    if "height" not in row:
        return "-"
    return "waits" if row["height"] is None else f"block {row['height']}"


def _count(count: int, noun: str) -> str:
    plural = "witnesses" if noun == "witness" else f"{noun}s"
    return f"{number(count)} {noun if count == 1 else plural}"
