"""Announcements: a member says, signed, under which addresses it is reached.

A COSE_Sign1 whose protected header has algorithm, kid and claims, as a vertex's; its payload is `[epoch, addresses]`.
The epoch rises with every announcement, so that an old one, replayed, is worth nothing. The signature covers the
ledger's id too. Here announcements are made and checked; who keeps the newest is `holdings.py`.

Source: docs/spec/sync.cddl (`announcement`), RFC 9052.
"""

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from drystone import limits
from drystone.errors import AnnouncementForged, Refused
from drystone.formats import cbor, cose
from drystone.formats.cose import Sign1
from drystone.records.header import read_bytes, read_uint, read_who
from drystone.records.key import KID_LENGTH, PublicKey, SecretKey

DOMAIN: Final = b"drystone/announcement/1\n"
ADDRESS_LENGTH_MAX: Final = 100
"""Characters of an address, `host:port`."""

_LABELS: Final = {cose.ALG, cose.KID, cose.CWT}


class Announcement(NamedTuple):
    """Where a member is reached, as it says itself."""

    iss: str
    sub: str
    epoch: int
    addresses: tuple[str, ...]
    raw: bytes


def sign_announcement(
    *,
    secret: SecretKey,
    iss: str,
    sub: str,
    epoch: int,
    addresses: Sequence[str],
    ledger: bytes,
) -> bytes:
    """Return a signed announcement; `epoch` must be higher than in every one before it."""
    key = secret.public
    protected = cbor.encode({cose.ALG: key.alg, cose.KID: key.kid(), cose.CWT: {1: iss, 2: sub}})
    payload = cbor.encode([epoch, list(addresses)])
    signed = cose.sig_structure(protected, payload, external_aad=DOMAIN + ledger)
    return cose.encode_sign1(Sign1(protected, {}, payload, secret.sign(signed)))


def check_announcement(
    raw: bytes, *, ledger: bytes, key_of: Callable[[str, str, bytes], PublicKey | None]
) -> Announcement | None:
    """Read an announcement and verify it; None where its member's key is not known here.

    Does not check that the addresses lead anywhere, nor whether a newer one is known.

    Raises:
        AnnouncementForged: it is malformed, or not signed by the member it names.
    """
    try:
        sign1, labels = cose.read_sign1(raw)
        if len(raw) > limits.ANNOUNCEMENT_BYTES_MAX or sign1.unprotected or sign1.payload is None:
            raise AnnouncementForged("an announcement is small, signed, and carries its payload")
        if labels.keys() != _LABELS:
            raise AnnouncementForged("an announcement has algorithm, kid and claims")
        kid = read_bytes(labels[cose.KID], KID_LENGTH, AnnouncementForged, "kid")
        iss, sub, _ = read_who(labels[cose.CWT], AnnouncementForged)
        epoch, addresses = _read_payload(sign1.payload)
        key = key_of(iss, sub, kid)
        if key is None:
            return None
        if labels[cose.ALG] != key.alg:
            raise AnnouncementForged("the announcement names another algorithm than the key's")
        signed = cose.sig_structure(sign1.protected, sign1.payload, external_aad=DOMAIN + ledger)
        key.verify(signed, sign1.signature)
    except AnnouncementForged:
        raise
    except Refused as error:
        raise AnnouncementForged(f"announcement: {error}") from error
    return Announcement(iss, sub, epoch, addresses, raw)


def _read_payload(payload: bytes) -> tuple[int, tuple[str, ...]]:
    items = cbor.decode(payload)
    if not isinstance(items, list) or len(items) != 2 or not isinstance(items[1], list):
        raise AnnouncementForged("an announcement's payload is [epoch, addresses]")
    epoch = read_uint(items[0], limits.SEQUENCE_MAX, AnnouncementForged, "epoch")
    if len(items[1]) > limits.ANNOUNCEMENT_ADDRESSES_MAX:
        raise AnnouncementForged("too many addresses")
    addresses: list[str] = []
    for address in items[1]:
        if not isinstance(address, str) or not 0 < len(address) <= ADDRESS_LENGTH_MAX:
            raise AnnouncementForged("an address is a short text")
        addresses.append(address)
    return epoch, tuple(addresses)
