"""Convicting: this node puts evidence of a fork before the ledger, as a call of its own.

Anyone enrolled may do so (`ledger/forks.py`); from the call's block on the forked branch is suspended, and its author
goes on with the next epoch. The evidence that peers pass on was checked; whether the ledger takes it is the ledger's.
What was put forward once is not put forward again by this process.

Place in a record's life: beside it, for records and vertices that exist twice. Source: design.md sections 3.3 and 3.4.
"""

from drystone.formats import cose
from drystone.gateway.intake import Intake
from drystone.gateway.positions import Positions
from drystone.gateway.seal import Author
from drystone.limits import CALL_STEPS_MAX, SYNC_FORKS_MAX
from drystone.records.evidence import decode_fork
from drystone.records.record import Record, Verified, check_form, write_call, write_record
from drystone.workers.checked import summarise


class Convictor:
    """Submits evidence as this node."""

    def __init__(
        self, *, author: Author, intake: Intake, positions: Positions, ledger: bytes
    ) -> None:
        self._author = author
        self._intake = intake
        self._positions = positions
        self._ledger = ledger
        self._known: dict[bytes, None] = {}

    async def submit(self, evidence: bytes) -> bool:
        """Take a call with this evidence in; False when it was put forward before.

        Raises:
            Refused: the evidence is none. Overloaded, DiskFull: nothing was taken.
        """
        if evidence in self._known:
            return False
        fork = decode_fork(evidence, ledger=self._ledger)
        kind = "record" if isinstance(fork.a, Record) else "vertex"
        arguments = {"kind": kind, "a": fork.a.raw.hex(), "b": fork.b.raw.hex()}
        payload = write_call(
            ledger=self._ledger,
            contract="registry",
            function="fork",
            args=arguments,
            limit=CALL_STEPS_MAX,
        )
        self._intake.check_room(len(payload), None)
        author = self._author
        epoch, seq = self._positions.next_place((author.iss, author.sub, None), epoch=0)
        record = check_form(
            write_record(
                secret=author.secret,
                iss=author.iss,
                sub=author.sub,
                epoch=epoch,
                seq=seq,
                payload=payload,
                content_type=cose.CBOR,
            )
        )
        # No wait lies between choosing the position and taking it.
        verified = Verified(record, author.secret.public.cose_key())
        await self._intake.take(summarise([verified], generation=0, flaws=[]), wait=None)
        self._known[evidence] = None
        if len(self._known) > SYNC_FORKS_MAX:
            del self._known[next(iter(self._known))]
        return True
