"""A contract's life as calls of a member: submit, approve, deploy, call; and what a node says of it.

Imported by commands when they run. The calls are ordinary signed records (`node_access.Caller`); what the
ledger holds is read through the REST API, which proves nothing by itself.
"""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple, cast

from drystone.cli.node_access import Caller
from drystone.client.messages import Json
from drystone.client.rest import Client
from drystone.contracts.package import CallSpec, Package, decode_package
from drystone.errors import ArgumentsMalformed, ContractUnknown, NotFound, RequestMalformed
from drystone.gateway.answer import Answer
from drystone.workshop.folder import MANIFEST, ContractFolder, read_folder

_WHICH: Final = re.compile(r"([a-z][a-z0-9-]{0,31})@([1-9][0-9]{0,9})")
OUTCOMES_READ_MAX: Final = 5_000


class Which(NamedTuple):
    """One version of a contract, and its folder when that is how it was named."""

    name: str
    version: int
    folder: ContractFolder | None

    @property
    def text(self) -> str:
        """The version as one word."""
        return f"{self.name}@{self.version}"


def read_which(text: str) -> Which:
    """Read FOLDER or NAME@VERSION. Raises: RequestMalformed, and what `read_folder` raises."""
    if (Path(text) / MANIFEST).is_file():
        folder = read_folder(text)
        return Which(folder.name, folder.version, folder)
    match = _WHICH.fullmatch(text)
    if match is None:
        raise RequestMalformed(f"{text!r} is neither a contract's folder nor NAME@VERSION")
    return Which(match[1], int(match[2]), None)


# --- calls -----------------------------------------------------------------------------------------


def submit(by: Caller, folder: ContractFolder, *, version: int | None = None) -> Answer:
    """Put a folder's contract on the ledger, as its own version or another. Raises: as `Caller.call`."""
    return by.call("contracts", "submit", folder.arguments(version=version))


def approve(by: Caller, which: Which, package_hash: bytes) -> Answer:
    """Approve a version with the hash of what was reviewed. Raises: as `Caller.call`."""
    args = {"name": which.name, "version": which.version, "hash": package_hash.hex()}
    return by.call("contracts", "approve", args)


def deploy(by: Caller, name: str, version: int, *, at: int | None = None) -> Answer:
    """Let a version run from a height on; without one from the next block. Raises: as `Caller.call`."""
    args: dict[str, Any] = {"name": name, "version": version}
    if at is not None:
        args["at"] = at
    return by.call("contracts", "deploy", args)


def add_profiles(by: Caller, profiles: Sequence[Mapping[str, Any]]) -> list[str]:
    """Register the profiles that the caller's organisation does not have yet; return their names."""
    own = {"iss": by.key.organisation}
    there: set[str] = set()
    if profiles:
        there.update(row["name"] for row in by.node.rows("/v1/profiles", own))
    added: list[str] = []
    for profile in profiles:
        if profile["name"] not in there:
            by.call("registry", "profile", dict(profile))
            added.append(profile["name"])
    return added


def read_arguments(words: Sequence[str], spec: CallSpec | None) -> dict[str, Any]:
    """Read NAME=VALUE words by the types that the manifest names; without one a value is JSON, or else text.

    Raises: ArgumentsMalformed.
    """
    args: dict[str, Any] = {}
    for word in words:
        name, equals, text = word.partition("=")
        if not equals or not name:
            raise ArgumentsMalformed(f"{word!r} is not NAME=VALUE")
        if name in args:
            raise ArgumentsMalformed(f"{name!r} stands twice")
        kind = "" if spec is None else spec.args.get(name)
        if kind is None:
            known = ", ".join(spec.args) if spec is not None and spec.args else "none"
            raise ArgumentsMalformed(f"no argument {name!r}; there are: {known}")
        args[name] = _argument(name, text, kind)
    missing = [] if spec is None else [name for name in spec.args if name not in args]
    if missing:
        raise ArgumentsMalformed(f"missing: {', '.join(missing)}")
    return args


def _argument(name: str, text: str, kind: str) -> Any:
    if kind in ("hex", "id", "text"):
        return text
    try:
        value: object = json.loads(text)
    except ValueError:
        value = None
    if not kind:
        plain = isinstance(value, bool | int | str | list | dict)
        return cast("Any", value) if plain else text
    wanted = {"bool": bool, "int": int, "list": list, "map": dict}[kind]
    if not isinstance(value, wanted) or (kind == "int" and isinstance(value, bool)):
        raise ArgumentsMalformed(f"{name}={text}: the contract wants {kind}")
    return cast("Any", value)


# --- what the ledger holds -------------------------------------------------------------------------


def contract(node: Client, name: str) -> Json:
    """Read a contract: status, owner, running version, its versions with their approvals. Raises: ContractUnknown."""
    try:
        return node.get(f"/v1/contracts/{name}")
    except NotFound as error:
        raise ContractUnknown(f"no contract {name!r}") from error


def contract_or_none(node: Client, name: str) -> Json | None:
    """Read a contract, or None when there is none."""
    try:
        return contract(node, name)
    except ContractUnknown:
        return None


def version_of(node: Client, name: str, version: int) -> Json:
    """Read one version with manifest and source, as far as the state still carries it. Raises: ContractUnknown."""
    try:
        return node.get(f"/v1/contracts/{name}/versions/{version}")
    except NotFound as error:
        raise ContractUnknown(f"no version {version} of {name!r}") from error


def waiting_version(found: Json) -> Json | None:
    """Return the version of a contract that is deployed and waits for its height."""
    lines: list[Json] = found["versions"]
    later = (one for one in lines if one["version"] > found["version"])
    return next((one for one in later if one["status"] == "deployed"), None)


def running_package(node: Client, name: str) -> Package | None:
    """Return the checked package that runs under a name; None: the ledger's own functions, or nothing yet."""
    found = contract_or_none(node, name)
    if found is None or not found["version"]:
        return None
    data: str | None = version_of(node, name, found["version"])["package"]
    return None if data is None else decode_package(bytes.fromhex(data))


def outcome_of(node: Client, answer: Answer) -> dict[str, Any]:
    """Return the steps and events of a call that was committed; empty where the node does not show its place."""
    if answer.place is None or answer.height is None:
        return {}
    iss, sub, epoch, seq, index = answer.place
    query = {"iss": iss, "sub": sub, "order": "desc"}
    vertices = node.rows("/v1/vertices", query, limit=OUTCOMES_READ_MAX)
    own = next((v["id"] for v in vertices if (v["epoch"], v["seq"]) == (epoch, seq)), None)
    block = f"/v1/blocks/{answer.height}"

    def mine(path: str) -> list[dict[str, Any]]:
        listed = node.rows(path, limit=OUTCOMES_READ_MAX)
        return [row for row in listed if (row["vertex"], row["record"]) == (own, index)]

    events = [
        {"name": f"{row['contract']}.{row['name']}", "data": json.loads(row["data"])}
        for row in mine(f"{block}/events")
    ]
    steps = next((row["steps"] for row in mine(f"{block}/outcomes")), 0)
    return {"steps": steps, "events": events}
