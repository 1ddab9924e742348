"""A gateway and a node as real processes: the whole way of a record, alone and together, and what it costs."""

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from drystone.errors import DiskFull, DrystoneError, NotHere, TokenInvalid
from drystone.formats.senml import Measurement

sys.path.insert(0, str(Path(__file__).parents[2] / "tools"))

from fleet import Fleet, Meter, fsck

pytestmark = pytest.mark.process

MEMORY_BYTES_MAX = 80_000_000
GATEWAY = "gw-1"


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    """A node with one admitted gateway and an enrolled meter; the gateway does not run yet."""
    with Fleet(tmp_path, (GATEWAY,)) as made:
        made.admit()
        yield made


def enrolled(fleet: Fleet) -> Meter:
    meter = Meter("m-1", 1)
    with fleet.node.client() as client:
        fleet.enrol(client, [meter])
        fleet.call(client, "attach", {"gateway": GATEWAY, "device": "old", "profile": "meter"})
    return meter


def test_a_record_posted_to_a_gateway_becomes_final_and_the_gateway_learns_it_s1_40(
    fleet: Fleet,
) -> None:
    meter = enrolled(fleet)
    fleet.start_gateways()
    fleet.wait_for_registry()
    gateway = fleet.gateways[GATEWAY]
    with gateway.client() as client, fleet.node.client() as node:
        answers = client.submit(meter.next(2), wait="committed")
        assert [(a.code, a.outcome) for a in answers] == [("stored", "accepted")] * 2
        assert [a.place for a in answers] == [("ewz", GATEWAY, 0, 0, i) for i in range(2)]
        assert fleet.runs(node, meter) == [(0, 1)]
        assert client.submit([meter.reading(1)])[0].code == "already"
        outcome = client.get("/v1/outcomes/0/0")
        assert (outcome["refused"], outcome["finality"]) == ({}, "final")
        assert client.get_bytes("/checkpoint").startswith(b"ledger.example/fleet\n")
        (peer,) = client.get("/v1/peers")["rows"]
        assert peer["connected"]
        assert peer["bytes_in"] > 0
        text = client.get_bytes("/metrics").decode()
        assert "drystone_gateway_buffered_records 0.0" in text
        assert 'drystone_peer_sent_bytes_total{peer="ewz/node"}' in text
        assert gateway.pss_bytes() < MEMORY_BYTES_MAX
    assert gateway.stop() == 0
    assert fleet.node.stop() == 0
    assert fsck(gateway.home) == []
    assert fsck(fleet.node.home) == []


def test_a_gateway_cut_off_takes_and_keeps_and_delivers_when_the_link_returns_s0_7(
    fleet: Fleet,
) -> None:
    meter = enrolled(fleet)
    fleet.start_gateways()
    fleet.wait_for_registry()
    assert fleet.node.stop() == 0
    gateway = fleet.gateways[GATEWAY]
    with gateway.client() as client:
        for _ in range(5):
            assert {a.code for a in client.submit(meter.next(20), wait="sealed")} == {"stored"}
        assert {a.code for a in client.submit([meter.reading(7)])} == {"already"}
        status = client.get("/v1/gateway")
        assert (status["buffered_records"], status["ok"]) == (100, True)
        assert client.get("/healthz")["sentence"].startswith("Cut off, all is well")
        with pytest.raises(NotHere):
            client.get("/v1/outcomes/0/0")
        with pytest.raises(NotHere):
            client.get("/v1/receipts/ewz/m-1/0/0")
    gateway.kill()
    with gateway.client() as client:
        assert {a.code for a in client.submit([meter.reading(99)])} == {"already"}
        assert client.get("/v1/gateway")["buffered_records"] == 100
        client.submit(meter.next(1))
    fleet.node.start()
    fleet.wait_until_ordered()
    with fleet.node.client() as node:
        assert fleet.runs(node, meter) == [(0, 100)]


def test_a_gateway_that_was_not_admitted_takes_records_and_delivers_them_later(
    tmp_path: Path,
) -> None:
    with Fleet(tmp_path, (GATEWAY, "gw-2")) as fleet:
        fleet.admit()
        meter = Meter("m-1", 1)
        gateway = fleet.gateways["gw-2"]
        admission = (gateway.home / "admission.json").read_bytes()
        (gateway.home / "admission.json").unlink()
        fleet.start_gateways("gw-2")
        with gateway.client() as client:
            # Nobody has told this gateway of the meter: its record cannot be judged yet.
            assert client.submit([meter.reading(0)])[0].code == "member-unknown"
            assert client.get("/v1/peers")["rows"] == []
        with fleet.node.client() as node:
            fleet.enrol(node, [meter])
        assert gateway.stop() == 0
        (gateway.home / "admission.json").write_bytes(admission)
        gateway.start()
        fleet.wait_for_registry("gw-2")
        assert not (gateway.home / "admission.json").exists()
        with gateway.client() as client:
            (answer,) = client.submit(meter.next(1), wait="committed")
            assert answer.outcome == "accepted"


