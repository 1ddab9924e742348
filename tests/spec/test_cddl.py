"""docs/spec/*.cddl against what the code emits, and against neighbours that the code refuses."""

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
from cddl_subset import Specification

from drystone.errors import Refused
from drystone.formats import cbor, cose, senml
from drystone.formats.cbor import Tag, Value
from drystone.formats.senml import Measurement
from drystone.ledger import keyspace
from drystone.ledger.genesis import encode_genesis
from drystone.proof import completeness, receipt
from drystone.proof.block import decode_block
from drystone.proof.finality import CometFinality, NodeFinality
from drystone.proof.interval import Interval, Moment
from drystone.proof.verdict import Item
from drystone.records import stream
from drystone.records.evidence import encode_fork
from drystone.records.record import check_form
from drystone.records.vertex import decode_vertex, encode_vertex
from drystone.sim.world import World

FOLDER = Path(__file__).parents[2] / "docs" / "spec"
H = bytes(32)


@cache
def specification() -> Specification:
    return Specification("\n".join(p.read_text() for p in sorted(FOLDER.glob("*.cddl"))))


@cache
def emitted() -> list[tuple[str, bytes]]:
    """Return (rule, bytes) of every wire and state object, made by the code that makes them in a node."""
    world = World.begin(organisations=("ewz", "iwb"))
    meter, second = world.enrolled("m-1", "m-2", alg=cose.ALG_ES256)
    records = [world.reading(meter, wh) for wh in (5, 7, 11)]
    late = world.reading(second, 9, seq=4, anchor=bytes(8), iat=1762340400)
    change = world.step([*records, late])
    vertex = world.vertex([world.reading(meter, 12)])
    header = decode_vertex(vertex).header
    found = [("record", raw) for raw in (*records, late)]
    found += [("pack", check_form(raw).payload) for raw in (*records, late)]
    found += [("pack", pack) for pack in packs()]
    call = world.call(world.operator, "registry", "enrol", {"members": [{"sub": "x", "n": [1]}]})
    found += [("record", call), ("call", check_form(call).payload)]
    found += [("vertex", vertex), ("vertex", encode_vertex(header.raw, None))]
    proof = world.proof("ewz", "m-1", meter.secret)
    found += [("vertex-header", header.raw), ("enrolment", bytes.fromhex(proof))]
    twins = [check_form(world.reading(meter, wh, seq=9)) for wh in (20, 21)]
    found.append(("fork", encode_fork(*twins, ledger=world.view.ledger)))
    found += [("block", change.block_entry), ("genesis", encode_genesis(world.genesis))]
    found += [("outcome", cbor.encode([0, None, "vertex-fork", 0, []]))]
    found += state_values(world)
    found += contract_values(World.begin())
    found += [("sealed", sealed())]
    found += proofs(world, records[0], change.block_entry)
    return found


def packs() -> list[bytes]:
    many = [Measurement("e", "Wh", 100 + i, 1762340400 + i) for i in range(60)]
    mixed = [
        Measurement("a", "Cel", (-1, -215), None),
        Measurement("b", None, "text", None),
        Measurement("c", None, True, None),
        Measurement("d", "/100", b"\x00", 1762340400),
    ]
    return [senml.write_pack(many), senml.write_pack(mixed)]


def sealed() -> bytes:
    protected = cbor.encode(
        {cose.ALG: cose.ALG_A256GCM, cose.CONTENT_TYPE: 112, cose.KID: bytes(16)}
    )
    return cose.encode_encrypt0(cose.Encrypt0(protected, bytes(12), bytes(40)))


ROWS = {
    keyspace.ORGANISATION: "organisation-row",
    keyspace.MEMBER: "member-row",
    keyspace.KEY: "key-row",
    keyspace.STREAM: "stream",
    keyspace.PROFILE: "profile-row",
    keyspace.HEAD: "head-row",
}


def state_values(world: World) -> list[tuple[str, bytes]]:
    found = [
        (ROWS[keyspace.space_of(key)], value)
        for space in ROWS
        for key, value in world.view.scan(keyspace.key(space))
    ]
    assert {rule for rule, _ in found} == set(ROWS.values())
    plain = stream.Stream(H, 1, (stream.Run(0, 1, 1, None, None),))
    return [*found, ("stream", stream.encode(stream.EMPTY)), ("stream", stream.encode(plain))]


def contract_values(world: World) -> list[tuple[str, bytes]]:
    source = (
        "def on_reading(ctx, old, record):\n    return (None, [])\n\n"
        "def act(ctx, n):\n    pass\n\ndef move(ctx, version):\n    pass\n"
    )
    manifest = {
        "name": "street",
        "version": 1,
        "reading": {"function": "on_reading", "reads": ["settings"]},
        "calls": {"act": {"args": {"n": "int"}}},
        "exports": ["act"],
        "migrate": "move",
    }
    submit = {"manifest": manifest, "source": source}
    world.step([world.call(world.operator, "contracts", "submit", submit)])
    deploy = {"name": "street", "version": 1, "at": world.view.height + 5}
    world.step([world.call(world.operator, "contracts", "deploy", deploy)])
    rule = {"who": "members", "what": "streams", "of": "*"}
    world.step([world.call(world.operator, "registry", "policy", {"rules": [rule]})])
    keys = {
        "policy-row": keyspace.policy("ewz"),
        "contract-row": keyspace.contract("street"),
        "version-row": keyspace.contract_version("street", 1),
        "due-rows": keyspace.contracts_due(),
        "package": keyspace.contract_package("street", 1),
    }
    return [(rule, world.view.get(key) or b"") for rule, key in keys.items()]


