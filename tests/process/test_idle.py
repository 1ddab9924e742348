"""Invariant 8: an idle ledger writes zero bytes, whoever looks at it."""

from pathlib import Path

import pytest
from running_node import STREAM, RunningNode, make_home, reading

pytestmark = pytest.mark.process

LOOKS = 150
"""Requests that take longer together than any linger or close time of the node."""


def written_to_disk(node: RunningNode) -> int:
    """Bytes that front and executor have handed to the disk."""
    total = 0
    for name in ("front", "executor"):
        text = Path(f"/proc/{node.pid(name)}/io").read_text()
        total += int(text.split("write_bytes: ")[1].split()[0])
    return total


def files_of(home: Path) -> dict[str, tuple[int, int]]:
    """Size and time of change of everything in the home that is a database."""
    return {p.name: (p.stat().st_size, p.stat().st_mtime_ns) for p in sorted(home.glob("*.db*"))}


def test_an_idle_node_writes_nothing_while_it_is_looked_at(tmp_path: Path) -> None:
    home = tmp_path / "home"
    make_home(home)
    with RunningNode(home) as node, node.client() as client:
        node.enrol_meter(client)
        assert client.submit([reading(0)], wait="committed")[0].outcome == "accepted"
        before_files, before_bytes = files_of(home), written_to_disk(node)
        for _ in range(LOOKS):
            client.get("/healthz")
            client.receipt(STREAM, epoch=0, seq=0)
            client.get("/v1/streams/ewz/m-1")
        assert files_of(home) == before_files
        assert written_to_disk(node) == before_bytes
