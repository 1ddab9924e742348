"""One block's work in hand: the overlay of writes, outcomes and log leaves by slot, streams not yet encoded.

`Memory` is what an executor remembers between blocks to spare lookups; with an empty one every result is the same.
Nothing here decides: `apply.py` does.
"""

from collections.abc import Collection

from drystone.contracts.runtime import Program
from drystone.ledger.change import Outcome
from drystone.ledger.deployment import find_program
from drystone.ledger.readings import Gathered
from drystone.ledger.rights import Rights, find_rights, members_touched
from drystone.ledger.view import Listed, Overlay, View
from drystone.records import stream
from drystone.records.record import Record

STREAMS_REMEMBERED_MAX = 131_072
RIGHTS_REMEMBERED_MAX = 131_072

_SenderKey = tuple[str, str, bytes, str | None]


class Memory:
    """What one executor remembers between blocks of one chain of views; never a source of truth.

    A member's rights are forgotten as soon as a row of its own changes, everybody's and all programs with any other
    registry or contract row. A remembered stream counts only while the state holds the very bytes it was encoded to.
    """

    def __init__(self) -> None:
        self.rights: dict[_SenderKey, Rights] = {}
        self.programs: dict[str, Program] = {}
        self.streams: dict[bytes, tuple[bytes, stream.Stream]] = {}

    def forget(self, written: Collection[bytes]) -> None:
        """Look up again whatever the rows under these state keys may have changed."""
        touched = members_touched(written)
        if touched is None:
            self.rights.clear()
            self.programs.clear()
        elif touched:
            for sender in [sender for sender in self.rights if sender[:2] in touched]:
                del self.rights[sender]

    def trim(self) -> None:
        """Keep the bounds; called once a block."""
        if len(self.rights) > RIGHTS_REMEMBERED_MAX:
            self.rights.clear()
        if len(self.streams) > STREAMS_REMEMBERED_MAX:
            self.streams.clear()


class Work:
    """What a block has done so far. A slot is an outcome's number within the block."""

    def __init__(self, view: View, memory: Memory, *, height: int, time_ms: int) -> None:
        self.ledger = view.ledger
        self.height = height
        self.time_ms = time_ms
        self.overlay = Overlay(Listed(view))
        self.memory = memory
        self.gateway = ""
        """Who sealed the vertex in hand, as `iss/sub`."""
        self.gathered: dict[tuple[str, str], list[Gathered]] = {}
        """Readings that wait for their contract, by contract and gateway; over the vertices of a block."""
        self.gathered_streams: set[bytes] = set()
        self._outcomes: list[Outcome | None] = []
        self._leaves: list[bytes | None] = []
        self._stream_keys: list[bytes | None] = []
        self._streams: dict[bytes, stream.Stream] = {}

    def open_slot(self) -> int:
        """Return the next slot; every slot is settled before the block is closed."""
        self._outcomes.append(None)
        self._leaves.append(None)
        self._stream_keys.append(None)
        return len(self._outcomes) - 1

    def settle(
        self,
        slot: int,
        outcome: Outcome,
        leaf: bytes | None = None,
        stream_key: bytes | None = None,
    ) -> None:
        """Set a slot's outcome, and the log leaf of an accepted record with its stream's state key."""
        self._outcomes[slot] = outcome
        self._leaves[slot] = leaf
        self._stream_keys[slot] = stream_key

    def accept(
        self, outcome: Outcome, leaf: bytes, stream_key: bytes, current: stream.Stream
    ) -> None:
        """Settle the next slot with an accepted record and move its stream on, all at once."""
        self._outcomes.append(outcome)
        self._leaves.append(leaf)
        self._stream_keys.append(stream_key)
        self._streams[stream_key] = current

    def gather(self, contract: str, item: Gathered) -> None:
        """Put a reading aside for its contract, under the vertex in hand; the caller knows that it runs."""
        self.gathered_streams.add(item[4])
        where = (contract, self.gateway)
        waiting = self.gathered.get(where)
        if waiting is None:
            waiting = self.gathered[where] = []
        waiting.append(item)

    def outcomes(self) -> tuple[Outcome, ...]:
        """Return all outcomes in order."""
        return tuple(outcome for outcome in self._outcomes if outcome is not None)

    def leaves(self) -> list[bytes]:
        """Return the leaves of accepted records in order."""
        return [leaf for leaf in self._leaves if leaf is not None]

    def streams(self) -> list[bytes]:
        """Return the state keys of the accepted records' streams, in the order of the leaves."""
        return [key for key in self._stream_keys if key is not None]

    def rights(self, record: Record) -> Rights:
        """Return a sender's rights at this place. Raises as `find_rights`."""
        sender = (record.iss, record.sub, record.kid, record.device)
        found = self.memory.rights.get(sender)
        if found is None:
            found = self.memory.rights[sender] = find_rights(self.overlay, record)
        return found

    def program(self, name: str) -> Program:
        """Return the program that runs under `name`. Raises ContractUnknown, ContractInactive."""
        found = self.memory.programs.get(name)
        if found is None:
            found = self.memory.programs[name] = find_program(self.overlay, name).program
        return found

    def stream_at(self, key: bytes) -> stream.Stream:
        """Return a stream as it stands after what this block did."""
        current = self._streams.get(key)
        if current is not None:
            return current
        value = self.overlay.get(key)
        if value is None:
            return stream.EMPTY
        remembered = self.memory.streams.get(key)
        if remembered is not None and remembered[0] == value:
            return remembered[1]
        return stream.decode(value)

    def put_stream(self, key: bytes, current: stream.Stream) -> None:
        """Replace a stream; it is encoded once, when the block is closed."""
        self._streams[key] = current

    def merge(self, writes: dict[bytes, bytes | None]) -> None:
        """Take over the writes of a record that succeeded as a whole."""
        self.overlay.merge(writes)
        self.memory.forget(writes)

    def writes(self) -> dict[bytes, bytes | None]:
        """Return everything this block writes, sorted by key."""
        streams, writes, encode = self.memory.streams, self.overlay.writes, stream.encode
        for key, current in self._streams.items():
            value = writes[key] = encode(current)
            streams[key] = (value, current)
        return dict(sorted(writes.items()))
