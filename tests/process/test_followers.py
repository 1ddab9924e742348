"""Real processes: a node, a gateway that foresees, a follower; cut off, they go on, and what they foresaw comes true."""

import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pytest
from running_node import STREAM, RunningNode, reading

from drystone.client.rest import Client
from drystone.errors import DrystoneError, NotHere
from drystone.formats import cose
from drystone.formats.senml import Measurement, write_pack
from drystone.home.admission import Role, init_gateway_home
from drystone.home.config import PeerSettings
from drystone.home.keyfolder import read_key_file
from drystone.home.layout import Identity, init_home
from drystone.proof.trust import parse_trust
from drystone.proof.verify import verify_file
from drystone.records.key import SecretKey
from drystone.records.record import enrolment_proof, write_call, write_record

WAIT_S_MAX = 40.0
GATEWAY_MEMORY_MAX = 200_000_000
NEW = SecretKey.generate(cose.ALG_EDDSA, b"2" * 32)
Result = TypeVar("Result")


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def cli(*arguments: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "drystone.cli", *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def until(look: Callable[[], Result | None]) -> Result:
    """Wait until something is there: another process's doing, which tells nobody."""
    deadline = time.monotonic() + WAIT_S_MAX
    while time.monotonic() < deadline:
        try:
            found = look()
        except DrystoneError:
            found = None
        if found is not None and found is not False:
            return found
        time.sleep(0.05)
    raise AssertionError("it did not come")


@dataclass(frozen=True, slots=True, kw_only=True)
class Street:
    """A node with an authority, and one other home that was let in by it."""

    node: RunningNode
    other: RunningNode
    identity: Identity
    open: ExitStack

    def near(self) -> Client:
        """A client of the node as it runs now."""
        return self.open.enter_context(self.node.client())

    def far(self) -> Client:
        """A client of the other as it runs now."""
        return self.open.enter_context(self.other.client())


def street(tmp_path: Path, *, role: Role, **settings: str) -> Iterator[Street]:
    port = free_port()
    init_home(tmp_path / "node", org="ewz", node_name="gw-1", origin="ledger.example/main")
    sync = {
        "DRYSTONE__SYNC__LISTEN": f"127.0.0.1:{port}",
        "DRYSTONE__SYNC__PEERS": json.dumps([{"name": "ewz/far-1"}]),
    }
    home = tmp_path / "node"
    cli("ca", "init", "--home", str(home))
    cli("ca", "enrol", "ewz/gw-1", "--into", str(home), "--home", str(home))
    identity = init_gateway_home(
        tmp_path / "far",
        genesis=(home / "genesis.cbor").read_bytes(),
        trust=(home / "trust.json").read_bytes(),
        org="ewz",
        name="far-1",
        role=role,
        peers=(PeerSettings(name="ewz/gw-1", address=f"127.0.0.1:{port}", uplink=True),),
    )
    near, far = RunningNode(home), RunningNode(tmp_path / "far")
    near.environment.update(sync)
    far.environment.update(settings)
    with near as node:
        with node.client() as client:
            node.enrol_meter(client)
        admission = tmp_path / "far" / "admission.json"
        cli(
            "gateway",
            "admit",
            str(tmp_path / "far" / "request.json"),
            "-o",
            str(admission),
            "--home",
            str(home),
        )
        with far as other, ExitStack() as stack:
            yield Street(node=node, other=other, identity=identity, open=stack)


@pytest.fixture
def follower(tmp_path: Path) -> Iterator[Street]:
    yield from street(tmp_path, role="follower")


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Street]:
    yield from street(tmp_path, role="gateway", DRYSTONE__GATEWAY__PROVISIONAL="true")


def height_of(client: Client) -> int:
    return int(client.get("/v1/ledger")["head"]["height"])


def record(client: Client, seq: int, view: str = "final") -> dict[str, Any] | None:
    try:
        return client.get(f"/v1/records/ewz/m-1/0/{seq}", {"view": view})
    except DrystoneError:
        return None


def test_follower_comes_to_the_same_head_and_serves_reads_and_receipts(follower: Street) -> None:
    node, far = follower.near(), follower.far()
    assert node.deliver([reading(n) for n in range(20)], wait="committed")[-1].outcome == "accepted"
    head = node.get("/v1/ledger")["head"]
    until(lambda: height_of(far) >= head["height"] or None)
    assert far.get("/v1/ledger")["head"] == head
    assert far.get("/v1/records/ewz/m-1/0/7")["raw"] == reading(7).hex()
    trust = json.loads((follower.other.home / "trust.json").read_text())
    trust["nodes"].append(far.get("/v1/ledger")["vkey"])
    receipt = far.receipt(STREAM, epoch=0, seq=7)
    verdict = verify_file(receipt, parse_trust(json.dumps(trust).encode()))
    assert verdict.record is not None
    assert verdict.record.seq == 7
    with pytest.raises(NotHere):
        far.submit([reading(21)])
    # It goes on where it was, after the node was away and after it was itself.
    follower.node.stop()
    assert record(far, 19) is not None
    follower.node.start()
    node = follower.near()
    follower.other.stop()
    assert node.deliver([reading(20)], wait="committed")[0].outcome == "accepted"
    follower.other.start()
    far = follower.far()
    until(lambda: record(far, 20))
    assert far.get("/v1/ledger")["head"] == node.get("/v1/ledger")["head"]


