"""C2SP signed notes, log checkpoints and cosignatures as text; no cryptography.

What lives here: one note, one vkey and one checkpoint have one spelling each, read strictly and written exactly
(c2sp.org/signed-note, tlog-checkpoint, tlog-cosignature). What may not: keys and signatures; `verify_note` takes a
callable. Checkpoints with extension lines are refused: everything Drystone commits to is under the root.

Place in a record's life: the checkpoint of the log that holds its entry, signed by nodes and witnesses.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from drystone.errors import NoteMalformed, Refused, TooLarge
from drystone.limits import NOTE_BYTES_MAX, NOTE_SIGNATURES_MAX

TYPE_ED25519: Final = 1
TYPE_COSIGNATURE: Final = 4
"""Ed25519 over a time and the note's text: what witnesses sign."""

KEY_BYTES: Final = 32
SIGNATURE_BYTES: Final = 64
SIZE_MAX: Final = 2**63 - 1

_CONTROL: Final = re.compile(r"[\x00-\x09\x0b-\x1f]")
_SIZE: Final = re.compile(r"0|[1-9][0-9]{0,18}")
_KEY_ID: Final = re.compile(r"[0-9a-f]{8}")
_DASH: Final = "\u2014 "


class Verifier(NamedTuple):
    """A key that may sign notes; `key_id` is 4 bytes derived from the other three."""

    name: str
    key_id: bytes
    type: int
    key: bytes


class NoteSignature(NamedTuple):
    """One signature line; `blob` is what follows the 4-byte key id."""

    name: str
    key_id: bytes
    blob: bytes


class Note(NamedTuple):
    """A text that ends with a newline, and its signatures in order."""

    text: str
    signatures: tuple[NoteSignature, ...]


class Checkpoint(NamedTuple):
    """A log's signed head: `size` entries under the 32-byte `root`."""

    origin: str
    size: int
    root: bytes


# --- keys ------------------------------------------------------------------------------------------


def key_id(name: str, kind: int, key: bytes) -> bytes:
    """Return the 4 bytes that name a key of type `kind` in signature lines and vkeys."""
    return hashlib.sha256(name.encode() + b"\n" + bytes((kind,)) + key).digest()[:4]


def format_vkey(name: str, kind: int, key: bytes) -> str:
    """Return `name+hex(id)+base64(type | key)`.

    Raises NoteMalformed for a name with spaces or a plus sign, another type than 1 and 4, a key of another length.
    """
    _check_name(name)
    _check_key(kind, key)
    return f"{name}+{key_id(name, kind, key).hex()}+{_encode_base64(bytes((kind,)) + key)}"


def parse_vkey(text: str) -> Verifier:
    """Return the verifier that a vkey spells.

    Checks the spelling, the key's length and that the id is its own; does not check that the key is a point.

    Raises NoteMalformed.
    """
    parts = text.split("+", 2)
    if len(parts) != 3 or not _KEY_ID.fullmatch(parts[1]):
        raise NoteMalformed("a vkey is name+id+key")
    name, identifier, encoded = parts
    _check_name(name)
    blob = _decode_base64(encoded)
    if not blob:
        raise NoteMalformed("a vkey without a key")
    kind, key = blob[0], blob[1:]
    _check_key(kind, key)
    verifier = Verifier(name, key_id(name, kind, key), kind, key)
    if verifier.key_id.hex() != identifier:
        raise NoteMalformed("the vkey's id is not its key's")
    return verifier


def _check_key(kind: int, key: bytes) -> None:
    if kind not in (TYPE_ED25519, TYPE_COSIGNATURE):
        raise NoteMalformed(f"signature type {kind} is not supported")
    if len(key) != KEY_BYTES:
        raise NoteMalformed(f"a key of {KEY_BYTES} bytes expected")


def _check_name(name: str) -> None:
    if not name or "+" in name or _CONTROL.search(name) or any(map(str.isspace, name)):
        raise NoteMalformed(f"{name[:64]!r} is no key name")
    _encode_text(name)


# --- notes -----------------------------------------------------------------------------------------


def encode_note(note: Note) -> bytes:
    """Return the note's bytes.

    Raises NoteMalformed or TooLarge for a note that `decode_note` would not return.
    """
    lines = [
        f"{_DASH}{signature.name} {_encode_base64(signature.key_id + signature.blob)}\n"
        for signature in note.signatures
    ]
    data = _encode_text(f"{note.text}\n{''.join(lines)}")
    if decode_note(data) != note:
        raise NoteMalformed("the note has no spelling")
    return data


