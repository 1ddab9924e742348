"""The client library against a running node: what it sends arrives, what happens is followed, proofs hold."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest
from player import Player

from drystone.client.messages import StreamName
from drystone.client.rest import Client, find_endpoint
from drystone.formats import cose
from drystone.formats.senml import Measurement, write_pack
from drystone.home.keyfolder import KeyFolder
from drystone.proof.trust import parse_trust
from drystone.proof.verify import verify_completeness, verify_file
from drystone.records.record import write_record

METER = StreamName("ewz", "m-1", None)

pytestmark = pytest.mark.process


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("client")
    with Player(folder, name="client") as player:
        player.play(
            "$ drystone init --org ewz\nup\n"
            "$ drystone device profile add meter -m import=Wh --register import\n"
            "$ drystone device enrol m-1 --profile meter\n"
        )
        yield player.home


def sign(home: Path, *, seq: int, value: int) -> bytes:
    key = KeyFolder(home / "devices").load(organisation="ewz", member="m-1")
    return write_record(
        secret=key.secret,
        iss="ewz",
        sub="m-1",
        epoch=0,
        seq=seq,
        payload=write_pack([Measurement("import", "Wh", value, None)]),
        content_type=cose.SENML,
    )


def test_what_is_sent_is_committed_followed_and_proved(home: Path) -> None:
    records = [sign(home, seq=seq, value=1_000 + seq) for seq in range(300)]
    with Client(find_endpoint(home)) as node:
        answers = node.deliver(records, wait="committed")
        assert {(answer.code, answer.outcome) for answer in answers} == {("stored", "accepted")}
        assert {answer.code for answer in node.deliver(records)} == {"already"}

        cursors = [event.cursor for event in islice(node.events(after="0.0"), 3)]
        assert len(set(cursors)) == 3
        assert cursors == sorted(cursors, key=lambda text: [int(part) for part in text.split(".")])

        trust = parse_trust((home / "trust.json").read_bytes())
        statement = node.receipt(METER, epoch=0, seq=299)
        kid = node.record(METER, epoch=0, seq=299)["kid"]
        verdict = verify_file(statement, trust, key_point=node.key_proof(METER, kid=kid))
        assert verdict.signature is not None
        assert verdict.signature.checked

        first = node.completeness(METER)
        assert len(verify_completeness(first, trust).stretch.items) == 300  # type: ignore[union-attr]
        node.deliver([sign(home, seq=300, value=1_300)], wait="committed")
        later = verify_completeness(node.completeness(METER, since=first), trust)
        assert [item.seq for item in later.stretch.items] == [300]  # type: ignore[union-attr]


def test_events_resume_behind_a_cursor_without_loss_or_repetition(home: Path) -> None:
    with Client(find_endpoint(home)) as node:
        seen = list(islice(node.events(after="0.0"), 4))
    with Client(find_endpoint(home)) as node:
        again = list(islice(node.events(after=seen[1].cursor), 2))
    assert again == seen[2:]
