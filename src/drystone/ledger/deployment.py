"""Contracts on the ledger: submit, approve, deploy, pause, resume, terminate, archive; and which program runs where.

A version is approved by organisations (their number is the governance threshold), deployed by its owner from a height
on, and replaced by the next version, whose `migrate` may rewrite the contract's values in the same step. A contract
that harms can be put to sleep by the organisations together (`governance`, kind `quarantine`); replay honours it.

Status of a contract: `submitted`, `active`, `paused`, `terminated`, `archived`, `quarantined`.
Source: design section 5; requirement S3.103.
"""

from typing import NamedTuple

from drystone.contracts.package import decode_package, make_package
from drystone.contracts.rules import Event
from drystone.contracts.runtime import Program, load
from drystone.errors import (
    AlreadyExists,
    ArgumentsMalformed,
    ContractInactive,
    ContractUnknown,
    GovernanceRule,
    InvariantBroken,
    Refused,
    RoleMissing,
)
from drystone.ledger import keyspace, rows
from drystone.ledger.arguments import Arguments
from drystone.ledger.calls import Call, CallResult, Function
from drystone.ledger.view import Reader
from drystone.limits import CONTRACTS_PENDING_MAX
from drystone.records.key import PublicKey

ACTIVE = "active"
VERSION_MAX = 2**32
HEIGHT_AHEAD_MAX = 1_000_000
NO_KEY = PublicKey(0, b"")
"""The key of the ledger itself, which signs nothing: a migration has no sender."""

Writes = dict[bytes, bytes | None]


class Deployed(NamedTuple):
    """A contract that runs."""

    name: str
    program: Program


def find_program(view: Reader, name: str) -> Deployed:
    """Return what runs under `name` now. Raises ContractUnknown, ContractInactive."""
    value = view.get(keyspace.contract(name))
    if value is None:
        raise ContractUnknown(f"no contract {name!r}")
    row = rows.decode_contract_row(value)
    if row.status != ACTIVE:
        raise ContractInactive(f"contract {name!r} is {row.status}")
    package = view.get(keyspace.contract_package(name, row.version))
    if package is None:
        raise InvariantBroken(f"contract {name!r} runs version {row.version} and has no package")
    return Deployed(name, load(package))


def submit(call: Call, args: Arguments) -> CallResult:
    """Put a package on the ledger, as `manifest` (map) and `source` (text); counts as its owner's approval.

    The first version makes the sender's organisation the owner; later ones come from it and count upwards.
    Needs the governor's role.
    """
    call.demand(rows.GOVERNOR)
    manifest, source = args.mapping("manifest"), args.raw_text("source")
    args.finish()
    if not isinstance(manifest, dict):
        raise ArgumentsMalformed("manifest: a map is expected")
    package = make_package(manifest, source)  # pyright: ignore[reportUnknownArgumentType] - read name by name there
    name, version = package.manifest.name, package.manifest.version
    writes: Writes = {}
    value = call.view.get(keyspace.contract(name))
    if value is None:
        row = rows.ContractRow(0, "submitted", call.sender.iss)
        writes[keyspace.contract(name)] = row.encode()
    else:
        row = rows.decode_contract_row(value)
    _own(call, name, row)
    if row.status in ("terminated", "archived"):
        raise ContractInactive(f"contract {name!r} is {row.status}")
    if version <= row.version or call.view.get(keyspace.contract_version(name, version)):
        raise AlreadyExists(f"{name} version {version}: submit a higher one")
    state = rows.VersionRow(package.hash(), (call.sender.iss,), "submitted", 0)
    writes[keyspace.contract_version(name, version)] = state.encode()
    writes[keyspace.contract_package(name, version)] = package.encode()
    return CallResult(writes, (_event("submitted", name, version, hash=package.hash().hex()),))


def approve(call: Call, args: Arguments) -> CallResult:
    """Approve `version` of `name` with `hash` for the sender's organisation. Needs the governor's role."""
    call.demand(rows.GOVERNOR)
    name, version, state = _version(call, args)
    approved = args.octets("hash")
    args.finish()
    if approved != state.hash:
        raise GovernanceRule(f"{name} version {version} has hash {state.hash.hex()}")
    if call.sender.iss in state.approvals:
        raise GovernanceRule(f"{call.sender.iss} approved already")
    state = state._replace(approvals=(*state.approvals, call.sender.iss))
    writes: Writes = {keyspace.contract_version(name, version): state.encode()}
    return CallResult(writes, (_event("approved", name, version, by=call.sender.iss),))


def deploy(call: Call, args: Arguments) -> CallResult:
    """Let `version` of `name` run from height `at` on (default: the next block). By its owner, once approved."""
    call.demand(rows.GOVERNOR)
    name, version, state = _version(call, args)
    soonest = call.height + 1
    latest = call.height + HEIGHT_AHEAD_MAX
    at = args.integer("at", low=soonest, high=latest) if args.has("at") else soonest
    args.finish()
    row = _row(call, name)
    _own(call, name, row)
    if row.status in ("terminated", "archived", "quarantined"):
        raise ContractInactive(f"contract {name!r} is {row.status}")
    if state.status != "submitted" or version <= row.version:
        raise GovernanceRule(f"{name} version {version} is {state.status}")
    counting = call.counting(state.approvals)
    if counting < call.threshold():
        raise GovernanceRule(f"{counting} of {call.threshold()} organisations approved")
    waiting = due(call.view)
    if any(one.name == name for one in waiting):
        raise GovernanceRule(f"another version of {name} waits for its height")
    if len(waiting) >= CONTRACTS_PENDING_MAX:
        raise GovernanceRule(f"{len(waiting)} versions wait already")
    state = state._replace(status="deployed", height=at)
    writes: Writes = {
        keyspace.contract_version(name, version): state.encode(),
        keyspace.contracts_due(): rows.encode_due((*waiting, rows.Due(at, name, version))),
    }
    return CallResult(writes, (_event("deployed", name, version, height=at),))


