"""Attesting: the gateway signs for a device that cannot, and the record says so for ever.

The record's sender is the gateway; its header names the device, and the stream belongs to the pair. The gateway gives
the position: behind everything it knows of that stream. What such a record proves is that this gateway said so, no
more. Nothing is signed before the device was found among those attached to this gateway and the reading fits its
profile, because a refused record would leave a gap.

Place in a record's life: its beginning, for unsigned devices. Source: design.md sections 3 and 4 (device classes),
requirement S1.22.
"""

from collections.abc import Sequence
from typing import Final

from drystone.errors import Refused, Unavailable
from drystone.formats import cose, senml
from drystone.formats.senml import Measurement
from drystone.gateway.answer import Answer, Wait
from drystone.gateway.intake import Intake
from drystone.gateway.positions import Positions
from drystone.gateway.seal import Author
from drystone.gateway.senders import Senders
from drystone.ledger.rights import check_rights
from drystone.records.header import check_id
from drystone.records.record import Record, Verified, check_form, write_record
from drystone.workers.checked import summarise

PROBE_SEQUENCE: Final = 0
"""Any sequence number: rights and profile do not depend on it."""


class Attestor:
    """Signs readings of unsigned devices as this gateway."""

    def __init__(
        self,
        *,
        author: Author,
        intake: Intake,
        positions: Positions,
        senders: Senders,
        ledger: bytes,
    ) -> None:
        self._author: Author | None = author
        self._intake = intake
        self._positions = positions
        self._senders = senders
        self._ledger = ledger

    def renew(self, author: Author | None) -> None:
        """Sign as this author from now on, in its epoch; None: sign nothing, no position is known to be free."""
        self._author = author

    async def attest(
        self, device: str, measurements: Sequence[Measurement], *, wait: Wait | None
    ) -> Answer:
        """Sign one reading of `device` and take it in; see `Intake.submit` for the answer.

        Raises:
            Overloaded, DiskFull, Unavailable: nothing was taken.
        """
        self._intake.check_room(0, wait)
        author = self._author
        if author is None:
            raise Unavailable("this gateway was restored and does not know yet where it stopped")
        try:
            record = self._write(author, check_id(device), senml.write_pack(measurements))
        except Refused as error:
            return Answer(error.code, str(error))
        # No wait lies between choosing the position and taking it.
        checked = summarise(
            [Verified(record, author.secret.public.cose_key())], generation=0, flaws=[]
        )
        return (await self._intake.take(checked, wait=wait))[0]

    def _write(self, author: Author, device: str, payload: bytes) -> Record:
        probe = _sign(author, device, payload, epoch=author.epoch, seq=PROBE_SEQUENCE)
        rights = self._senders.rights(probe)
        epoch, seq = self._positions.next_place(
            (probe.iss, probe.sub, device),
            epoch=max(author.epoch, rights.subject.epoch_min),
        )
        record = _sign(author, device, payload, epoch=epoch, seq=seq)
        check_rights(record, rights, self._ledger)
        return record


def _sign(author: Author, device: str, payload: bytes, *, epoch: int, seq: int) -> Record:
    return check_form(
        write_record(
            secret=author.secret,
            iss=author.iss,
            sub=author.sub,
            epoch=epoch,
            seq=seq,
            payload=payload,
            content_type=cose.SENML,
            device=device,
        )
    )
