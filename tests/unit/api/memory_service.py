"""A `Service` in memory that runs the real pipeline: real records, vertices, apply, log, proofs.

No processes, no disk, no batching: what is submitted is sealed and committed before the answer.
Time stands still unless a test moves it. Stands in for `node/wiring.py` in tests of the API and the pages.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from hashlib import sha256

from drystone.api.dag_values import DagCursor, DagPage, ForkInfo, FrontierInfo, PeerInfo
from drystone.api.values import (
    BlockInfo,
    ContractInfo,
    ContractValue,
    EventCursor,
    EventInfo,
    FoundRecord,
    Head,
    Health,
    HealthCheck,
    KeyInfo,
    KnownKey,
    LedgerInfo,
    MemberInfo,
    NodeMetrics,
    OrganisationInfo,
    OutcomeInfo,
    Place,
    ProfileInfo,
    ServiceEvent,
    StateProof,
    StreamCursor,
    StreamInfo,
    StreamKey,
    VersionInfo,
    VertexCursor,
    VertexInfo,
)
from drystone.errors import NotFound, ReceiptMismatch, Refused
from drystone.formats import cbor, cose, note
from drystone.formats.senml import Measurement, write_pack
from drystone.gateway.answer import Answer
from drystone.ledger import keyspace, rows
from drystone.ledger.apply import apply, apply_genesis
from drystone.ledger.change import Block, Change, OrderedVertex
from drystone.ledger.genesis import FirstMember, Genesis, prove, validators_hash
from drystone.ledger.read_rights import Asker, ReadRights
from drystone.ledger.rights import check_rights, find_rights
from drystone.limits import DAG_ROWS_MAX, DAG_WINDOW_VERTICES, REQUEST_RECORDS_MAX, TILE_WIDTH
from drystone.proof import completeness
from drystone.proof.block import decode_block
from drystone.proof.finality import NodeFinality, node_finality, sign_checkpoint
from drystone.proof.interval import Interval, Moment, path_below
from drystone.proof.receipt import attach_receipts, issue_receipt
from drystone.proof.trust import Trust, format_trust
from drystone.proof.verdict import Item
from drystone.records import stream as streams
from drystone.records.key import SecretKey
from drystone.records.record import (
    Verified,
    check_form,
    check_signature,
    stream_id,
    write_record,
)
from drystone.records.vertex import Vertex, decode_header, seal_vertex, vertex_id
from drystone.service.contract_reads import ContractReads
from drystone.service.dag_window import DagWindow
from drystone.service.registry_reads import RegistryReads
from drystone.storage.memory import MemoryView
from drystone.trees import log
from drystone.trees.state import absence_proof, existence_proof
from drystone.trees.tiles import entry_bundle

ORIGIN = "ledger.example/main"
NODE = SecretKey.generate(cose.ALG_EDDSA, b"n" * 32)
OPERATOR = SecretKey.generate(cose.ALG_EDDSA, b"o" * 32)
NOW_MS = 1_762_340_400_000
LIFE = 7


class StoredBlock:
    """A change, the vertices it ordered, and what the log was before it."""

    def __init__(self, change: Change, vertices: list[bytes], parent: bytes, first: int) -> None:
        self.change = change
        self.vertices = vertices
        self.parent = parent
        self.first = first


class MemoryService:
    """See the module's docstring."""

    def __init__(self) -> None:
        members = (
            FirstMember("ewz", "gw-1", (rows.GATEWAY, rows.VALIDATOR), NODE.public),
            FirstMember("ewz", "operator", (rows.ENROLLER, rows.GOVERNOR), OPERATOR.public),
        )
        genesis = Genesis(
            origin=ORIGIN,
            time_ms=NOW_MS,
            protocol=1,
            approvals=1,
            organisations=(("ewz", "Zurich city works"),),
            members=members,
            proofs=(),
        )
        secrets = {("ewz", "gw-1"): NODE, ("ewz", "operator"): OPERATOR}
        self.genesis = prove(genesis, secrets)
        self.view = MemoryView()
        self.now_ms = NOW_MS
        self.leaves: list[bytes] = []
        self.log_entries: list[bytes] = []
        self.stored: list[StoredBlock] = []
        self.vertices_by_id: dict[bytes, tuple[Vertex, int | None, int | None]] = {}
        self.found: dict[tuple[StreamKey, int, int], FoundRecord] = {}
        self.accepted_order: dict[StreamKey, list[Item]] = {}
        self.tip: bytes | None = None
        self.own_seq = 0
        self.window = DagWindow(size_max=DAG_WINDOW_VERTICES)
        self.peer_infos: list[PeerInfo] = []
        self.fork_infos: list[ForkInfo] = []
        self.foreseen: MemoryService | None = None
        self.news = asyncio.Condition()
        self.stopped = False
        self.unwell: str | None = None
        self.answered: Counter[str] = Counter()
        self._begin()

    def _begin(self) -> None:
        block = apply_genesis(self.genesis, self.view)
        self.view.ledger = block.ledger
        self._install(block.change, [], [])

    @property
    def info(self) -> LedgerInfo:
        return LedgerInfo(
            origin=ORIGIN,
            ledger=self.view.ledger,
            iss="ewz",
            node="gw-1",
            vkey=note.format_vkey(ORIGIN, note.TYPE_ED25519, NODE.public.raw),
            engine="local",
            protocol=1,
            version="0.1.0",
        )

    sees_ledger = True

    def provisional(self) -> "MemoryService":
        return self.foreseen or self

    # --- writing -----------------------------------------------------------------------------

    async def submit(self, sequence: bytes, *, wait: str | None) -> list[Answer]:
        items = cbor.split_sequence(sequence, items_max=REQUEST_RECORDS_MAX)
        answers: list[Answer | None] = []
        taken: list[Verified] = []
        seen: set[tuple[StreamKey, int, int]] = set()
        for raw in items:
            try:
                verified = self._check(raw)
            except Refused as error:
                answers.append(Answer(error.code, str(error)))
                continue
            record = verified.record
            position = (stream_id(record), record.epoch, record.seq)
            if position in seen or position in self.found:
                first = self.found.get(position)
                where = first.place if first else None
                place = (
                    (where.iss, where.sub, where.epoch, where.seq, where.index) if where else None
                )
                answers.append(Answer("already", record_id=record.id, place=place))
                continue
            seen.add(position)
            answers.append(None)
            taken.append(verified)
        if taken:
            where, height, codes = self._commit(taken)
            numbers = iter(range(len(taken)))
            for at, answer in enumerate(answers):
                if answer is None:
                    index = next(numbers)
                    answers[at] = Answer(
                        "stored",
                        record_id=taken[index].record.id,
                        place=(*where, index) if wait else None,
                        outcome=codes[index] if wait == "committed" else None,
                        height=height if wait == "committed" else None,
                    )
        async with self.news:
            self.news.notify_all()
        given = [answer for answer in answers if answer is not None]
        self.answered.update(answer.code for answer in given)
        return given

    def _check(self, raw: bytes) -> Verified:
        record = check_form(raw)
        rights = find_rights(self.view, record)
        verified = check_signature(record, rights.sender.key)
        register = check_rights(record, rights, self.view.ledger)
        value = self.view.get(keyspace.stream(stream_id(record)))
        current = streams.EMPTY if value is None else streams.decode(value)
        streams.place(
            current,
            epoch=record.epoch,
            seq=record.seq,
            record_id=record.id,
            register=register,
        )
        return verified

    def _commit(self, taken: list[Verified]) -> tuple[tuple[str, str, int, int], int, list[str]]:
        seq = self.own_seq
        self.own_seq += 1
        header_raw, own_id = seal_vertex(
            secret=NODE,
            iss="ewz",
            sub="gw-1",
            epoch=0,
            seq=seq,
            parent=self.tip,
            links=self._links(),
            time_ms=self.now_ms,
            records=[one.record.raw for one in taken],
            entries=[one.record.entry for one in taken],
            ledger=self.view.ledger,
        )
        header = decode_header(header_raw)
        ordered = OrderedVertex(header, NODE.public.cose_key(), taken)
        block = Block(
            height=self.view.height + 1,
            time_ms=self.now_ms,
            vertices=(ordered,),
            validators=validators_hash(self.genesis.validators()),
            protocol=1,
        )
        change = apply(self.view, block)
        vertex = Vertex(header, tuple(one.record.raw for one in taken))
        self.tip = own_id
        self.hold(vertex, change.height)
        self._install(change, [own_id], taken)
        return ("ewz", "gw-1", 0, seq), change.height, [one.code for one in change.outcomes]

    def hold(self, vertex: Vertex, height: int | None) -> bytes:
        """Keeps a vertex, its own or another author's."""
        header = vertex.header
        own_id = vertex_id(header, self.view.ledger)
        number = len(self.vertices_by_id) + 1
        self.vertices_by_id[own_id] = (vertex, height, None if height is None else 0)
        self.window.add(header, vertex_id=own_id, number=number, height=height)
        return own_id

    def _links(self) -> list[bytes]:
        """Other gateways' tips, for the next vertex."""
        others = [one for one in self.window.tips() if one != self.tip]
        return others[:4]

    def order(self, own_id: bytes, height: int) -> None:
        """Says that a block orders a vertex."""
        self.vertices_by_id[own_id] = (self.vertices_by_id[own_id][0], height, 0)
        self.window.order(own_id, height=height)

    async def tell(self) -> None:
        """Wakes whoever waits for news."""
        async with self.news:
            self.news.notify_all()

    def _install(self, change: Change, vertices: list[bytes], taken: list[Verified]) -> None:
        first = len(self.leaves)
        parent = self.stored[-1].change.head if self.stored else bytes(32)
        self.view.install(change)
        self.stored.append(StoredBlock(change, vertices, parent, first))
        self.leaves += change.leaves
        place = 0
        for index, verified in enumerate(taken):
            record, outcome = verified.record, change.outcomes[index]
            if outcome.code != "accepted":
                continue
            key = stream_id(record)
            seq = decode_seq(self.vertices_by_id[vertices[0]][0])
            self.found[key, record.epoch, record.seq] = FoundRecord(
                stream=key,
                epoch=record.epoch,
                seq=record.seq,
                raw=record.raw,
                place=Place(iss="ewz", sub="gw-1", epoch=0, seq=seq, index=index),
                vertex=vertices[0],
                height=change.height,
                time_ms=change.time_ms,
                log_index=first + place,
                outcome=outcome.code,
            )
            item = Item(record.epoch, record.seq, record.id)
            self.accepted_order.setdefault(key, []).append(item)
            self.log_entries.append(record.entry)
            place += 1
        self.log_entries.append(change.block_entry)

    async def attest(
        self, device: str, measurements: Sequence[Measurement], *, wait: str | None
    ) -> Answer:
        key = ("ewz", "gw-1", device)
        seq = len(self.accepted_order.get(key, []))
        try:
            raw = write_record(
                secret=NODE,
                iss="ewz",
                sub="gw-1",
                epoch=0,
                seq=seq,
                payload=write_pack(measurements),
                content_type=cose.SENML,
                device=device,
            )
        except Refused as error:
            return Answer(error.code, str(error))
        return (await self.submit(raw, wait=wait))[0]

    # --- the log -----------------------------------------------------------------------------

    def _node(self, level: int, index: int) -> bytes:
        return log.tree_root(self.leaves[index << level : (index + 1) << level])

    def _checkpoint(self) -> tuple[note.Checkpoint, NodeFinality]:
        point = note.Checkpoint(ORIGIN, len(self.leaves), log.root(self.view.log))
        line = sign_checkpoint(NODE, point)
        return point, node_finality(note.checkpoint_text(point), [line])

    def _interval(self, found: FoundRecord) -> Interval:
        """The block that holds a record, and the one whose state it names, if it names one."""
        assert found.raw is not None
        assert found.log_index is not None
        anchor = check_form(found.raw).anchor
        until = next(one for one in self.stored if one.change.height == found.height)
        earlier = [one for one in self.stored if anchor and one.change.head[:8] == anchor]
        return Interval(
            self._moment(until, found.log_index),
            self._moment(earlier[0], found.log_index) if earlier else None,
        )

    def _moment(self, stored: StoredBlock, record: int) -> Moment:
        index, size = stored.first + len(stored.change.leaves) - 1, len(self.leaves)
        path = log.inclusion_path(index, size, self._node)
        below = path_below(index=index, path=path, record=record, size=size)
        return Moment(index, below, decode_block(stored.change.block_entry))

    def _receipt(self, index: int, interval: Interval | None = None) -> bytes:
        point, finality = self._checkpoint()
        return issue_receipt(
            secret=NODE,
            origin=ORIGIN,
            node="gw-1",
            size=point.size,
            index=index,
            path=log.inclusion_path(index, point.size, self._node),
            root=point.root,
            finality=finality,
            interval=interval,
        )

    async def head(self) -> Head:
        last = self.stored[-1].change
        return Head(
            height=last.height,
            time_ms=last.time_ms,
            size=len(self.leaves),
            root=log.root(self.view.log),
            head=last.head,
        )

    async def checkpoint(self) -> bytes:
        return self._checkpoint()[1].note.encode()

    async def trust(self) -> bytes:
        verifier = note.parse_vkey(self.info.vkey)
        trust = Trust(origin=ORIGIN, ledger=self.view.ledger, nodes=(verifier,), need=1)
        return format_trust(trust)

    async def tile(self, *, level: int, index: int, width: int) -> bytes:
        have = len(self.leaves) >> (8 * level)
        start = index * TILE_WIDTH
        if start + width > have:
            raise NotFound(f"the log has not grown to tile {level}/{index} of {width}")
        return b"".join(self._node(8 * level, start + one) for one in range(width))

    # --- reading -----------------------------------------------------------------------------

    async def record(self, stream: StreamKey, *, epoch: int, seq: int) -> FoundRecord | None:
        found = self.found.get((stream, epoch, seq))
        if found is None:
            return None
        return replace(found, witnesses=self.window.witnesses(found.vertex))

    async def records(
        self,
        stream: StreamKey,
        *,
        after: StreamCursor | None,
        limit: int,
        newest_first: bool = False,
    ) -> list[FoundRecord]:
        own = sorted((k[1:], v) for k, v in self.found.items() if k[0] == stream)
        if newest_first:
            own.reverse()
        if after is not None:
            place = tuple(after)
            own = [(at, one) for at, one in own if (at < place if newest_first else at > place)]
        return [one for _, one in own[:limit]]

    async def stream(self, stream: StreamKey) -> StreamInfo | None:
        value = self.view.get(keyspace.stream(stream))
        if value is None:
            return None
        return StreamInfo(stream=stream, state=streams.decode(value))

    def _scan(self, prefix: bytes, after: bytes | None, limit: int) -> list[tuple[bytes, bytes]]:
        found = [(k, v) for k, v in self.view.scan(prefix) if after is None or k > after]
        return found[:limit]

    async def streams(
        self, iss: str | None, *, after: StreamKey | None, limit: int
    ) -> list[StreamInfo]:
        prefix = keyspace.key(keyspace.STREAM, *([iss] if iss else []))
        start = None if after is None else keyspace.stream(after)
        return [
            StreamInfo(stream=_names(key), state=streams.decode(value))
            for key, value in self._scan(prefix, start, limit)
        ]

    def _member(self, name: StreamKey, value: bytes, *, keys: bool) -> MemberInfo:
        row = rows.decode_member(value)
        listed: list[KeyInfo] = []
        if keys and len(name) == 2:
            for key, key_value in self.view.scan(keyspace.key(keyspace.KEY, *name)):
                key_row = rows.decode_key_row(key_value)
                status = rows.STATUS_NAMES[key_row.status]
                listed.append(KeyInfo(kid=key[-4:], status=status, cose_key=key_row.cose_key))
        return MemberInfo(
            iss=name[0],
            sub=name[1],
            device=name[2] if len(name) == 3 else None,
            status=rows.STATUS_NAMES[row.status],
            roles=row.roles,
            profile=row.profile,
            kid=row.kid,
            epoch_min=row.epoch_min,
            keys=tuple(listed),
        )

    async def member(self, member: StreamKey) -> MemberInfo | None:
        value = self.view.get(keyspace.key(keyspace.MEMBER, *member))
        return None if value is None else self._member(member, value, keys=True)

    async def members(
        self,
        iss: str | None,
        *,
        after: StreamKey | None,
        limit: int,
        roles: frozenset[str] | None = None,
    ) -> list[MemberInfo]:
        prefix = keyspace.key(keyspace.MEMBER, *([iss] if iss else []))
        start = None if after is None else keyspace.key(keyspace.MEMBER, *after)
        found = [
            self._member(_names(key), value, keys=False)
            for key, value in self._scan(prefix, start, 1 << 30)
        ]
        return [one for one in found if roles is None or roles & set(one.roles)][:limit]

    async def organisations(self) -> list[OrganisationInfo]:
        found: list[OrganisationInfo] = []
        for key, value in self.view.scan(keyspace.key(keyspace.ORGANISATION)):
            iss, *more = _names(key)
            if more:
                continue
            row = rows.decode_organisation(value)
            count = len(list(self.view.scan(keyspace.key(keyspace.MEMBER, iss))))
            status = rows.STATUS_NAMES[row.status]
            found.append(OrganisationInfo(iss=iss, name=row.name, status=status, members=count))
        return found

    def _profile(self, name: StreamKey, value: bytes) -> ProfileInfo:
        row = rows.decode_profile(value)
        register = (row.register.name, row.register.exponent) if row.register else None
        return ProfileInfo(
            iss=name[0],
            name=name[1],
            rule=row.rule,
            visibility=row.visibility,
            measurements=row.measurements,
            register=register,
        )

    async def profiles(
        self, iss: str | None, *, after: tuple[str, str] | None, limit: int
    ) -> list[ProfileInfo]:
        prefix = keyspace.key(keyspace.PROFILE, *([iss] if iss else []))
        start = None if after is None else keyspace.key(keyspace.PROFILE, *after)
        return [self._profile(_names(k), v) for k, v in self._scan(prefix, start, limit)]

    async def profile(self, *, iss: str, name: str) -> ProfileInfo | None:
        value = self.view.get(keyspace.profile(iss, name))
        return None if value is None else self._profile((iss, name), value)

    def scan(self, prefix: bytes, *, after: bytes | None, limit: int) -> list[tuple[bytes, bytes]]:
        return self._scan(prefix, after, limit)

    def get(self, key: bytes) -> bytes | None:
        return self.view.get(key)

    @property
    def height(self) -> int:
        return self.view.height

    async def known_key(self, iss: str, sub: str, *, kid: bytes | None) -> KnownKey | None:
        return RegistryReads(self).known_key(iss, sub, kid)  # type: ignore[arg-type]

    async def read_rights(self, asker: Asker | None) -> ReadRights:
        return RegistryReads(self).read_rights(asker)  # type: ignore[arg-type]

    async def contracts(self, *, after: str | None, limit: int) -> list[ContractInfo]:
        return ContractReads(self).contracts(after=after, limit=limit)

    async def contract(self, name: str) -> ContractInfo | None:
        return ContractReads(self).contract(name)

    async def contract_version(self, name: str, *, version: int) -> VersionInfo | None:
        return ContractReads(self).version(name, version)

    async def contract_values(
        self, name: str, *, path: str, after: bytes | None, limit: int
    ) -> list[ContractValue]:
        return ContractReads(self).values(name, path=path, after=after, limit=limit)

    def _block(self, stored: StoredBlock) -> BlockInfo:
        change = stored.change
        codes = Counter(one.code for one in change.outcomes if one.record is not None)
        size = stored.first + len(change.leaves)
        return BlockInfo(
            height=change.height,
            time_ms=change.time_ms,
            protocol=1,
            parent=stored.parent,
            head=change.head,
            size=size,
            root=log.tree_root(self.leaves[:size]),
            state=change.state_root,
            outcomes=change.outcomes_root,
            validators=validators_hash(self.genesis.validators()),
            entry=change.block_entry,
            vertices=tuple(stored.vertices),
            records=sum(codes.values()),
            codes=codes,
        )

    async def block(self, height: int) -> BlockInfo | None:
        return self._block(self.stored[height]) if height < len(self.stored) else None

    async def blocks(
        self, *, after: int | None, limit: int, newest_first: bool = False
    ) -> list[BlockInfo]:
        listed = self.stored[::-1] if newest_first else self.stored
        kept = [
            one
            for one in listed
            if after is None
            or (one.change.height < after if newest_first else one.change.height > after)
        ]
        return [self._block(one) for one in kept[:limit]]

    async def outcomes(self, height: int) -> list[OutcomeInfo]:
        if height >= len(self.stored):
            return []
        stored = self.stored[height]
        return [
            OutcomeInfo(
                vertex=stored.vertices[one.vertex],
                record=one.record,
                code=one.code,
                steps=one.steps,
                events=tuple(
                    EventInfo(contract=e.contract, name=e.name, data=e.data) for e in one.events
                ),
            )
            for one in stored.change.outcomes
            if one.code != "accepted" or one.events
        ]

    def _vertex(self, vertex_id: bytes, *, body: bool) -> VertexInfo:
        vertex, height, position = self.vertices_by_id[vertex_id]
        header = vertex.header
        return VertexInfo(
            id=vertex_id,
            iss=header.iss,
            sub=header.sub,
            epoch=header.epoch,
            seq=header.seq,
            parent=header.parent,
            links=header.links,
            time_ms=header.time_ms,
            count=header.count,
            length=header.length,
            root=header.root,
            height=height,
            position=position,
            witnesses=self.window.witnesses(vertex_id) or 0,
            header=header.raw,
            body=vertex.body if body else None,
        )

    async def vertex(self, vertex_id: bytes) -> VertexInfo | None:
        known = vertex_id in self.vertices_by_id
        return self._vertex(vertex_id, body=True) if known else None

    async def vertices(
        self,
        author: tuple[str, str] | None,
        *,
        after: VertexCursor | None,
        limit: int,
        newest_first: bool = False,
    ) -> list[VertexInfo]:
        listed = [self._vertex(one, body=False) for one in self.vertices_by_id]
        at = {one.id: (one.iss, one.sub, one.epoch, one.seq) for one in listed}
        listed.sort(key=lambda one: at[one.id], reverse=newest_first)
        if after is not None:
            place = tuple(after)
            listed = [
                one
                for one in listed
                if (at[one.id] < place if newest_first else at[one.id] > place)
            ]
        return [one for one in listed if author in (None, (one.iss, one.sub))][:limit]

    async def tips(self) -> list[VertexInfo]:
        return [self._vertex(one, body=False) for one in self.window.tips()]

    async def dag(self, *, after: DagCursor | None, limit: int) -> DagPage:
        stamp = after.stamp if after is not None and after.life == LIFE else 0
        found = self.window.changed(after=stamp, limit=limit)
        behind = self.window.stamp_behind(found)
        more = behind < self.window.stamp
        return DagPage(vertices=found, cursor=DagCursor(LIFE, behind), more=more)

    async def dag_changes(self, after: DagCursor | None) -> AsyncIterator[DagPage]:
        cursor = after
        while not self.stopped:
            page = await self.dag(after=cursor, limit=DAG_ROWS_MAX)
            cursor = page.cursor
            if page.vertices:
                yield page
            async with self.news:
                if not self.stopped and self.window.stamp == cursor.stamp:
                    await self.news.wait()

    async def frontier(self) -> list[FrontierInfo]:
        last: dict[tuple[str, str], VertexInfo] = {}
        for one in await self.vertices(None, after=None, limit=1 << 30):
            last[one.iss, one.sub] = one
        waiting = self.window.waiting_by_author()
        return [
            FrontierInfo(
                iss=one.iss,
                sub=one.sub,
                epoch=one.epoch,
                seq=one.seq,
                id=one.id,
                time_ms=one.time_ms,
                height=one.height,
                waiting=sum(n for author, n in waiting.items() if author == name),
            )
            for name, one in sorted(last.items())
        ]

    async def forks(self) -> list[ForkInfo]:
        return self.fork_infos

    async def peers(self) -> list[PeerInfo]:
        return self.peer_infos

    # --- proofs ------------------------------------------------------------------------------

    async def state(self, key: bytes) -> StateProof:
        value = self.view.get(key)
        if value is not None:
            proof = existence_proof(self.view.tree, key, value)
        else:
            left, right = self.view.tree.neighbours(sha256(key).digest())
            proof = absence_proof(
                self.view.tree, key, left=self._by_hash(left), right=self._by_hash(right)
            )
        last = self.stored[-1].change
        return StateProof(
            key=key,
            value=value,
            ics23=proof,
            block=last.block_entry,
            height=last.height,
            receipt=self._receipt(len(self.leaves) - 1),
        )

    def _by_hash(self, key_hash: bytes | None) -> tuple[bytes, bytes] | None:
        if key_hash is None:
            return None
        return next((k, v) for k, v in self.view.scan(b"") if sha256(k).digest() == key_hash)

    async def receipt(self, stream: StreamKey, *, epoch: int, seq: int) -> bytes:
        found = self.found.get((stream, epoch, seq))
        if found is None or found.raw is None:
            raise NotFound(f"no record at {'/'.join(stream)}, epoch {epoch}, sequence {seq}")
        assert found.log_index is not None
        receipt = self._receipt(found.log_index, self._interval(found))
        return attach_receipts(found.raw, [receipt])

    async def completeness(self, stream: StreamKey, *, since: bytes | None) -> bytes:
        items = self.accepted_order.get(stream)
        if items is None:
            raise NotFound(f"no stream {'/'.join(stream)}")
        start, before = None, 0
        if since is not None:
            earlier = completeness.decode_completeness(since)
            own = (stream[0], stream[1], stream[2] if len(stream) == 3 else None)
            if (earlier.iss, earlier.sub, earlier.device) != own:
                raise ReceiptMismatch("the proof is another stream's")
            start = earlier.end
            before = completeness.read_stream(start.value).count
        proof = await self.state(keyspace.stream(stream))
        point = completeness.Point(proof.value, proof.ics23, proof.block, proof.receipt)
        return completeness.encode_completeness(
            completeness.Completeness(
                iss=stream[0],
                sub=stream[1],
                device=stream[2] if len(stream) == 3 else None,
                start=start,
                items=tuple(items[before:]),
                end=point,
            )
        )

    async def entries(self, *, index: int, width: int) -> bytes:
        start = index * TILE_WIDTH
        if start + width > len(self.log_entries):
            raise NotFound(f"the log has not grown to bundle {index} of {width}")
        return entry_bundle(self.log_entries[start : start + width])

    # --- the node ----------------------------------------------------------------------------

    async def events(self, after: EventCursor | None) -> AsyncIterator[ServiceEvent]:
        height, number = after or (len(self.stored) - 1, 1 << 30)
        while not self.stopped:
            for stored in self.stored[height:]:
                for event in self._events(stored):
                    if event.cursor > (height, number):
                        yield event
            height, number = len(self.stored) - 1, 1 << 30
            async with self.news:
                while not self.stopped and len(self.stored) <= height + 1:
                    await self.news.wait()

    def _events(self, stored: StoredBlock) -> list[ServiceEvent]:
        change = stored.change
        made = [
            ServiceEvent(
                cursor=EventCursor(change.height, 0),
                kind="block",
                data={
                    "height": change.height,
                    "time_ms": change.time_ms,
                    "records": len(change.outcomes),
                    "size": stored.first + len(change.leaves),
                    "codes": dict(Counter(one.code for one in change.outcomes)),
                },
            )
        ]
        for one in change.outcomes:
            where = {"vertex": stored.vertices[one.vertex].hex(), "record": one.record}
            if one.code != "accepted":
                cursor = EventCursor(change.height, len(made))
                made.append(
                    ServiceEvent(cursor=cursor, kind="outcome", data={**where, "code": one.code})
                )
            for event in one.events:
                cursor = EventCursor(change.height, len(made))
                data = {
                    **where,
                    "contract": event.contract,
                    "name": event.name,
                    "data": event.data,
                }
                made.append(ServiceEvent(cursor=cursor, kind="event", data=data))
        return made

    async def stop(self) -> None:
        """Ends event streams, as a node that stops."""
        self.stopped = True
        async with self.news:
            self.news.notify_all()

    async def health(self) -> Health:
        check = HealthCheck(name="disk", ok=self.unwell is None, detail=self.unwell or "98 GB free")
        sentence = self.unwell or "All is well: the last block was committed just now."
        count = sum(len(one.change.outcomes) for one in self.stored)
        return Health(
            ok=self.unwell is None,
            sentence=sentence,
            checks=(
                HealthCheck(name="executor", ok=True, detail="commits in 4 ms"),
                check,
            ),
            records_last_minute=count,
        )

    async def metrics(self) -> NodeMetrics:
        codes = Counter(one.code for block in self.stored for one in block.change.outcomes)
        return NodeMetrics(
            height=self.view.height,
            log_size=len(self.leaves),
            commit_age_ms=1500,
            records_by_outcome=codes,
            answers_by_code=self.answered,
            intake_records=0,
            intake_bytes=0,
            pending_vertices=0,
            tips=1,
            blocks_in_flight=0,
            verify_batches=0,
            waiters=0,
            subscribers=0,
            disk_free_bytes=98_000_000_000,
            vertices_bytes=1_000_000,
            ledger_bytes=1_000_000,
            memory_bytes=120_000_000,
            restarts=0,
        )


def _names(key: bytes) -> StreamKey:
    """The text parts of a state key."""
    parts: list[str] = []
    offset = 1
    while offset < len(key):
        part, offset = cbor.decode_prefix(key, offset)
        assert isinstance(part, str)
        parts.append(part)
    return tuple(parts)


def decode_seq(vertex: Vertex) -> int:
    """The vertex's number."""
    return vertex.header.seq