def test_a_device_enrolled_later_is_known_soon_after_it_first_sends(fleet: Fleet) -> None:
    enrolled(fleet)
    fleet.start_gateways()
    fleet.wait_for_registry()
    late = Meter("late", 2)
    proof = late.proof(fleet.ledger).hex()
    with fleet.node.client() as node, fleet.gateways[GATEWAY].client() as client:
        members = [{"sub": late.name, "proof": proof, "profile": "meter"}]
        fleet.call(node, "enrol", {"members": members})
        deadline = time.monotonic() + 30
        while client.submit([late.reading(0)])[0].code != "stored":
            assert time.monotonic() < deadline
            time.sleep(0.1)


def test_an_unsigned_devices_reading_is_attested_by_its_gateway(fleet: Fleet) -> None:
    enrolled(fleet)
    fleet.start_gateways()
    fleet.wait_for_registry()
    from drystone.client.rest import StreamName

    name = StreamName("ewz", GATEWAY, "old")
    with fleet.gateways[GATEWAY].client() as client:
        measured = [Measurement("e", "Wh", 7, None)]
        answer = client.attest(name, measured, wait="committed")
        assert (answer.code, answer.outcome) == ("stored", "accepted")
        with pytest.raises(DrystoneError):
            client.attest(name, [Measurement("t", "Cel", 7, None)])
    with fleet.node.client() as node:
        found = node.record(name, epoch=0, seq=0)
        assert found["place"]["sub"] == GATEWAY


def test_a_gateway_for_others_than_loopback_asks_for_the_operators_token(fleet: Fleet) -> None:
    gateway = fleet.gateways[GATEWAY]
    gateway.settings["DRYSTONE__READ__POLICY"] = "members"
    gateway.settings["DRYSTONE__READ__METRICS"] = "members"
    fleet.start_gateways()
    with gateway.client() as client:
        client.get("/healthz")
        for path in ("/v1/gateway", "/v1/peers", "/v1/frontier", "/metrics", "/v1/outcomes/0/0"):
            with pytest.raises(TokenInvalid):
                client.get(path)


def test_a_full_budget_refuses_new_records_and_loses_none(fleet: Fleet) -> None:
    meter = enrolled(fleet)
    gateway = fleet.gateways[GATEWAY]
    gateway.settings["DRYSTONE__STORAGE__BUDGET_BYTES"] = "200000"
    fleet.start_gateways()
    fleet.wait_for_registry()
    fleet.node.stop()
    taken = 0
    full = False
    with gateway.client() as client:
        deadline = time.monotonic() + 60
        while not full and time.monotonic() < deadline:
            batch = meter.next(50)
            try:
                answers: list[Any] = client.submit(batch, wait="sealed")
            except DiskFull:
                full = True
                break
            taken += sum(answer.code == "stored" for answer in answers)
        assert full
        assert not client.get("/v1/gateway")["ok"]
        fleet.node.start()
        fleet.wait_until_ordered()
        # What was ordered leaves the disk: there is room again.
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            try:
                client.submit([meter.reading(taken)], wait="sealed")
                break
            except DrystoneError:
                time.sleep(0.1)
        else:
            raise AssertionError("no room after everything was ordered")
    fleet.wait_until_ordered()
    with fleet.node.client() as node:
        assert fleet.runs(node, meter) == [(0, taken)]


def test_an_idle_gateway_writes_nothing_while_it_is_looked_at(fleet: Fleet) -> None:
    meter = enrolled(fleet)
    fleet.start_gateways()
    fleet.wait_for_registry()
    gateway = fleet.gateways[GATEWAY]

    def written() -> tuple[int, dict[str, tuple[int, int]]]:
        text = Path(f"/proc/{gateway.pid}/io").read_text()
        files = {
            one.name: (one.stat().st_size, one.stat().st_mtime_ns)
            for one in sorted(gateway.home.glob("*.db*"))
        }
        return int(text.split("write_bytes: ")[1].split()[0]), files

    with gateway.client() as client:
        assert client.submit(meter.next(1), wait="committed")[0].outcome == "accepted"
        # The registry is compared once more behind that block; then there is nothing to do.
        fleet.wait_for_registry()
        before = written()
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline:
            for path in ("/healthz", "/metrics", "/v1/gateway", "/v1/outcomes/0/0"):
                client.get_bytes(path)
        assert written() == before
