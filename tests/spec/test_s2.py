"""The rules of the meter-reading framework, S2.19 to S2.29, one test each and by number, on the real parts.

The ledger is the real pipeline with the metering contract deployed; files and processes are real where the rule speaks
of them. What needs several validators that vote (S2.19, S2.28) is shown here with the servers of four organisations on
one ledger; with the BFT engine the same servers vote as processes of their own.
"""

import hashlib
import socket
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from drystone.apps.metering import picture, scenario
from drystone.formats import cbor, cose
from drystone.ledger import keyspace
from drystone.ledger.apply import apply_genesis
from drystone.ledger.change import Outcome
from drystone.ledger.genesis import (
    PROTOCOL,
    FirstMember,
    Genesis,
    encode_genesis,
    prove,
    validators_hash,
)
from drystone.records.key import SecretKey
from drystone.records.record import check_form
from drystone.records.stream import decode
from drystone.sim import meters
from drystone.sim.world import START_MS, Actor, Author, World, ordered, secret_of
from drystone.storage.ledger import LedgerDB
from drystone.storage.memory import MemoryView
from drystone.storage.vertices import VertexDB
from drystone.workshop.actors import Device
from drystone.workshop.chain import Chain

ES256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
FOUR = ("ewz", "bkw", "sig", "ail")


@pytest.fixture
def town(chain: Chain) -> Chain:
    """Return a chain with metering set up for one server and one group, and the meter `m-1` installed."""
    chain.deploy("metering")
    one = scenario.Installation("m-1", "electricity", "home-1", start=1_000)
    for call in scenario.setup_calls(organisation="ewz", gateway="g-1", installed=[one]):
        chain.call(chain.org(), f"{call.contract}.{call.function}", **call.args)
    return chain


@pytest.fixture
def meter(town: Chain) -> Device:
    """Return the signing meter `m-1`."""
    return town.device("electricity", "m-1")


def codes(outcomes: list[Outcome]) -> list[str]:
    return [outcome.code for outcome in outcomes]


def cluster() -> tuple[World, list[Author]]:
    """Return a ledger of four organisations whose four servers are its validators."""
    operators = [Actor(iss, "ops", secret_of("s2", iss, "ops")) for iss in FOUR]
    servers = [Actor(iss, "server", secret_of("s2", iss, "server")) for iss in FOUR]
    people = [
        FirstMember(a.iss, a.sub, ("enroller", "governor"), a.secret.public) for a in operators
    ]
    roles = ("gateway", "validator")
    people += [FirstMember(a.iss, a.sub, roles, a.secret.public) for a in servers]
    genesis = Genesis(
        origin="ledger.example/s2",
        time_ms=START_MS,
        protocol=PROTOCOL,
        approvals=3,
        organisations=tuple((iss, iss.upper()) for iss in FOUR),
        members=tuple(people),
        proofs=(),
    )
    genesis = prove(genesis, {(a.iss, a.sub): a.secret for a in (*operators, *servers)})
    authors = [Author(server) for server in servers]
    view = MemoryView.from_genesis(genesis)
    return World("s2", genesis, view, operators[0], authors[0]), authors