def proofs(world: World, record: bytes, block: bytes) -> list[tuple[str, bytes]]:
    secret = world.author.actor.secret
    moment = Moment(1, (H,), decode_block(block))
    receipts = [
        receipt.issue_receipt(
            secret=secret,
            origin="ledger.example/main",
            node="g-1",
            size=2,
            index=1,
            path=[H],
            root=H,
            finality=finality,
            interval=around,
        )
        for finality, around in (
            (None, None),
            (NodeFinality("note"), None),
            (CometFinality(b"header", b"commit"), None),
            (NodeFinality("note"), Interval(moment, None)),
            (NodeFinality("note"), Interval(moment, moment)),
        )
    ]
    point = completeness.Point(stream.encode(stream.EMPTY), b"proof", block, receipts[1])
    absent = point._replace(value=None)
    whole = completeness.Completeness("ewz", "m-1", None, None, (), point)
    attested = completeness.Completeness("ewz", "g-1", "m-9", absent, (Item(0, 1, H),), point)
    return [
        *[("receipt", one) for one in receipts],
        ("transparent", receipt.attach_receipts(record, receipts[1:])),
        ("point", completeness.encode_point(point)),
        ("point", completeness.encode_point(absent)),
        ("completeness", completeness.encode_completeness(whole)),
        ("completeness", completeness.encode_completeness(attested)),
    ]


def test_everything_the_code_emits_is_what_the_specification_says_s1_47() -> None:
    for rule, data in emitted():
        assert specification().holds(rule, data), (rule, cbor.decode(data))


def test_every_rule_is_about_something_the_code_emits() -> None:
    """A rule nobody reaches would be a promise without a thing."""
    roots = (
        {rule for rule, _ in emitted()}
        | {"trust", "evidence-row", "proposal-row"}
        | {
            "sync-message",
            "announcement",
        }
    )

    assert specification().rules.keys() - specification().used - roots == set()


def items(data: bytes) -> list[Value]:
    message = cbor.decode(data)
    value = message.value if isinstance(message, Tag) else message
    assert isinstance(value, list)
    return value


def first(rule: str) -> bytes:
    return next(data for name, data in emitted() if name == rule)


def changed(rule: str, index: int, value: Value) -> bytes:
    """Return the first object of the rule with one element replaced."""
    message = cbor.decode(first(rule))
    replaced = items(first(rule))
    replaced[index] = value
    return cbor.encode(Tag(18, replaced) if isinstance(message, Tag) else replaced)


def header(rule: str, change: Callable[[dict[object, Value]], object]) -> bytes:
    """Return the first object of the rule with its protected header changed."""
    labels = cbor.decode(items(first(rule))[0])  # type: ignore[arg-type]
    assert isinstance(labels, dict)
    change(labels)  # type: ignore[arg-type]
    return changed(rule, 0, cbor.encode(labels))


def point_with(index: int, value: Value) -> list[Value]:
    point = items(first("point"))
    point[index] = value
    return point


