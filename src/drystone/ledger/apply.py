"""The one pipeline: `apply(view, block) -> Change`. Pure; everything that reaches the ledger goes through here.

Order of a record's life in this file: its vertex is admitted, its sender's rights are looked up, its signature is
checked unless it already was against this very key, its place in the stream is taken, its rule or call runs, its entry
goes to the log. What is refused becomes an outcome with a code; of a refused record nothing else remains.

Five users call it: the executor, replay, `fsck`, contract tests, and a gateway's provisional view.
Source: design sections 3.6, 3.7 and 4.
"""

import hashlib
from typing import NamedTuple, cast

from drystone.contracts.rules import RULES, Event, ReadingContext
from drystone.errors import (
    ContractUnknown,
    InvariantBroken,
    MemberSuspended,
    Refused,
    RoleMissing,
    VertexFork,
    VertexPlace,
)
from drystone.formats import cose
from drystone.ledger import governance, keyspace, registry, rows
from drystone.ledger.arguments import Arguments
from drystone.ledger.calls import Call, Function
from drystone.ledger.change import (
    ACCEPTED,
    ALREADY,
    Block,
    BlockEntry,
    Change,
    OrderedVertex,
    Outcome,
    Unreadable,
    close_block,
    outcomes_root,
)
from drystone.ledger.genesis import (
    Genesis,
    encode_genesis,
    genesis_writes,
    validators_hash,
)
from drystone.ledger.rights import Rights, check_rights, check_sender, find_rights
from drystone.ledger.view import Overlay, View
from drystone.records import stream
from drystone.records.payload import CallValues, Reading
from drystone.records.record import Record, Verified, check_signature
from drystone.records.vertex import check_vertex_signature, vertex_id
from drystone.trees import log

FUNCTIONS: dict[str, dict[str, Function]] = {
    "registry": registry.FUNCTIONS,
    "governance": governance.FUNCTIONS,
}
"""What a call may name today. Deployed contracts (keyspace 7) will be asked where this table ends."""

STREAMS_REMEMBERED_MAX = 131_072
RIGHTS_REMEMBERED_MAX = 131_072

_SenderKey = tuple[str, str, bytes, str | None]


class Memory:
    """What one executor remembers between blocks to spare lookups; never a source of truth.

    Rights are forgotten as soon as any registry row changes. A remembered stream counts only while the state holds the
    very bytes it was encoded to. With an empty memory every result is the same (tested).
    """

    def __init__(self) -> None:
        self.rights: dict[_SenderKey, Rights] = {}
        self.streams: dict[bytes, tuple[bytes, stream.Stream]] = {}

    def trim(self) -> None:
        """Keep the bounds; called once a block."""
        if len(self.rights) > RIGHTS_REMEMBERED_MAX:
            self.rights.clear()
        if len(self.streams) > STREAMS_REMEMBERED_MAX:
            self.streams.clear()


class _Run:
    """One block's work in hand: the overlay, the entries so far, and streams not yet encoded."""

    def __init__(self, view: View, memory: Memory) -> None:
        self.ledger = view.ledger
        self.overlay = Overlay(view)
        self.memory = memory
        self.leaves: list[bytes] = []
        self.outcomes: list[Outcome] = []
        self.touched: dict[bytes, stream.Stream] = {}

    def rights(self, record: Record) -> Rights:
        sender = (record.iss, record.sub, record.kid, record.device)
        found = self.memory.rights.get(sender)
        if found is None:
            found = self.memory.rights[sender] = find_rights(self.overlay, record)
        return found

    def stream(self, key: bytes) -> stream.Stream:
        current = self.touched.get(key)
        if current is not None:
            return current
        value = self.overlay.get(key)
        if value is None:
            return stream.EMPTY
        remembered = self.memory.streams.get(key)
        if remembered is not None and remembered[0] == value:
            return remembered[1]
        return stream.decode(value)

    def merge(self, writes: dict[bytes, bytes | None]) -> None:
        self.overlay.merge(writes)
        if any(keyspace.space_of(key) in keyspace.REGISTRY for key in writes):
            self.memory.rights.clear()

    def writes(self) -> dict[bytes, bytes | None]:
        streams = self.memory.streams
        for key, current in self.touched.items():
            value = stream.encode(current)
            streams[key] = (value, current)
            self.overlay.put(key, value)
        return dict(sorted(self.overlay.writes.items()))


def apply(view: View, block: Block, memory: Memory | None = None) -> Change:
    """Return what `block` changes over `view`; neither is altered, nothing outside is read.

    Checks everything that depends on the ledger position. Does not check what form checks have seen to before: that
    bodies fit their headers and that records are well formed. An empty block is the caller's to drop.

    Raises InvariantBroken when the engine hands over a block that does not follow the view.
    """
    if block.height != view.height + 1:
        raise InvariantBroken(f"block {block.height} does not follow {view.height}")
    if not block.vertices:
        raise InvariantBroken("an empty block appends nothing and is not applied")
    memory = memory if memory is not None else Memory()
    run = _Run(view, memory)
    for index, vertex in enumerate(block.vertices):
        try:
            _admit_vertex(run, vertex)
        except Refused as error:
            run.outcomes.append(Outcome(index, None, error.code, 0, ()))
            continue
        for position, item in enumerate(vertex.records):
            run.outcomes.append(_apply_record(run, index, position, item))
    writes = run.writes()
    memory.trim()
    outcomes = tuple(run.outcomes)
    entry = BlockEntry(
        height=block.height,
        time_ms=block.time_ms,
        state_root=view.root_after(writes),
        outcomes_root=outcomes_root(outcomes),
        validators=block.validators,
        protocol=block.protocol,
    )
    return close_block(
        entry=entry, before=view.log, leaves=run.leaves, writes=writes, outcomes=outcomes
    )


