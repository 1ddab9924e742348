"""A folder of device keys: one file per device, 0600, and beside it the next position of its stream.

Lives here: making, reading and rotating key files; reserving stream positions so that no position is used twice.
May not: send, sign records, or know a node. Place in a record's life: before it, for devices whose keys this machine
holds (imports, emulators, a first try); a real meter keeps its key to itself.

    FOLDER/ORGANISATION/DEVICE.key        JSON: {"drystone-key": 1, "organisation", "member", "alg", "secret"}
    FOLDER/ORGANISATION/DEVICE.position   JSON: {"epoch", "next"}

A position is written and synced *before* the record that uses it is signed: after a crash a position may be missing
(a gap, which the ledger shows), never used for two records. If the position file is lost or rolled back, go on with
the next epoch (`drystone record send --epoch`).
"""

import contextlib
import json
import os
import re
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple, cast

from drystone import limits
from drystone.errors import AlreadyExists, KeyFileInvalid
from drystone.records.key import ALGORITHMS, SecretKey

FILE_BYTES_MAX: Final = 4_096
FILE_VERSION: Final = 1

_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyFile:
    """A member's secret key as it stands in a file."""

    organisation: str
    member: str
    secret: SecretKey


class Position(NamedTuple):
    """The first of `count` reserved places in a stream."""

    epoch: int
    seq: int


class KeyFolder:
    """The keys of many devices under one folder (0700)."""

    def __init__(self, root: Path) -> None:
        """Name the folder; it is made when the first key is."""
        self.root = root

    def path(self, *, organisation: str, member: str) -> Path:
        """Give the place of a device's key file. Raises: KeyFileInvalid when a name is no id."""
        for name in (organisation, member):
            if not _ID.fullmatch(name) or len(name) > limits.ID_LENGTH_MAX:
                raise KeyFileInvalid(f"{name[:80]!r} is no id")
        return self.root / organisation / f"{member}.key"

    def create(self, *, organisation: str, member: str, alg: int, entropy: bytes) -> KeyFile:
        """Make a device's key from 32 bytes of entropy and store it. Raises: AlreadyExists."""
        key = KeyFile(
            organisation=organisation, member=member, secret=SecretKey.generate(alg, entropy)
        )
        path = self.path(organisation=organisation, member=member)
        self._make(path)
        write_key_file(path, key)
        return key

    def load(self, *, organisation: str, member: str) -> KeyFile:
        """Read a device's key. Raises: KeyFileInvalid when it is absent, open to others, or another's."""
        path = self.path(organisation=organisation, member=member)
        key = read_key_file(path)
        if (key.organisation, key.member) != (organisation, member):
            raise KeyFileInvalid(f"{path} holds the key of {key.organisation}/{key.member}")
        return key

    def has(self, *, organisation: str, member: str) -> bool:
        """Say whether a device's key file is there."""
        return self.path(organisation=organisation, member=member).exists()

    def members(self) -> Iterator[tuple[str, str]]:
        """Yield (organisation, device) of every key file, sorted."""
        for path in sorted(self.root.glob("*/*.key")):
            yield path.parent.name, path.name.removesuffix(".key")

    def reserve(
        self, *, organisation: str, member: str, count: int, epoch: int | None = None, seen: int = 0
    ) -> Position:
        """Reserve `count` positions, durably, and return the first.

        `seen` is the next sequence number as the ledger knows it, for a folder that knows less; it is compared in
        the folder's own epoch only. `epoch` above the folder's starts that epoch at 0.
        Raises: KeyFileInvalid when the position file is not one, or the epoch lies behind.
        """
        path = self.path(organisation=organisation, member=member).with_suffix(".position")
        self._make(path)
        with _locked(path):
            held = _read_position(path)
            if epoch is not None and epoch < held.epoch:
                raise KeyFileInvalid(f"epoch {epoch} lies behind {held.epoch} in {path}")
            if epoch is not None and epoch > held.epoch:
                held = Position(epoch, 0)
            first = Position(held.epoch, max(held.seq, seen))
            text = json.dumps({"epoch": first.epoch, "next": first.seq + count}) + "\n"
            write_private(path, text.encode())
        return first

    def release(self, *, organisation: str, member: str, position: Position, count: int) -> None:
        """Give back reserved positions whose records were refused: a refused record does not use up its place.

        Only if none was reserved since; otherwise they stay a gap. Never for a record that may still be under way.
        """
        path = self.path(organisation=organisation, member=member).with_suffix(".position")
        with _locked(path):
            if _read_position(path) == (position.epoch, position.seq + count):
                text = json.dumps({"epoch": position.epoch, "next": position.seq}) + "\n"
                write_private(path, text.encode())

    def epoch(self, *, organisation: str, member: str) -> int:
        """Give the epoch a device's stream is in, as far as this folder knows."""
        path = self.path(organisation=organisation, member=member).with_suffix(".position")
        return _read_position(path).epoch

    def _make(self, path: Path) -> None:
        """Make the folders above a key file, each for its owner only."""
        make_private_folder(self.root)
        make_private_folder(path.parent)


