"""Line g: what a record costs the executor when a thousand, a hundred thousand and a million are stored already.

Apply and commit are called directly, in this process, on a real ledger.db; signatures count as verified, so that only
what could grow is in it: state, log, tables, flushes. Processor time, because waiting for the disk does not grow.
"""

import gc
import random
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from bench.figure import Figure, at_most
from bench.stage import Stage
from bench.street import ENROL_AT_ONCE, ORGANISATION, PROFILE, Street, secret_of, unsigned
from drystone import limits
from drystone.formats import cose
from drystone.home.keyfolder import read_key_file
from drystone.home.layout import Identity, init_home
from drystone.ledger.change import Block, OrderedVertex
from drystone.ledger.genesis import validators_hash
from drystone.records.record import Verified, check_form, write_call, write_record
from drystone.records.vertex import decode_header, seal_vertex
from drystone.trees.state import StateTree
from drystone.workers.executor import Executor

GROWTH_MAX = 2.5
BLOCK_RECORDS = 500
"""In a measured block; with `limits.FLUSH_BLOCKS` of them every window has exactly one flush."""
FILL_RECORDS = 10_000
"""In a block that only fills the ledger up."""
VERTEX_RECORDS = 1_000
SINGLE_CHANGES = 1_000


class Chain:
    """A ledger in this process: blocks of readings, each the next of its meter, made and executed."""

    def __init__(self, home: Path, meters: int) -> None:
        self.identity: Identity = init_home(
            home, org=ORGANISATION, node_name="gw-1", origin="bench.example/log"
        )
        self.operator = read_key_file(self.identity.home.operator_key).secret
        self.executor = Executor.open(home)
        self.validators = validators_hash(self.identity.genesis.validators())
        self.author_key = self.identity.node.secret.public.cose_key()
        self.vertex_seq = 0
        self.parent: bytes | None = None
        self.calls = 0
        self.stored = 0
        self.meters = meters
        self._enrol()
        self.keys = [secret_of(number).public.cose_key() for number in range(meters)]
        self.readings = self._readings()

    def execute(self, count: int) -> float:
        """Store the next `count` readings as one block; give the processor time of apply and commit, in seconds."""
        items = [next(self.readings) for _ in range(count)]
        block = self._block(items)
        gc.collect()
        gc.disable()
        began = time.process_time()
        done = self.executor.execute(block)
        took = time.process_time() - began
        gc.enable()
        assert not done.outcomes, done.outcomes[:3]
        self.stored += count
        return took

    def _readings(self) -> Iterator[Verified]:
        seq = 0
        while True:
            for number, key in enumerate(self.keys):
                yield Verified(check_form(unsigned(number, seq)), key)
            seq += 1

    def _block(self, items: list[Verified]) -> Block:
        vertices = [
            self._vertex(items[first : first + VERTEX_RECORDS])
            for first in range(0, len(items), VERTEX_RECORDS)
        ]
        height = self.executor.view.height + 1
        return Block(height, 1_762_340_400_000 + height, vertices, self.validators, 1)

    def _vertex(self, items: list[Verified]) -> OrderedVertex:
        node = self.identity.node
        header, self.parent = seal_vertex(
            secret=node.secret, iss=node.organisation, sub=node.member, epoch=0,
            seq=self.vertex_seq, parent=self.parent, links=(), time_ms=1,
            records=[item.record.raw for item in items],
            entries=[item.record.entry for item in items],
            ledger=self.identity.ledger,
        )  # fmt: skip
        self.vertex_seq += 1
        return OrderedVertex(decode_header(header), self.author_key, items)

    def _enrol(self) -> None:
        profile = {
            "name": PROFILE,
            "measurements": [{"name": "e", "unit": "Wh"}],
            "register": {"name": "e", "exponent": 0},
        }
        self._call("profile", profile)
        for first in range(0, self.meters, ENROL_AT_ONCE):
            members = Street(self.meters).members(first, self.identity.ledger)
            self._call("enrol", {"members": members})

    def _call(self, function: str, args: dict[str, object]) -> None:
        payload = write_call(
            ledger=self.identity.ledger, contract="registry", function=function, args=args, limit=0
        )  # type: ignore[arg-type]
        raw = write_record(
            secret=self.operator, iss=ORGANISATION, sub="operator", epoch=0, seq=self.calls,
            payload=payload, content_type=cose.CBOR,
        )  # fmt: skip
        self.calls += 1
        item = Verified(check_form(raw), self.operator.public.cose_key())
        done = self.executor.execute(self._block([item]))
        assert not any(one.code != "accepted" for one in done.outcomes), done.outcomes


def figures(stage: Stage) -> list[Figure]:
    """Line g."""
    sizes = stage.sizes
    costs: list[float] = []
    with tempfile.TemporaryDirectory(prefix="growth-", dir=stage.folder) as folder:
        stage.say("one ledger in process, growing")
        chain = Chain(Path(folder) / "home", sizes.growth_meters)
        for stored in sizes.stored:
            while chain.stored < stored:
                chain.execute(min(FILL_RECORDS, stored - chain.stored))
            chain.executor.ledger.flush()
            spent = sum(chain.execute(BLOCK_RECORDS) for _ in range(limits.FLUSH_BLOCKS))
            costs.append(1e6 * spent / (BLOCK_RECORDS * limits.FLUSH_BLOCKS))
            stage.say(f"{stored} records: {costs[-1]:.1f} us of apply and commit per record")
        chain.executor.close()
    found = [
        Figure(
            "g",
            f"apply and commit at {stored:,} records stored",
            cost,
            "us/record",
        )
        for stored, cost in zip(sizes.stored, costs, strict=True)
    ]
    found.append(Figure("g", "  the last over the first", costs[-1] / costs[0], ""))
    return found + _hashes(stage)


def _hashes(stage: Stage) -> list[Figure]:
    """Hashes per changed key in blocks of one key, at few and at many keys."""
    found: list[Figure] = []
    means: list[float] = []
    for keys in stage.sizes.tree_keys:
        draw = random.Random(keys)
        names = [draw.randbytes(32) for _ in range(keys)]
        tree = StateTree.build((name, name) for name in names)
        del names
        before = tree.hashes_done
        began = time.process_time()
        for number in range(SINGLE_CHANGES):
            tree.install(tree.plan({b"key %d" % number: b"value"}))
        took = time.process_time() - began
        means.append((tree.hashes_done - before) / SINGLE_CHANGES)
        found.append(Figure("g", f"hashes per changed key at {keys:,} keys", means[-1], "hashes"))
        found.append(Figure("g", "  time of it", 1e6 * took / SINGLE_CHANGES, "us"))
        stage.say(f"a state of {keys} keys: {means[-1]:.1f} hashes per changed key")
    ratio = means[-1] / means[0]
    found.append(Figure("g", "  hashes, the last over the first", ratio, "", at_most(GROWTH_MAX)))
    return found
