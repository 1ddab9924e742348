"""What a ledger function gets and gives: shared by `registry.py` and `governance.py`, dispatched by `apply.py`.

A function is pure: `(call, args) -> CallResult`. It returns its writes; the pipeline commits them only when the whole
record succeeded, so a call that fails half way leaves nothing.
"""

from collections.abc import Callable
from typing import NamedTuple

from drystone.contracts.rules import Event
from drystone.errors import RoleMissing
from drystone.ledger.arguments import Arguments
from drystone.ledger.rights import Sender
from drystone.ledger.view import Reader


class Call(NamedTuple):
    """One call at its place: who sends it, on which ledger, over which state, and the id of its record."""

    view: Reader
    sender: Sender
    ledger: bytes
    record_id: bytes

    def demand(self, role: str) -> None:
        """Raise RoleMissing unless the sender has `role` in its organisation."""
        if role not in self.sender.member.roles:
            raise RoleMissing(f"{self.sender.iss}/{self.sender.sub} is no {role}")


class CallResult(NamedTuple):
    """Writes (None deletes) and events of one successful call."""

    writes: dict[bytes, bytes | None]
    events: tuple[Event, ...]


Function = Callable[[Call, Arguments], CallResult]
