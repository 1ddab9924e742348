"""A gateway without processes or disk: a real pipeline in memory behind fake stores, for tests of intake and seal."""

import asyncio
import itertools
from collections.abc import Callable, Sequence
from typing import Any, Self

from drystone.errors import DiskFull
from drystone.formats import cose
from drystone.formats.senml import Measurement, write_pack
from drystone.gateway.answer import Answer, Wait
from drystone.gateway.attest import Attestor
from drystone.gateway.intake import Bounds, FoundPlace, Intake
from drystone.gateway.positions import Positions
from drystone.gateway.seal import Author, Pace, Sealer
from drystone.gateway.senders import Senders
from drystone.gateway.verifiers import InProcess
from drystone.ledger import rows
from drystone.ledger.apply import apply
from drystone.ledger.change import Block, OrderedVertex
from drystone.ledger.genesis import FirstMember, Genesis, prove
from drystone.records.key import SecretKey
from drystone.records.record import enrolment_proof, write_call, write_record
from drystone.storage.memory import MemoryView
from drystone.storage.vertices import StoredVertex

NODE = SecretKey.generate(cose.ALG_EDDSA, b"n" * 32)
OPERATOR = SecretKey.generate(cose.ALG_EDDSA, b"o" * 32)
METER = SecretKey.generate(cose.ALG_EDDSA, b"m" * 32)
NOW_MS = 1_762_340_400_000


def first_view() -> MemoryView:
    """A ledger with one gateway `node`, one `operator`, and nothing enrolled."""
    members = (
        FirstMember("ewz", "node", (rows.GATEWAY, rows.VALIDATOR), NODE.public),
        FirstMember("ewz", "operator", (rows.ENROLLER, rows.GOVERNOR), OPERATOR.public),
    )
    genesis = Genesis(
        origin="ledger.example/main",
        time_ms=NOW_MS,
        protocol=1,
        approvals=1,
        organisations=(("ewz", "ewz"),),
        members=members,
        proofs=(),
    )
    secrets = {("ewz", "node"): NODE, ("ewz", "operator"): OPERATOR}
    return MemoryView.from_genesis(prove(genesis, secrets))


def reading(
    seq: int, *, wh: int = 1, sub: str = "m-1", secret: SecretKey = METER, epoch: int = 0
) -> bytes:
    """A signed reading of the meter."""
    pack = write_pack([Measurement("e", "Wh", wh, None)])
    return write_record(
        secret=secret,
        iss="ewz",
        sub=sub,
        epoch=epoch,
        seq=seq,
        payload=pack,
        content_type=cose.SENML,
    )


class FakeStore:
    """vertices.db in a dict; `failing` makes the next writes fail."""

    def __init__(self) -> None:
        self.rows: dict[int, bytes] = {}
        self.vertices: list[StoredVertex] = []
        self.writes = 0
        self.failing: Exception | None = None

    def _write(self) -> None:
        if self.failing is not None:
            raise self.failing
        self.writes += 1

    def add_intake(self, batches: Sequence[bytes]) -> list[int]:
        self._write()
        first = max(self.rows, default=0) + 1
        numbers = list(range(first, first + len(batches)))
        self.rows.update(zip(numbers, batches, strict=True))
        return numbers

    def seal(
        self, *, header: bytes, body: bytes, intake: Sequence[int], ordered_through: int | None
    ) -> StoredVertex:
        self._write()
        from drystone.records.vertex import decode_header, vertex_id

        for number in intake:
            del self.rows[number]
        parsed = decode_header(header)
        own_id = vertex_id(parsed, self.ledger)
        stored = StoredVertex(
            len(self.vertices) + 1, own_id, parsed.iss, parsed.sub, parsed.epoch, parsed.seq, header
        )
        self.vertices.append(stored)
        return stored

    ledger = bytes(32)


class FakeEngine:
    """Keeps vertices until the test orders them."""

    def __init__(self) -> None:
        self.idle = True
        self.submitted: list[tuple[OrderedVertex, bytes]] = []
        self.arrived = asyncio.Event()

    def submit(self, vertex: OrderedVertex, vertex_id: bytes) -> None:
        self.submitted.append((vertex, vertex_id))
        self.arrived.set()


class Room:
    """Disk that is there until the test takes it."""

    full = False

    def check(self) -> None:
        if self.full:
            raise DiskFull("no room")


