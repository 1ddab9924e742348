"""Tokens: texts that let their holder read a bounded part for a bounded time, for readers that cannot sign.

Lives here: making, listing, revoking and recognising them. The file keeps a hash of each, never the token: whoever
reads the file can use none. A token is this node's only: it is no member and stands on no ledger. May not: decide what
a scope shows (`ledger/read_rights.py` does) or serve anything.

    HOME/keys/tokens.json   0600; JSON: {"drystone-tokens": 1, "tokens": [{"id", "hash", "scopes", "note", ...}]}

Scopes: `all` (read everything), `as:ISS/SUB` (what that member may read, no more and no longer), `streams:ISS/PATTERN`,
`receipts:`, `members:`, `states:CONTRACT/PATH`, `ledger`, `attest` (hand in readings of devices that cannot sign).
"""

import contextlib
import hashlib
import hmac
import json
import logging
import os
import re
from collections.abc import Generator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final, cast

from drystone import limits
from drystone.errors import ArgumentsMalformed, KeyFileInvalid, TokenInvalid
from drystone.home.keyfolder import write_private
from drystone.ledger.read_rights import scoped_rights

FILE_VERSION: Final = 1
FILE_BYTES_MAX: Final = 1_048_576
DAY_S: Final = 86_400
SECRET_BYTES: Final = 24
ID_BYTES: Final = 4
NOTE_LENGTH_MAX: Final = 80
SCOPES_MAX: Final = 32

ALL: Final = "all"
ATTEST: Final = "attest"
AS: Final = "as:"

_ID: Final = r"[A-Za-z0-9][A-Za-z0-9._-]{0,47}"
_MEMBER: Final = re.compile(rf"as:{_ID}/{_ID}", re.ASCII)
_TOKEN: Final = re.compile(r"dst_([0-9a-f]{8})_[0-9a-f]{48}")

log = logging.getLogger("drystone.home.tokens")


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """One token as it is kept; `hash` is hex of the token's SHA-256. Times are Unix seconds."""

    id: str
    hash: str
    scopes: tuple[str, ...]
    note: str
    created_s: int
    expires_s: int
    revoked_s: int | None = None

    def state(self, *, now_s: int) -> str:
        """Say `active`, `expired` or `revoked`."""
        if self.revoked_s is not None:
            return "revoked"
        return "expired" if now_s >= self.expires_s else "active"


def check_scope(scope: str) -> None:
    """Check that a text is a scope. Does not check that what it names exists. Raises ArgumentsMalformed."""
    if scope in {ALL, ATTEST} or _MEMBER.fullmatch(scope):
        return
    scoped_rights(scope)


