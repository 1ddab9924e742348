"""Fork evidence: two different signed objects of one place convict whoever signed them, and suspend that branch.

Anyone enrolled may submit it, over organisations' borders. What was accepted before stays; the author goes on with the
next epoch. Both ids are kept in the state, both originals in the evidence record itself.
"""

from drystone.contracts.rules import Event
from drystone.errors import EvidenceMalformed, KeyRevoked, KeyUnknown, MemberUnknown
from drystone.ledger import keyspace, rows
from drystone.ledger.arguments import Arguments
from drystone.ledger.calls import Call, CallResult
from drystone.records.key import PublicKey, trusted_cose_key
from drystone.records.record import check_form, check_signature
from drystone.records.vertex import check_vertex_signature, decode_header, vertex_id

KINDS = frozenset({"record", "vertex"})


def fork(call: Call, args: Arguments) -> CallResult:
    """Take `a` and `b`, two records or two vertex headers (`kind`, hex), as evidence against their author.

    Evidence under a revoked key is refused, because a thief could make it; a retired key still convicts.
    Raises EvidenceMalformed, MemberUnknown, KeyUnknown, KeyRevoked, and what the objects' own checks raise.
    """
    kind = args.choice("kind", KINDS)
    a, b = args.octets("a"), args.octets("b")
    args.finish()
    return _record_fork(call, a, b) if kind == "record" else _vertex_fork(call, a, b)


def _record_fork(call: Call, a: bytes, b: bytes) -> CallResult:
    pair = (check_form(a), check_form(b))
    first = pair[0]
    if len({(r.iss, r.sub, r.device, r.epoch, r.seq) for r in pair}) != 1:
        raise EvidenceMalformed("the two records do not stand at one place")
    for record in pair:
        check_signature(record, _signer(call, record.iss, record.sub, record.kid))
    state_key = keyspace.member(first.iss, first.sub, first.device)
    member = _member(call, state_key)
    raised = member._replace(epoch_min=max(member.epoch_min, first.epoch + 1))
    evidence_key = keyspace.evidence(first.iss, first.device or first.sub, "record", first.epoch)
    data = {"kind": "record", "iss": first.iss, "sub": first.sub, "epoch": first.epoch}
    data["seq"] = first.seq
    return _convict(state_key, raised, evidence_key, [r.id for r in pair], data)


def _vertex_fork(call: Call, a: bytes, b: bytes) -> CallResult:
    pair = (decode_header(a), decode_header(b))
    first = pair[0]
    if len({(h.iss, h.sub, h.epoch, h.seq) for h in pair}) != 1:
        raise EvidenceMalformed("the two vertices do not stand at one place")
    for header in pair:
        key = _signer(call, header.iss, header.sub, header.kid)
        check_vertex_signature(header, key, call.ledger)
    state_key = keyspace.member(first.iss, first.sub)
    member = _member(call, state_key)
    raised = member._replace(vertex_epoch_min=max(member.vertex_epoch_min, first.epoch + 1))
    evidence_key = keyspace.evidence(first.iss, first.sub, "vertex", first.epoch)
    data = {"kind": "vertex", "iss": first.iss, "sub": first.sub, "epoch": first.epoch}
    data["seq"] = first.seq
    return _convict(
        state_key, raised, evidence_key, [vertex_id(h, call.ledger) for h in pair], data
    )


def _convict(
    state_key: bytes,
    member: rows.Member,
    evidence_key: bytes,
    ids: list[bytes],
    data: dict[str, str | int],
) -> CallResult:
    if ids[0] == ids[1]:
        raise EvidenceMalformed("the two are one and the same")
    writes: dict[bytes, bytes | None] = {
        state_key: member.encode(),
        evidence_key: rows.encode_evidence(ids),
    }
    return CallResult(writes, (Event("registry", "fork", dict(data)),))


def _signer(call: Call, iss: str, sub: str, kid: bytes) -> PublicKey:
    value = call.view.get(keyspace.member_key(iss, sub, kid))
    if value is None:
        raise KeyUnknown(f"{iss}/{sub} never had a key {kid.hex()}")
    row = rows.decode_key_row(value)
    if row.status == rows.REVOKED:
        raise KeyRevoked(f"key {kid.hex()} of {iss}/{sub} is revoked: its signatures prove nothing")
    return trusted_cose_key(row.cose_key)


def _member(call: Call, state_key: bytes) -> rows.Member:
    value = call.view.get(state_key)
    if value is None:
        raise MemberUnknown("the evidence names nobody on this ledger")
    return rows.decode_member(value)
