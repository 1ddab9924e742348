"""The values that protected headers of records and vertices share: ids, the claims of who speaks, bounded integers.

Each reader takes what `cbor.decode` gave, which may be anything, and the error class of the object it stands in.
Nothing here knows a whole header: `record.py` and `vertex.py` do.

Source: RFC 8392 (claims iss, sub, iat), RFC 9597, docs/spec/record.cddl.
"""

import re
from typing import Final

from drystone.errors import IdMalformed, Refused
from drystone.formats.cbor import Value

KID_LENGTH: Final = 4
HASH_LENGTH: Final = 32
UINT_MAX: Final = 2**64 - 1

ISS, SUB, IAT = 1, 2, 6

_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,47}")
_CLAIMS: Final = ({ISS, SUB}, {ISS, SUB, IAT})


def check_id(value: Value) -> str:
    """Return the organisation alias or member id in `value`.

    Raises:
        IdMalformed: it is no text of the form `[A-Za-z0-9][A-Za-z0-9._-]{0,47}`.
    """
    if not isinstance(value, str) or not _ID.fullmatch(value):
        raise IdMalformed(f"not an id: {value!r:.60}")
    return value


def read_who(value: Value, malformed: type[Refused]) -> tuple[str, str, int | None]:
    """Return organisation, member and perhaps the claimed time of issue in Unix seconds.

    Raises:
        IdMalformed: organisation or member is no id.
        Refused: `malformed`, for any other shape.
    """
    if not isinstance(value, dict) or value.keys() not in _CLAIMS:
        raise malformed("the claims are organisation (1), member (2), perhaps a time (6)")
    iat = read_uint(value[IAT], UINT_MAX, malformed, "iat") if IAT in value else None
    return check_id(value[ISS]), check_id(value[SUB]), iat


def read_uint(value: Value, value_max: int, malformed: type[Refused], name: str) -> int:
    """Return the integer in `value`, 0 to `value_max`; raises `malformed` for anything else."""
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= value_max:
        raise malformed(f"{name} is not an integer of 0 to {value_max}: {value!r:.40}")
    return value


def read_bytes(value: Value, length: int, malformed: type[Refused], name: str) -> bytes:
    """Return the byte string of `length` bytes in `value`; raises `malformed` for anything else."""
    if not isinstance(value, bytes) or len(value) != length:
        raise malformed(f"{name} is not a byte string of {length}")
    return value
