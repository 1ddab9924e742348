"""What an executor remembers of senders: whose rights a block's writes make it look up again."""

from typing import cast

import pytest

from drystone.ledger import keyspace
from drystone.ledger.rights import Rights, members_touched
from drystone.ledger.work import Memory

ANNA = ("ewz", "anna", b"\x01", None)
BERT = ("ewz", "bert", b"\x02", None)
SOCKET = ("ewz", "bert", b"\x02", "socket")
RIGHTS = cast("Rights", None)  # Nothing looks into them here.


def remembering() -> Memory:
    memory = Memory()
    memory.rights = dict.fromkeys((ANNA, BERT, SOCKET), RIGHTS)
    return memory


@pytest.mark.parametrize(
    "row",
    [
        keyspace.member("ewz", "bert"),
        keyspace.member("ewz", "bert", "socket"),
        keyspace.member_key("ewz", "bert", b"\x09"),
    ],
)
def test_row_of_a_member_makes_its_own_rights_forgotten_and_nobody_elses(row: bytes) -> None:
    memory = remembering()
    memory.forget({row: b"\x01", keyspace.stream(("ewz", "anna")): b"\x01"})
    assert memory.rights.keys() == {ANNA}


@pytest.mark.parametrize(
    "row",
    [
        keyspace.meta("protocol"),
        keyspace.organisation("ewz"),
        keyspace.profile("ewz", "meter"),
        keyspace.contract("metering"),
    ],
)
def test_row_that_concerns_everybody_makes_everybodys_rights_forgotten(row: bytes) -> None:
    memory = remembering()
    memory.forget([keyspace.member("ewz", "bert"), row])
    assert not memory.rights
    assert members_touched([row]) is None


@pytest.mark.parametrize(
    "row",
    [
        keyspace.stream(("ewz", "bert")),
        keyspace.head("ewz", "bert"),
        keyspace.contract_data("metering", "bert"),
        keyspace.evidence("ewz", "bert", "record", 0),
    ],
)
def test_row_that_rights_do_not_hang_on_makes_nothing_forgotten(row: bytes) -> None:
    memory = remembering()
    memory.forget([row])
    assert memory.rights.keys() == {ANNA, BERT, SOCKET}
    assert members_touched([row]) == set()