class World:
    """One gateway with everything around it in memory."""

    def __init__(
        self, *, linger_ms: int = 0, seal_records: int = 256, records_max: int = 65_536
    ) -> None:
        self.view = first_view()
        self.store = FakeStore()
        self.store.ledger = self.view.ledger
        self.engine = FakeEngine()
        self.room = Room()
        self.positions = Positions(self.view)
        self.senders = Senders(self.view)
        self.checker = InProcess(self.senders, self.view.ledger)
        self.places: dict[tuple[Any, ...], FoundPlace] = {}
        self.turn = asyncio.Lock()
        author = Author("ewz", "node", NODE, 0, 0, None)
        self.sealer = Sealer(
            store=self.store,
            engine=self.engine,
            positions=self.positions,
            author=author,
            ledger=self.view.ledger,
            pace=Pace(linger_ms=linger_ms, seal_records=seal_records),
            run_in_worker=self._run,
            clock_ms=lambda: NOW_MS,
        )
        self.intake = Intake(
            checker=self.checker,
            committer=self.sealer,
            positions=self.positions,
            senders=self.senders,
            ledger=self.view.ledger,
            bounds=Bounds(records_max, 67_108_864),
            room=self.room,
            find_place=self._find_place,
        )
        self.attestor = Attestor(
            author=author,
            intake=self.intake,
            positions=self.positions,
            senders=self.senders,
            ledger=self.view.ledger,
        )
        self._calls = itertools.count()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self.sealer.run())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._task is not None
        self.sealer.stop()
        await self._task

    async def _run(self, function: Callable[[], Any]) -> Any:
        async with self.turn:
            return function()

    async def _find_place(
        self, stream: tuple[str, ...], *, epoch: int, seq: int
    ) -> FoundPlace | None:
        return self.places.get((*stream, epoch, seq))

    async def order(self) -> None:
        """Apply everything the engine holds, as one block, and tell the sealer."""
        taken, self.engine.submitted = self.engine.submitted, []
        self.engine.arrived.clear()
        vertices = tuple(vertex for vertex, _ in taken)
        block = Block(self.view.height + 1, NOW_MS, vertices, bytes(32), 1)
        change = apply(self.view, block)
        self.view.install(change)
        for index, (vertex, vertex_id) in enumerate(taken):
            codes: dict[int, str] = {}
            for outcome in change.outcomes:
                if outcome.vertex == index and outcome.code != "accepted":
                    if outcome.record is None:
                        codes = dict.fromkeys(range(len(vertex.records)), outcome.code)
                    else:
                        codes[outcome.record] = outcome.code
            self.sealer.settle(vertex_id, height=block.height, codes=codes)
        members = self.senders.change(change.writes)
        if members is None or members:
            await self.checker.forget(members)

    async def until_submitted(self) -> None:
        """Wait until the engine has something."""
        await self.engine.arrived.wait()

    async def commit(self, records: bytes) -> list[Answer]:
        """Submit and order; give the answers with outcomes."""
        task = asyncio.create_task(self.intake.submit(records, wait="committed"))
        await self.until_submitted()
        await self.order()
        return list(await task)

    def call(self, function: str, args: dict[str, Any]) -> bytes:
        """A call of the operator."""
        payload = write_call(
            ledger=self.view.ledger, contract="registry", function=function, args=args, limit=0
        )
        return write_record(
            secret=OPERATOR, iss="ewz", sub="operator", epoch=0, seq=next(self._calls),
            payload=payload, content_type=cose.CBOR,
        )  # fmt: skip

    async def enrol_meter(self) -> None:
        """Register a profile and the meter m-1, and attach the unsigned device `old`."""
        proof = enrolment_proof(secret=METER, iss="ewz", sub="m-1", ledger=self.view.ledger)
        calls = [
            self.call("profile", {
                "name": "meter", "measurements": [{"name": "e", "unit": "Wh"}],
                "register": {"name": "e", "exponent": 0},
            }),
            self.call("enrol", {"members": [{"sub": "m-1", "proof": proof.hex(), "profile": "meter"}]}),
            self.call("attach", {"gateway": "node", "device": "old", "profile": "meter"}),
        ]  # fmt: skip
        answers = await self.commit(b"".join(calls))
        assert [answer.outcome for answer in answers] == ["accepted"] * 3, answers


async def submit(world: World, records: bytes, wait: Wait | None = None) -> list[str]:
    """The codes of a request's answers."""
    return [answer.code for answer in await world.intake.submit(records, wait=wait)]
