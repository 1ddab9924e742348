"""Line h: what a receipt weighs and how long its check takes, at this ledger's size and at a million records.

The large log is one of 2^20 entries whose other branches are random hashes: a verifier sees no difference.
"""

import hashlib
import time

from bench.client import LoadClient, run
from bench.figure import Figure, at_most
from bench.flood import street_flood
from bench.machine import core_count
from bench.node import BenchNode
from bench.stage import Stage
from bench.street import ORGANISATION, Street, make_load, name_of
from drystone.client.rest import StreamName
from drystone.formats import cbor, cose, note
from drystone.proof.finality import node_finality, sign_checkpoint
from drystone.proof.interval import encode_interval
from drystone.proof.receipt import attach_receipts, decode_receipt, detach_receipts, issue_receipt
from drystone.proof.trust import Trust, parse_trust
from drystone.proof.verify import verify
from drystone.records.key import SecretKey
from drystone.trees import log

ORIGIN = "bench.example/log"
LEVELS = 20
INDEX = 0b1010_1100_0011_0101_1001
METERS = 100
SIZE_MAX = 1_500
VERIFY_MS_MAX = 2.0


def figures(stage: Stage) -> list[Figure]:
    """Line h."""
    if stage.has(street_flood):
        run_before = stage.once(street_flood)
        statement, trust, size = run_before.statement, run_before.trust, run_before.size
    else:
        statement, trust, size = _small(stage)
    found = _rows(stage, f"{size:,} entries", statement, parse_trust(trust))
    return found + _rows(stage, f"2^{LEVELS} entries", *_large())


def _rows(stage: Stage, name: str, statement: bytes, trust: Trust) -> list[Figure]:
    record = len(make_load(Street(1), first_seq=0, per_meter=1, processes=1).records[0])
    runs = stage.sizes.verifications
    around = _interval_bytes(statement)
    verify(statement, trust)
    began = time.perf_counter()
    for _ in range(runs):
        verify(statement, trust)
    took = time.perf_counter() - began
    return [
        Figure(
            "h",
            f"receipt, {name}, without its record",
            len(statement) - record,
            "B",
            at_most(SIZE_MAX),
        ),
        Figure("h", "  of it the interval around the record", around, "B"),
        Figure("h", f"verified, {name}", 1_000 * took / runs, "ms", at_most(VERIFY_MS_MAX)),
    ]


def _interval_bytes(statement: bytes) -> int:
    """What the blocks around the record add to its receipt; 0 where there are none."""
    (receipt,) = detach_receipts(statement).receipts
    around = decode_receipt(receipt).interval
    label = len(cbor.encode(cose.INTERVAL))
    return 0 if around is None else label + len(cbor.encode(encode_interval(around)))


def _small(stage: Stage) -> tuple[bytes, bytes, int]:
    """A receipt of a small ledger, where no large one has been made."""
    street = Street(METERS)
    load = make_load(street, first_seq=0, per_meter=10, processes=core_count())
    with BenchNode(stage.folder) as node:
        stage.say(f"a node with {METERS} meters, for a receipt")
        node.enrol(street)
        run(LoadClient(node.url).flood(load.records, per_request=100, connections=1))
        with node.client() as client:
            name = StreamName(ORGANISATION, name_of(METERS // 2), None)
            statement = client.receipt(name, epoch=0, seq=0)
            size = client.get("/v1/ledger")["head"]["size"]
        return statement, (node.home / "trust.json").read_bytes(), size


def _large() -> tuple[bytes, Trust]:
    """A receipt of a log of 2^20 entries, and whom to trust about it."""
    secret = SecretKey.generate(cose.ALG_EDDSA, b"n" * 32)
    record = make_load(Street(1), first_seq=0, per_meter=1, processes=1).records[0]
    path = [hashlib.sha256(b"branch %d" % level).digest() for level in range(LEVELS)]
    root = log.leaf_hash(hashlib.sha256(record).digest())
    for level, branch in enumerate(path):
        pair = (branch, root) if INDEX >> level & 1 else (root, branch)
        root = log.node_hash(*pair)
    checkpoint = note.Checkpoint(ORIGIN, 1 << LEVELS, root)
    receipt = issue_receipt(
        secret=secret, origin=ORIGIN, node="gw-1", size=1 << LEVELS, index=INDEX, path=path, root=root,
        finality=node_finality(note.checkpoint_text(checkpoint), [sign_checkpoint(secret, checkpoint)]),
    )  # fmt: skip
    vkey = note.parse_vkey(note.format_vkey(ORIGIN, note.TYPE_ED25519, secret.public.raw))
    trust = Trust(origin=ORIGIN, ledger=bytes(32), nodes=(vkey,), need=1)
    return attach_receipts(record, [receipt]), trust
