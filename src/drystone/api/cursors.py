"""Cursors of lists: opaque to clients, base64url of deterministic CBOR, checked for shape when they come back.

Without a framework, so that a small process can use it too. Source: the issue's item 5 (lists).
"""

import base64
import binascii
from typing import Any, TypeAlias, cast

from drystone.errors import Refused, RequestMalformed
from drystone.formats import cbor
from drystone.limits import SEQUENCE_MAX

Part: TypeAlias = int | str | bytes


def encode_cursor(*parts: Part) -> str:
    """The cursor behind a row with this address."""
    return base64.urlsafe_b64encode(cbor.encode(list(parts))).rstrip(b"=").decode()


def decode_cursor(text: str, *shape: type[Part]) -> list[Any]:
    """The address in a cursor, of exactly these types, integers from 0 to `SEQUENCE_MAX`.

    Does not check that anything is stored there: a list resumes behind a row that went away.

    Raises: RequestMalformed.
    """
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        parts = cbor.decode(raw)
    except (binascii.Error, ValueError, Refused) as error:
        raise RequestMalformed("after: not a cursor of this list") from error
    if not isinstance(parts, list) or [type(part) for part in parts] != list(shape):
        raise RequestMalformed("after: not a cursor of this list")
    if any(isinstance(part, int) and not 0 <= part <= SEQUENCE_MAX for part in parts):
        raise RequestMalformed("after: not a cursor of this list")
    return cast("list[Any]", parts)