def read_key_file(path: Path) -> KeyFile:
    """Read one key file. Raises: KeyFileInvalid when it is absent, readable by others, or malformed."""
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            data = file.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        raise KeyFileInvalid(f"{path}: {error.strerror}") from error
    if os.name == "posix" and mode & 0o077:
        raise KeyFileInvalid(f"{path} is open to others: chmod 600 it")
    try:
        loaded: object = json.loads(data) if len(data) <= FILE_BYTES_MAX else None
    except ValueError as error:
        raise KeyFileInvalid(f"{path} is not JSON") from error
    fields = cast("dict[str, object]", loaded) if isinstance(loaded, dict) else {}
    names = {"drystone-key", "organisation", "member", "alg", "secret"}
    alg, secret = fields.get("alg"), fields.get("secret")
    organisation, member = fields.get("organisation"), fields.get("member")
    if set(fields) != names or fields["drystone-key"] != FILE_VERSION or alg not in ALGORITHMS:
        raise KeyFileInvalid(f"{path} is not a key file of version {FILE_VERSION}")
    if not (isinstance(organisation, str) and isinstance(member, str) and isinstance(secret, str)):
        raise KeyFileInvalid(f"{path} is not a key file of version {FILE_VERSION}")
    try:
        key = SecretKey(alg=cast("int", alg), secret=bytes.fromhex(secret))
    except ValueError as error:
        raise KeyFileInvalid(f"{path}: secret is not hex") from error
    return KeyFile(organisation=organisation, member=member, secret=key)


def write_key_file(path: Path, key: KeyFile) -> None:
    """Write a key to a new file, 0600, synced. Raises: AlreadyExists when the file is there."""
    if path.exists():
        raise AlreadyExists(f"{path} is there already; a key is never overwritten")
    fields = {
        "drystone-key": FILE_VERSION,
        "organisation": key.organisation,
        "member": key.member,
        "alg": key.secret.public.alg,
        "secret": key.secret.to_bytes().hex(),
    }
    write_private(path, (json.dumps(fields, indent=1) + "\n").encode())


def stage_key(path: Path, *, alg: int, entropy: bytes) -> KeyFile:
    """Make the key that is to replace the one in a file, beside it; one already staged is kept.

    A crash between the ledger's yes and `activate_key` loses nothing: the staged key is found again.
    Raises: KeyFileInvalid when there is no key to replace.
    """
    old = read_key_file(path)
    staged = path.with_suffix(".key-next")
    if staged.exists():
        return read_key_file(staged)
    key = KeyFile(
        organisation=old.organisation,
        member=old.member,
        secret=SecretKey.generate(alg, entropy),
    )
    write_key_file(staged, key)
    return key


def activate_key(path: Path) -> None:
    """Put the staged key in the place of the old one, once the ledger took it."""
    path.with_suffix(".key-next").replace(path)
    _sync_folder(path.parent)


def write_private(path: Path, data: bytes) -> None:
    """Replace a file by `data`, readable by its owner only; it is whole or not there after a crash."""
    part = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
    _sync_folder(path.parent)


def make_private_folder(path: Path) -> None:
    """Make a folder and its parents; the folder itself is for its owner only (0700)."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)


def _sync_folder(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _read_position(path: Path) -> Position:
    try:
        fields: object = json.loads(path.read_bytes()[:FILE_BYTES_MAX])
    except FileNotFoundError:
        return Position(0, 0)
    except ValueError as error:
        raise KeyFileInvalid(f"{path} is not JSON") from error
    known = cast("dict[str, object]", fields) if isinstance(fields, dict) else {}
    epoch, seq = known.get("epoch"), known.get("next")
    if not (type(epoch) is int and 0 <= epoch <= limits.EPOCH_MAX):
        raise KeyFileInvalid(f"{path}: epoch is out of bounds")
    if not (type(seq) is int and 0 <= seq <= limits.SEQUENCE_MAX):
        raise KeyFileInvalid(f"{path}: next is out of bounds")
    return Position(epoch, seq)


@contextlib.contextmanager
def _locked(path: Path) -> Generator[None, None, None]:
    """Hold a position file for this process alone; the lock goes with the process, however it ends."""
    import fcntl

    with path.with_name(f".{path.name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
