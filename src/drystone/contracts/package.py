"""A contract package: manifest and source as one value, its canonical bytes and its hash.

The manifest says what the contract is called, which calls it has, who may make them and what they may cost, whether it
handles readings, and which of its functions other contracts may call. The hash over the canonical bytes is what
organisations approve. Pure; nothing is run here.

Place in a contract's life: submit. Source: design section 5, docs/spec/contract.cddl.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, cast

from drystone.contracts.guard import Checked, check
from drystone.contracts.source import read_source
from drystone.errors import ContractManifest
from drystone.formats import cbor
from drystone.limits import CALL_STEPS_MAX, CONTRACT_CALLS_MAX, READING_STEPS_MAX

FORMAT: Final = "drystone/contract/1"
ARGUMENT_TYPES: Final = frozenset({"bool", "hex", "id", "int", "list", "map", "text"})
ANYONE: Final = "anyone"
"""The role that every enrolled member has."""
_NAME: Final = re.compile(r"[a-z][a-z0-9-]{0,31}")
_WORD: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,47}")
"""Functions and arguments, so that a contract can keep the names of a published interface as they stand there."""
_ROLE: Final = re.compile(r"[a-z][a-z0-9_]{0,31}")
"""As `registry.enrol` gives them."""
RESERVED: Final = frozenset({"accept", "contracts", "governance", "registry", "stream"})
"""Names that the ledger's own parts have."""


class CallSpec(NamedTuple):
    """A function that members may call: their roles, its arguments by type, the most steps it may take."""

    roles: tuple[str, ...]
    args: dict[str, str]
    limit: int