NEIGHBOURS: list[tuple[str, Callable[[], bytes]]] = [
    ("record", lambda: first("transparent")),
    ("record", lambda: first("receipt")),
    ("record", lambda: first("record")[1:]),
    ("record", lambda: changed("record", 1, {4: b"kid!"})),
    ("record", lambda: changed("record", 2, None)),
    ("record", lambda: changed("record", 3, bytes(63))),
    ("record", lambda: header("record", lambda h: h.update({1: -19}))),
    ("record", lambda: header("record", lambda h: h.update({2: [4]}))),
    ("record", lambda: header("record", lambda h: h.update({3: 0}))),
    ("record", lambda: header("record", lambda h: h.update({4: b"kid"}))),
    ("record", lambda: header("record", lambda h: h.update({15: {1: "ewz"}}))),
    ("record", lambda: header("record", lambda h: h.update({15: {1: "-", 2: "m"}}))),
    ("record", lambda: header("record", lambda h: h.update({15: {1: "x" * 49, 2: "m"}}))),
    ("record", lambda: header("record", lambda h: h.update({15: {1: "a", 2: "b", 7: b""}}))),
    ("record", lambda: header("record", lambda h: h.update({-70001: [2**32, 1]}))),
    ("record", lambda: header("record", lambda h: h.update({-70001: [0, 2**53]}))),
    ("record", lambda: header("record", lambda h: h.update({-70001: [0, 1, bytes(7)]}))),
    ("record", lambda: header("record", lambda h: h.pop(-70001))),
    ("record", lambda: header("record", lambda h: h.update({-70003: ""}))),
    ("pack", lambda: cbor.encode([])),
    ("pack", lambda: cbor.encode([{0: "e", 2: 1}] * 257)),
    ("pack", lambda: cbor.encode([{0: "e"}])),
    ("pack", lambda: cbor.encode([{0: "e", 2: 1, 3: "x"}])),
    ("pack", lambda: cbor.encode([{0: "e", 2: 1, 5: 1}])),
    ("pack", lambda: cbor.encode([{0: "e", 2: 1, -1: 10}])),
    ("pack", lambda: cbor.encode([{0: "e", 2: Tag(4, [0, 1])}])),
    ("pack", lambda: cbor.encode([{0: "e", 2: True}])),
    ("call", lambda: changed("call", 0, bytes(32))),
    ("call", lambda: changed("call", 3, {1: 1})),
    ("call", lambda: changed("call", 3, {"a": None})),
    ("call", lambda: changed("call", 4, -1)),
    ("sealed", lambda: cbor.encode(Tag(18, items(first("sealed"))))),
    ("sealed", lambda: changed("sealed", 1, {5: bytes(11)})),
    ("sealed", lambda: header("sealed", lambda h: h.update({3: 16}))),
    ("vertex", lambda: changed("vertex", 1, "text")),
    ("vertex", lambda: changed("vertex", 0, first("record"))),
    ("vertex-header", lambda: header("vertex-header", lambda h: h.update({-70001: [0, 1]}))),
    (
        "vertex-header",
        lambda: changed("vertex-header", 2, cbor.encode([0, 1, None, [H] * 9, 1, 0, 0, H])),
    ),
    (
        "vertex-header",
        lambda: changed("vertex-header", 2, cbor.encode([0, 1, b"", [], 1, 0, 0, H])),
    ),
    ("fork", lambda: changed("fork", 0, "drystone/fork/2")),
    ("block", lambda: changed("block", 0, "drystone/block/2")),
    ("block", lambda: changed("block", 3, bytes(31))),
    ("outcome", lambda: changed("outcome", 4, [["c", "n"]])),
    ("stream", lambda: cbor.encode([H, 1, [[0, 1]]])),
    ("stream", lambda: cbor.encode([H, 1, [[0, 1, 1, 5]]])),
    ("receipt", lambda: changed("receipt", 2, H)),
    ("receipt", lambda: header("receipt", lambda h: h.update({395: 2}))),
    ("receipt", lambda: changed("receipt", 1, {396: {-1: [cbor.encode([1, 0, []])]}})),
    ("receipt", lambda: changed("receipt", 1, {396: {-1: []}})),
    ("transparent", lambda: first("record")),
    ("transparent", lambda: changed("transparent", 1, {394: []})),
    ("point", lambda: cbor.encode(point_with(2, b"\x80"))),
    ("point", lambda: cbor.encode(point_with(3, first("record")))),
    ("completeness", lambda: changed("completeness", 4, [[0, 1]])),
    ("completeness", lambda: changed("completeness", 5, None)),
    ("genesis", lambda: cbor.encode({**cbor.decode(first("genesis")), "x": 1})),  # type: ignore[dict-item]
    ("enrolment", lambda: changed("enrolment", 2, cbor.encode({1: 1, -1: 6, -2: bytes(31)}))),
]


@pytest.mark.parametrize(("rule", "make"), NEIGHBOURS)
def test_a_neighbour_of_an_object_is_outside_of_its_rule(
    rule: str, make: Callable[[], bytes]
) -> None:
    assert specification().holds(rule, first(rule))
    assert not specification().holds(rule, make())


READERS: dict[str, Callable[[bytes], object]] = {
    "record": check_form,
    "pack": lambda data: senml.read_pack(data, iss="ewz", sub="m-1"),
    "vertex": decode_vertex,
    "stream": stream.decode,
    "receipt": receipt.decode_receipt,
    "completeness": completeness.decode_completeness,
}


@pytest.mark.parametrize(
    ("rule", "make"), [(rule, make) for rule, make in NEIGHBOURS if rule in READERS]
)
def test_what_is_outside_of_a_rule_is_refused_by_its_reader(
    rule: str, make: Callable[[], bytes]
) -> None:
    READERS[rule](first(rule))
    with pytest.raises(Refused):
        READERS[rule](make())


def test_trust_file_is_what_the_specification_says() -> None:
    vectors = json.loads((FOLDER.parents[1] / "vectors" / "trust.json").read_text())["vectors"]
    good = [v["trust"] for v in vectors if not v.get("error")]

    assert good
    for text in good:
        assert specification().rules["trust"](json.loads(text)), text
    assert not specification().rules["trust"]({**json.loads(good[0]), "unknown": 1})
    assert not specification().rules["trust"]({**json.loads(good[0]), "nodes": []})


@pytest.mark.parametrize(
    "text",
    ["a = b", "a = int a = int", "a = [", "a = int .lt 5", "a = &b", "a int", "= int", "a = 1..x"],
)
def test_text_that_is_no_specification_is_refused(text: str) -> None:
    with pytest.raises(SyntaxError):
        Specification(text)