class TokenFile:
    """The tokens of a home."""

    def __init__(self, path: Path) -> None:
        """Name the file; it is made with the first token."""
        self.path = path

    def create(
        self, scopes: list[str], *, days: int, note: str, now_s: int, entropy: bytes
    ) -> tuple[Token, str]:
        """Make a token and keep its hash; return it with the text, which is told once and never again.

        `entropy` are 28 bytes. Raises ArgumentsMalformed (no scope, or none of ours; days; note; too many tokens),
        KeyFileInvalid.
        """
        if not 1 <= len(scopes) <= SCOPES_MAX or len(set(scopes)) != len(scopes):
            raise ArgumentsMalformed(f"scopes: 1 to {SCOPES_MAX}, each once")
        for scope in scopes:
            check_scope(scope)
        if not 1 <= days <= limits.TOKEN_DAYS_MAX:
            raise ArgumentsMalformed(f"days: 1 to {limits.TOKEN_DAYS_MAX}")
        if len(note) > NOTE_LENGTH_MAX or not note.isprintable():
            raise ArgumentsMalformed(f"note: at most {NOTE_LENGTH_MAX} characters on one line")
        identifier = entropy[:ID_BYTES].hex()
        text = f"dst_{identifier}_{entropy[ID_BYTES : ID_BYTES + SECRET_BYTES].hex()}"
        if not _TOKEN.fullmatch(text):
            raise ArgumentsMalformed(f"entropy: {ID_BYTES + SECRET_BYTES} bytes")
        made = Token(
            id=identifier,
            hash=_hash(text),
            scopes=tuple(scopes),
            note=note,
            created_s=now_s,
            expires_s=now_s + days * DAY_S,
        )
        with self._locked():
            # What has ended makes room; until then it is still listed.
            kept = self.read()
            if len(kept) >= limits.TOKENS_MAX:
                kept = [one for one in kept if one.state(now_s=now_s) == "active"]
            if len(kept) >= limits.TOKENS_MAX or any(one.id == identifier for one in kept):
                raise ArgumentsMalformed(f"{len(kept)} tokens are active: revoke some")
            self._write([*kept, made])
        return made, text

    def revoke(self, identifier: str, *, now_s: int) -> Token:
        """End a token at once; the running node sees it with the next request. Raises TokenInvalid (no such one)."""
        with self._locked():
            kept = self.read()
            found = next((one for one in kept if one.id == identifier), None)
            if found is None:
                raise TokenInvalid(f"no token {identifier!r}")
            if found.revoked_s is None:
                ended = replace(found, revoked_s=now_s)
                self._write([ended if one is found else one for one in kept])
                found = ended
        return found

    def read(self) -> list[Token]:
        """Give all tokens kept, the oldest first; none without a file. Raises KeyFileInvalid."""
        try:
            with self.path.open("rb") as file:
                mode = os.fstat(file.fileno()).st_mode
                data = file.read(FILE_BYTES_MAX + 1)
        except FileNotFoundError:
            return []
        except OSError as error:
            raise KeyFileInvalid(f"{self.path}: {error.strerror}") from error
        if os.name == "posix" and mode & 0o077:
            raise KeyFileInvalid(f"{self.path} is open to others: chmod 600 it")
        return _parse(data, self.path)

    def _write(self, tokens: list[Token]) -> None:
        listed = [asdict(one) | {"scopes": list(one.scopes)} for one in tokens]
        text = json.dumps({"drystone-tokens": FILE_VERSION, "tokens": listed}, indent=1)
        write_private(self.path, text.encode() + b"\n")

    @contextlib.contextmanager
    def _locked(self) -> Generator[None]:
        """Hold the file for this process; the lock goes with the process, however it ends."""
        import fcntl

        path = self.path.with_name(f".{self.path.name}.lock")
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
        with os.fdopen(descriptor, "w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


class TokenBook:
    """The tokens as a running node knows them: read again whenever the file has changed."""

    def __init__(self, file: TokenFile) -> None:
        self._file = file
        self._seen: tuple[int, int, int] | None = None
        self._tokens: dict[str, Token] = {}

    def find(self, text: str, *, now_s: int) -> Token:
        """Give the active token of this text. Raises TokenInvalid: unknown, expired, revoked, or no token."""
        parts = _TOKEN.fullmatch(text)
        given = _hash(text)
        found = self.get(parts[1]) if parts is not None else None
        # Compared whatever was found, so that time tells nothing.
        equal = hmac.compare_digest(given, found.hash if found is not None else "0" * len(given))
        if found is None or not equal:
            raise TokenInvalid("the token is unknown here")
        state = found.state(now_s=now_s)
        if state != "active":
            raise TokenInvalid(f"token {found.id} is {state}")
        return found

    def get(self, identifier: str) -> Token | None:
        """Give a token by its id, whatever its state; a file that cannot be believed holds none."""
        try:
            status = self._file.path.stat()
            seen = (status.st_mtime_ns, status.st_size, status.st_ino)
        except OSError:
            seen = None
        if seen != self._seen or seen is None:
            try:
                self._tokens = {one.id: one for one in self._file.read()}
            except KeyFileInvalid as error:
                log.warning("no token is taken: %s", error)
                self._tokens = {}
            self._seen = seen
        return self._tokens.get(identifier)


def _hash(text: str) -> str:
    # A token has 24 random bytes, so that one plain hash cannot be guessed backwards.
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def _parse(data: bytes, path: Path) -> list[Token]:
    try:
        loaded: Any = json.loads(data) if len(data) <= FILE_BYTES_MAX else None
        if loaded["drystone-tokens"] != FILE_VERSION or set(loaded) != {
            "drystone-tokens",
            "tokens",
        }:
            raise KeyFileInvalid(f"{path} is not a token file of version {FILE_VERSION}")
        return [_token(cast("dict[str, Any]", one)) for one in loaded["tokens"]]
    except (ValueError, TypeError, KeyError) as error:
        raise KeyFileInvalid(f"{path} is not a token file of version {FILE_VERSION}") from error


def _token(fields: dict[str, Any]) -> Token:
    known: dict[str, Any] = fields | {"scopes": tuple(fields["scopes"])}
    one = Token(**known)
    texts: tuple[object, ...] = (one.id, one.hash, one.note, *one.scopes)
    times: tuple[object, ...] = (one.created_s, one.expires_s, one.revoked_s or 0)
    if any(type(text) is not str for text in texts) or any(type(at) is not int for at in times):
        raise TypeError("a field of a token has another type")
    return one
