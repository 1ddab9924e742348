"""A reading signed with a device's key from the key folder, at a position reserved for it."""

from typing import NamedTuple

from drystone.client.messages import StreamName
from drystone.formats import cose
from drystone.formats.senml import Measurement, write_pack
from drystone.home.keyfolder import KeyFolder, Position
from drystone.records.record import write_record


class SignedReading(NamedTuple):
    """A record and the position that it uses up, unless it is refused."""

    record: bytes
    position: Position


def sign_reading(
    folder: KeyFolder,
    stream: StreamName,
    measurements: list[Measurement],
    *,
    epoch: int | None,
    seen: int,
    anchor: bytes | None = None,
) -> SignedReading:
    """Sign a reading; `seen` is the next number as the ledger knows it, 0 where nobody was asked.

    `anchor` is the start of the application hash that its receipt will prove it to be younger than.

    The payload is made first: measurements that cannot be signed use up no position.
    Raises: KeyFileInvalid, SenmlUnit and its kin.
    """
    organisation, member, _ = stream
    key = folder.load(organisation=organisation, member=member)
    payload = write_pack(measurements)
    position = folder.reserve(
        organisation=organisation, member=member, count=1, epoch=epoch, seen=seen
    )
    record = write_record(
        secret=key.secret,
        iss=organisation,
        sub=member,
        epoch=position.epoch,
        seq=position.seq,
        payload=payload,
        content_type=cose.SENML,
        anchor=anchor,
    )
    return SignedReading(record, position)