def decode_note(data: bytes) -> Note:
    """Return the note that `data` is.

    Checks size, UTF-8, control characters, the blank line and the form of each of 1 to `NOTE_SIGNATURES_MAX` signature
    lines. Does not check signatures: `verify_note` does.

    Raises NoteMalformed, TooLarge.
    """
    if len(data) > NOTE_BYTES_MAX:
        raise TooLarge(f"a note of {len(data)} bytes, more than {NOTE_BYTES_MAX}")
    try:
        whole = data.decode()
    except UnicodeDecodeError:
        raise NoteMalformed("a note is UTF-8") from None
    if _CONTROL.search(whole):
        raise NoteMalformed("a control character other than newline")
    text, blank, rest = whole.rpartition("\n\n")
    if not blank or not rest.endswith("\n"):
        raise NoteMalformed("a note is text, a blank line, and signature lines")
    lines = rest[:-1].split("\n")
    if len(lines) > NOTE_SIGNATURES_MAX:
        raise NoteMalformed(f"more than {NOTE_SIGNATURES_MAX} signatures")
    return Note(text + "\n", tuple(_parse_signature(line) for line in lines))


def _parse_signature(line: str) -> NoteSignature:
    if not line.startswith(_DASH):
        raise NoteMalformed("a signature line starts with a dash and a space")
    name, _, encoded = line[len(_DASH) :].partition(" ")
    _check_name(name)
    blob = _decode_base64(encoded)
    if len(blob) < 5:
        raise NoteMalformed("a signature line without a signature")
    return NoteSignature(name, blob[:4], blob[4:])


def verify_note(
    note: Note,
    verifiers: Sequence[Verifier],
    verify: Callable[[bytes, bytes, bytes], None],
) -> tuple[Verifier, ...]:
    """Return those of `verifiers` whose signatures the note carries, in the note's order, each one verified.

    `verify(key, message, signature)` raises a Refused when the signature is bad. A signature by an unknown key is
    ignored, as C2SP asks. Does not count: the caller compares what came back with what it needs.

    Raises NoteMalformed for a bad signature by a known key, a known key that signs twice, or two verifiers of one id.
    """
    known = {(verifier.name, verifier.key_id): verifier for verifier in verifiers}
    if len(known) != len(verifiers):
        raise NoteMalformed("two verifiers share a name and an id")
    signers: list[Verifier] = []
    for signature in note.signatures:
        verifier = known.get((signature.name, signature.key_id))
        if verifier is None:
            continue
        if verifier in signers:
            raise NoteMalformed(f"{verifier.name} signs twice with one key")
        if verifier.type == TYPE_COSIGNATURE:
            time, raw = parse_cosignature(signature.blob)
            message = cosignature_message(note.text, time)
        else:
            raw, message = signature.blob, note.text.encode()
        try:
            verify(verifier.key, message, raw)
        except Refused as error:
            raise NoteMalformed(f"the signature of {verifier.name} is bad: {error}") from error
        signers.append(verifier)
    return tuple(signers)


def cosignature_message(text: str, time: int) -> bytes:
    """Return what a witness signs at Unix time `time` for a note's text."""
    return f"cosignature/v1\ntime {time}\n{text}".encode()


def parse_cosignature(blob: bytes) -> tuple[int, bytes]:
    """Return time and signature of a cosignature's blob (8 + 64 bytes, key id already off).

    Raises NoteMalformed.
    """
    if len(blob) != 8 + SIGNATURE_BYTES:
        raise NoteMalformed(f"a cosignature of {8 + SIGNATURE_BYTES} bytes expected")
    return int.from_bytes(blob[:8]), blob[8:]


# --- checkpoints -----------------------------------------------------------------------------------


def checkpoint_text(checkpoint: Checkpoint) -> str:
    """Return the note text of a checkpoint.

    Raises NoteMalformed for a checkpoint that `parse_checkpoint` would not return.
    """
    origin, size, root = checkpoint
    text = f"{origin}\n{size}\n{_encode_base64(root)}\n"
    parse_checkpoint(text)
    return text


def parse_checkpoint(text: str) -> Checkpoint:
    """Return the checkpoint that a note's text is: origin, decimal size, base64 root, and no extension line.

    Raises NoteMalformed.
    """
    lines = text.split("\n")
    if len(lines) != 4 or lines[3]:
        raise NoteMalformed("a checkpoint has exactly three lines")
    origin, size, root = lines[:3]
    if not origin or _CONTROL.search(origin):
        raise NoteMalformed("a checkpoint without an origin")
    if not _SIZE.fullmatch(size) or int(size) > SIZE_MAX:
        raise NoteMalformed("the size is not a decimal number below 2**63")
    raw = _decode_base64(root)
    if len(raw) != 32:
        raise NoteMalformed("a root of 32 bytes expected")
    return Checkpoint(origin, int(size), raw)


def _encode_base64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def _decode_base64(text: str) -> bytes:
    """Return the bytes; refuse every spelling but the one with padding, without line breaks or stray bits."""
    try:
        raw = base64.b64decode(text.encode("ascii"), validate=True)
    except (UnicodeEncodeError, binascii.Error):
        raise NoteMalformed("not base64") from None
    if _encode_base64(raw) != text:
        raise NoteMalformed("base64 with stray bits")
    return raw


def _encode_text(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise NoteMalformed("text with a lone surrogate has no UTF-8") from None
