"""Which keys a member may link with, by the registry."""

import pytest

from drystone.formats.cose import ALG_EDDSA
from drystone.ledger import keyspace, rows
from drystone.records.dag import Author
from drystone.records.key import SecretKey
from drystone.transport.links import keys_on

NAME = Author("ewz", "gw-1")
KEY = SecretKey.generate(ALG_EDDSA, b"k" * 32).public
OLD = SecretKey.generate(ALG_EDDSA, b"o" * 32).public
ORGANISATION = rows.Organisation("EWZ", rows.ACTIVE)
MEMBER = rows.Member(rows.ACTIVE, (rows.GATEWAY,), None, KEY.kid(), 0, 0)
KEY_ROW = rows.KeyRow(KEY.cose_key(), rows.ACTIVE)


class Table(dict[bytes, bytes]):
    """Registry rows."""


def registry(
    organisation: rows.Organisation | None = ORGANISATION,
    member: rows.Member | None = MEMBER,
    key: rows.KeyRow | None = KEY_ROW,
) -> Table:
    table = Table()
    if organisation is not None:
        table[keyspace.organisation("ewz")] = organisation.encode()
    if member is not None:
        table[keyspace.member("ewz", "gw-1")] = member.encode()
    if key is not None:
        table[keyspace.member_key("ewz", "gw-1", KEY.kid())] = key.encode()
    return table


@pytest.mark.parametrize("role", [rows.GATEWAY, rows.VALIDATOR, rows.ENROLLER, rows.GOVERNOR])
def test_active_member_links_with_its_current_key(role: str) -> None:
    table = registry(member=MEMBER._replace(roles=(role,)))
    assert list(keys_on(table)(NAME)) == [KEY]


def test_rotated_key_links_no_more() -> None:
    table = registry()
    old = rows.KeyRow(OLD.cose_key(), rows.RETIRED)
    table[keyspace.member_key("ewz", "gw-1", OLD.kid())] = old.encode()
    assert OLD not in keys_on(table)(NAME)


@pytest.mark.parametrize(
    "table",
    [
        registry(organisation=None),
        registry(organisation=ORGANISATION._replace(status=rows.REVOKED)),
        registry(member=None),
        registry(member=MEMBER._replace(status=rows.REVOKED)),
        registry(member=MEMBER._replace(roles=(rows.DEVICE,))),
        registry(member=MEMBER._replace(roles=())),
        registry(member=MEMBER._replace(kid=OLD.kid())),
        registry(key=None),
        registry(key=KEY_ROW._replace(status=rows.REVOKED)),
        registry(key=KEY_ROW._replace(status=rows.RETIRED)),
    ],
)
def test_nobody_links_with_anything_else(table: Table) -> None:
    assert list(keys_on(table)(NAME)) == []
    assert list(keys_on(table)(Author("ewz", "other"))) == []
