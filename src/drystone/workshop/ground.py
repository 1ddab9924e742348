"""What a test's chain stands on: a seeded world, one record or vertex a block, notes of what became of each.

Lives here: stepping the world and taking it back, and finding out why something was refused. The words that tests use
are in `chain.py`. Every record goes through `ledger/apply.py`; nothing is faked but disk, network and time.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast

from drystone.contracts.rules import Event
from drystone.errors import Refused
from drystone.formats import cose
from drystone.ledger import keyspace
from drystone.ledger.apply import FUNCTIONS, Memory, apply
from drystone.ledger.arguments import Arguments
from drystone.ledger.calls import Call
from drystone.ledger.change import ACCEPTED, ALREADY, Block, Change, Outcome
from drystone.ledger.deployment import find_program
from drystone.ledger.host import Transaction, run_call
from drystone.ledger.rights import check_rights, find_rights
from drystone.ledger.view import Listed, Overlay
from drystone.limits import CALL_STEPS_MAX
from drystone.records import stream
from drystone.records.payload import CallValues
from drystone.records.record import Record, check_form
from drystone.sim.world import Actor, Author, World
from drystone.storage.memory import MemoryView
from drystone.trees import log
from drystone.workshop.actors import Device, Organisation
from drystone.workshop.journal import Act, dropped_writes, state_changes, tell_act
from drystone.workshop.watch import Watcher, read_trace

GOOD = frozenset({ACCEPTED, ALREADY})


class LedgerRefused(AssertionError):  # noqa: N818 - a test fails with it, and it reads as a sentence
    """The ledger did not take what the test sent; the text tells why, with the contract's line."""

    def __init__(self, act: Act, told: str) -> None:
        super().__init__(told)
        self.act = act
        self.outcome = act.outcome
        self.code = act.outcome.code


class Snapshot(NamedTuple):
    """Where a chain stood; `chain.revert` goes back to it as often as wanted."""

    state: dict[bytes, bytes]
    height: int
    log: log.Edge
    offset_ms: int
    counters: tuple[tuple[Actor | Device, int, int], ...]
    authors: tuple[tuple[Author, int, int, bytes | None], ...]
    organisations: dict[str, Organisation]
    gateways: dict[str, dict[str, Author]]
    acts: int
    blocks: int


