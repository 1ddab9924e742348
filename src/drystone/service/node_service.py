"""The service: a running node behind the Protocol of `api/service.py`, and nothing but delegation.

Writes go to intake, reads to the reader's thread, proofs of state to the executor, events to the hub. Every blocking
call leaves the loop. Source: design.md section 7.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

from drystone import __version__, limits
from drystone.api.values import (
    BlockInfo,
    ContractInfo,
    ContractValue,
    EventCursor,
    FoundRecord,
    Head,
    Health,
    KnownKey,
    LedgerInfo,
    MemberInfo,
    NodeMetrics,
    OrganisationInfo,
    OutcomeInfo,
    ProfileInfo,
    ServiceEvent,
    StateProof,
    StreamCursor,
    StreamInfo,
    StreamKey,
    VersionInfo,
)
from drystone.errors import DiskFull, NotFound
from drystone.formats.senml import Measurement
from drystone.gateway.answer import PROVISIONAL, Answer, Wait
from drystone.gateway.provisional import News, ProvisionalFeed
from drystone.gateway.verifiers import RecordChecker
from drystone.home.layout import Identity
from drystone.home.room import DiskRoom
from drystone.ledger import keyspace
from drystone.ledger.read_rights import Asker, ReadRights
from drystone.service.contract_reads import ContractReads
from drystone.service.dag_service import DagService, RunInReader
from drystone.service.events import EventHub
from drystone.service.foresight import Foresight, told_of
from drystone.service.front_parts import Attests, Holds, Orders, Seals, Takes
from drystone.service.health import Numbers, judge
from drystone.service.proofs import Proofs, prove_together
from drystone.service.pulse import Pulse
from drystone.service.reads import Reads
from drystone.service.registry_reads import RegistryReads
from drystone.service.vertex_part import VertexPart
from drystone.trees.log import HASH_BYTES
from drystone.trees.tiles import entry_bundle
from drystone.workers import processes
from drystone.workers.executor_client import BlockExecutor
from drystone.workers.messages import Executed


class NodeService(VertexPart):
    """One running node, as the API sees it."""

    def __init__(
        self,
        *,
        identity: Identity,
        reads: Reads,
        dag: DagService,
        run_in_reader: RunInReader,
        checker: RecordChecker,
        executor: BlockExecutor,
        engine: Orders,
        intake: Takes,
        attestor: Attests,
        sealer: Seals,
        positions: Holds,
        room: DiskRoom,
        pulse: Pulse,
        pids: Sequence[int],
        restarts: int,
        feed: ProvisionalFeed | None = None,
    ) -> None:
        """Take a node's parts over; `feed` where it foresees what others order."""
        super().__init__(reads=reads, dag=dag, run_in_reader=run_in_reader)
        self._identity = identity
        self._registry = RegistryReads(reads.ledger)
        self._contracts = ContractReads(reads.ledger)
        self._proofs = Proofs(identity, reads)
        self._checker = checker
        self._executor = executor
        self._engine = engine
        self._intake = intake
        self._attestor = attestor
        self._sealer = sealer
        self._positions = positions
        self._room = room
        self._pulse = pulse
        self._pids = pids
        self._restarts = restarts
        self._hub = EventHub(height=pulse.height, read_block=self._read_block)
        self._trust = identity.home.trust.read_bytes()
        self._foresight: Foresight | None = None
        self._provisional: NodeService | None = None
        if feed is not None:
            self._foresight = Foresight(feed=feed, reads=reads, run_in_reader=run_in_reader)
            feed.tell(self._foresee)

    @property
    def info(self) -> LedgerInfo:
        """The ledger and this node."""
        identity = self._identity
        return LedgerInfo(
            origin=identity.genesis.origin,
            ledger=identity.ledger,
            iss=identity.node.organisation,
            node=identity.node.member,
            vkey=identity.vkey,
            engine=identity.settings.engine.kind,
            protocol=identity.genesis.protocol,
            version=__version__,
        )

    @property
    def sees_ledger(self) -> bool:
        """The node itself hides nothing."""
        return True

    def commit(self, done: Executed) -> None:
        """Wake event streams after a commit."""
        self._hub.commit(done.height)

    def stop(self) -> None:
        """End event streams: the node stops."""
        self._hub.stop()
        self._dag.stop()

    # --- writes ------------------------------------------------------------------------------------

    async def submit(self, sequence: bytes, *, wait: Wait | None) -> Sequence[Answer]:
        """Hand a CBOR sequence of records in; see `Intake.submit`."""
        if wait == PROVISIONAL:
            return await self._foreseen(await self._intake.submit(sequence, wait=self._seen_by))
        return await self._intake.submit(sequence, wait=wait)

    async def attest(
        self, device: str, measurements: Sequence[Measurement], *, wait: Wait | None
    ) -> Answer:
        """Sign an unsigned device's reading; see `Attestor.attest`."""
        if wait == PROVISIONAL:
            answer = await self._attestor.attest(device, measurements, wait=self._seen_by)
            return (await self._foreseen([answer]))[0]
        return await self._attestor.attest(device, measurements, wait=wait)

    @property
    def _seen_by(self) -> Wait:
        """What intake waits for where an outcome is asked for, provisional or final: whichever comes here first."""
        return "committed" if self._foresight is None else "sealed"

    async def _foreseen(self, answers: Sequence[Answer]) -> Sequence[Answer]:
        return answers if self._foresight is None else await self._foresight.complete(answers)

    # --- what is foreseen --------------------------------------------------------------------------

    def provisional(self) -> "NodeService":
        """The node as it foresees the ledger; itself, where it foresees nothing."""
        return self._provisional or self

    def foresees(self, provisional: "NodeService") -> None:
        """Answer with this one what is asked of the provisional view."""
        self._provisional = provisional

    def _foresee(self, news: News) -> None:
        self._hub.foresee(told_of(news))

    # --- reads -------------------------------------------------------------------------------------

    async def head(self) -> Head:
        """The last commit."""
        last = await self._run(lambda: self._reads.ledger.last)
        return Head(
            height=last.height,
            time_ms=last.fields.time_ms,
            size=last.size,
            root=last.root,
            head=last.head,
        )

    async def record(self, stream: StreamKey, *, epoch: int, seq: int) -> FoundRecord | None:
        """The accepted record at a stream position."""
        found = await self._run(lambda: self._reads.record(stream, epoch=epoch, seq=seq))
        if found is None:
            return None
        return replace(found, witnesses=await self._dag.witnesses(found.vertex))

    async def records(
        self,
        stream: StreamKey,
        *,
        after: StreamCursor | None,
        limit: int,
        newest_first: bool = False,
    ) -> Sequence[FoundRecord]:
        """Accepted records by (epoch, seq) behind a cursor."""
        return await self._run(
            lambda: self._reads.records(stream, after=after, limit=limit, newest_first=newest_first)
        )

    async def stream(self, stream: StreamKey) -> StreamInfo | None:
        """One stream's state."""
        state = await self._run(lambda: self._reads.stream(stream))
        return None if state is None else StreamInfo(stream=stream, state=state)

    async def streams(
        self, iss: str | None, *, after: StreamKey | None, limit: int
    ) -> Sequence[StreamInfo]:
        """Streams in the order of their state keys."""
        found = await self._run(lambda: self._reads.streams(iss, after=after, limit=limit))
        return [StreamInfo(stream=name, state=state) for name, state in found]

    async def member(self, member: StreamKey) -> MemberInfo | None:
        """One member with its keys."""
        return await self._run(lambda: self._registry.member(member))

    async def members(
        self,
        iss: str | None,
        *,
        after: StreamKey | None,
        limit: int,
        roles: frozenset[str] | None = None,
    ) -> Sequence[MemberInfo]:
        """Members in the order of their state keys, without keys."""
        return await self._run(
            lambda: self._registry.members(iss, after=after, limit=limit, roles=roles)
        )

    async def known_key(self, iss: str, sub: str, *, kid: bytes | None) -> KnownKey | None:
        """A key of a member, and whether it still speaks for it."""
        return await self._run(lambda: self._registry.known_key(iss, sub, kid))

    async def read_rights(self, asker: Asker | None) -> ReadRights:
        """What the organisations' read policies let a member see."""
        return await self._run(lambda: self._registry.read_rights(asker))

    async def organisations(self) -> Sequence[OrganisationInfo]:
        """All organisations."""
        return await self._run(self._registry.organisations)

    async def profile(self, *, iss: str, name: str) -> ProfileInfo | None:
        """One profile."""
        return await self._run(lambda: self._registry.profile(iss, name))

    async def profiles(
        self, iss: str | None, *, after: tuple[str, str] | None, limit: int
    ) -> Sequence[ProfileInfo]:
        """Profiles in the order of their state keys."""
        return await self._run(lambda: self._registry.profiles(iss, after=after, limit=limit))

    async def contracts(self, *, after: str | None, limit: int) -> Sequence[ContractInfo]:
        """Contracts in the order of their state keys."""
        return await self._run(lambda: self._contracts.contracts(after=after, limit=limit))

    async def contract(self, name: str) -> ContractInfo | None:
        """One contract with its versions."""
        return await self._run(lambda: self._contracts.contract(name))

    async def contract_version(self, name: str, *, version: int) -> VersionInfo | None:
        """One version with its package."""
        return await self._run(lambda: self._contracts.version(name, version))

    async def contract_values(
        self, name: str, *, path: str, after: bytes | None, limit: int
    ) -> Sequence[ContractValue]:
        """A contract's values at and below a path."""
        return await self._run(
            lambda: self._contracts.values(name, path=path, after=after, limit=limit)
        )

    async def block(self, height: int) -> BlockInfo | None:
        """One block."""
        return await self._run(lambda: self._reads.block(height))

    async def blocks(
        self, *, after: int | None, limit: int, newest_first: bool = False
    ) -> Sequence[BlockInfo]:
        """Blocks by height behind a height."""
        return await self._run(
            lambda: self._reads.blocks(after=after, limit=limit, newest_first=newest_first)
        )

    async def outcomes(self, height: int) -> Sequence[OutcomeInfo]:
        """A block's outcomes other than a plain `accepted`."""
        return await self._run(lambda: self._reads.outcomes(height))

    # --- proofs ------------------------------------------------------------------------------------

    async def checkpoint(self) -> bytes:
        """The last commit as a C2SP signed note."""
        return await self._run(self._proofs.checkpoint)

    async def trust(self) -> bytes:
        """The trust file that `init` wrote."""
        return self._trust

    async def state(self, key: bytes) -> StateProof:
        """A state key's value, or its absence, proved."""
        proved = await self._executor.prove(key)
        return await self._run(lambda: self._proofs.state(key, proved))

    async def receipt(self, stream: StreamKey, *, epoch: int, seq: int) -> bytes:
        """The record at a position as a transparent statement. Raises: NotFound."""
        return await self._run(lambda: self._proofs.receipt(stream, epoch=epoch, seq=seq))

    async def completeness(self, stream: StreamKey, *, since: bytes | None) -> bytes:
        """Proof that a stream has no hidden gap up to now; see `Proofs.completeness`."""
        keys = await self._run(lambda: self._proofs.forks_of(stream))
        asked = [keyspace.stream(stream), *keys]
        proved, *more = await prove_together(self._executor.prove, asked)
        forks = list(zip(keys, more, strict=True))
        return await self._run(
            lambda: self._proofs.completeness(stream, proved, forks=forks, since=since)
        )

    async def tile(self, *, level: int, index: int, width: int) -> bytes:
        """`width` hashes of a tile. Raises: NotFound."""
        data = await self._run(lambda: self._reads.ledger.tile(level, index))
        if len(data) < width * HASH_BYTES:
            raise NotFound(f"the log has not grown to tile {level}/{index} of {width} hashes")
        return data[: width * HASH_BYTES]

    async def entries(self, *, index: int, width: int) -> bytes:
        """`width` entries of a bundle. Raises: NotFound."""
        first = index * limits.TILE_WIDTH
        entries = await self._run(lambda: self._reads.entries(first=first, count=width))
        if len(entries) < width:
            raise NotFound(f"the log has not grown to bundle {index} of {width} entries")
        return entry_bundle(entries)

    # --- what happens ------------------------------------------------------------------------------

    def events(self, after: EventCursor | None) -> AsyncIterator[ServiceEvent]:
        """Events behind a cursor, then as they happen."""
        return self._hub.subscribe(after)

    async def health(self) -> Health:
        """Whether the node does its work."""
        try:
            self._room.check()
            full = ""
        except DiskFull as error:
            full = str(error)
        return judge(
            Numbers(
                height=self._pulse.height,
                idle_ms=self._pulse.idle_ms(),
                last_minute=self._pulse.last_minute(),
                waiting_records=self._positions.records,
                verify_batches=self._checker.batches,
                full=full,
                restarts=self._restarts,
            )
        )

    async def metrics(self) -> NodeMetrics:
        """The node's numbers."""
        vertices_bytes, ledger_bytes = self._room.sizes()
        tips = await self._dag.tips()
        return NodeMetrics(
            height=self._pulse.height,
            log_size=self._pulse.size,
            commit_age_ms=self._pulse.idle_ms(),
            records_by_outcome=dict(self._pulse.codes),
            answers_by_code=dict(self._intake.codes),
            intake_records=self._sealer.unsealed_records,
            intake_bytes=self._sealer.unsealed_bytes,
            pending_vertices=self._sealer.unordered_vertices,
            tips=len(tips),
            blocks_in_flight=self._engine.blocks_in_flight,
            verify_batches=self._checker.batches,
            waiters=self._intake.waiters,
            subscribers=self._hub.subscribers,
            disk_free_bytes=self._room.look_free(),
            vertices_bytes=vertices_bytes,
            ledger_bytes=ledger_bytes,
            memory_bytes=processes.memory_bytes(self._pids),
            restarts=self._restarts,
        )

    async def _read_block(self, height: int) -> tuple[BlockInfo, Sequence[OutcomeInfo]] | None:
        block = await self.block(height)
        return None if block is None else (block, await self.outcomes(height))