def operator_call(
    street: Street, client: Client, contract: str, function: str, args: dict[str, Any]
) -> bytes:
    operator = read_key_file(street.node.home / "keys" / "operator.key")
    known = client.get("/v1/streams/ewz/operator", {"view": "provisional"})
    payload = write_call(
        ledger=street.identity.ledger, contract=contract, function=function, args=args, limit=0
    )
    return write_record(
        secret=operator.secret, iss="ewz", sub="operator", epoch=0, seq=known["last"] + 1,
        payload=payload, content_type=cose.CBOR,
    )  # fmt: skip


def test_gateway_that_is_cut_off_foresees_outcomes_which_become_final_when_the_link_returns(
    gateway: Street,
) -> None:
    node, far = gateway.near(), gateway.far()
    assert node.deliver([reading(0)], wait="committed")[0].outcome == "accepted"
    until(lambda: record(far, 0))
    gateway.node.stop()
    before = height_of(far)
    began = time.monotonic()
    (answer,) = far.submit([reading(1)], wait="provisional")
    took_s = time.monotonic() - began
    assert (answer.outcome, answer.height) == ("accepted", None)
    assert took_s < 1.0
    foreseen = record(far, 1, "provisional")
    assert foreseen is not None
    assert foreseen["finality"] == "provisional"
    assert record(far, 1) is None
    profile = {"name": "water", "measurements": [{"name": "v", "unit": "m3"}]}
    called = operator_call(gateway, far, "registry", "profile", profile)
    (answer,) = far.submit([called], wait="provisional")
    assert answer.outcome == "accepted"
    # A device that is enrolled behind the cut is let in at once: its enrolment lies in the gateway's own chain.
    proof = enrolment_proof(secret=NEW, iss="ewz", sub="m-2", ledger=gateway.identity.ledger)
    members = {"members": [{"sub": "m-2", "proof": proof.hex(), "profile": "meter"}]}
    pack = write_pack([Measurement("e", "Wh", 5, None)])
    new = write_record(
        secret=NEW, iss="ewz", sub="m-2", epoch=0, seq=0, payload=pack, content_type=cose.SENML
    )
    (answer,) = far.submit([new], wait="provisional")
    assert answer.code == "member-unknown"
    (answer,) = far.submit(
        [operator_call(gateway, far, "registry", "enrol", members)], wait="provisional"
    )
    assert answer.outcome == "accepted"
    (answer,) = far.submit([new], wait="provisional")
    assert (answer.code, answer.outcome) == ("stored", "accepted")
    wrong = operator_call(gateway, far, "registry", "enrol", {"members": []})
    (answer,) = far.submit([wrong], wait="provisional")
    assert answer.outcome == "arguments-malformed"
    assert height_of(far) == before
    stream = far.get("/v1/streams/ewz/m-1", {"view": "provisional"})
    assert (stream["records"], stream["finality"]) == (2, "provisional")
    assert far.get("/v1/streams/ewz/m-1")["records"] == 1
    # It forgets nothing of what it foresaw when it starts again.
    gateway.other.stop()
    gateway.other.start()
    far = gateway.far()
    until(lambda: record(far, 1, "provisional"))
    gateway.node.start()
    final = until(lambda: record(far, 1))
    until(lambda: gateway.near().get("/v1/streams/ewz/m-2"))
    until(lambda: far.get("/v1/streams/ewz/m-2"))
    assert final["finality"] == "final"
    until(
        lambda: (
            far.get("/v1/streams/ewz/m-1", {"view": "provisional"})["finality"] == "final" or None
        )
    )
    assert gateway.near().get("/v1/records/ewz/m-1/0/1")["raw"] == reading(1).hex()


def test_gateway_that_foresees_keeps_within_its_memory(gateway: Street) -> None:
    far = gateway.far()
    gateway.node.stop()
    for start in range(0, 20_000, 1_000):
        far.deliver([reading(n) for n in range(start, start + 1_000)])
    until(
        lambda: far.get("/v1/streams/ewz/m-1", {"view": "provisional"})["records"] == 20_000 or None
    )
    numbers = far.get("/v1/gateway")
    assert numbers["provisional_vertices"] > 10
    assert numbers["provisional_waiting"] == 0
    assert numbers["executed_height"] > 0
    status = Path(f"/proc/{gateway.other.pid('front')}/status").read_text()
    resident = next(line for line in status.splitlines() if line.startswith("VmRSS:"))
    assert int(resident.split()[1]) * 1024 < GATEWAY_MEMORY_MAX, resident