class ReadingSpec(NamedTuple):
    """The function that handles readings, which of the contract's values it is shown, and its most steps."""

    function: str
    reads: tuple[str, ...]
    limit: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What a contract says about itself."""

    name: str
    version: int
    calls: dict[str, CallSpec]
    reading: ReadingSpec | None = None
    exports: tuple[str, ...] = ()
    migrate: str | None = None

    def as_map(self) -> dict[str, Any]:
        """Return the manifest as the CBOR map that is hashed."""
        value: dict[str, Any] = {
            "name": self.name,
            "version": self.version,
            "calls": {
                name: {"roles": sorted(spec.roles), "args": spec.args, "limit": spec.limit}
                for name, spec in self.calls.items()
            },
            "exports": sorted(self.exports),
        }
        if self.reading is not None:
            value["reading"] = {
                "function": self.reading.function,
                "reads": list(self.reading.reads),
                "limit": self.reading.limit,
            }
        if self.migrate is not None:
            value["migrate"] = self.migrate
        return value


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """A checked package; `checked` is the syntax the guard passed."""

    manifest: Manifest
    source: str
    checked: Checked

    def encode(self) -> bytes:
        """Return the canonical bytes: deterministic CBOR of format, manifest and source."""
        return cbor.encode([FORMAT, self.manifest.as_map(), self.source])

    def hash(self) -> bytes:
        """Return what organisations approve: SHA-256 of the canonical bytes."""
        return hashlib.sha256(self.encode()).digest()


def make_package(manifest: Mapping[str, Any], source: str) -> Package:
    """Check manifest and source, and that they fit each other.

    Raises:
        ContractManifest: the manifest is malformed or promises what the source does not hold.
        ContractSource: the source breaks a rule of the guard.
    """
    read = _Reader(manifest, "manifest")
    checked_manifest = _read_manifest(read)
    name = f"{checked_manifest.name}.star"
    checked = check(name, read_source(name, source))
    _check_fit(checked_manifest, checked)
    return Package(manifest=checked_manifest, source=source, checked=checked)


def decode_package(data: bytes) -> Package:
    """Read a package from its canonical bytes; every other spelling is refused. Raises as `make_package`."""
    value = cbor.decode(data)
    if not isinstance(value, list) or len(value) != 3 or value[0] != FORMAT:
        raise ContractManifest(f"not a package of {FORMAT}")
    _, manifest, source = value
    if not isinstance(manifest, dict) or not isinstance(source, str):
        raise ContractManifest("a package holds a manifest and a source")
    package = make_package(cast("dict[str, Any]", manifest), source)
    if package.encode() != data:
        raise ContractManifest("the package has another spelling than its content")
    return package


class _Reader:
    """A map read name by name; what is left over is refused."""

    def __init__(self, value: object, where: str) -> None:
        if not isinstance(value, Mapping):
            raise ContractManifest(f"{where}: a map is expected")
        self.left = dict(cast("Mapping[str, Any]", value))
        self.where = where

    def take(self, name: str, kind: type, default: object = None) -> Any:
        value = self.left.pop(name, default)
        if value is default and default is not None:
            return default
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise ContractManifest(f"{self.where}: {name!r} must be {kind.__name__}")
        return value

    def finish(self) -> None:
        if self.left:
            raise ContractManifest(f"{self.where}: unknown {sorted(self.left)}")


def _read_manifest(read: _Reader) -> Manifest:
    name, version = read.take("name", str), read.take("version", int)
    if not _NAME.fullmatch(name) or name in RESERVED:
        raise ContractManifest(f"name {name!r}: lower case, digits, hyphen, and not taken")
    if not 1 <= version <= 2**32:
        raise ContractManifest(f"version {version}: from 1")
    calls = read.take("calls", Mapping, {})
    if len(calls) > CONTRACT_CALLS_MAX:
        raise ContractManifest(f"more than {CONTRACT_CALLS_MAX} calls")
    reading = read.left.pop("reading", None)
    exports = _words(read.take("exports", list, []), "exports")
    migrate = read.left.pop("migrate", None)
    if migrate is not None and (not isinstance(migrate, str) or not _WORD.fullmatch(migrate)):
        raise ContractManifest("migrate names a function")
    manifest = Manifest(
        name=name,
        version=version,
        calls={word: _read_call(word, calls[word]) for word in _words(sorted(calls), "calls")},
        reading=None if reading is None else _read_reading(reading),
        exports=exports,
        migrate=migrate,
    )
    read.finish()
    if manifest.reading is None and not manifest.calls:
        raise ContractManifest("a contract handles readings or has calls")
    return manifest


def _words(values: list[Any], where: str, *, spelt: re.Pattern[str] = _WORD) -> tuple[str, ...]:
    for value in values:
        if not isinstance(value, str) or not spelt.fullmatch(value):
            raise ContractManifest(f"{where}: {value!r} is no name")
    if len(set(values)) != len(values):
        raise ContractManifest(f"{where}: a name stands twice")
    return tuple(values)


def _read_call(name: str, value: object) -> CallSpec:
    read = _Reader(value, f"calls.{name}")
    listed = read.take("roles", list, [ANYONE])
    roles = tuple(sorted(_words(listed, f"calls.{name}.roles", spelt=_ROLE)))
    args = dict(read.take("args", Mapping, {}))
    _words(list(args), f"calls.{name}.args")
    for argument, kind in args.items():
        if kind not in ARGUMENT_TYPES:
            raise ContractManifest(
                f"calls.{name}.args.{argument}: none of {sorted(ARGUMENT_TYPES)}"
            )
    limit = read.take("limit", int, CALL_STEPS_MAX)
    read.finish()
    if not roles or not 1 <= limit <= CALL_STEPS_MAX:
        raise ContractManifest(f"calls.{name}: a role, and a limit of 1 to {CALL_STEPS_MAX} steps")
    return CallSpec(roles, args, limit)


def _read_reading(value: object) -> ReadingSpec:
    read = _Reader(value, "reading")
    function = read.take("function", str)
    reads = read.take("reads", list, [])
    limit = read.take("limit", int, READING_STEPS_MAX)
    read.finish()
    if any(not isinstance(key, str) or not 0 < len(key) <= 64 for key in reads):
        raise ContractManifest("reading.reads: keys of 1 to 64 characters")
    if len(reads) > CONTRACT_CALLS_MAX or len(set(reads)) != len(reads):
        raise ContractManifest("reading.reads: too many, or one twice")
    if not 1 <= limit <= READING_STEPS_MAX:
        raise ContractManifest(f"reading.limit: 1 to {READING_STEPS_MAX} steps")
    return ReadingSpec(function, tuple(reads), limit)


def _check_fit(manifest: Manifest, checked: Checked) -> None:
    functions = checked.functions
    wanted = {name: ("ctx", *spec.args) for name, spec in manifest.calls.items()}
    if manifest.reading is not None:
        wanted[manifest.reading.function] = ("ctx", "old", "record")
        if manifest.reading.function in manifest.calls:
            raise ContractManifest("the reading's function cannot be called as well")
    if manifest.migrate is not None:
        wanted[manifest.migrate] = ("ctx", "version")
    for name, parameters in wanted.items():
        if name not in functions:
            raise ContractManifest(f"the source has no function {name!r}")
        if set(functions[name].parameters) != set(parameters) or (
            functions[name].parameters[0] != "ctx"
        ):
            raise ContractManifest(f"{name} must take {', '.join(parameters)}")
    if manifest.reading is not None:
        asked = checked.reach(manifest.reading.function) - {"fail"}
        if asked:
            raise ContractManifest(f"a reading handler may not use {', '.join(sorted(asked))}")
    for name in manifest.exports:
        if name not in manifest.calls:
            raise ContractManifest(f"exports: {name!r} is no call")
