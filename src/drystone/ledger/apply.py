"""The one pipeline: `apply(view, block) -> Change`. Pure; everything that reaches the ledger goes through here.

Order of a record's life in this file: its vertex is admitted, its sender's rights are looked up, its signature is
checked unless it already was against this very key, its place in the stream is taken, its rule, contract or call runs,
its entry goes to the log. What is refused becomes an outcome with a code; of a refused record nothing else remains.

Five users call it: the executor, replay, `fsck`, contract tests, and a gateway's provisional view.
Source: design sections 3.6, 3.7 and 4.
"""

import hashlib
from typing import NamedTuple, cast

from drystone.contracts.rules import RULES, TAKES_ALL, Event, ReadingContext
from drystone.errors import ContractUnknown, InvariantBroken, Refused, StateCollision
from drystone.formats import cose
from drystone.ledger import deployment, governance, readings, registry
from drystone.ledger.admission import admit_vertex
from drystone.ledger.arguments import Arguments
from drystone.ledger.calls import Call, CallResult, Function
from drystone.ledger.change import (
    ACCEPTED,
    ALREADY,
    Block,
    BlockEntry,
    Change,
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
from drystone.ledger.host import ContractHost, Transaction, run_call
from drystone.ledger.rights import Rights, Sender, check_rights
from drystone.ledger.rows import ATTESTED, GOVERNOR, Due, Member
from drystone.ledger.view import View
from drystone.ledger.work import Memory, Work
from drystone.limits import CALL_STEPS_MAX
from drystone.records import stream
from drystone.records.payload import CallValues, Reading
from drystone.records.record import Record, Verified, check_signature
from drystone.trees import log

FUNCTIONS: dict[str, dict[str, Function]] = {
    "contracts": deployment.FUNCTIONS,
    "governance": governance.FUNCTIONS,
    "registry": registry.FUNCTIONS,
}
"""The ledger's own calls; every other name is a deployed contract's."""

_new = tuple.__new__  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
"""A NamedTuple's own constructor costs three times as much; used where every record passes."""


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
    work = Work(view, memory, height=block.height, time_ms=block.time_ms)
    _start_due_versions(work)
    for index, vertex in enumerate(block.vertices):
        try:
            admit_vertex(work.overlay, vertex, work.ledger)
        except Refused as error:
            work.settle(work.open_slot(), Outcome(index, None, error.code, 0, ()))
            continue
        work.gateway = f"{vertex.header.iss}/{vertex.header.sub}"
        for position, item in enumerate(vertex.records):
            if not _take_plain(work, index, position, item):
                _take_record(work, index, position, item)
    _run_gathered(work)
    writes = work.writes()
    memory.trim()
    outcomes = work.outcomes()
    entry = BlockEntry(
        height=block.height,
        time_ms=block.time_ms,
        state_root=_root_after(view, writes),
        outcomes_root=outcomes_root(outcomes),
        validators=block.validators,
        protocol=block.protocol,
    )
    return close_block(
        entry=entry,
        before=view.log,
        leaves=work.leaves(),
        streams=work.streams(),
        writes=writes,
        outcomes=outcomes,
    )


def _root_after(view: View, writes: dict[bytes, bytes | None]) -> bytes:
    try:
        return view.root_after(writes)
    except StateCollision as error:
        # Two state keys whose hashes share 128 bits: 2**64 hashes of work, and no record to blame for it here.
        raise InvariantBroken("two state keys collide") from error


def _take_plain(
    work: Work, index: int, position: int, item: Verified | Record | Unreadable
) -> bool:
    """Settle a record that is as nearly all are: verified, a reading, next in its stream, its rule takes all or runs.

    Says no, and has changed nothing, wherever there is more to it or any doubt: `_take_record` is the authority, and
    a property test holds the two to one result.
    """
    if not isinstance(item, Verified):
        return False
    record, key = item
    # In one go: by name, one after the other, these cost more than the rest of this function.
    (_, _, kind, kid, iss, sub, _, epoch, seq, _, device, _, _, _, record_id, entry, _) = record
    rights = work.memory.rights.get((iss, sub, kid, device))
    if rights is None or key != rights.sender.cose_key or kind != cose.SENML:
        return False
    _, _, profile, stream_key = rights
    if profile is None or stream_key in work.gathered_streams:
        return False
    rule = profile.rule
    takes_all = rule in TAKES_ALL
    if not takes_all and rule not in work.memory.programs:
        return False
    try:
        register = check_rights(record, rights, work.ledger)
        longer = stream.follow(
            work.stream_at(stream_key),
            epoch=epoch,
            seq=seq,
            record_id=record_id,
            register=register,
        )
    except Refused:
        return False
    if longer is None:
        return False
    if takes_all:
        outcome = _new(Outcome, (index, position, ACCEPTED, 0, ()))
        work.accept(outcome, log.leaf_hash(entry), stream_key, longer)
    else:
        placement = _new(stream.Placement, ("next", longer, None))
        data_key = readings.data_key(rule, iss, sub, device)
        place = (work.open_slot(), index, position, record, stream_key)
        work.gather(rule, _new(readings.Gathered, (*place, placement, register, data_key)))
    return True


def _take_record(
    work: Work, index: int, position: int, item: Verified | Record | Unreadable
) -> None:
    """Settle one record's outcome, or gather it for its contract."""
    slot = work.open_slot()
    try:
        if isinstance(item, Unreadable):
            work.settle(slot, Outcome(index, position, item.code, 0, ()))
            return
        record, verified = (item.record, item.key) if isinstance(item, Verified) else (item, None)
        is_call = record.content_type == cose.CBOR
        if work.gathered_streams and is_call:
            # A call may change what the readings before it run under: they go first.
            _run_gathered(work)
        rights = work.rights(record)
        if verified != rights.sender.cose_key:
            check_signature(record, rights.sender.key)
        register = check_rights(record, rights, work.ledger)
        if rights.stream_key in work.gathered_streams:
            _run_gathered(work)
        placement = stream.place(
            work.stream_at(rights.stream_key),
            epoch=record.epoch,
            seq=record.seq,
            record_id=record.id,
            register=register,
        )
        if placement.kind == ALREADY:
            work.settle(slot, Outcome(index, position, ALREADY, 0, ()))
            return
        if is_call:
            events, steps = _call(work, rights, record)
        else:
            profile = rights.profile
            rule = profile.rule if profile is not None else ""
            if rule not in RULES:
                work.program(rule)
                data_key = readings.data_key(rule, record.iss, record.sub, record.device)
                place = (slot, index, position, record, rights.stream_key)
                work.gather(rule, readings.Gathered(*place, placement, register, data_key))
                return
            events, steps = _built_in(rule, record, placement, register)
    except Refused as error:
        work.settle(slot, Outcome(index, position, error.code, 0, ()))
        return
    outcome = Outcome(index, position, ACCEPTED, steps, events)
    _accept(work, slot, outcome, record, rights.stream_key, placement)


def _accept(
    work: Work,
    slot: int,
    outcome: Outcome,
    record: Record,
    stream_key: bytes,
    placement: stream.Placement,
) -> None:
    """Move the stream on and give the record its log leaf."""
    work.put_stream(stream_key, placement.stream)
    if placement.kind != "next":
        outcome = outcome._replace(events=(_stream_event(record, placement), *outcome.events))
    work.settle(slot, outcome, log.leaf_hash(record.entry), stream_key)


def _built_in(
    rule: str, record: Record, placement: stream.Placement, register: int | None
) -> tuple[tuple[Event, ...], int]:
    context = ReadingContext(
        record.iss,
        record.device or record.sub,
        record.epoch,
        record.seq,
        register,
        placement.kind,
    )
    return RULES[rule](context, cast("tuple[Reading, ...]", record.content))


def _run_gathered(work: Work) -> None:
    """Run what was gathered, by contract and gateway, and settle it."""
    gathered, work.gathered = work.gathered, {}
    work.gathered_streams.clear()
    for (contract, gateway), items in gathered.items():
        handled = readings.run(
            work.program(contract),
            items,
            overlay=work.overlay,
            gateway=gateway,
            height=work.height,
            time_ms=work.time_ms,
        )
        for item, (value, told, steps, code) in zip(items, handled, strict=True):
            slot, index, position, record, stream_key, placement, _, data_key = item
            if code is not None:
                work.settle(slot, Outcome(index, position, code, steps, ()))
                continue
            if value is not None:
                work.overlay.writes[data_key] = value
            events = tuple([Event(contract, name, data) for name, data in told]) if told else ()
            outcome = _new(Outcome, (index, position, ACCEPTED, steps, events))
            _accept(work, slot, outcome, record, stream_key, placement)


def _call(work: Work, rights: Rights, record: Record) -> tuple[tuple[Event, ...], int]:
    _, contract, function, args, limit = cast("CallValues", record.content)
    call = Call(work.overlay, rights.sender, work.ledger, record.id, work.height, work.time_ms)
    own = FUNCTIONS.get(contract)
    if own is not None:
        if function not in own:
            raise ContractUnknown(f"no {contract}.{function}")
        result = own[function](call, Arguments(args, f"{contract}.{function}"))
        steps = 0
    else:
        transaction = Transaction(work.overlay)
        done = run_call(
            deployment.Deployed(contract, work.program(contract)),
            function,
            args,
            call=call,
            transaction=transaction,
            limit=min(limit or CALL_STEPS_MAX, CALL_STEPS_MAX),
        )
        result = CallResult(transaction.overlay.writes, tuple(transaction.events))
        steps = done.steps
    work.merge(result.writes)
    return result.events, steps


def _start_due_versions(work: Work) -> None:
    """Let the contract versions whose height has come run, and migrate their values; say so in an outcome."""
    waiting = deployment.due(work.overlay)
    ready = [one for one in waiting if one.height <= work.height]
    if not ready:
        return
    events: list[Event] = []
    steps = 0
    for one in ready:
        try:
            result, spent = _start_version(work, one)
        except Refused as error:
            events.append(deployment.migration_failed(one, error))
            continue
        work.merge(result.writes)
        events += result.events
        steps += spent
    work.merge(deployment.still_due(tuple(one for one in waiting if one not in ready)))
    work.settle(work.open_slot(), Outcome(0, None, ACCEPTED, steps, tuple(events)))


def _start_version(work: Work, one: Due) -> tuple[CallResult, int]:
    writes, program = deployment.activate(work.overlay, one)
    event = deployment.started(one)
    if program is None:
        return CallResult(writes, (event,) if writes else ()), 0
    manifest = program.package.manifest
    nobody = Member(0, (GOVERNOR, ATTESTED), None, b"", 0, 0)
    ledger_itself = Sender("", "", nobody, deployment.NO_KEY, b"")
    call = Call(work.overlay, ledger_itself, work.ledger, bytes(32), work.height, work.time_ms)
    transaction = Transaction(work.overlay)
    done = program.call(
        manifest.migrate or "",
        ctx={"height": work.height, "time_ms": work.time_ms},
        args={"version": deployment.running_version(work.overlay, one.name)},
        limit=CALL_STEPS_MAX,
        host=ContractHost(manifest.name, call, transaction, ()),
    )
    return CallResult(
        {**writes, **transaction.overlay.writes}, (event, *transaction.events)
    ), done.steps


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
    change = close_block(
        entry=entry, before=log.EMPTY, leaves=[], streams=(), writes=writes, outcomes=()
    )
    return GenesisBlock(change, hashlib.sha256(change.block_entry).digest())
