"""A position is free again only when its record is refused for good: a second record of it would be a fork."""

from typing import Any, cast

import pytest

from drystone.cli.node_access import deliver_or_release
from drystone.client.rest import Client, StreamName
from drystone.gateway.answer import Answer
from drystone.home.keyfolder import KeyFolder, Position


class Node:
    def __init__(self, answer: Answer) -> None:
        self.answer = answer

    def deliver(self, records: list[bytes], *, wait: str | None) -> list[Answer]:
        assert (records, wait) == ([b"record"], "provisional")
        return [self.answer]


class Folder:
    def __init__(self) -> None:
        self.released: list[Any] = []

    def release(self, **what: Any) -> None:
        self.released.append(what)


@pytest.mark.parametrize(
    ("answer", "released"),
    [
        (Answer("stored", outcome="accepted"), False),
        (Answer("stored", outcome="accepted", height=3), False),
        (Answer("stored", outcome="shop.too-few"), False),
        (Answer("stored", outcome="shop.too-few", height=3), True),
        (Answer("already"), False),
        (Answer("signature-invalid"), True),
    ],
)
def test_position_is_released_when_the_refusal_is_final(answer: Answer, released: bool) -> None:
    folder = Folder()
    given = deliver_or_release(
        cast("Client", Node(answer)),
        cast("KeyFolder", folder),
        StreamName("ewz", "m-1", None),
        b"record",
        position=Position(0, 7),
        wait="provisional",
    )
    assert given == answer
    assert bool(folder.released) == released
