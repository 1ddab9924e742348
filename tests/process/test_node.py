"""A node as its operator meets it: how it starts, refuses to start, survives and stops."""

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from running_node import STREAM, RunningNode, make_home, reading

from drystone.errors import HomeInvalid, KeyFileInvalid, Unavailable
from drystone.home.layout import init_home, open_home
from drystone.node.supervisor import EXIT_REFUSED
from drystone.proof.trust import parse_trust
from drystone.proof.verify import verify

pytestmark = pytest.mark.process


def front(home: Path, *options: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """A front without supervisor, expected to end by itself."""
    return subprocess.run(
        [sys.executable, *options, "-m", "drystone.node", str(home)],
        env={**os.environ, "DRYSTONE__HTTP__PORT": "0", **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_one_process_does_what_many_do(tmp_path: Path) -> None:
    make_home(tmp_path / "home")
    with RunningNode(tmp_path / "home", DRYSTONE__NODE__PROCESSES="one") as node:
        endpoints = node.endpoints()
        assert endpoints is not None
        assert set(endpoints["pids"]) == {"supervisor", "front"}
        with node.client() as client:
            node.enrol_meter(client)
            (answer,) = client.submit([reading(0)], wait="committed")
            assert answer.outcome == "accepted"
            trust = parse_trust((tmp_path / "home" / "trust.json").read_bytes())
            verify(client.receipt(STREAM, epoch=0, seq=0), trust)
        assert node.stop() == 0
    # The same home as several processes goes on behind it.
    with RunningNode(tmp_path / "home") as node, node.client() as client:
        assert [a.code for a in client.submit([reading(0), reading(1)])] == ["already", "stored"]


def test_a_node_stops_cleanly_when_told_and_leaves_no_address(tmp_path: Path) -> None:
    make_home(tmp_path / "home")
    node = RunningNode(tmp_path / "home")
    node.start()
    assert node.stop() == 0
    assert node.endpoints() is None
    assert "node stops" in node.log.read_text()


def test_a_front_whose_supervisor_is_killed_stops_too(tmp_path: Path) -> None:
    make_home(tmp_path / "home")
    node = RunningNode(tmp_path / "home")
    node.start()
    pids = processes(node)
    assert node.process is not None
    node.process.kill()
    node.process.wait()
    # The next node gets the lock only when every process of this one has gone.
    with RunningNode(tmp_path / "home") as again:
        assert not pids & processes(again)


def test_a_node_that_dies_too_often_is_given_up(tmp_path: Path) -> None:
    make_home(tmp_path / "home")
    node = RunningNode(tmp_path / "home", restarts_max=1)
    node.start()
    node.kill("executor")
    os.kill(node.pid("front"), signal.SIGKILL)
    assert node.process is not None
    assert node.process.wait(30) != 0
    assert "giving up" in node.log.read_text()


def test_a_taken_port_is_said_and_not_tried_again(tmp_path: Path) -> None:
    make_home(tmp_path / "home")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = front(tmp_path / "home", DRYSTONE__HTTP__PORT=port)
    assert done.returncode == EXIT_REFUSED
    assert "port-taken" in done.stderr


def test_a_second_node_on_one_home_is_refused(tmp_path: Path) -> None:
    make_home(tmp_path / "home")
    with RunningNode(tmp_path / "home") as node, node.client() as client:
        done = front(tmp_path / "home")
        assert done.returncode == EXIT_REFUSED
        assert "home-invalid" in done.stderr
        assert client.get("/healthz")["ok"]


@pytest.mark.parametrize("name", ["ledger.db", "vertices.db"])
def test_a_database_of_another_ledger_is_refused(tmp_path: Path, name: str) -> None:
    make_home(tmp_path / "home")
    make_home(tmp_path / "other")
    (tmp_path / "other" / name).replace(tmp_path / "home" / name)
    done = front(tmp_path / "home")
    assert done.returncode == EXIT_REFUSED
    assert "database-foreign" in done.stderr


@pytest.mark.parametrize("name", ["ledger.db", "vertices.db"])
def test_a_database_that_is_none_is_refused(tmp_path: Path, name: str) -> None:
    make_home(tmp_path / "home")
    (tmp_path / "home" / name).write_bytes(b"not a database" * 1000)
    done = front(tmp_path / "home")
    assert done.returncode == EXIT_REFUSED
    assert "database-corrupt" in done.stderr


def test_a_node_does_not_run_without_its_assertions(tmp_path: Path) -> None:
    make_home(tmp_path / "home")
    done = front(tmp_path / "home", "-O")
    assert done.returncode == EXIT_REFUSED
    assert "-O" in done.stderr


def test_an_unknown_setting_is_refused_by_name(tmp_path: Path) -> None:
    make_home(tmp_path / "home")
    done = front(tmp_path / "home", DRYSTONE__HTTP__PROT="1")
    assert done.returncode == EXIT_REFUSED
    assert "http.prot" in done.stderr


def test_a_full_disk_refuses_records_and_keeps_what_it_has(tmp_path: Path) -> None:
    make_home(tmp_path / "home")
    with RunningNode(tmp_path / "home") as node, node.client() as client:
        node.enrol_meter(client)
        client.submit([reading(0)], wait="committed")
    reserve = str(2**62)
    full = RunningNode(tmp_path / "home", DRYSTONE__STORAGE__RESERVE_BYTES=reserve)
    with full, full.client() as client:
        with pytest.raises(Unavailable) as caught:
            client.submit([reading(1)])
        assert caught.value.code == "disk-full"
        assert not json.loads(client._http.get("/healthz").content)["ok"]
        assert client.record(STREAM, epoch=0, seq=0)["outcome"] == "accepted"


def test_no_secret_stands_in_a_log(tmp_path: Path) -> None:
    identity = make_home(tmp_path / "home")
    with RunningNode(tmp_path / "home", DRYSTONE__NODE__LOG_LEVEL="debug") as node:
        with node.client() as client:
            node.enrol_meter(client)
            client.submit([reading(0), b"\xff"], wait="committed")
        node.kill("verifiers")
    log = node.log.read_text()
    assert log
    assert identity.token not in log
    assert identity.node.secret.to_bytes().hex() not in log


def test_an_idle_node_writes_nothing(tmp_path: Path) -> None:
    make_home(tmp_path / "home")
    with RunningNode(tmp_path / "home") as node, node.client() as client:
        node.enrol_meter(client)
        client.submit([reading(0)], wait="committed")
        before = written(node)
        for _ in range(20):
            client.get("/v1/ledger")
            client.get_bytes("/metrics")
        assert written(node) == before


def processes(node: RunningNode) -> set[int]:
    """The pids of a running node."""
    endpoints = node.endpoints()
    assert endpoints is not None
    return {pid for group in endpoints["pids"].values() for pid in group}


def written(node: RunningNode) -> list[int]:
    """Bytes that the node's processes have sent to storage, on systems that count them."""
    endpoints = node.endpoints()
    assert endpoints is not None
    counts: list[int] = []
    for name in ("front", "executor"):
        text = Path(f"/proc/{endpoints['pids'][name][0]}/io").read_text()
        counts += [int(line.split()[1]) for line in text.splitlines() if "write_bytes" in line][:1]
    return counts


def test_init_overwrites_nothing_and_open_wants_a_whole_home(tmp_path: Path) -> None:
    made = make_home(tmp_path / "home")
    with pytest.raises(HomeInvalid):
        init_home(tmp_path / "home", org="ewz", node_name="gw-1", origin="a.example/b")
    found = open_home(tmp_path / "home")
    assert (found.ledger, found.vkey, found.token) == (made.ledger, made.vkey, made.token)
    (tmp_path / "home" / "keys" / "node.key").chmod(0o644)
    with pytest.raises(KeyFileInvalid):
        open_home(tmp_path / "home")
    (tmp_path / "home" / "config.toml").unlink()
    with pytest.raises(HomeInvalid):
        open_home(tmp_path / "home")
