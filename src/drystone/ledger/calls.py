"""What a ledger function gets and gives: shared by `registry.py` and `governance.py`, dispatched by `apply.py`.

A function is pure: `(call, args) -> CallResult`. It returns its writes; the pipeline commits them only when the whole
record succeeded, so a call that fails half way leaves nothing.
"""

from collections.abc import Callable, Iterable
from typing import NamedTuple

from drystone.contracts.rules import Event
from drystone.errors import InvariantBroken, RoleMissing
from drystone.formats import cbor
from drystone.ledger import keyspace, rows
from drystone.ledger.arguments import Arguments
from drystone.ledger.rights import Sender
from drystone.ledger.view import Reader


class Call(NamedTuple):
    """One call at its place: who sends it, on which ledger, over which state, its record's id, the block's height."""

    view: Reader
    sender: Sender
    ledger: bytes
    record_id: bytes
    height: int
    time_ms: int

    def demand(self, role: str) -> None:
        """Raise RoleMissing unless the sender has `role` in its organisation."""
        if role not in self.sender.member.roles:
            raise RoleMissing(f"{self.sender.iss}/{self.sender.sub} is no {role}")

    def counting(self, organisations: Iterable[str]) -> int:
        """Count those of `organisations` that are active now."""
        return sum(
            rows.decode_organisation(value).status == rows.ACTIVE
            for iss in organisations
            if (value := self.view.get(keyspace.organisation(iss))) is not None
        )

    def threshold(self) -> int:
        """Return how many organisations must approve."""
        value = self.view.get(keyspace.threshold())
        approvals = cbor.decode(value) if value is not None else None
        if not isinstance(approvals, int):
            raise InvariantBroken("genesis sets the threshold, and governance keeps it a number")
        return approvals


class CallResult(NamedTuple):
    """Writes (None deletes) and events of one successful call."""

    writes: dict[bytes, bytes | None]
    events: tuple[Event, ...]


Function = Callable[[Call, Arguments], CallResult]
