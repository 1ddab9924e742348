"""How keys get onto the ledger: proofs of possession, and the operator's calls that enrol, attach and rotate.

Used by `device` and by the demo. A proof is made where the key lies; a call is the operator's.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from drystone.cli.node_access import Caller, ledger_id
from drystone.client.rest import Client, StreamName
from drystone.errors import AlreadyExists, KeyRevoked, RequestMalformed
from drystone.home.keyfolder import KeyFolder, activate_key, stage_key
from drystone.limits import ENROL_MEMBERS_MAX
from drystone.records.record import enrolment_proof


def prove_key(folder: KeyFolder, stream: StreamName, *, alg: int, ledger: bytes) -> bytes:
    """Prove possession of a device's key on a ledger; the key is made if there is none."""
    who = {"organisation": stream.organisation, "member": stream.member}
    if folder.has(**who):
        secret = folder.load(**who).secret
    else:
        secret = folder.create(**who, alg=alg, entropy=os.urandom(32)).secret
    return enrolment_proof(secret=secret, iss=stream.organisation, sub=stream.member, ledger=ledger)


def make_members(
    node: Client,
    folder: KeyFolder,
    streams: Sequence[StreamName],
    *,
    alg: int,
    proof: Path | None = None,
    profile: str | None = None,
    roles: Sequence[str] | None = None,
) -> list[dict[str, Any]]:
    """Make what `registry.enrol` takes for each device; `proof` is the file of a single device's own proof."""
    ledger = ledger_id(node)
    members: list[dict[str, Any]] = []
    for stream in streams:
        if stream.device is not None:
            raise RequestMalformed(
                f"{stream.text}: an attested device is enrolled by --attested-by"
            )
        shown = proof.read_bytes() if proof else prove_key(folder, stream, alg=alg, ledger=ledger)
        member: dict[str, Any] = {"sub": stream.member, "proof": shown.hex()}
        if profile is not None:
            member["profile"] = profile
        if roles:
            member["roles"] = sorted(roles)
        members.append(member)
    return members


def enrol_members(by: Caller, members: Sequence[dict[str, Any]]) -> int | None:
    """Enrol members in as few calls as fit; return the last call's block. Raises: as `send_call`."""
    height: int | None = None
    for begin in range(0, len(members), ENROL_MEMBERS_MAX):
        arguments = {"members": list(members[begin : begin + ENROL_MEMBERS_MAX])}
        answer = by.call("registry", "enrol", arguments)
        height = answer.height
    return height


def attach(
    by: Caller, streams: Sequence[StreamName], *, gateway: str, profile: str | None
) -> int | None:
    """Attach devices that do not sign to a gateway; return the last call's block."""
    if profile is None:
        raise RequestMalformed("--attested-by needs --profile")
    height: int | None = None
    for stream in streams:
        arguments = {"gateway": gateway, "device": stream.member, "profile": profile}
        answer = by.call("registry", "attach", arguments)
        height = answer.height
    return height


def add_profile(by: Caller, arguments: dict[str, Any]) -> int | None:
    """Register a profile; return the call's block."""
    return by.call("registry", "profile", arguments).height


def rotate_proved(by: Caller, stream: StreamName, proof: bytes) -> int | None:
    """Rotate to the key of a proof that the device made itself; return the call's block."""
    arguments = {"sub": stream.member, "proof": proof.hex()}
    return by.call("registry", "rotate", arguments).height


def rotate_key(by: Caller, stream: StreamName, path: Path, *, alg: int) -> int | None:
    """Make a member's next key, rotate to it on the ledger, and only then put it in the old one's place.

    After a crash in between, the staged key is already the ledger's: then only the file is moved, and None returned.
    """
    staged = stage_key(path, alg=alg, entropy=os.urandom(32)).secret
    proof = enrolment_proof(
        secret=staged, iss=stream.organisation, sub=stream.member, ledger=ledger_id(by.node)
    )
    try:
        height = rotate_proved(by, stream, proof)
    except (AlreadyExists, KeyRevoked):
        member = by.node.get(f"/v1/devices/{stream.path}")
        current = [key["kid"] for key in member["keys"] if key["status"] == "active"]
        if staged.public.kid().hex() not in current:
            raise
        height = None
    activate_key(path)
    return height
