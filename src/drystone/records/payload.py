"""What a record says: a reading (SenML pack), a call of a contract, or something sealed; told apart by content type.

Here a payload's bytes become the plain values that rights, registry and contracts read, and nothing is believed yet:
whether the sender may say it is `ledger/rights.py`'s question, whether a function of that name exists the ledger's.
A sealed payload is looked at from outside only: its shape, never its content.

Source: RFC 8428 (through `formats/senml.py`), RFC 9052 section 5.2, docs/spec/record.cddl.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple, TypeAlias, cast

from drystone.errors import (
    CallMalformed,
    CoseMalformed,
    HeaderUnexpected,
    SealedMalformed,
    TooLarge,
)
from drystone.formats import cbor, cose, senml
from drystone.formats.cbor import Encodable, Value
from drystone.limits import CALL_ARGUMENT_BYTES_MAX

Reading: TypeAlias = tuple[
    str, str | None, "senml.Number | str | bool | bytes", "senml.Number | None"
]
"""One resolved measurement as a plain tuple: name, unit, value, time."""

CallValues: TypeAlias = tuple[bytes, str, str, dict[str, Value], int]
"""The members of `Call` as a plain tuple."""

Content: TypeAlias = "tuple[Reading, ...] | CallValues"

LEDGER_TAG_LENGTH: Final = 8
"""Bytes of the ledger id that a call names."""

_SEAL_LABELS: Final = {cose.ALG, cose.CONTENT_TYPE, cose.KID}
_GROUP_KID_LENGTH: Final = 16


class Call(NamedTuple):
    """A call of a contract's function; `ledger` is the ledger id's first 8 bytes, `limit` the most steps allowed."""

    ledger: bytes
    contract: str
    function: str
    args: dict[str, Value]
    limit: int


def read_content(content_type: int, payload: bytes, *, iss: str, sub: str) -> Content:
    """Read a payload by its content type; every value in the result is plain and goes through `marshal`.

    Gives readings for 112, the five values of a call for 60, nothing for 16. The names of readings are resolved and
    unique within (iss, sub).

    Raises:
        SenmlMalformed and its kin, CallMalformed, SealedMalformed, TooLarge: as `senml.read_pack`, `read_call`,
            `check_sealed`.
    """
    if content_type == cose.SENML:
        pack = senml.read_pack(payload, iss=iss, sub=sub)
        return tuple([(m.name, m.unit, m.value, m.time) for m in pack])
    if content_type == cose.CBOR:
        return cast("CallValues", tuple(read_call(payload)))
    check_sealed(payload)
    return ()


def read_call(payload: bytes) -> Call:
    """Read `[ledger, contract, function, args, limit]`.

    Checks types, the ledger tag's length and the size of the arguments, whose values are integers, text, booleans,
    arrays and maps with text keys. Does not check that contract, function or ledger exist.

    Raises:
        CallMalformed: the payload is another thing.
        TooLarge: the encoded arguments exceed `limits.CALL_ARGUMENT_BYTES_MAX`.
        CborMalformed and its kin: the payload is no deterministic CBOR.
    """
    items = cbor.decode(payload)
    if not isinstance(items, list) or len(items) != 5:
        raise CallMalformed("a call is an array of five")
    ledger, contract, function, args, limit = items
    if not isinstance(ledger, bytes) or len(ledger) != LEDGER_TAG_LENGTH:
        raise CallMalformed(f"a call names its ledger with {LEDGER_TAG_LENGTH} bytes")
    if not isinstance(contract, str) or not isinstance(function, str):
        raise CallMalformed("a call names contract and function with text")
    if not isinstance(args, dict):
        raise CallMalformed("a call's arguments are a map")
    if not isinstance(limit, int) or isinstance(limit, bool) or limit < 0:
        raise CallMalformed("a call's limit is an unsigned integer")
    _check_argument(args)
    if len(payload) > CALL_ARGUMENT_BYTES_MAX:
        size = len(cbor.encode(args))
        if size > CALL_ARGUMENT_BYTES_MAX:
            raise TooLarge(f"a call's arguments have {size} of {CALL_ARGUMENT_BYTES_MAX} bytes")
    return Call(ledger, contract, function, cast("dict[str, Value]", args), limit)


def write_call(
    *, ledger: bytes, contract: str, function: str, args: Mapping[str, Encodable], limit: int
) -> bytes:
    """Write a call's payload; `ledger` is the ledger id or its first 8 bytes. Raises as `read_call`."""
    payload = cbor.encode([ledger[:LEDGER_TAG_LENGTH], contract, function, dict(args), limit])
    read_call(payload)
    return payload


def check_sealed(payload: bytes) -> None:
    """Check that a payload has the shape of a COSE_Encrypt0 to a group; opens nothing.

    Raises:
        SealedMalformed: it has not.
        CborMalformed and its kin: the payload is no deterministic CBOR.
    """
    try:
        _, header = cose.read_encrypt0(payload)
    except (CoseMalformed, HeaderUnexpected) as error:
        raise SealedMalformed(str(error)) from error
    if header.keys() != _SEAL_LABELS:
        raise SealedMalformed("a seal's header has algorithm, content type and kid, nothing else")
    kid = header[cose.KID]
    if header[cose.ALG] != cose.ALG_A256GCM or isinstance(header[cose.ALG], bool):
        raise SealedMalformed("a seal's algorithm is A256GCM")
    if header[cose.CONTENT_TYPE] not in (cose.SENML, cose.CBOR):
        raise SealedMalformed("what is sealed is a SenML pack or a call")
    if not isinstance(kid, bytes) or len(kid) != _GROUP_KID_LENGTH:
        raise SealedMalformed(f"a group's kid has {_GROUP_KID_LENGTH} bytes")


def _check_argument(value: Value) -> None:
    """Refuse what has no place in a call: bytes, null, tags, maps with other keys than text."""
    if isinstance(value, (int, str)):
        return
    if isinstance(value, list):
        for item in value:
            _check_argument(item)
    elif isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str):
                raise CallMalformed("a map in a call's arguments has text keys")
            _check_argument(item)
    else:
        raise CallMalformed("a call's arguments hold integers, text, booleans, arrays and maps")