def _admit_vertex(run: _Run, vertex: OrderedVertex) -> None:
    """Check the author's rights, signature and chain, and make the vertex its author's head."""
    header = vertex.header
    sender = check_sender(run.overlay, iss=header.iss, sub=header.sub, kid=header.kid)
    if rows.GATEWAY not in sender.member.roles:
        raise RoleMissing(f"{header.iss}/{header.sub} is no gateway")
    if header.epoch < sender.member.vertex_epoch_min:
        raise MemberSuspended(f"vertex epoch {header.epoch} is suspended")
    if vertex.author_key != sender.cose_key:
        check_vertex_signature(header, sender.key, run.ledger)
    own_id = vertex_id(header, run.ledger)
    key = keyspace.head(header.iss, header.sub)
    value = run.overlay.get(key)
    _check_chain(vertex, own_id, rows.decode_author_head(value) if value is not None else None)
    head = rows.AuthorHead(header.epoch, header.seq, own_id)
    run.overlay.put(key, head.encode())


def _check_chain(vertex: OrderedVertex, own_id: bytes, head: rows.AuthorHead | None) -> None:
    """Only the self-parent is a precondition; witness links may dangle."""
    header = vertex.header
    place = (header.epoch, header.seq)
    if head is None:
        if header.parent is not None or header.seq != 0:
            raise VertexPlace("an author's first vertex has sequence 0 and no parent")
        return
    if place == (head.epoch, head.seq) and own_id != head.vertex:
        raise VertexFork(f"{header.iss}/{header.sub} has another vertex at {place}")
    if place <= (head.epoch, head.seq):
        raise VertexPlace(f"place {place} is taken, the author is at {head.epoch}, {head.seq}")
    if header.epoch == head.epoch:
        if header.seq != head.seq + 1 or header.parent != head.vertex:
            raise VertexPlace(f"place {place} does not continue {head.epoch}, {head.seq}")
    elif header.seq != 0 or (header.parent != head.vertex and head.vertex not in header.links):
        raise VertexPlace("a new epoch starts at sequence 0 and cites the last head")


def _apply_record(
    run: _Run, index: int, position: int, item: Verified | Record | Unreadable
) -> Outcome:
    try:
        if isinstance(item, Unreadable):
            return Outcome(index, position, item.code, 0, ())
        record, verified_key = (
            (item.record, item.key) if isinstance(item, Verified) else (item, None)
        )
        rights = run.rights(record)
        if verified_key != rights.sender.cose_key:
            check_signature(record, rights.sender.key)
        register = check_rights(record, rights, run.ledger)
        placement = stream.place(
            run.stream(rights.stream_key),
            epoch=record.epoch,
            seq=record.seq,
            record_id=record.id,
            register=register,
        )
        if placement.kind == ALREADY:
            return Outcome(index, position, ALREADY, 0, ())
        if record.content_type == cose.CBOR:
            events, steps = _call(run, rights, record), 0
        else:
            events, steps = _reading(rights, record, placement, register)
    except Refused as error:
        return Outcome(index, position, error.code, 0, ())
    run.touched[rights.stream_key] = placement.stream
    run.leaves.append(log.leaf_hash(record.entry))
    if placement.kind != "next":
        events = (_stream_event(record, placement), *events)
    return Outcome(index, position, ACCEPTED, steps, events)


def _reading(
    rights: Rights, record: Record, placement: stream.Placement, register: int | None
) -> tuple[tuple[Event, ...], int]:
    profile = rights.profile
    rule = RULES.get(profile.rule) if profile is not None else None
    if rule is None:
        raise ContractUnknown(
            f"the profile's rule {profile.rule if profile else None!r} is unknown"
        )
    context = ReadingContext(
        record.iss,
        record.device or record.sub,
        record.epoch,
        record.seq,
        register,
        placement.kind,
    )
    return rule(context, cast("tuple[Reading, ...]", record.content))


def _call(run: _Run, rights: Rights, record: Record) -> tuple[Event, ...]:
    _, contract, function, args, _ = cast("CallValues", record.content)
    found = FUNCTIONS.get(contract, {}).get(function)
    if found is None:
        raise ContractUnknown(f"no {contract}.{function}")
    call = Call(run.overlay, rights.sender, run.ledger, record.id)
    result = found(call, Arguments(args, f"{contract}.{function}"))
    run.merge(result.writes)
    return result.events


def _stream_event(record: Record, placement: stream.Placement) -> Event:
    data: dict[str, object] = {
        "iss": record.iss,
        "sub": record.device or record.sub,
        "epoch": record.epoch,
        "seq": record.seq,
    }
    if placement.kind == "gap":
        data["from"] = placement.gap_from
    return Event("stream", placement.kind, data)


class GenesisBlock(NamedTuple):
    """A ledger's beginning: its first Change and the id that follows from it."""

    change: Change
    ledger: bytes


def apply_genesis(genesis: Genesis, empty: View) -> GenesisBlock:
    """Return block 0: the state of `genesis` over an empty view, one log entry, and the ledger's id.

    The genesis file's own proofs were checked by `decode_genesis`.
    """
    writes = genesis_writes(genesis, encode_genesis(genesis))
    entry = BlockEntry(
        height=0,
        time_ms=genesis.time_ms,
        state_root=empty.root_after(writes),
        outcomes_root=outcomes_root(()),
        validators=validators_hash(genesis.validators()),
        protocol=genesis.protocol,
    )
    change = close_block(entry=entry, before=log.EMPTY, leaves=[], writes=writes, outcomes=())
    return GenesisBlock(change, hashlib.sha256(change.block_entry).digest())