class Ground:
    """A world that remembers what it did."""

    def __init__(self, *, seed: str, first: str) -> None:
        self.world = World.begin(seed, (first,))
        self.watcher = Watcher()
        self.acts: list[Act] = []
        self.sources: dict[str, Path] = {}
        operator, author = self.world.operator, self.world.author
        self.organisations = {first: Organisation(first, operator)}
        self.organisations[first].gateways[author.actor.sub] = author
        self.attested: list[Device] = []

    # --- one block ---------------------------------------------------------------------------------

    def one(self, raw: bytes, title: str, author: Author | None = None) -> Outcome:
        """Put one record into a block of its own. Raises LedgerRefused unless it was accepted or there before."""
        __tracebackhide__ = True
        (act,) = self.step([raw], [title], author)
        if act.outcome.code not in GOOD:
            raise LedgerRefused(act, f"{act.outcome.code}\n{tell_act(act, self.sources)}")
        return act.outcome

    def step(
        self, records: Sequence[bytes], titles: Sequence[str], author: Author | None = None
    ) -> list[Act]:
        """Put records into one vertex and one block; note and return what became of each."""
        author = author or self.world.author
        chained = (author.seq, author.parent)
        block = self.world.block(self.world.vertex(records, author))
        noted = len(self.watcher.uses)
        with self.watcher.installed():
            change = apply(self.world.view, block, self.world.memory)
        before = {key: self.world.view.get(key) for key in change.writes}
        self.world.view.install(change)
        self.world.blocks.append(block)
        if any(o.record is None and o.code != ACCEPTED for o in change.outcomes):
            author.seq, author.parent = chained
        acts = self._acts(change, records, titles)
        if len(records) == 1 and acts:
            acts[-1] = self._explained(acts[-1], records[0], block, noted)
        changes = state_changes(before, change.writes)
        if acts and changes:
            # A block's values are told once, with the last of its records.
            acts[-1] = acts[-1]._replace(changes=changes)
        self.acts += acts
        self._release(records, acts)
        return acts[-len(records) :] if records else []

    def _acts(self, change: Change, records: Sequence[bytes], titles: Sequence[str]) -> list[Act]:
        whole = [o for o in change.outcomes if o.record is None]
        each = {o.record: o for o in change.outcomes if o.record is not None}
        acts = [
            Act("versions that were due", change.height, o) for o in whole if o.code == ACCEPTED
        ]
        refused = next((o for o in whole if o.code != ACCEPTED), None)
        for index, title in enumerate(titles[: len(records)]):
            outcome = each.get(index) or refused
            assert outcome is not None, "each record has an outcome, or its vertex has"
            acts.append(Act(title, change.height, outcome))
        return acts

    def _explained(self, act: Act, raw: bytes, block: Block, noted: int) -> Act:
        """Say why a record that stood alone in its block was refused."""
        if act.outcome.code in GOOD:
            return act
        failed = [use for use in self.watcher.uses[noted:] if use.error is not None]
        if failed:
            use = failed[-1]
            return act._replace(error=use.error, trace=use.trace, dropped=dropped_writes(use))
        error = self._why(raw, block)
        return act if error is None else act._replace(error=error, trace=read_trace(error))

    def _why(self, raw: bytes, block: Block) -> Refused | None:
        """Go through the record's life once more, for the sentence that an outcome does not keep."""
        view = self.world.view
        try:
            record = check_form(raw)
            rights = find_rights(view, record)
            register = check_rights(record, rights, view.ledger)
            current = stream.decode(view.get(rights.stream_key) or stream.encode(stream.EMPTY))
            where: Any = {"epoch": record.epoch, "seq": record.seq, "register": register}
            stream.place(current, record_id=record.id, **where)
            if record.content_type != cose.CBOR:
                if rights.profile is not None:
                    find_program(view, rights.profile.rule)
                return None
            _, contract, function, args, _ = cast("CallValues", record.content)
            overlay = Overlay(Listed(view))
            call = Call(overlay, rights.sender, view.ledger, record.id, block.height, block.time_ms)
            own = FUNCTIONS.get(contract)
            if own is not None:
                if function in own:
                    own[function](call, Arguments(args, f"{contract}.{function}"))
            else:
                deployed = find_program(overlay, contract)
                transaction = Transaction(overlay)
                how: Any = {"call": call, "transaction": transaction, "limit": CALL_STEPS_MAX}
                run_call(deployed, function, args, **how)
        except Refused as error:
            return error
        return None

    def _release(self, records: Sequence[bytes], acts: Sequence[Act]) -> None:
        """Give back the positions of refused records: the ledger has not used them up either."""
        for raw, act in zip(reversed(records), reversed(acts), strict=False):
            if act.outcome.code in GOOD:
                continue
            try:
                record = check_form(raw)
            except Refused:
                continue
            counter = self._counter(record)
            if counter is None or (counter.epoch, counter.seq) != (record.epoch, record.seq + 1):
                continue
            who = (record.iss, record.sub)
            key = keyspace.stream(who if record.device is None else (*who, record.device))
            value = self.world.view.get(key)
            taken = stream.decode(value) if value is not None else stream.EMPTY
            if not stream.covers(taken, epoch=record.epoch, seq=record.seq):
                counter.seq = record.seq

    def _counter(self, record: Record) -> Actor | Device | None:
        if record.device is None:
            return self.world.actors.get(f"{record.iss}/{record.sub}")
        path = f"device/{record.iss}/{record.sub}/{record.device}"
        return next((device for device in self.attested if device.path == path), None)

    def builtin(
        self, actor: Actor, what: str, args: Mapping[str, Any], *, told: str = ""
    ) -> Outcome:
        """Make a call of the ledger's own. Raises LedgerRefused."""
        __tracebackhide__ = True
        contract, _, function = what.partition(".")
        raw = self.world.call(actor, contract, function, args)
        return self.one(raw, f"{what}({told}) by {actor.iss}/{actor.sub}")

    # --- what can be seen --------------------------------------------------------------------------

    @property
    def outcome(self) -> Outcome:
        """The last record's outcome."""
        return self.acts[-1].outcome

    @property
    def steps(self) -> int:
        """Steps that the last record took."""
        return self.outcome.steps

    @property
    def events(self) -> list[Event]:
        """Every event so far, in order."""
        return [event for act in self.acts for event in act.outcome.events]

    def events_of(self, what: str) -> list[dict[str, Any]]:
        """Return the data of every event `contract.name` so far, in order."""
        return [e.data for e in self.events if f"{e.contract}.{e.name}" == what]

    # --- time travel -------------------------------------------------------------------------------

    def snapshot(self) -> Snapshot:
        """Return where the chain stands."""
        view = self.world.view
        authors = [a for o in self.organisations.values() for a in o.gateways.values()]
        counters = [*self.world.actors.values(), *self.attested]
        return Snapshot(
            state=dict(view.scan(b"")),
            height=view.height,
            log=view.log,
            offset_ms=self.world.offset_ms,
            counters=tuple((c, c.epoch, c.seq) for c in counters),
            authors=tuple((a, a.epoch, a.seq, a.parent) for a in authors),
            organisations=dict(self.organisations),
            gateways={name: dict(o.gateways) for name, o in self.organisations.items()},
            acts=len(self.acts),
            blocks=len(self.world.blocks),
        )

    def revert(self, to: Snapshot) -> None:
        """Go back to a snapshot: state, positions, time, events; who came later is a stranger again."""
        view = MemoryView()
        view.ledger = self.world.view.ledger
        view.install(_everything(to))
        self.world.view, self.world.memory = view, Memory()
        self.world.offset_ms = to.offset_ms
        for counter, epoch, seq in to.counters:
            counter.epoch, counter.seq = epoch, seq
        for author, epoch, seq, parent in to.authors:
            author.epoch, author.seq, author.parent = epoch, seq, parent
        self.organisations = dict(to.organisations)
        for name, gateways in to.gateways.items():
            self.organisations[name].gateways = dict(gateways)
        del self.acts[to.acts :]
        del self.world.blocks[to.blocks :]


def _everything(to: Snapshot) -> Change:
    """Return a whole state as one change over nothing."""
    return Change(
        height=to.height,
        time_ms=0,
        block_entry=b"",
        writes=dict(to.state),
        leaves=(),
        streams=(),
        outcomes=(),
        state_root=b"",
        outcomes_root=b"",
        log=to.log,
        head=b"",
    )
