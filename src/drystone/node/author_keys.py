"""Whose key signs whose vertices, as far as the registry is known here: what the exchange asks for every header.

Source: design.md section 3.3.
"""

from collections.abc import Callable

from drystone.ledger import keyspace, rows
from drystone.ledger.view import Reader
from drystone.records.key import PublicKey, trusted_cose_key


def keys_of_authors(view: Reader) -> Callable[[str, str, bytes], PublicKey | None]:
    """Give the function that finds the key of a gateway's vertices, as far as the registry is known here.

    A retired key counts: what it signed stays. A revoked one does not, and nobody without the gateway's role.
    """

    def key_of(iss: str, sub: str, kid: bytes) -> PublicKey | None:
        row = view.get(keyspace.member(iss, sub))
        if row is None or rows.GATEWAY not in rows.decode_member(row).roles:
            return None
        row = view.get(keyspace.member_key(iss, sub, kid))
        key = rows.decode_key_row(row) if row is not None else None
        if key is None or key.status == rows.REVOKED:
            return None
        return trusted_cose_key(key.cose_key)

    return key_of
