"""A real node and a device whose key was used twice: convicted, suspended, back with its next epoch, and proved so."""

from pathlib import Path

import pytest
from running_node import METER, RunningNode, make_home, reading

from drystone.formats import cose
from drystone.formats.senml import Measurement, write_pack
from drystone.proof import report
from drystone.proof.trust import parse_trust
from drystone.proof.verify import verify_file
from drystone.records.record import check_form, write_record


def of_epoch(epoch: int, seq: int) -> bytes:
    """A reading of the meter in a later epoch."""
    return write_record(
        secret=METER, iss="ewz", sub="m-1", epoch=epoch, seq=seq,
        payload=write_pack([Measurement("e", "Wh", 50 + seq, None)]), content_type=cose.SENML,
    )  # fmt: skip


@pytest.mark.parametrize("forked", [True, False])
def test_completeness_proof_shows_why_an_epoch_ended(tmp_path: Path, forked: bool) -> None:
    """A fork is proved with its evidence; a device restored from a backup just begins its next epoch."""
    make_home(tmp_path / "home")
    with RunningNode(tmp_path / "home") as node, node.client() as client:
        node.enrol_meter(client)
        first, second = reading(1, wh=10), reading(1, wh=11)
        sent = client.deliver([reading(0), first, second], wait="committed")
        assert [one.outcome for one in sent] == ["accepted", "accepted", "already"]
        if forked:
            args = {"kind": "record", "a": second.hex(), "b": first.hex()}
            node.call(client, "fork", args)
            (late,) = client.deliver([reading(2)], wait="committed")
            assert "member-suspended" in (late.code, late.outcome)
        went_on = client.deliver([of_epoch(1, 0), of_epoch(1, 1)], wait="committed")
        assert [one.outcome for one in went_on] == ["accepted", "accepted"]
        (at_once,) = client.deliver([of_epoch(1, 2)], wait="provisional")
        assert at_once.finality == "final", "a node that orders by itself foresees nothing"
        proof = client.get_bytes("/v1/completeness/ewz/m-1")
        trust = parse_trust((tmp_path / "home" / "trust.json").read_bytes())
    verdict = verify_file(proof, trust)
    assert verdict.stretch is not None
    ids = tuple(sorted(check_form(one).id for one in (first, second)))
    assert [(one.epoch, one.ids) for one in verdict.stretch.forks] == ([(0, ids)] if forked else [])
    text = report.as_text(verdict)
    assert ("Epoch 0 ended in a fork" in text) == forked
    assert ("epochs:       0 (forked), 1" if forked else "epochs:       0, 1") in text
    assert ("Why the device began another epoch" in text) != forked
