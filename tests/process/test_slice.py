"""From a signed reading to a receipt that verifies offline, through the real processes of a node."""

from pathlib import Path

import pytest
from running_node import STREAM, RunningNode, make_home, reading

from drystone.formats.senml import Measurement
from drystone.proof.trust import parse_trust
from drystone.proof.verify import verify, verify_completeness

pytestmark = pytest.mark.process


def test_a_reading_is_acknowledged_ordered_and_proved_s1_4(tmp_path: Path) -> None:
    make_home(tmp_path / "home")
    with RunningNode(tmp_path / "home") as node, node.client() as client:
        node.enrol_meter(client)

        (answer,) = client.submit([reading(0)], wait="committed")

        assert (answer.code, answer.outcome) == ("stored", "accepted")
        trust = parse_trust((tmp_path / "home" / "trust.json").read_bytes())
        verdict = verify(client.receipt(STREAM, epoch=0, seq=0), trust)
        assert verdict.record.sub == "m-1"
        many = [reading(seq) for seq in range(1, 300)]
        assert {a.outcome for a in client.submit(many, wait="committed")} == {"accepted"}
        complete = verify_completeness(client.completeness(STREAM), trust)
        assert complete.stretch is not None
        assert complete.stretch.count == 300
        assert [a.code for a in client.submit([reading(7), reading(300)])] == ["already", "stored"]
        attested = client.attest(
            STREAM._replace(member="gw-1", device="old"),
            [Measurement("e", "Wh", 5, None)],
            wait="committed",
        )
        assert attested.outcome == "accepted"
