"""A backup is whole, consistent, taken while others write, and only a sound one is restored."""

import shutil
import sqlite3
from pathlib import Path

import pytest

from drystone.errors import DatabaseCorrupt, DatabaseForeign, DiskFailed, HomeInvalid
from drystone.sim.chain import Chain, make_chain, write_home
from drystone.storage import backup as module
from drystone.storage.backup import backup, restore
from drystone.storage.database import Database
from drystone.storage.fsck import fsck
from drystone.storage.ledger import LedgerDB
from drystone.storage.vertices import VertexDB
from drystone.workers.executor import Executor


@pytest.fixture(scope="module")
def chain() -> Chain:
    return make_chain("backup", blocks=24, devices=3, records=12)


@pytest.fixture
def home(chain: Chain, tmp_path: Path) -> Path:
    home = tmp_path / "home"
    write_home(chain, home, height=22)
    (home / "config.toml").write_text("")
    (home / "keys").mkdir()
    (home / "keys" / "node.key").write_bytes(b"secret")
    (home / "keys" / "folder").mkdir()
    (home / "run").mkdir()
    (home / "run" / "endpoints.json").write_text("{}")
    return home


def test_a_restored_home_goes_on_where_the_backup_ends(
    home: Path, chain: Chain, tmp_path: Path
) -> None:
    backup(home, tmp_path / "copy")
    restore(tmp_path / "copy", tmp_path / "again")

    executor = Executor.open(tmp_path / "again")
    assert executor.ledger.last.head == chain.heads[22]
    for block in chain.blocks[22:]:
        executor.execute(block)
    assert executor.ledger.last.head == chain.heads[-1]
    assert executor.ledger.database.rows("PRAGMA journal_mode") == [("wal",)]
    executor.close()
    assert fsck(tmp_path / "again") == []
    assert (tmp_path / "again" / "keys" / "node.key").read_bytes() == b"secret"
    assert (tmp_path / "again" / "config.toml").exists()
    assert not (tmp_path / "again" / "run").exists()


def test_a_backup_is_sound_while_its_node_writes(
    home: Path, chain: Chain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """New blocks are committed and new vertices sealed between and during the two copies."""
    executor = Executor.open(home)
    store = VertexDB.open(home / "vertices.db", chain.ledger)
    blocks = iter(chain.blocks[22:])
    copy_to = Database.copy_to

    def busy(database: Database, *arguments: object) -> None:
        if (block := next(blocks, None)) is not None:
            executor.execute(block)
        store.add_intake([b"\x01"])
        copy_to(database, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(Database, "copy_to", busy)
    told: list[tuple[int, int]] = []
    backup(home, tmp_path / "copy", progress=lambda done, total: told.append((done, total)))

    copied = LedgerDB.open(tmp_path / "copy" / "ledger.db", read_only=True)
    assert copied.height == 23
    copied.close()
    assert fsck(tmp_path / "copy") == []
    assert len([done for done, total in told if done == total]) >= 2
    executor.close()
    store.close()


def test_a_backup_is_for_its_owner_alone(home: Path, tmp_path: Path) -> None:
    backup(home, tmp_path / "copy")
    copy = tmp_path / "copy"
    assert copy.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in copy.rglob("*") if path.is_file()} == {0o600}


def test_keys_stay_out_of_a_backup_that_is_to_have_none(home: Path, tmp_path: Path) -> None:
    backup(home, tmp_path / "copy", with_keys=False)
    assert not (tmp_path / "copy" / "keys").exists()
    assert fsck(tmp_path / "copy") == []


def test_device_keys_go_along_and_their_positions_do_not(home: Path, tmp_path: Path) -> None:
    folder = home / "devices" / "ewz"
    folder.mkdir(parents=True)
    for name in ("m-1.key", "m-1.position"):
        (folder / name).write_text("{}")
    backup(home, tmp_path / "copy")
    copied = tmp_path / "copy" / "devices" / "ewz"
    assert [path.name for path in copied.iterdir()] == ["m-1.key"]
    assert (copied / "m-1.key").stat().st_mode & 0o777 == 0o600
    assert copied.stat().st_mode & 0o777 == 0o700


def test_what_was_pruned_is_not_in_a_backup(home: Path, chain: Chain, tmp_path: Path) -> None:
    store = VertexDB.open(home / "vertices.db", chain.ledger)
    number, packed = store.database.rows(
        "SELECT number, body FROM bodies ORDER BY length(body) DESC LIMIT 1"
    )[0]
    store.prune([number])
    store.close()
    backup(home, tmp_path / "copy")
    assert packed[-40:] in (home / "vertices.db").read_bytes()
    assert packed[-40:] not in (tmp_path / "copy" / "vertices.db").read_bytes()


def test_nothing_is_overwritten(home: Path, tmp_path: Path) -> None:
    (tmp_path / "copy").mkdir()
    with pytest.raises(HomeInvalid):
        backup(home, tmp_path / "copy")
    backup(home, tmp_path / "other")
    with pytest.raises(HomeInvalid):
        restore(tmp_path / "other", home)


def test_an_empty_folder_may_become_a_home(home: Path, tmp_path: Path) -> None:
    backup(home, tmp_path / "copy")
    (tmp_path / "again").mkdir()
    restore(tmp_path / "copy", tmp_path / "again")
    assert fsck(tmp_path / "again") == []


def test_a_damaged_backup_is_not_restored(home: Path, tmp_path: Path) -> None:
    backup(home, tmp_path / "copy")
    connection = sqlite3.connect(tmp_path / "copy" / "ledger.db")
    connection.execute("UPDATE tiles SET hashes = zeroblob(length(hashes)) WHERE level = 0")
    connection.commit()
    connection.close()
    with pytest.raises(DatabaseCorrupt, match="tiles 0/0 hashes"):
        restore(tmp_path / "copy", tmp_path / "again")
    assert [path.name for path in tmp_path.iterdir() if "again" in path.name] == []
    restore(tmp_path / "copy", tmp_path / "again", verify=False)
    assert fsck(tmp_path / "again") != []


def test_a_folder_that_is_no_home_is_not_copied(tmp_path: Path) -> None:
    with pytest.raises(HomeInvalid):
        backup(tmp_path, tmp_path / "copy")
    with pytest.raises(HomeInvalid):
        restore(tmp_path, tmp_path / "again")
    assert list(tmp_path.iterdir()) == []


def test_anothers_database_is_not_copied(home: Path, chain: Chain, tmp_path: Path) -> None:
    other = make_chain("other", blocks=1)
    (home / "vertices.db").unlink()
    VertexDB.create(home / "vertices.db", other.ledger).close()
    with pytest.raises(DatabaseForeign):
        backup(home, tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


def test_a_copy_that_breaks_off_leaves_nothing(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise OSError(5, "input/output error")

    monkeypatch.setattr(module, "_copy_file", broken)
    with pytest.raises(DiskFailed):
        backup(home, tmp_path / "copy")
    assert [path.name for path in tmp_path.iterdir()] == ["home"]


def test_what_an_earlier_attempt_left_is_cleared_away(home: Path, tmp_path: Path) -> None:
    (tmp_path / ".copy.part").mkdir()
    (tmp_path / ".copy.part" / "ledger.db").write_bytes(b"half")
    backup(home, tmp_path / "copy")
    assert fsck(tmp_path / "copy") == []
    shutil.rmtree(tmp_path / "copy")
