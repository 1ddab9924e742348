"""The DAG in a terminal: lanes and words for what the API answers, JSON as it is, nothing invented."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import pytest
from typer.testing import CliRunner

from drystone.cli import dag as commands
from drystone.cli import exits
from drystone.cli.app import app

run = CliRunner()

COLUMNS = [
    *("number", "author", "epoch", "seq", "id", "parent", "links", "dangling", "claimed_ms"),
    *("records", "length", "height", "witnesses", "forked"),
]


def row(number: int, author: int, seq: int, **more: Any) -> list[Any]:
    cells = {
        "number": number, "author": author, "epoch": 0, "seq": seq, "id": f"{number:064x}",
        "parent": None, "links": [], "dangling": 0, "claimed_ms": None, "records": 1,
        "length": 136, "height": 1, "witnesses": 0, "forked": False, **more,
    }  # fmt: skip
    return [cells[name] for name in COLUMNS]


PAGES = [
    {
        "columns": COLUMNS,
        "authors": [["ewz", "gate-0"], ["ewz", "gate-1"]],
        "rows": [
            row(1, 0, 0, witnesses=1),
            row(2, 1, 0, links=[1], witnesses=1, records=1_200),
            row(3, 1, 1, parent=2, forked=True),
        ],
        "cursor": "one",
        "more": True,
    },
    {
        "columns": COLUMNS,
        "authors": [["ewz", "gate-1"], ["ewz", "gate-0"]],
        "rows": [
            row(4, 0, 1, parent=2, forked=True, height=None),
            row(5, 1, 1, epoch=1, parent=1, links=[2], dangling=1, height=None),
        ],
        "cursor": "two",
        "more": False,
    },
]
LISTS: dict[str, list[dict[str, Any]]] = {
    "/v1/tips": [
        {"iss": "ewz", "sub": "gate-0", "epoch": 1, "seq": 1, "id": "ab" * 32, "parent": None,
         "links": 2, "claimed": None, "records": 3, "length": 408, "witnesses": 0, "height": None},
    ],
    "/v1/frontier": [
        {"iss": "ewz", "sub": "gate-0", "epoch": 0, "seq": 7, "id": "cd" * 32, "height": 4,
         "claimed": "2026-11-20T12:00:00.000Z", "waiting": 1_204},
    ],
    "/v1/forks": [
        {"iss": "ewz", "sub": "gate-1", "kind": "vertex", "epoch": 0, "seq": 1, "a": "00" * 32,
         "b": "ff" * 32, "held": True, "convicted": True, "epoch_min": 1},
        {"iss": "ewz", "sub": "m-2", "kind": "record", "epoch": 3, "seq": None, "a": "11" * 32,
         "b": "ee" * 32, "held": False, "convicted": False, "epoch_min": 0},
    ],
    "/v1/peers": [
        {"iss": "wwz", "sub": "node-1", "role": "node", "connected": False, "uplink": True,
         "behind": 2, "height": 99, "degraded": None, "degraded_ms": 0, "faults": "",
         "messages_in": 1, "messages_out": 2, "bytes_in": 48_211, "bytes_out": 3},
        {"iss": "ewz", "sub": "gate-1", "role": None, "connected": True, "uplink": False,
         "behind": 0, "height": 0, "degraded": "body-mismatch", "degraded_ms": 100,
         "faults": "body-mismatch 3", "messages_in": 1, "messages_out": 2, "bytes_in": 1,
         "bytes_out": 3},
    ],
}  # fmt: skip


class Node:
    """A client that answers from the tables above."""

    empty = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def get(self, path: str, params: dict[str, Any]) -> dict[str, Any]:
        assert path == "/v1/dag"
        if self.empty:
            return {**PAGES[1], "rows": [], "authors": []}
        return PAGES[0] if params["after"] is None else PAGES[1]

    def rows(self, path: str) -> Iterator[dict[str, Any]]:
        return iter([] if self.empty else LISTS[path])


@pytest.fixture
def node(monkeypatch: pytest.MonkeyPatch) -> Node:
    made = Node()
    monkeypatch.setattr("drystone.cli.node_access.connect", lambda *_: made)
    return made


def lines_of(node: Node, *arguments: str) -> list[str]:
    done = run.invoke(app, list(arguments))
    assert done.exit_code == exits.OK, done.output
    return done.stdout.splitlines()


def test_lanes_show_who_wrote_and_on_what_it_stands(node: Node) -> None:
    assert lines_of(node, "dag") == [
        "●    ewz/gate-0 0  1 record  block 1  1 witness",
        "│ ●  ewz/gate-1 0  1,200 records  block 1  1 witness  on ewz/gate-0 0",
        "│ ✗  ewz/gate-1 1  1 record  block 1  fork  tip",
        "│ ✗  ewz/gate-1 1  1 record  waits  fork  tip",
        "○ │  ewz/gate-0 1.1  1 record  waits  on ewz/gate-1 0, 1 not here  tip",
    ]


def test_limit_keeps_the_newest(node: Node) -> None:
    assert len(lines_of(node, "dag", "--limit", "2")) == 2
    assert "gate-0 1.1" in lines_of(node, "dag", "--limit", "1")[0]


def test_more_gateways_than_lanes_are_listed_without(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commands, "LANES_MAX", 1)
    assert lines_of(node, "dag")[0].startswith("●  ewz/gate-0 0")


def test_json_has_every_figure_by_name(node: Node) -> None:
    shown = json.loads("\n".join(lines_of(node, "dag", "--json")))
    assert shown["cursor"] == "two"
    assert [one["number"] for one in shown["vertices"]] == [1, 2, 3, 4, 5]
    assert shown["vertices"][4]["links"] == [2]
    assert shown["vertices"][4]["author"] == "ewz/gate-0"


def test_tables_name_what_waits_and_what_is_wrong(node: Node) -> None:
    assert "ewz/gate-0     1.1        3  waits      2  abababababababab" in lines_of(node, "tips")
    assert any("block 4    1,204" in line for line in lines_of(node, "frontier"))
    forks = "\n".join(lines_of(node, "forks"))
    assert "suspended; goes on with epoch 1" in forks
    assert "record 3.?" in forks
    assert "ff" * 32 in forks
    peers = lines_of(node, "peers")
    assert "cut off" in peers[1]
    assert "node uplink" in peers[1]
    assert "body-mismatch 3" in peers[2]


@pytest.mark.parametrize("command", ["tips", "frontier", "forks", "peers"])
def test_json_of_a_list_is_its_rows(node: Node, command: str) -> None:
    shown = json.loads("\n".join(lines_of(node, command, "--json")))
    assert shown == {"ok": True, command: LISTS[f"/v1/{command}"]}


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("dag", "no gateway has sealed a vertex yet"),
        ("tips", "no gateway has sealed a vertex yet"),
        ("frontier", "no gateway has sealed a vertex yet"),
        ("forks", "no fork is known"),
        ("peers", "this node exchanges vertices with nobody"),
    ],
)
def test_nothing_is_said_in_words(node: Node, command: str, words: str) -> None:
    node.empty = True
    assert words in lines_of(node, command)[0]


@pytest.mark.parametrize("command", ["dag", "tips", "frontier", "forks", "peers"])
def test_without_a_node_the_command_says_so(tmp_path: Path, command: str) -> None:
    done = run.invoke(app, [command, "--home", str(tmp_path)])
    assert done.exit_code == exits.UNAVAILABLE
    assert "node-absent" in done.stderr


def test_follow_prints_what_comes_until_it_is_stopped(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    def rest(_: float) -> None:
        PAGES[1]["rows"].append(row(6, 1, 2, parent=5, height=None))
        monkeypatch.setattr("time.sleep", stop)

    def stop(_: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("time.sleep", rest)
    try:
        done = run.invoke(app, ["dag", "--follow", "--limit", "1"])
    finally:
        del PAGES[1]["rows"][2:]
    shown = [line.split("gate-0 ")[1] for line in done.stdout.splitlines() if "gate-0" in line]
    assert [one.split()[0] for one in shown] == ["1.1", "2"]
