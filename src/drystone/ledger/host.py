"""The host behind a running contract: its own values, its events, other contracts' exported functions.

Writes are collected and handed back; the pipeline takes them only when the whole call succeeded. Keys are the
contract's own text, prefixed here with its name, so that it cannot name anything else.
"""

import json
from typing import Any

from drystone.contracts.package import ANYONE, CallSpec
from drystone.contracts.rules import Event
from drystone.contracts.runtime import CallDone
from drystone.errors import (
    ArgumentsMalformed,
    ContractCircle,
    ContractSize,
    ContractUnknown,
    RoleMissing,
)
from drystone.formats import cbor
from drystone.ledger import keyspace
from drystone.ledger.arguments import Arguments
from drystone.ledger.calls import Call
from drystone.ledger.deployment import Deployed, find_program
from drystone.ledger.values import encode_value, text_of
from drystone.ledger.view import Lister, Overlay
from drystone.limits import (
    CONTRACT_CALL_DEPTH_MAX,
    CONTRACT_KEY_LENGTH_MAX,
    CONTRACT_WRITES_MAX,
    EVENTS_PER_OUTCOME_MAX,
)


class Transaction:
    """What one call, and the calls it makes, have written and said so far."""

    def __init__(self, below: Lister) -> None:
        self.overlay = Overlay(below)
        self.events: list[Event] = []


class ContractHost:
    """The `Host` (contracts/runtime.py) of one contract within one call."""

    def __init__(
        self, name: str, call: Call, transaction: Transaction, above: tuple[str, ...]
    ) -> None:
        self._name = name
        self._call = call
        self._transaction = transaction
        self._stack = (*above, name)

    def _key(self, key: str) -> bytes:
        if not 0 < len(key) <= CONTRACT_KEY_LENGTH_MAX or "" in key.split("/"):
            raise ContractSize(
                f"a path of 1 to {CONTRACT_KEY_LENGTH_MAX} characters, no empty part"
            )
        return keyspace.contract_data(self._name, key)

    def get(self, key: str) -> str | None:
        """Return the contract's value under `key` as JSON, or None."""
        value = self._transaction.overlay.get(self._key(key))
        return None if value is None else text_of(value)

    def put(self, key: str, text: str) -> None:
        """Set the contract's value under `key`."""
        self._write(key, encode_value(json.loads(text)))

    def delete(self, key: str) -> None:
        """Remove `key`."""
        self._write(key, None)

    def _write(self, key: str, value: bytes | None) -> None:
        self._transaction.overlay.put(self._key(key), value)
        if len(self._transaction.overlay.writes) > CONTRACT_WRITES_MAX:
            raise ContractSize(f"more than {CONTRACT_WRITES_MAX} values written")

    def scan(self, prefix: str, limit: int) -> str:
        """Return JSON of the first `limit` [key, value] below the path `prefix`, in the order of state keys."""
        below = self._key(prefix) if prefix else keyspace.key(keyspace.CONTRACT_DATA, self._name)
        pairs = [
            [keyspace.data_path(state_key), cbor.decode(value)]
            for state_key, value in self._transaction.overlay.listed(below, limit)
        ]
        return json.dumps(pairs)

    def emit(self, name: str, text: str) -> None:
        """Emit an event in the contract's name."""
        if len(self._transaction.events) >= EVENTS_PER_OUTCOME_MAX:
            raise ContractSize(f"more than {EVENTS_PER_OUTCOME_MAX} events")
        self._transaction.events.append(Event(self._name, name[:64], json.loads(text)))

    def call(self, contract: str, function: str, text: str, limit: int) -> str:
        """Run an exported function of another contract for the same sender; return JSON of [value, steps]."""
        if contract in self._stack or len(self._stack) >= CONTRACT_CALL_DEPTH_MAX:
            raise ContractCircle(" -> ".join((*self._stack, contract)))
        deployed = find_program(self._transaction.overlay, contract)
        if function not in deployed.program.package.manifest.exports:
            raise ContractUnknown(f"{contract} exports no {function!r}")
        done = run_call(
            deployed,
            function,
            json.loads(text),
            call=self._call,
            transaction=self._transaction,
            above=self._stack,
            limit=limit,
        )
        return json.dumps([done.value, done.steps])


def run_call(
    deployed: Deployed,
    function: str,
    args: object,
    *,
    call: Call,
    transaction: Transaction,
    above: tuple[str, ...] = (),
    limit: int,
) -> CallDone:
    """Check role and arguments, run one function, collect its writes and events in `transaction`.

    Raises ContractUnknown, RoleMissing, ArgumentsMalformed, and what the contract and its host raise.
    """
    manifest = deployed.program.package.manifest
    spec = manifest.calls.get(function)
    if spec is None:
        raise ContractUnknown(f"no {manifest.name}.{function}")
    _check_roles(call, spec, f"{manifest.name}.{function}")
    checked = _check_arguments(args, spec, f"{manifest.name}.{function}")
    host = ContractHost(manifest.name, call, transaction, above)
    sender = call.sender
    ctx: dict[str, Any] = {
        "iss": sender.iss,
        "sub": sender.sub,
        "roles": list(sender.member.roles),
        "caller": above[-1] if above else "",
        "height": call.height,
        "time_ms": call.time_ms,
        "record": call.record_id.hex(),
    }
    return deployed.program.call(
        function, ctx=ctx, args=checked, limit=min(limit, spec.limit), host=host
    )


def _check_roles(call: Call, spec: CallSpec, where: str) -> None:
    if ANYONE not in spec.roles and not set(spec.roles) & set(call.sender.member.roles):
        raise RoleMissing(f"{where} needs one of {', '.join(spec.roles)}")


def _check_arguments(args: object, spec: CallSpec, where: str) -> dict[str, Any]:
    read = Arguments(args, where)
    checked: dict[str, Any] = {}
    for name, kind in spec.args.items():
        value = read.of_kind(name, kind)
        checked[name] = value
    read.finish()
    try:
        json.dumps(checked)
    except (TypeError, ValueError) as error:
        raise ArgumentsMalformed(f"{where}: {error}") from error
    return checked