class TestArchitecture:
    def test_cluster_of_four_servers_is_the_ledgers_validator_set_s2_19(self) -> None:
        world, servers = cluster()
        validators = world.genesis.validators()
        assert len(validators) == 4
        block = world.block(*(world.vertex([], server) for server in servers))
        change = world.take(block)
        assert validators_hash(validators) in change.block_entry
        for server in servers:
            assert world.view.get(keyspace.head(server.actor.iss, "server")) is not None
        fewer = block._replace(validators=validators_hash(validators[:3]))
        again, _ = cluster()
        assert again.take(fewer).head != change.head, "who votes is part of the one commitment"

    def test_meters_display_shows_what_the_ledger_keeps_s2_20(self, town: Chain) -> None:
        emulated = meters.street(seed=5, count=1)[0]
        one = scenario.installations(seed=5, count=1)[0]
        device = town.device("electricity", one.device)
        for call in scenario.setup_calls(organisation="ewz", gateway="g-1", installed=[one])[-1:]:
            town.call(town.org(), f"metering.{call.function}", **call.args)
        register = meters.start(emulated, time_s=START_MS // 1000 - 7_200)
        for _ in range(4):
            register, reading = meters.advance(emulated, register, minutes=15)
            town.reading(device, {"import": reading.import_wh}, at=register.minute * 60_000)
            panel = f"{reading.import_wh // 1000:06d}.{reading.import_wh % 1000:03d} kWh"
            assert scenario.display(town.state("metering", device)) == panel

    def test_server_that_is_no_member_is_refused_whole_s2_21(
        self, town: Chain, meter: Device
    ) -> None:
        stranger = Author(Actor("ewz", "g-9", secret_of("s2", "ewz", "g-9")))
        reading = town.sign_reading(meter, 1_100)
        block = town.world.block(town.world.vertex([reading], stranger))
        (outcome,) = town.world.take(block).outcomes
        assert (outcome.record, outcome.code) == (None, "member-unknown")
        assert town.state("metering", meter)["value"] == 1_000
        assert codes(town.batch([reading])) == ["accepted"], "nothing was lost by it"

    def test_group_of_meters_belongs_to_one_server_until_it_is_re_homed_s2_22(
        self, town: Chain, meter: Device
    ) -> None:
        other = town.gateway("g-2")
        town.call(town.org(), "metering.allow_server", server="ewz/g-2")
        with town.refused("metering.foreign-server"):
            town.reading(meter, 1_100, gateway=other)
        town.call(town.org(), "metering.home_group", group="quarter-1", server="ewz/g-2")
        assert town.reading(meter, 1_100, gateway=other).code == "accepted"
        with town.refused("metering.foreign-server"):
            town.reading(meter, 1_200)

    def test_picture_of_meters_server_and_contract_comes_from_the_ledger_s2_25(
        self, town: Chain, meter: Device
    ) -> None:
        town.reading(meter, 1_100)
        drawn = picture.architecture(town.states("metering")).splitlines()
        arrows = [line.strip() for line in drawn if "-->" in line]
        assert 'n_ewz_2f_m_2d_1["ewz/m-1 (electricity)"] --> n_ewz_2f_quarter_2d_1' in arrows
        assert "n_ewz_2f_quarter_2d_1 --> n_ewz_2f_g_2d_1" in arrows
        assert 'n_ewz_2f_g_2d_1["server ewz/g-1"] --> contract' in arrows
        town.call(town.org(), "metering.remove_server", server="ewz/g-1")
        drawn_after = picture.architecture(town.states("metering"))
        assert "--> contract" not in drawn_after, (
            "what the ledger no longer says is no longer drawn"
        )


class TestRules:
    def test_list_of_allowed_servers_is_changed_by_governance_only_s2_23(
        self, town: Chain, meter: Device
    ) -> None:
        clerk = town.member("clerk", roles=("meter_operator",))
        for function in ("allow_server", "remove_server"):
            for sender in (clerk, meter, town.gateway("g-2").actor):
                with town.refused("role-missing"):
                    town.call(sender, f"metering.{function}", server="ewz/g-1")
        town.call(town.org(), "metering.remove_server", server="ewz/g-1")
        assert town.state("metering", "areas")["ewz"]["servers"] == {}
        town.call(town.org(), "metering.allow_server", server="ewz/g-1")
        assert town.state("metering", "areas")["ewz"]["servers"] == {"ewz/g-1": True}
        who = [data["by"] for data in town.events_of("metering.server-allowed")]
        assert who == ["ewz/ops", "ewz/ops"]

    def test_reading_is_greater_or_equal_or_has_a_legal_way_s2_24(
        self, town: Chain, meter: Device
    ) -> None:
        """Contradiction 4: the plain rule refuses every rollover and exchange, so both have a way of their own."""
        town.reading(meter, 1_500)
        town.reading(meter, 1_500)
        with town.refused("metering.backwards"):
            town.reading(meter, 1_499)
        args = {"meter": "ewz/m-1", "final": 1_520, "start": 7, "why": "meter exchanged"}
        town.call(town.org(), "metering.exchange", **args)
        assert town.reading(meter, 7).code == "accepted"
        old = {"kind": "electricity", "group": "quarter-1", "household": "ewz/home-2"}
        args = old | {"meter": "ewz/m-2", "start": 99_999, "modulus": 100_000}
        town.call(town.org(), "metering.install", meters=[args])
        assert town.reading(town.device("electricity", "m-2"), 2).code == "accepted"

    def test_write_from_a_server_that_is_not_allowed_is_refused_s2_26(
        self, town: Chain, meter: Device
    ) -> None:
        enrolled = town.gateway("g-2")
        before = town.state("metering", meter)
        with town.refused("metering.server-not-allowed"):
            town.reading(meter, 1_100, gateway=enrolled)
        assert town.state("metering", meter) == before
        assert town.world.view.get(keyspace.stream(("ewz", "m-1"))) is None

    @pytest.mark.parametrize("who", ["meter", "server"])
    @pytest.mark.parametrize(
        ("address", "code"), [("own kid", "key-unknown"), ("stolen kid", "signature-invalid")]
    )
    def test_address_without_its_private_key_is_refused_s2_27(
        self, town: Chain, meter: Device, who: str, address: str, code: str
    ) -> None:
        thief = SecretKey.generate(cose.ALG_EDDSA, b"t" * 32)
        victim = meter.actor if who == "meter" else town.world.author.actor
        actor = Actor("ewz", victim.sub, thief)
        if who == "meter":
            raw = town.world.reading(actor, 9_000)
            raw = raw if address == "own kid" else with_kid(raw, thief, victim.secret)
            assert codes(town.batch([raw])) == [code]
        else:
            author = town.world.author
            forger = Author(actor, author.epoch, author.seq, author.parent)
            raw = town.world.vertex([town.sign_reading(meter, 9_000)], forger)
            raw = raw if address == "own kid" else with_kid(raw, thief, victim.secret)
            block = town.world.block(raw)
            (outcome,) = town.world.take(block).outcomes
            assert (outcome.record, outcome.code) == (None, code)
        assert town.state("metering", meter)["value"] == 1_000


def with_kid(raw: bytes, old: SecretKey, new: SecretKey) -> bytes:
    """Put another key's id into signed bytes, as who knows the address and not the key would."""
    assert raw.count(old.public.kid()) == 1
    return raw.replace(old.public.kid(), new.public.kid())


class TestFlood:
    def test_flood_against_one_of_four_servers_stops_no_commit_s2_28(self) -> None:
        """One server's vertices are full of garbage, forgeries and repetitions; readings through the others commit."""
        world, servers = cluster()
        (device,) = world.enrolled("m-1")
        thief = Actor("ewz", "m-1", SecretKey.generate(cose.ALG_EDDSA, b"t" * 32))
        for count in range(5):
            garbage = [cbor.encode([count, n]) for n in range(300)]
            forged = [world.reading(thief, n) for n in range(100)]
            reading = world.reading(device, 100 + count)
            flooded = world.vertex([*garbage, *forged, *([reading] * 50)], servers[0])
            calm = world.vertex([reading], servers[1 + count % 3])
            outcomes = world.take(world.block(calm, flooded)).outcomes
            assert [o.code for o in outcomes if o.vertex == 0] == ["accepted"]
            assert Counter(o.code for o in outcomes if o.vertex == 1) == {
                "cose-malformed": 300,
                "key-unknown": 100,
                "already": 50,
            }
        stream = decode(world.view.get(keyspace.stream(("ewz", "m-1"))) or b"")
        assert stream.count == 5

    @pytest.mark.process
    @pytest.mark.slow
    def test_flood_of_a_real_node_stops_no_commit_s2_28(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Connections that send random bytes, half requests and oversized ones, while a meter delivers."""
        monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "process"))
        from running_node import RunningNode, make_home, reading

        make_home(tmp_path / "home")
        with RunningNode(tmp_path / "home") as node, node.client() as client:
            node.enrol_meter(client)
            host, _, port = client.endpoint.url.rpartition("//")[2].partition(":")
            stop = threading.Event()
            flooded = [0, 0, 0]
            threads = [
                threading.Thread(target=flood, args=(host, int(port), kind, stop, flooded))
                for kind in range(3)
            ]
            for thread in threads:
                thread.start()
            try:
                outcomes = [
                    client.deliver([reading(seq)], wait="committed")[0].outcome for seq in range(30)
                ]
            finally:
                stop.set()
                for thread in threads:
                    thread.join()
            assert outcomes == ["accepted"] * 30
            assert min(flooded) > 0


def flood(host: str, port: int, kind: int, stop: threading.Event, sent: list[int]) -> None:
    """Send what no client should, again and again."""
    garbage = hashlib.shake_256(bytes([kind])).digest(4_096)
    head = f"POST /v1/records HTTP/1.1\r\nHost: {host}\r\nContent-Length: {len(garbage)}\r\n\r\n"
    requests = (
        garbage,
        head.encode() + garbage,
        b"POST /v1/records HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n",
    )
    while not stop.is_set():
        try:
            with socket.create_connection((host, port), timeout=5) as connection:
                connection.sendall(requests[kind])
                connection.recv(1_024)
        except OSError:
            continue
        finally:
            sent[kind] += 1


class TestReplay:
    """Contradiction 5: a timestamp stops no replay. A position in the stream is taken once, and stays taken."""

    def test_identical_and_re_wrapped_replays_are_refused_s2_29(
        self, town: Chain, meter: Device
    ) -> None:
        raw = town.sign_reading(meter, 1_100)
        assert codes(town.batch([raw])) == ["accepted"]
        kept, leaves = town.state("metering", meter), town.world.view.log.size
        other = town.gateway("g-2")
        signed_again = town.sign_reading(meter, 9_999, seq=0)
        assert codes(town.batch([raw])) == ["already"]
        assert codes(town.batch([raw, raw])) == ["already", "already"]
        assert codes(town.batch([raw], gateway=other)) == ["already"]
        assert codes(town.batch([signed_again])) == ["already"]
        assert town.state("metering", meter) == kept
        blocks = 5 + 1  # the enrolment of g-2 is one of them
        assert town.world.view.log.size <= leaves + blocks + 1, "block entries, no reading"

    def test_second_spelling_of_a_signature_is_the_same_record_s2_29(self) -> None:
        world = World.begin("s2")
        (device,) = world.enrolled("m-es", alg=cose.ALG_ES256)
        raw = world.reading(device, 5)
        s = int.from_bytes(raw[-32:])
        twin = raw[:-32] + (ES256_ORDER - s).to_bytes(32)
        assert check_form(raw).id == check_form(twin).id
        assert [o.code for o in world.step([raw]).outcomes] == ["accepted"]
        assert [o.code for o in world.step([twin]).outcomes] == ["already"]

    def test_replays_are_refused_after_pruning_and_restart_s2_29(
        self, town: Chain, meter: Device, tmp_path: Path
    ) -> None:
        """The same history on disk: bodies pruned, the node's executor opened anew; every old record sent again."""
        from drystone.workers.executor import Executor

        records = [town.sign_reading(meter, 1_100 + n) for n in range(5)]
        town.batch(records)
        home = tmp_path / "home"
        store = written_home(home, town.world)
        executor = Executor.open(home)
        for block in town.world.blocks:
            executor.execute(block)
        executor.close()
        store.prune([vertex.number for vertex in store.arrived()])
        assert all(store.body(vertex.number) is None for vertex in store.arrived())
        store.close()

        executor = Executor.open(home)
        try:
            assert executor.view.height == town.world.view.height
            before = executor.ledger.edge()
            done = executor.execute(town.world.block(town.world.vertex(records)))
            assert [outcome.code for outcome in done.outcomes] == ["already"] * 5
            assert executor.ledger.edge().size == before.size + 1, "a block entry, and no reading"
            data = keyspace.contract_data("metering", meter.path)
            assert executor.view.get(data) == town.world.view.get(data)
        finally:
            executor.close()


def written_home(home: Path, world: World) -> VertexDB:
    """Make a home with the world's genesis and vertices; its blocks are the executor's to write."""
    home.mkdir()
    (home / "genesis.cbor").write_bytes(encode_genesis(world.genesis))
    start = apply_genesis(world.genesis, MemoryView())
    LedgerDB.create(home / "ledger.db", encode_genesis(world.genesis), start.change).close()
    store = VertexDB.create(home / "vertices.db", start.ledger)
    for block in world.blocks:
        for vertex in block.vertices:
            items: list[Any] = list(vertex.records)
            store.seal(header=vertex.header.raw, body=b"".join(item.raw for item in items))
    return store


def test_vertex_that_comes_twice_is_refused_whole_s2_29() -> None:
    world = World.begin("s2")
    (device,) = world.enrolled("m-1")
    vertex = world.vertex([world.reading(device, 5)])
    world.take(world.block(vertex))
    change = world.take(world.block(vertex))
    assert [(o.record, o.code) for o in change.outcomes] == [(None, "vertex-place")]
    assert ordered(vertex).header.seq == world.author.seq - 1
