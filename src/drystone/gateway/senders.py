"""What the state says of senders, as the front has seen it: rights, and the rows that verifiers judge by.

One generation number counts changes of the registry. A request that a verifier judged by an older generation is judged
again here. Only the members that a block touched are forgotten, so that enrolling one device does not make everybody's
rights be looked up again. Nothing here decides: `apply` does.

Place in a record's life: intake. Source: design.md section 4 (checks on a stale view spare work).
"""

from collections.abc import Mapping, Sequence
from typing import Final

from drystone.errors import Refused
from drystone.ledger.rights import Rights, find_rights, members_touched
from drystone.ledger.view import Reader
from drystone.records.record import Record
from drystone.workers.verifier import Rows, SenderName

SENDERS_REMEMBERED_MAX: Final = 2_048
"""Few: only requests that are not simply good and next are looked at here, the verifiers remember everybody."""


class Senders:
    """Senders' rights on a stale view."""

    def __init__(self, view: Reader) -> None:
        self._view = view
        self._rights: dict[SenderName, Rights] = {}
        self.generation = 0

    def rights(self, record: Record) -> Rights:
        """Give a sender's rights as far as this node has seen. Raises as `find_rights`."""
        name = (record.iss, record.sub, record.kid, record.device)
        rights = self._rights.get(name)
        if rights is None:
            rights = find_rights(self._view, record)
            if len(self._rights) >= SENDERS_REMEMBERED_MAX:
                self._rights.clear()
            self._rights[name] = rights
        return rights

    def rows(self, names: Sequence[SenderName]) -> tuple[int, Rows]:
        """Give the rows that these senders' rights hang on, and the generation they are of."""
        noting = _Noting(self._view)
        for iss, sub, kid, device in names:
            try:
                find_rights(noting, _NOBODY._replace(iss=iss, sub=sub, kid=kid, device=device))
            except Refused:
                continue  # The verifier comes to the same end by the same rows.
        return self.generation, noting.rows

    def change(self, writes: Mapping[bytes, bytes | None]) -> Sequence[tuple[str, str]] | None:
        """Forget whom a block's writes touch; give those members, None for everybody, empty for nobody."""
        touched = members_touched(writes)
        if touched is not None and not touched:
            return ()
        self.generation += 1
        if touched is None:
            self._rights.clear()
            return None
        for name in [name for name in self._rights if name[:2] in touched]:
            del self._rights[name]
        return sorted(touched)


class _Noting:
    """A view that notes what was read of it."""

    def __init__(self, view: Reader) -> None:
        self._view = view
        self.rows: Rows = {}

    def get(self, key: bytes) -> bytes | None:
        """Return the value under a key, and note it."""
        if key not in self.rows:
            self.rows[key] = self._view.get(key)
        return self.rows[key]


_NOBODY: Final = Record(
    raw=b"", alg=0, content_type=0, kid=b"", iss="", sub="", iat=None, epoch=0, seq=0, anchor=None,
    device=None, payload=b"", signature=b"", signed=b"", id=b"", entry=b"", content=(),
)  # fmt: skip
"""What `find_rights` reads of a record is only who sent it."""
