"""Whether a vertex as a whole is let in: its author's rights, its signature, and that it continues the author's chain.

Only the self-parent is a precondition; witness links may dangle, so that nobody can park an honest gateway by
withholding. A refused vertex is an outcome, not an error. Source: design section 3.4, ADR 8.
"""

from drystone.errors import MemberSuspended, RoleMissing, VertexFork, VertexPlace
from drystone.ledger import keyspace, rows
from drystone.ledger.change import OrderedVertex
from drystone.ledger.rights import check_sender
from drystone.ledger.view import Overlay
from drystone.records.vertex import check_vertex_signature, vertex_id


def admit_vertex(overlay: Overlay, vertex: OrderedVertex, ledger: bytes) -> None:
    """Make the vertex its author's head.

    Does not check that the body fits the header: form checks have. Raises what `check_sender` raises, RoleMissing,
    MemberSuspended, SignatureInvalid and its kin, VertexPlace, VertexFork.
    """
    header = vertex.header
    sender = check_sender(overlay, iss=header.iss, sub=header.sub, kid=header.kid)
    if rows.GATEWAY not in sender.member.roles:
        raise RoleMissing(f"{header.iss}/{header.sub} is no gateway")
    if header.epoch < sender.member.vertex_epoch_min:
        raise MemberSuspended(f"vertex epoch {header.epoch} is suspended")
    if vertex.author_key != sender.cose_key:
        check_vertex_signature(header, sender.key, ledger)
    own_id = vertex_id(header, ledger)
    key = keyspace.head(header.iss, header.sub)
    value = overlay.get(key)
    if value is None:
        _check_beginning(vertex, sender.member.vertex_epoch_min)
    else:
        _check_chain(vertex, own_id, rows.decode_author_head(value))
    overlay.put(key, rows.AuthorHead(header.epoch, header.seq, own_id).encode())


def _check_beginning(vertex: OrderedVertex, epoch_min: int) -> None:
    """Check the first vertex of an author of whom none was taken before.

    Where its first epochs were suspended before any vertex of them was ordered, a later one begins its chain here.
    """
    header = vertex.header
    if header.seq != 0 or (header.parent is not None and not 0 < epoch_min <= header.epoch):
        raise VertexPlace("an author's first vertex has sequence 0 and no parent")


def _check_chain(vertex: OrderedVertex, own_id: bytes, head: rows.AuthorHead) -> None:
    header = vertex.header
    place = (header.epoch, header.seq)
    if place == (head.epoch, head.seq) and own_id != head.vertex:
        raise VertexFork(f"{header.iss}/{header.sub} has another vertex at {place}")
    if place <= (head.epoch, head.seq):
        raise VertexPlace(f"place {place} is taken, the author is at {head.epoch}, {head.seq}")
    if header.epoch == head.epoch:
        if header.seq != head.seq + 1 or header.parent != head.vertex:
            raise VertexPlace(f"place {place} does not continue {head.epoch}, {head.seq}")
    elif header.seq != 0 or (header.parent != head.vertex and head.vertex not in header.links):
        raise VertexPlace("a new epoch starts at sequence 0 and cites the last head")
