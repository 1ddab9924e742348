"""Key files are private, strict and never overwritten; positions are never given out twice."""

import json
import os
from pathlib import Path

import pytest

from drystone.errors import AlreadyExists, KeyFileInvalid
from drystone.formats.cose import ALG_EDDSA, ALG_ES256
from drystone.home.keyfolder import KeyFolder, Position, activate_key, read_key_file, stage_key

ENTROPY = bytes(range(32))


@pytest.fixture
def folder(tmp_path: Path) -> KeyFolder:
    return KeyFolder(tmp_path / "devices")


def make(folder: KeyFolder, member: str = "m-1", alg: int = ALG_EDDSA) -> Path:
    folder.create(organisation="ewz", member=member, alg=alg, entropy=ENTROPY)
    return folder.path(organisation="ewz", member=member)


def reserve(folder: KeyFolder, count: int = 1, epoch: int | None = None, seen: int = 0) -> tuple[int, int]:  # fmt: skip
    return folder.reserve(organisation="ewz", member="m-1", count=count, epoch=epoch, seen=seen)


@pytest.mark.parametrize("alg", [ALG_EDDSA, ALG_ES256])
def test_a_key_comes_back_as_it_was_made(folder: KeyFolder, alg: int) -> None:
    made = folder.create(organisation="ewz", member="m-1", alg=alg, entropy=ENTROPY)
    loaded = folder.load(organisation="ewz", member="m-1")
    assert loaded.secret.public == made.secret.public


def test_a_key_file_and_its_folder_are_private(folder: KeyFolder) -> None:
    path = make(folder)
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert folder.root.stat().st_mode & 0o777 == 0o700


def test_a_key_is_never_overwritten(folder: KeyFolder) -> None:
    make(folder)
    with pytest.raises(AlreadyExists):
        make(folder)


def test_a_key_file_open_to_others_is_refused(folder: KeyFolder) -> None:
    path = make(folder)
    path.chmod(0o640)
    with pytest.raises(KeyFileInvalid, match="open to others"):
        read_key_file(path)


def test_a_missing_key_file_is_refused(folder: KeyFolder) -> None:
    with pytest.raises(KeyFileInvalid, match="No such file"):
        folder.load(organisation="ewz", member="m-9")


def test_a_key_file_under_another_name_is_refused(folder: KeyFolder) -> None:
    path = make(folder)
    path.rename(path.with_name("m-2.key"))
    with pytest.raises(KeyFileInvalid, match="holds the key of ewz/m-1"):
        folder.load(organisation="ewz", member="m-2")


@pytest.mark.parametrize(
    "change",
    [
        {"drystone-key": 2},
        {"alg": -47},
        {"alg": "x"},
        {"secret": "zz"},
        {"secret": 7},
        {"member": None},
        {"extra": 1},
    ],
)
def test_a_changed_key_file_is_refused(folder: KeyFolder, change: dict[str, object]) -> None:
    path = make(folder)
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(KeyFileInvalid):
        read_key_file(path)


@pytest.mark.parametrize("data", [b"", b"[]", b"\xff", b"7", b" " * 5000])
def test_a_file_that_is_no_key_is_refused(folder: KeyFolder, data: bytes) -> None:
    path = make(folder)
    path.write_bytes(data)
    with pytest.raises(KeyFileInvalid):
        read_key_file(path)


@pytest.mark.parametrize("name", ["", "..", "a/b", "-x", "x" * 49, "ü", "a\n"])
def test_a_name_that_is_no_id_never_becomes_a_path(folder: KeyFolder, name: str) -> None:
    with pytest.raises(KeyFileInvalid, match="is no id"):
        folder.path(organisation="ewz", member=name)
    with pytest.raises(KeyFileInvalid, match="is no id"):
        folder.path(organisation=name, member="m-1")


def test_the_devices_of_a_folder_are_listed_in_order(folder: KeyFolder) -> None:
    make(folder, "m-2")
    make(folder, "m-1")
    assert list(folder.members()) == [("ewz", "m-1"), ("ewz", "m-2")]


def test_the_devices_of_a_folder_that_is_not_there_are_none(folder: KeyFolder) -> None:
    assert list(folder.members()) == []


def test_positions_follow_each_other(folder: KeyFolder) -> None:
    assert [reserve(folder), reserve(folder, 5), reserve(folder)] == [(0, 0), (0, 1), (0, 6)]


def test_positions_follow_each_other_in_another_process(folder: KeyFolder) -> None:
    reserve(folder, 3)
    assert KeyFolder(folder.root).reserve(organisation="ewz", member="m-1", count=1) == (0, 3)


def test_a_position_the_ledger_already_has_is_skipped(folder: KeyFolder) -> None:
    reserve(folder)
    assert reserve(folder, seen=40) == (0, 40)
    assert reserve(folder, seen=7) == (0, 41)


def release(folder: KeyFolder, position: tuple[int, int], count: int = 1) -> None:
    folder.release(organisation="ewz", member="m-1", position=Position(*position), count=count)


def test_a_position_given_back_is_given_out_again(folder: KeyFolder) -> None:
    release(folder, reserve(folder))
    assert reserve(folder) == (0, 0)


def test_a_position_is_not_given_back_when_a_later_one_is_out(folder: KeyFolder) -> None:
    first = reserve(folder)
    reserve(folder)
    release(folder, first)
    assert reserve(folder) == (0, 2)


def test_a_new_epoch_starts_at_zero(folder: KeyFolder) -> None:
    reserve(folder, 9)
    assert reserve(folder, epoch=1) == (1, 0)
    assert reserve(folder) == (1, 1)
    assert folder.epoch(organisation="ewz", member="m-1") == 1


def test_an_epoch_that_lies_behind_is_refused(folder: KeyFolder) -> None:
    reserve(folder, epoch=2)
    with pytest.raises(KeyFileInvalid, match="lies behind"):
        reserve(folder, epoch=1)


@pytest.mark.parametrize(
    "text", ["x", "[]", '{"epoch":-1,"next":0}', '{"epoch":0,"next":1e3}', "{}"]
)
def test_a_damaged_position_file_is_refused(folder: KeyFolder, text: str) -> None:
    make(folder).with_suffix(".position").write_text(text)
    with pytest.raises(KeyFileInvalid):
        reserve(folder)


def test_a_staged_key_is_found_again_after_a_crash(folder: KeyFolder) -> None:
    path = make(folder)
    first = stage_key(path, alg=ALG_EDDSA, entropy=b"\1" * 32)
    again = stage_key(path, alg=ALG_EDDSA, entropy=b"\2" * 32)
    assert first.secret.public == again.secret.public


def test_an_activated_key_takes_the_old_one_s_place(folder: KeyFolder) -> None:
    path = make(folder)
    staged = stage_key(path, alg=ALG_ES256, entropy=b"\1" * 32)
    activate_key(path)
    assert folder.load(organisation="ewz", member="m-1").secret.public == staged.secret.public


def test_a_key_that_is_not_there_is_not_replaced(folder: KeyFolder) -> None:
    with pytest.raises(KeyFileInvalid):
        stage_key(folder.path(organisation="ewz", member="m-1"), alg=ALG_EDDSA, entropy=ENTROPY)


def test_a_key_file_is_whole_or_absent_when_writing_fails(
    folder: KeyFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="No space left"):
        make(folder)
    assert list(folder.members()) == []
