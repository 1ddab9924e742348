"""HTTP message signatures (RFC 9421) and content digests (RFC 9530): which bytes are signed; nothing cryptographic.

Lives here: the signature base of a request, the fields `Signature-Input` and `Signature`, and Drystone's profile of
them, in both directions, so that client and node cannot differ. May not: hold keys, know a clock, decide who may what.

The profile: a request without content covers `@method @authority @path @query`, one with content `content-type` and
`content-digest` too; more may be covered. The parameters are `created`, `nonce`, `keyid` (ISS/SUB/KID), `alg` and
`tag="drystone"`, each once; `expires` is allowed, anything else is not. Source: RFC 9421, RFC 9530, formats.md A7.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from drystone.errors import FieldMalformed, RequestSignature
from drystone.formats import cose
from drystone.formats.http_fields import (
    Bare,
    InnerList,
    Item,
    parse_dictionary,
    serialize_bare,
    serialize_inner_list,
)

TAG: Final = "drystone"
LABEL: Final = "drystone"
"""What our own signatures are called within the two fields; a verifier goes by the tag."""

COVERED: Final = ("@method", "@authority", "@path", "@query")
COVERED_CONTENT: Final = ("content-type", "content-digest")
ALGORITHMS: Final = {cose.ALG_EDDSA: "ed25519", cose.ALG_ES256: "ecdsa-p256-sha256"}
"""The registry's names of the algorithms that members' keys have."""

NONCE_LENGTH_MAX: Final = 64
NONCE_LENGTH_MIN: Final = 16
SIGNATURE_BYTES: Final = 64

_PARAMS: Final[Mapping[str, type]] = {
    "created": int,
    "expires": int,
    "nonce": str,
    "keyid": str,
    "alg": str,
    "tag": str,
}
_NEEDED: Final = frozenset({"created", "nonce", "keyid", "alg", "tag"})
_ID: Final = r"[A-Za-z0-9][A-Za-z0-9._-]{0,47}"
_KEY_ID: Final = re.compile(rf"({_ID})/({_ID})/([0-9a-f]{{8}})", re.ASCII)
_NONCE: Final = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)


class Message(NamedTuple):
    """The parts of a request that a signature can cover.

    `path` and `query` are as sent, the query without its question mark; `authority` is the `Host` field. `fields` has
    lower-case names; several lines of one name are joined by a comma and a space.
    """

    method: str
    authority: str
    path: str
    query: str
    fields: Mapping[str, str]


class KeyId(NamedTuple):
    """Which key of which member signs."""

    iss: str
    sub: str
    kid: bytes


class RequestSignatureInput(NamedTuple):
    """A signature of our profile, with the bytes that it signs."""

    key: KeyId
    alg: str
    created: int
    expires: int | None
    nonce: str
    base: bytes
    signature: bytes


def component(message: Message, name: str) -> str:
    """Return the value of a component of a request. Raises FieldMalformed when the request has none of this name."""
    if name == "@method":
        return message.method
    if name == "@authority":
        return message.authority.lower()
    if name == "@path":
        return message.path or "/"
    if name == "@query":
        return f"?{message.query}"
    value = None if name.startswith("@") else message.fields.get(name)
    if value is None:
        raise FieldMalformed(f"the request has no component {name!r}")
    return value.strip()


def signature_base(message: Message, covered: Sequence[str], params: str) -> bytes:
    """Return the signature base: a line a component, then the parameters.

    `params` is the serialised inner list. Does not check which components are covered. Raises FieldMalformed.
    """
    lines = [f'"{name}": {component(message, name)}' for name in covered]
    if any("\n" in line or "\r" in line or not line.isascii() for line in lines):
        raise FieldMalformed("a component is one line of ASCII")
    return "\n".join([*lines, f'"@signature-params": {params}']).encode()


def write_input(
    message: Message, *, key: KeyId, alg: int, created: int, nonce: str
) -> tuple[str, bytes]:
    """Return `Signature-Input` for a request, and the bytes to sign.

    A request with content must carry its `content-type` and `content-digest` already. Raises FieldMalformed.
    """
    covered = COVERED + (COVERED_CONTENT if "content-digest" in message.fields else ())
    params: dict[str, Bare] = {
        "created": created,
        "nonce": nonce,
        "keyid": f"{key.iss}/{key.sub}/{key.kid.hex()}",
        "alg": ALGORITHMS[alg],
        "tag": TAG,
    }
    text = serialize_inner_list(tuple(Item(name, {}) for name in covered), params)
    return f"{LABEL}={text}", signature_base(message, covered, text)


def write_signature(signature: bytes) -> str:
    """Return the field `Signature` for a signature under our own label."""
    return f"{LABEL}={serialize_bare(signature)}"


def has_signature(message: Message) -> bool:
    """Say whether a request carries either of the two fields."""
    return "signature-input" in message.fields or "signature" in message.fields


def read_signature(message: Message, *, has_content: bool) -> RequestSignatureInput:
    """Read the one signature of a request that has our tag, and rebuild what it signs.

    Checks the profile: components, parameters, their forms. Does not check key, signature, time, nonce's newness, nor
    that `content-digest` is the content's (`check_digest`). Raises RequestSignature.
    """
    try:
        inputs = parse_dictionary(message.fields.get("signature-input", ""))
        signatures = parse_dictionary(message.fields.get("signature", ""))
        ours = [
            (label, one)
            for label, one in inputs.items()
            if isinstance(one, InnerList) and one.params.get("tag") == TAG
        ]
        if len(ours) != 1:
            raise RequestSignature(f'{len(ours)} signatures have tag="{TAG}", one is expected')
        label, found = ours[0]
        covered = _covered(found, has_content=has_content)
        params = _params(found)
        signature = signatures.get(label)
        if not isinstance(signature, Item) or not isinstance(signature.value, bytes):
            raise RequestSignature(f"the field Signature has no bytes for {label!r}")
        if len(signature.value) != SIGNATURE_BYTES or signature.params:
            raise RequestSignature(f"a signature has {SIGNATURE_BYTES} bytes and no parameters")
        base = signature_base(message, covered, serialize_inner_list(found.items, found.params))
    except FieldMalformed as error:
        raise RequestSignature(str(error)) from error
    expires = params.get("expires")
    return RequestSignatureInput(
        key=_key_id(str(params["keyid"])),
        alg=str(params["alg"]),
        created=int(params["created"]),
        expires=None if expires is None else int(expires),
        nonce=_nonce(str(params["nonce"])),
        base=base,
        signature=signature.value,
    )


def _covered(found: InnerList, *, has_content: bool) -> list[str]:
    names: list[str] = []
    for item in found.items:
        if type(item.value) is not str or item.params or item.value in names:
            raise RequestSignature("components are plain strings, each once")
        if item.value != item.value.lower():
            raise RequestSignature(f"component {item.value!r} is not in lower case")
        names.append(item.value)
    for needed in COVERED + (COVERED_CONTENT if has_content else ()):
        if needed not in names:
            raise RequestSignature(f"{needed} is not covered")
    return names


def _params(found: InnerList) -> dict[str, Bare]:
    for name in _NEEDED:
        if name not in found.params:
            raise RequestSignature(f"parameter {name} is missing")
    for name, value in found.params.items():
        if name not in _PARAMS or type(value) is not _PARAMS[name]:
            raise RequestSignature(
                f"parameter {name} is not one of the profile's, or not of its type"
            )
    return found.params


def _key_id(text: str) -> KeyId:
    parts = _KEY_ID.fullmatch(text)
    if parts is None:
        raise RequestSignature("keyid is ISS/SUB/KID, the kid as eight hex digits")
    return KeyId(parts[1], parts[2], bytes.fromhex(parts[3]))


def _nonce(text: str) -> str:
    if not NONCE_LENGTH_MIN <= len(text) <= NONCE_LENGTH_MAX or not _NONCE.fullmatch(text):
        raise RequestSignature(
            f"nonce: {NONCE_LENGTH_MIN} to {NONCE_LENGTH_MAX} characters A-Z a-z 0-9 _ -"
        )
    return text


def content_digest(content: bytes) -> str:
    """Return the field `Content-Digest` of a content."""
    return f"sha-256={serialize_bare(hashlib.sha256(content).digest())}"


def check_digest(field: str, content: bytes) -> None:
    """Check that a field `Content-Digest` names this content's SHA-256; digests by other functions are passed over.

    Raises RequestSignature.
    """
    try:
        found = parse_dictionary(field).get("sha-256")
    except FieldMalformed as error:
        raise RequestSignature(f"content-digest: {error}") from error
    if not isinstance(found, Item) or not isinstance(found.value, bytes):
        raise RequestSignature("content-digest has no sha-256")
    if found.value != hashlib.sha256(content).digest():
        raise RequestSignature("content-digest is another content's")
