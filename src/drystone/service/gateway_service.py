"""A running gateway behind HTTP: intake, what it knows of its own vertices, its numbers. Delegation only.

A gateway has no ledger: records, state and proofs are its uplink's. What it can say of them is what became of its own
vertices, and for how long it can go on alone. Source: design.md sections 3.2 and 7, issue 5 items 1 and 2.
"""

import urllib.error
import urllib.request
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, Protocol, TypeVar

from starlette.requests import Request

from drystone import __version__, limits
from drystone.api.attested import DeviceReading
from drystone.api.gateway_metrics import GatewayMetrics, PeerNumbers
from drystone.api.values import Health, HealthCheck
from drystone.errors import DiskFull, NotHere
from drystone.gateway.answer import Answer, Wait
from drystone.gateway.attest import Attestor
from drystone.gateway.buffer import Buffer, used_bytes
from drystone.gateway.intake import Intake
from drystone.gateway.provisional import Waiting
from drystone.gateway.seal import Sealer
from drystone.gateway.sync.messages import Heads
from drystone.gateway.sync.peers import PeerStatus
from drystone.gateway.verifiers import RecordChecker
from drystone.home.layout import Identity
from drystone.home.room import DiskRoom
from drystone.records.vertex import decode_header
from drystone.service.dag_reads import DagReads, MirrorOrder
from drystone.service.gateway_dag import WINDOW_VERTICES, GatewayDag
from drystone.storage.mirror import MirrorDB
from drystone.storage.vertices import VertexDB
from drystone.transport.links import PeerReport
from drystone.workers import processes

HOURS_LOW: Final = 24.0
"""Below so many hours of room the gateway says that it needs somebody."""

FETCH_S: Final = 10.0
"""How long the uplink may take to answer for a receipt."""

FETCH_BYTES_MAX: Final = limits.PROOF_BYTES_MAX

Result = TypeVar("Result")


class RunInReader(Protocol):
    """Runs a blocking read in the one thread that reads."""

    def __call__(self, function: Callable[[], Result]) -> Awaitable[Result]:
        """Give the function's result, or raise what it raises."""
        ...


class Exchanging(Protocol):
    """What the service reads of the exchange."""

    def status(self) -> list[PeerStatus]:
        """Give what is known of every peer."""
        ...

    def report(self) -> list[PeerReport]:
        """Give what there is to say of links."""
        ...

    def heads(self) -> list[Heads]:
        """Give where every author's chain ends here."""
        ...


class Beside(Protocol):
    """The follower beside a gateway, as its numbers show it."""

    @property
    def executed_height(self) -> int:
        """Height of the last block executed here."""
        ...

    @property
    def waiting(self) -> Waiting | None:
        """How much is provisional."""
        ...