def due(view: Reader) -> tuple[rows.Due, ...]:
    """Return the versions that wait for their activation height."""
    value = view.get(keyspace.contracts_due())
    return () if value is None else rows.decode_due(value)


def _status_change(word: str, before: frozenset[str], after: str) -> Function:
    def change(call: Call, args: Arguments) -> CallResult:
        call.demand(rows.GOVERNOR)
        name = args.identifier("name")
        args.finish()
        row = _row(call, name)
        _own(call, name, row)
        if row.status not in before:
            raise ContractInactive(f"contract {name!r} is {row.status}")
        writes: Writes = {keyspace.contract(name): row._replace(status=after).encode()}
        if after == "archived" and row.version:
            # The package stays provable from the log; the state no longer carries it.
            writes[keyspace.contract_package(name, row.version)] = None
        return CallResult(writes, (_event(word, name, row.version),))

    change.__doc__ = (
        f"Make `name` {after}; it must be {' or '.join(sorted(before))}. By its owner's governor."
    )
    return change


pause = _status_change("paused", frozenset({ACTIVE}), "paused")
resume = _status_change("resumed", frozenset({"paused"}), ACTIVE)
terminate = _status_change(
    "terminated", frozenset({"submitted", ACTIVE, "paused", "quarantined"}), "terminated"
)
archive = _status_change("archived", frozenset({"terminated"}), "archived")


def quarantine(view: Reader, name: str) -> tuple[Writes, Event]:
    """Return the writes that put a contract to sleep; the organisations' votes were counted by governance."""
    value = view.get(keyspace.contract(name))
    if value is None:
        raise ContractUnknown(f"no contract {name!r}")
    row = rows.decode_contract_row(value)
    writes: Writes = {keyspace.contract(name): row._replace(status="quarantined").encode()}
    return writes, _event("quarantined", name, row.version)


def activate(view: Reader, one: rows.Due) -> tuple[Writes, Program | None]:
    """Return the writes that make a due version run, and its program where it has to migrate values.

    A contract that was terminated or quarantined meanwhile stays as it is, and the version is dropped.
    """
    value = view.get(keyspace.contract(one.name))
    package = view.get(keyspace.contract_package(one.name, one.version))
    if value is None or package is None:
        raise InvariantBroken(f"contract {one.name!r} version {one.version} is due and not there")
    row = rows.decode_contract_row(value)
    if row.status not in ("submitted", ACTIVE, "paused"):
        return {}, None
    writes: Writes = {}
    if row.version:
        old = keyspace.contract_version(one.name, row.version)
        state = view.get(old)
        if state is None:
            raise InvariantBroken(f"contract {one.name!r} version {row.version} is gone")
        writes[old] = rows.decode_version_row(state)._replace(status="replaced").encode()
        writes[keyspace.contract_package(one.name, row.version)] = None
    status = row.status if row.status == "paused" else ACTIVE
    writes[keyspace.contract(one.name)] = row._replace(version=one.version, status=status).encode()
    migrates = bool(row.version) and decode_package(package).manifest.migrate is not None
    return writes, load(package) if migrates else None


def still_due(waiting: tuple[rows.Due, ...]) -> Writes:
    """Return the writes that leave only `waiting` waiting."""
    return {keyspace.contracts_due(): rows.encode_due(waiting) if waiting else None}


def running_version(view: Reader, name: str) -> int:
    """Return which version of `name` runs now; 0 for none."""
    value = view.get(keyspace.contract(name))
    return 0 if value is None else rows.decode_contract_row(value).version


def started(one: rows.Due) -> Event:
    """Return the event of a version that starts to run."""
    return _event("started", one.name, one.version, height=one.height)


def _own(call: Call, name: str, row: rows.ContractRow) -> None:
    if row.owner != call.sender.iss:
        raise RoleMissing(f"contract {name!r} belongs to {row.owner!r}")


def _row(call: Call, name: str) -> rows.ContractRow:
    value = call.view.get(keyspace.contract(name))
    if value is None:
        raise ContractUnknown(f"no contract {name!r}")
    return rows.decode_contract_row(value)


def _version(call: Call, args: Arguments) -> tuple[str, int, rows.VersionRow]:
    name = args.identifier("name")
    version = args.integer("version", low=1, high=VERSION_MAX)
    value = call.view.get(keyspace.contract_version(name, version))
    if value is None:
        raise ContractUnknown(f"no version {version} of {name!r}")
    return name, version, rows.decode_version_row(value)


def _event(word: str, name: str, version: int, **more: str | int) -> Event:
    return Event("contracts", word, {"contract": name, "version": version, **more})


def migration_failed(one: rows.Due, error: Refused) -> Event:
    """Return the event of a migration that failed: the version does not start, the old one goes on."""
    return _event("migration-failed", one.name, one.version, code=error.code)


FUNCTIONS: dict[str, Function] = {
    "submit": submit,
    "approve": approve,
    "deploy": deploy,
    "pause": pause,
    "resume": resume,
    "terminate": terminate,
    "archive": archive,
}
