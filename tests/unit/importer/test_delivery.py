"""An import sends every pack once, in its place, whatever stops it in between."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from drystone.errors import ImportMalformed, NodeAbsent, ProfileMismatch
from drystone.formats import cose
from drystone.formats.senml import Measurement
from drystone.gateway.answer import Answer
from drystone.home.keyfolder import KeyFolder, Position
from drystone.importer.delivery import (
    Summary,
    reserve_stretches,
    send_all,
    sign_packs,
    survey,
)
from drystone.importer.journal import Journal, journal_path, open_journal
from drystone.importer.rows import BadRow, Pack
from drystone.records.key import SecretKey
from drystone.records.record import check_form

SECRET = SecretKey.generate(cose.ALG_EDDSA, bytes(32))
PACKS = [
    Pack(line, f"d-{line % 3}", (Measurement("e", "Wh", line, None),)) for line in range(2, 32)
]
COUNTS = {"d-0": 10, "d-1": 10, "d-2": 10}


class Node:
    """Takes records like a node does: once each; may go away, or refuse one line's value."""

    def __init__(self, *, absent_after: int | None = None, refuses: int | None = None) -> None:
        self.taken: list[bytes] = []
        self.absent_after = absent_after
        self.refuses = refuses

    def deliver(self, records: Sequence[bytes], *, wait: str) -> list[Answer]:
        assert wait == "committed"
        if self.absent_after is not None and len(self.taken) >= self.absent_after:
            raise NodeAbsent("gone")
        return [self._take(record) for record in records]

    def _take(self, record: bytes) -> Answer:
        if record in self.taken:
            return Answer("already")
        content = check_form(record).content
        if content[0][2] == self.refuses:
            return Answer("profile-mismatch", "not in the profile")
        self.taken.append(record)
        return Answer("stored", outcome="accepted", height=1)


def deliver(
    node: Node,
    folder: KeyFolder,
    *,
    seen: int = 0,
    batch: int = 4,
    stop: bool = True,
) -> Summary:
    journal = open_journal(folder.root / "import.json")
    summary = Summary()
    reserve_stretches(
        journal, folder, organisation="o", packs=COUNTS, seen=lambda _device, _epoch: seen
    )
    signed = sign_packs(
        iter(PACKS), organisation="o", begins=journal.begins, keys=lambda _: SECRET, skip=journal.done
    )  # fmt: skip
    send_all(
        node,  # type: ignore[arg-type]
        signed,
        journal=journal,
        summary=summary,
        batch=batch,
        stop_at_refusal=stop,
        progress=lambda _: None,
    )
    return summary


@pytest.fixture
def folder(tmp_path: Path) -> KeyFolder:
    return KeyFolder(tmp_path / "devices")


def positions(node: Node) -> list[tuple[str, int, int]]:
    records = [check_form(data) for data in node.taken]
    return sorted((record.sub, record.epoch, record.seq) for record in records)


def test_every_pack_arrives_once_at_its_place_s1_30(folder: KeyFolder) -> None:
    node = Node()
    summary = deliver(node, folder)
    assert summary.codes == {"accepted": 30}
    assert positions(node) == sorted((d, 0, seq) for d in COUNTS for seq in range(10))


def test_an_import_goes_on_where_it_stopped(folder: KeyFolder) -> None:
    node = Node(absent_after=12)
    with pytest.raises(NodeAbsent):
        deliver(node, folder)
    node.absent_after = None
    deliver(node, folder)
    assert positions(node) == sorted((d, 0, seq) for d in COUNTS for seq in range(10))


def test_a_second_run_sends_nothing(folder: KeyFolder) -> None:
    node = Node()
    deliver(node, folder)
    assert deliver(node, folder).codes == {}


def test_an_import_begins_behind_what_the_ledger_has(folder: KeyFolder) -> None:
    node = Node()
    deliver(node, folder, seen=40)
    assert positions(node)[0] == ("d-0", 0, 40)


def test_the_stretch_of_an_import_is_never_given_out_to_others(folder: KeyFolder) -> None:
    with pytest.raises(NodeAbsent):
        deliver(Node(absent_after=0), folder)
    assert folder.reserve(organisation="o", member="d-1", count=1) == (0, 10)


def test_a_lost_note_of_progress_is_made_good_by_the_answers(folder: KeyFolder) -> None:
    node = Node()
    deliver(node, folder)
    journal = open_journal(folder.root / "import.json")
    journal.done = 0
    journal.save()
    assert deliver(node, folder).codes == {"already": 30}
    assert len(node.taken) == 30


def test_a_refused_record_stops_the_import_with_its_line(folder: KeyFolder) -> None:
    with pytest.raises(ProfileMismatch, match="line 9: not in the profile"):
        deliver(Node(refuses=9), folder)


def test_a_refused_record_is_only_counted_where_bad_rows_are_skipped(folder: KeyFolder) -> None:
    summary = deliver(Node(refuses=9), folder, stop=False)
    assert summary.codes == {"accepted": 29, "profile-mismatch": 1}
    assert not summary.clean


def test_a_measurement_that_cannot_be_signed_is_named_by_its_line() -> None:
    pack = Pack(7, "d-0", (Measurement("e", "furlong", 1, None),))
    with pytest.raises(ImportMalformed, match="line 7: senml-unit"):
        next(
            sign_packs(
                [pack],
                organisation="o",
                begins={"d-0": Position(0, 0)},
                keys=lambda _: SECRET,
                skip=0,
            )
        )


def test_a_survey_counts_packs_and_keeps_reasons() -> None:
    def rows() -> Iterator[Pack | BadRow]:
        yield from PACKS
        yield BadRow(40, "line 40: x")

    found = survey(rows())
    assert (found.packs["d-0"], found.measurements, found.bad) == (10, 30, ["line 40: x"])


def test_a_journal_comes_back_as_it_was_saved(tmp_path: Path) -> None:
    journal = Journal(path=tmp_path / "j.json", done=7, begins={"d": Position(1, 9)})
    journal.save()
    assert open_journal(tmp_path / "j.json") == journal


def test_another_table_or_mapping_has_another_journal(tmp_path: Path) -> None:
    paths = {
        journal_path(tmp_path, table=table, mapping=mapping)
        for table in (b"a" * 32, b"b" * 32)
        for mapping in (b"c" * 32, b"d" * 32)
    }
    assert len(paths) == 4


@pytest.mark.parametrize(
    "text",
    [
        "x",
        "[]",
        '{"drystone-import":2,"done":0,"begins":{}}',
        '{"drystone-import":1,"done":-1,"begins":{}}',
        '{"drystone-import":1,"done":0,"begins":[]}',
        '{"drystone-import":1,"done":0,"begins":{"d":[1]}}',
        '{"drystone-import":1,"done":0,"begins":{"d":7}}',
    ],
)
def test_a_damaged_journal_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "j.json"
    path.write_text(text)
    with pytest.raises(ImportMalformed):
        open_journal(path)
