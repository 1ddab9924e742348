"""Fork evidence: two different signed objects of one place convict whoever signed them, and suspend that branch.

Anyone enrolled may submit it, over organisations' borders. What was accepted before stays; the author goes on with the
next epoch. Both ids are kept in the state, both originals in the evidence record itself. What a fork is says
`records/evidence.py`; here stands whom it convicts, and what follows.
"""

from functools import partial

from drystone.contracts.rules import Event
from drystone.errors import EvidenceMalformed, KeyRevoked, KeyUnknown, MemberUnknown
from drystone.ledger import keyspace, rows
from drystone.ledger.arguments import Arguments
from drystone.ledger.calls import Call, CallResult
from drystone.records import evidence
from drystone.records.key import PublicKey, trusted_cose_key
from drystone.records.record import Record

KINDS = frozenset({"record", "vertex"})


def fork(call: Call, args: Arguments) -> CallResult:
    """Take `a` and `b`, two records or two vertex headers (`kind`, hex), as evidence against their author.

    Evidence under a revoked key is refused, because a thief could make it; a retired key still convicts.
    Raises EvidenceMalformed, MemberUnknown, KeyUnknown, KeyRevoked, and what the objects' own checks raise.
    """
    kind = args.choice("kind", KINDS)
    a, b = args.octets("a"), args.octets("b")
    args.finish()
    found = evidence.read_fork(a, b, ledger=call.ledger)
    first = found.a
    if isinstance(first, Record) != (kind == "record"):
        raise EvidenceMalformed(f"the two are no {kind} each")
    evidence.check_fork(found, ledger=call.ledger, key_of=partial(_signer, call))
    device = first.device if isinstance(first, Record) else None
    state_key = keyspace.member(first.iss, first.sub, device)
    evidence_key = keyspace.evidence(first.iss, device or first.sub, kind, first.epoch)
    ids = [evidence.id_of(signed, call.ledger) for signed in found]
    writes: dict[bytes, bytes | None] = {
        state_key: _suspended(_member(call, state_key), kind, first.epoch).encode(),
        evidence_key: rows.encode_evidence(ids),
    }
    data: dict[str, str | int] = {"kind": kind, "iss": first.iss, "sub": first.sub}
    data |= {"epoch": first.epoch, "seq": first.seq}
    return CallResult(writes, (Event("registry", "fork", data),))


def _suspended(member: rows.Member, kind: str, epoch: int) -> rows.Member:
    """Return the member whose branch ends with this epoch: it goes on with a later one."""
    if kind == "record":
        return member._replace(epoch_min=max(member.epoch_min, epoch + 1))
    return member._replace(vertex_epoch_min=max(member.vertex_epoch_min, epoch + 1))


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
