"""Announcements of a process: its own, raised above an older life's, and others', handed to the links."""

from collections.abc import Sequence

import pytest

from drystone.formats.cose import ALG_EDDSA
from drystone.gateway.sync.announcement import sign_announcement
from drystone.gateway.sync.effects import Own
from drystone.gateway.sync.notices import Notices
from drystone.node.announcing import Announcer
from drystone.records.dag import Author
from drystone.records.key import PublicKey, SecretKey

LEDGER = b"l" * 32
OWN = Own(ledger=LEDGER, iss="ewz", sub="gw-1", role="gateway", instance=1_000)
NAME = Author("ewz", "gw-1")
OTHER = Author("ewz", "gw-2")
SECRET = SecretKey.generate(ALG_EDDSA, b"1" * 32)
OTHERS = SecretKey.generate(ALG_EDDSA, b"2" * 32)


class World:
    """A board that knows two members, and what was dialled."""

    def __init__(self, *addresses: str, known: bool = True) -> None:
        self.keys = {NAME: SECRET.public, OTHER: OTHERS.public} if known else {}
        self.board = Notices(ledger=LEDGER, member_key_of=self.key_of)
        self.dialled: list[tuple[Author, tuple[str, ...]]] = []
        self.announcer = Announcer(
            own=OWN, secret=SECRET, addresses=addresses, board=self.board, dial=self.dial
        )

    def key_of(self, iss: str, sub: str, kid: bytes) -> PublicKey | None:
        return self.keys.get(Author(iss, sub))

    def dial(self, peer: Author, addresses: Sequence[str]) -> None:
        self.dialled.append((peer, tuple(addresses)))

    def hear(self, name: Author, secret: SecretKey, epoch: int, *addresses: str) -> None:
        signed = sign_announcement(
            secret=secret, iss=name.iss, sub=name.sub, epoch=epoch, addresses=addresses,
            ledger=LEDGER,
        )  # fmt: skip
        self.board.add_announcement(signed)
        self.announcer.heard()


def test_addresses_are_announced_once() -> None:
    world = World("gw-1.example:8421")
    for _ in range(3):
        world.announcer.announce()
    found = world.board.announcements()[NAME]
    assert (found.epoch, found.addresses) == (1_000, ("gw-1.example:8421",))
    assert world.board.notices == 1


def test_who_has_no_address_announces_nothing() -> None:
    world = World()
    world.announcer.announce()
    assert world.board.announcements() == {}


def test_who_is_not_known_yet_announces_when_it_is() -> None:
    world = World("h:1", known=False)
    world.announcer.announce()
    assert world.board.announcements() == {}
    world.keys[NAME] = SECRET.public
    world.announcer.announce()
    assert world.board.announcements()[NAME].addresses == ("h:1",)


@pytest.mark.parametrize("addresses", [("new:1",), ()])
def test_an_older_lifes_word_with_a_higher_epoch_is_overruled(addresses: tuple[str, ...]) -> None:
    world = World(*addresses)
    world.announcer.announce()
    world.hear(NAME, SECRET, 5_000, "old:1")
    found = world.board.announcements()[NAME]
    assert (found.epoch, found.addresses) == (5_001, addresses)
    assert world.dialled == []


def test_others_are_dialled_where_they_say_each_time_they_say_something_new() -> None:
    world = World()
    world.hear(OTHER, OTHERS, 1, "a:1")
    world.hear(OTHER, OTHERS, 1, "a:1")
    world.hear(OTHER, OTHERS, 2, "b:1", "c:1")
    world.hear(OTHER, OTHERS, 1, "a:1")
    assert world.dialled == [(OTHER, ("a:1",)), (OTHER, ("b:1", "c:1"))]
