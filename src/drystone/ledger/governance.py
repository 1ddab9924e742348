"""The calls that organisations vote on: admit an organisation, revoke or reinstate one, change the threshold.

A proposal carries its first approval. It takes effect in the block in which the number of approving organisations
reaches the threshold of genesis; organisations that are revoked by then do not count. One vote an organisation, cast
by any of its governors.
"""

from typing import Any

from drystone.contracts.rules import Event
from drystone.errors import (
    AlreadyExists,
    GovernanceRule,
    OrganisationUnknown,
)
from drystone.formats import cbor
from drystone.ledger import keyspace, rows
from drystone.ledger.arguments import Arguments
from drystone.ledger.calls import Call, CallResult, Function
from drystone.ledger.deployment import quarantine
from drystone.limits import ORGANISATIONS_MAX
from drystone.records.enrolment import check_enrolment

KINDS = frozenset({"admit", "quarantine", "reinstate", "revoke", "threshold"})
PROPOSAL_ID_BYTES = 16

Writes = dict[bytes, bytes | None]


def propose(call: Call, args: Arguments) -> CallResult:
    """Open a proposal and approve it at once; its id is the first 16 bytes of the record id, as hex.

    `kind` and its arguments: `admit` (`organisation`, `name`, `sub`, `proof` of its first governor), `revoke` and
    `reinstate` (`organisation`), `threshold` (`approvals`), `quarantine` (`contract`). Needs the governor's role.
    """
    call.demand(rows.GOVERNOR)
    kind = args.choice("kind", KINDS)
    details = _read_details(call, kind, args)
    args.finish()
    proposal_id = call.record_id[:PROPOSAL_ID_BYTES]
    proposal = rows.Proposal(kind, details, (call.sender.iss,), "open")
    return _settle(call, proposal_id, proposal)


def approve(call: Call, args: Arguments) -> CallResult:
    """Approve the open proposal `proposal` (hex) for the sender's organisation. Needs the governor's role."""
    call.demand(rows.GOVERNOR)
    proposal_id = args.octets("proposal")
    args.finish()
    value = call.view.get(keyspace.proposal(proposal_id))
    if value is None:
        raise GovernanceRule(f"no proposal {proposal_id.hex()}")
    proposal = rows.decode_proposal(value)
    if proposal.status != "open":
        raise GovernanceRule(f"proposal {proposal_id.hex()} is {proposal.status}")
    if call.sender.iss in proposal.approvals:
        raise GovernanceRule(f"{call.sender.iss} approved already")
    approvals = (*proposal.approvals, call.sender.iss)
    return _settle(call, proposal_id, proposal._replace(approvals=approvals))


def _read_details(call: Call, kind: str, args: Arguments) -> dict[str, Any]:
    if kind == "threshold":
        return {"approvals": args.integer("approvals", low=1, high=ORGANISATIONS_MAX)}
    if kind == "quarantine":
        return {"contract": args.identifier("contract")}
    iss = args.identifier("organisation")
    known = call.view.get(keyspace.organisation(iss)) is not None
    if kind != "admit":
        if not known:
            raise OrganisationUnknown(f"no organisation {iss!r}")
        return {"organisation": iss}
    if known:
        raise AlreadyExists(f"organisation {iss!r} exists")
    name, sub, proof = args.text("name"), args.identifier("sub"), args.octets("proof")
    check_enrolment(proof, iss=iss, sub=sub, ledger=call.ledger)
    return {"organisation": iss, "name": name, "sub": sub, "proof": proof.hex()}


def _settle(call: Call, proposal_id: bytes, proposal: rows.Proposal) -> CallResult:
    data = {"proposal": proposal_id.hex(), "kind": proposal.kind, "by": call.sender.iss}
    events = [Event("governance", "approved", data)]
    writes: Writes = {}
    # A higher threshold must be reached by its own approvals: nobody can set one that cannot be met.
    needed = max(call.threshold(), proposal.args.get("approvals", 0))
    if call.counting(proposal.approvals) >= needed:
        writes, event = EFFECTS[proposal.kind](call, proposal.args)
        events.append(event)
        proposal = proposal._replace(status="done")
    writes[keyspace.proposal(proposal_id)] = proposal.encode()
    return CallResult(writes, tuple(events))


def _admit(call: Call, details: dict[str, Any]) -> tuple[Writes, Event]:
    iss, sub = details["organisation"], details["sub"]
    if call.view.get(keyspace.organisation(iss)) is not None:
        raise AlreadyExists(f"organisation {iss!r} was admitted meanwhile")
    proof = bytes.fromhex(details["proof"])
    key = check_enrolment(proof, iss=iss, sub=sub, ledger=call.ledger)
    roles = (rows.ENROLLER, rows.GOVERNOR)
    writes: Writes = {
        keyspace.organisation(iss): rows.Organisation(details["name"], rows.ACTIVE).encode(),
        keyspace.member(iss, sub): rows.Member(rows.ACTIVE, roles, None, key.kid(), 0, 0).encode(),
        keyspace.member_key(iss, sub, key.kid()): rows.KeyRow(key.cose_key(), rows.ACTIVE).encode(),
    }
    return writes, Event("governance", "admitted", {"organisation": iss})


def _set_status(call: Call, iss: str, status: int) -> Writes:
    state_key = keyspace.organisation(iss)
    value = call.view.get(state_key)
    if value is None:
        raise OrganisationUnknown(f"no organisation {iss!r}")
    return {state_key: rows.decode_organisation(value)._replace(status=status).encode()}


def _revoke(call: Call, details: dict[str, Any]) -> tuple[Writes, Event]:
    iss = details["organisation"]
    if iss == call.sender.iss:
        raise GovernanceRule("an organisation cannot cast the deciding vote on its own end")
    writes = _set_status(call, iss, rows.REVOKED)
    return writes, Event("governance", "revoked", {"organisation": iss})


def _reinstate(call: Call, details: dict[str, Any]) -> tuple[Writes, Event]:
    iss = details["organisation"]
    return _set_status(call, iss, rows.ACTIVE), Event(
        "governance", "reinstated", {"organisation": iss}
    )


def _set_threshold(call: Call, details: dict[str, Any]) -> tuple[Writes, Event]:
    del call
    approvals = details["approvals"]
    data = {"approvals": approvals}
    return {keyspace.threshold(): cbor.encode(approvals)}, Event("governance", "threshold", data)


def _quarantine(call: Call, details: dict[str, Any]) -> tuple[Writes, Event]:
    return quarantine(call.view, details["contract"])


EFFECTS = {
    "quarantine": _quarantine,
    "admit": _admit,
    "revoke": _revoke,
    "reinstate": _reinstate,
    "threshold": _set_threshold,
}

FUNCTIONS: dict[str, Function] = {"propose": propose, "approve": approve}