class GatewayService:
    """One running gateway, as its HTTP front sees it."""

    def __init__(
        self,
        *,
        identity: Identity,
        intake: Intake,
        attestor: Attestor,
        sealer: Sealer,
        checker: RecordChecker,
        buffer: Buffer,
        room: DiskRoom,
        vertices: VertexDB,
        mirror: MirrorDB,
        exchange: Exchanging | None,
        run_in_reader: RunInReader,
        wall_ms: Callable[[], int],
        pids: Sequence[int],
        restarts: int,
        beside: Beside | None = None,
    ) -> None:
        """Take a gateway's parts over; `beside` is the follower that runs beside it, where one does."""
        self._beside = beside
        self._identity = identity
        self._intake = intake
        self._attestor = attestor
        self._sealer = sealer
        self._checker = checker
        self._buffer = buffer
        self._room = room
        self._vertices = vertices
        self._mirror = mirror
        self._exchange = exchange
        self._run = run_in_reader
        self._wall_ms = wall_ms
        self._pids = pids
        self._restarts = restarts

    async def submit(self, sequence: bytes, *, wait: Wait | None) -> Sequence[Answer]:
        """Hand a CBOR sequence of records in; see `Intake.submit`."""
        return await self._intake.submit(sequence, wait=wait)

    async def attest(self, reading: DeviceReading, *, wait: Wait | None) -> Answer:
        """Sign an unsigned device's reading; see `Attestor.attest`."""
        return await self._attestor.attest(reading.device, reading.measurements, wait=wait)

    def open_dag(self, demand: Callable[[Request], None]) -> GatewayDag:
        """Give the routes about the DAG; `demand` refuses who may not read."""
        order = MirrorOrder(self._mirror)
        return GatewayDag(
            reads=DagReads(self._vertices, order, life=self._wall_ms(), size_max=WINDOW_VERTICES),
            vertices=self._vertices,
            run_in_reader=self._run,
            demand=demand,
        )

    def ledger(self) -> dict[str, Any]:
        """The ledger, and this gateway; `height` is of the last block with a vertex of it."""
        identity = self._identity
        last = self._mirror.last
        return {
            "origin": identity.genesis.origin,
            "ledger": identity.ledger.hex(),
            "organisation": identity.node.organisation,
            "node": identity.node.member,
            "role": "gateway",
            "protocol": identity.genesis.protocol,
            "version": __version__,
            "head": {"height": last.height, "size": last.size},
        }

    def checkpoint(self) -> bytes:
        """The newest checkpoint that was believed. Raises: NotHere."""
        signed = self._mirror.last.checkpoint
        if not signed:
            raise NotHere("no checkpoint has come from the uplink yet")
        return signed

    async def outcome(self, *, epoch: int, seq: int) -> dict[str, Any]:
        """What became of an own vertex. Raises: NotHere (not sealed, or not known to be ordered)."""
        node = self._identity.node

        def read() -> dict[str, Any] | None:
            found = self._vertices.at_place(node.organisation, node.member, epoch=epoch, seq=seq)
            for stored in found:
                order = self._mirror.order_of(stored.id)
                if order is not None:
                    return {
                        "vertex": stored.id.hex(),
                        "height": order.height,
                        "position": order.position,
                        "refused": {str(index): code for index, code in order.codes.items()},
                        "finality": "final",
                    }
            return None

        told = await self._run(read)
        if told is None:
            raise NotHere(f"the outcome of vertex {epoch}/{seq} has not come from the uplink yet")
        return told

    async def fetch(self, path: str, accept: str) -> tuple[bytes, str]:
        """Fetch a receipt or another resource from the uplink's REST address. Raises: NotHere."""
        base = self._identity.settings.gateway.uplink_url.rstrip("/")
        if not base:
            raise NotHere("a gateway holds no ledger, and knows no REST address of its uplink")
        return await self._run(lambda: _fetch(base + path, accept))

    def frontier(self) -> list[dict[str, Any]]:
        """Where every author's chain ends here; several points where it forked."""
        if self._exchange is None:
            return []
        return [
            {
                "iss": h.author.iss,
                "sub": h.author.sub,
                "epoch": p.epoch,
                "seq": p.seq,
                "id": p.id.hex(),
            }
            for h in self._exchange.heads()
            for p in h.points
        ]

    def peers(self) -> list[dict[str, Any]]:
        """Peers: who is linked, degraded, how far behind, and bytes both ways on the wire."""
        if self._exchange is None:
            return []
        status = {one.name: one for one in self._exchange.status()}
        rows: list[dict[str, Any]] = []
        for link in self._exchange.report():
            one = status.get(link.peer)
            faults = dict(link.faults) | ({} if one is None else dict(one.faults))
            rows.append(
                {
                    "iss": link.peer.iss,
                    "sub": link.peer.sub,
                    "role": None if one is None else one.role,
                    "connected": link.connected,
                    "uplink": one is not None and one.uplink,
                    "behind": 0 if one is None else one.authors_behind,
                    "height": 0 if one is None else one.height,
                    "degraded": None if one is None or not one.degraded_ms else one.last_fault,
                    "degraded_ms": 0 if one is None else one.degraded_ms,
                    "faults": ", ".join(f"{code} {n}" for code, n in sorted(faults.items())),
                    "problem": link.problem,
                    "address": link.address,
                    "bytes_in": link.received_bytes,
                    "bytes_out": link.sent_bytes,
                }
            )
        return rows

    async def status(self) -> dict[str, Any]:
        """Everything an operator asks for, as one document."""
        numbers = await self.metrics()
        health = self.judge(numbers)
        plain = {
            name: getattr(numbers, name)
            for name in GatewayMetrics.__slots__
            if name not in {"peers", "answers_by_code"}
        }
        return {
            "ok": health.ok,
            "sentence": health.sentence,
            "ledger": self._identity.ledger.hex(),
            "gateway": f"{self._identity.node.organisation}/{self._identity.node.member}",
            **plain,
            "hours_left": round(numbers.hours_left, 1),
            "answers": dict(numbers.answers_by_code),
            "peers": self.peers(),
        }

    async def health(self) -> Health:
        """Whether the gateway does its work."""
        return self.judge(await self.metrics())

    def judge(self, numbers: GatewayMetrics) -> Health:
        """Give the gateway's health from its numbers: being cut off is no defect, running out of room is."""
        try:
            self._room.check()
            full = ""
        except DiskFull as error:
            full = str(error)
        enough = not numbers.buffered_records or numbers.hours_left >= HOURS_LOW
        linked = sum(peer.linked for peer in numbers.peers.values())
        checks = (
            HealthCheck(name="disk", ok=not full, detail=full or "there is room"),
            HealthCheck(
                name="buffer",
                ok=enough,
                detail=f"{numbers.buffered_records} records wait, room for {numbers.hours_left:.0f} hours",
            ),
            HealthCheck(
                name="restarts",
                ok=self._restarts < limits.RESTARTS_MAX,
                detail=f"started again {self._restarts} times",
            ),
            HealthCheck(name="links", ok=True, detail=f"{linked} of {len(numbers.peers)} peers"),
        )
        wrong = next((check for check in checks if not check.ok), None)
        if wrong is not None:
            sentence = f"The gateway needs you: {wrong.name}: {wrong.detail}."
        elif linked:
            sentence = f"All is well: {numbers.buffered_records} records wait for their order."
        else:
            sentence = f"Cut off, all is well: {checks[1].detail}."
        return Health(ok=wrong is None, sentence=sentence, checks=checks, records_last_minute=0)

    async def metrics(self) -> GatewayMetrics:
        """The gateway's numbers."""
        waiting = self._buffer.waiting
        lag_ms, used, mirrored = await self._run(self._read_disk)
        links = () if self._exchange is None else self._exchange.report()
        last = self._mirror.last
        beside = self._beside
        foreseen = None if beside is None else beside.waiting
        return GatewayMetrics(
            executed_height=0 if beside is None else beside.executed_height,
            provisional_vertices=0 if foreseen is None else foreseen.vertices,
            provisional_waiting=0 if foreseen is None else foreseen.queued,
            provisional_bytes=0 if foreseen is None else foreseen.size,
            buffered_vertices=waiting.vertices,
            buffered_records=waiting.records,
            buffered_bytes=waiting.bytes,
            hours_left=self._buffer.hours_left(self._room.left_bytes()),
            lag_ms=lag_ms,
            uplink_height=last.height,
            rows_height=self._mirror.rows_height,
            intake_records=self._sealer.unsealed_records,
            intake_bytes=self._sealer.unsealed_bytes,
            waiters=self._intake.waiters,
            verify_batches=self._checker.batches,
            answers_by_code=dict(self._intake.codes),
            disk_free_bytes=self._room.look_free(),
            vertices_bytes=used,
            mirror_bytes=mirrored,
            memory_bytes=processes.memory_bytes(self._pids),
            restarts=self._restarts,
            peers={f"{one.peer.iss}/{one.peer.sub}": _numbers(one) for one in links},
        )

    def _read_disk(self) -> tuple[int, int, int]:
        """Give the lag in milliseconds, and the bytes used in both databases; blocking."""
        node = (self._identity.node.organisation, self._identity.node.member)
        place = self._mirror.place
        after = (*node, -1, -1) if place is None else (*node, *place)
        oldest = self._vertices.listed(node, after=after, limit=1)
        lag_ms = 0
        if oldest:
            claimed = decode_header(oldest[0].header).time_ms
            lag_ms = 0 if claimed is None else max(0, self._wall_ms() - claimed)
        return lag_ms, used_bytes(self._vertices.database), used_bytes(self._mirror.database)


def _numbers(link: PeerReport) -> PeerNumbers:
    return PeerNumbers(
        linked=link.connected,
        received_bytes=link.received_bytes,
        sent_bytes=link.sent_bytes,
        faults=sum(link.faults.values()),
    )


def _fetch(url: str, accept: str) -> tuple[bytes, str]:
    request = urllib.request.Request(url, headers={"Accept": accept})  # noqa: S310 - the operator's own setting
    try:
        with urllib.request.urlopen(request, timeout=FETCH_S) as response:  # noqa: S310 - as above
            headers: Mapping[str, str] = response.headers
            return response.read(FETCH_BYTES_MAX), headers.get("content-type", "")
    except urllib.error.HTTPError as error:
        if error.code == 404:
            raise NotHere("the uplink does not have it yet") from error
        raise NotHere(f"the uplink answers {error.code}") from error
    except (OSError, ValueError) as error:
        raise NotHere(f"the uplink does not answer: {error}") from error
