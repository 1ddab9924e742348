"""fsck says nothing about a sound home, and names every column of every table that was altered.

Method: one eventful home with full and open tiles, full and open rows of places, unflushed blocks,
intake rows and unordered vertices. Each test alters one value in a copy, through SQLite or in the
file's bytes, and looks for its table, row and column among the findings.
"""

import hashlib
import random
import shutil
import sqlite3
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import apsw
import pytest

from drystone.formats import cbor
from drystone.ledger.genesis import decode_genesis
from drystone.sim.chain import Chain, make_chain, write_home
from drystone.storage import places
from drystone.storage.backup import backup
from drystone.storage.fsck import Finding, check_files, fsck
from drystone.storage.fsck.report import FINDINGS_MAX, Report
from drystone.storage.ledger import LedgerDB
from drystone.storage.vertices import VertexDB

ROWS_PER_TABLE = 3


@pytest.fixture(scope="module")
def chain() -> Chain:
    """More blocks than a flush takes, one stream with more records than a row of places."""
    return make_chain("fsck", blocks=45, devices=1, records=18)


@pytest.fixture(scope="module")
def sound_home(chain: Chain, tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("fsck") / "home"
    write_home(chain, home, height=len(chain.blocks) - 1)
    store = VertexDB.open(home / "vertices.db", chain.ledger)
    store.add_intake([chain.vertices[5].body, chain.vertices[6].body])
    ordered = len(chain.vertices) - len(chain.blocks[-1].vertices)
    with store.database.transaction():
        store.database.put_meta("ordered-through", ordered)
    store.close()
    return home


@pytest.fixture
def home(sound_home: Path, tmp_path: Path) -> Path:
    shutil.copytree(sound_home, tmp_path / "home")
    return tmp_path / "home"


def tables_of(home: Path) -> list[tuple[str, str, list[str], list[str]]]:
    """File, table, all columns, primary key columns, of every table in a home."""
    found: list[tuple[str, str, list[str], list[str]]] = []
    for name in ("vertices.db", "ledger.db"):
        connection = sqlite3.connect(home / name)
        for (table,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'"):
            info = connection.execute(f"PRAGMA table_info({table})").fetchall()
            columns = [row[1] for row in info]
            keys = [row[1] for row in sorted(info, key=lambda row: row[5]) if row[5]]
            found.append((name, table, columns, keys))
        connection.close()
    return found


def altered(value: Any, draw: random.Random) -> Any:
    """The same kind of value with one bit or character changed."""
    if isinstance(value, int):
        return value ^ (1 << draw.choice([0, 1, 5, 12, 30]))
    if isinstance(value, str):
        at = draw.randrange(len(value))
        return value[:at] + ("b" if value[at] == "a" else "a") + value[at + 1 :]
    if value == b"":
        return b"\x00"
    data = bytearray(value)
    data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
    return bytes(data)


def alter(
    path: Path, table: str, column: str, keys: Sequence[str], which: int, draw: random.Random
) -> tuple[Any, ...] | None:
    """Change one value; return the row's key as it was, None where SQLite would not have it."""
    connection = sqlite3.connect(path)
    key_list = ", ".join(f'"{key}"' for key in keys)
    count = connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
    offset = which * max(1, count - 1) // max(1, ROWS_PER_TABLE - 1)
    row = connection.execute(
        f'SELECT "{column}", {key_list} FROM {table} ORDER BY {key_list} LIMIT 1 OFFSET ?',
        (min(offset, count - 1),),
    ).fetchone()
    where = " AND ".join(f'"{key}" = ?' for key in keys)
    for _ in range(50):
        try:
            connection.execute(
                f'UPDATE {table} SET "{column}" = ? WHERE {where}',
                (altered(row[0], draw), *row[1:]),
            )
        except sqlite3.IntegrityError:
            continue
        connection.commit()
        connection.close()
        return tuple(row[1:])
    connection.close()
    return None


def names(findings: list[Finding], table: str, column: str) -> bool:
    """Whether the altered column is named, by itself or among the few that it must be."""
    return any(
        finding.table == table and column in finding.column.replace(" or ", ", ").split(", ")
        for finding in findings
    )


def test_a_sound_home_has_no_findings(sound_home: Path) -> None:
    assert fsck(sound_home) == []


def test_this_home_has_everything_there_is_to_alter(sound_home: Path) -> None:
    for name, table, _, _ in tables_of(sound_home):
        connection = sqlite3.connect(sound_home / name)
        assert connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0] > 0, table
        connection.close()
    connection = sqlite3.connect(sound_home / "ledger.db")
    assert connection.execute("SELECT count(DISTINCT level) FROM tiles").fetchone() == (2,)
    assert connection.execute("SELECT max(count) FROM places").fetchone()[0] == (
        places.CHUNK_RECORDS
    )
    connection.close()


def cases() -> list[tuple[str, str, str, tuple[str, ...], int]]:
    """Every column of every table, in several rows; the schemas are constants, so no home is needed."""
    from drystone.storage.database import META_TABLE
    from drystone.storage.ledger import SCHEMA as LEDGER
    from drystone.storage.vertices import SCHEMA as VERTICES

    found: list[tuple[str, str, str, tuple[str, ...], int]] = []
    for name, schema in (("vertices.db", VERTICES), ("ledger.db", LEDGER)):
        memory = sqlite3.connect(":memory:")
        for statement in (META_TABLE, *schema.statements):
            memory.execute(statement)
        for (table,) in memory.execute("SELECT name FROM sqlite_schema WHERE type = 'table'"):
            info = memory.execute(f"PRAGMA table_info({table})").fetchall()
            keys = tuple(row[1] for row in sorted(info, key=lambda row: row[5]) if row[5])
            found += [
                (name, table, row[1], keys, which)
                for row in info
                for which in range(ROWS_PER_TABLE)
            ]
        memory.close()
    return found


@pytest.mark.parametrize(("name", "table", "column", "keys", "which"), cases())
def test_every_altered_column_of_every_table_is_named(
    home: Path, name: str, table: str, column: str, keys: tuple[str, ...], which: int
) -> None:
    draw = random.Random(f"{table}.{column}.{which}")
    key = alter(home / name, table, column, keys, which, draw)
    assert key is not None
    findings = fsck(home)
    assert names(findings, table, column), (key, findings)


def rows_of(path: Path, sql: str) -> list[tuple[Any, ...]]:
    connection = sqlite3.connect(path)
    rows = connection.execute(sql).fetchall()
    connection.close()
    return rows


def test_every_single_tile_is_named(sound_home: Path, tmp_path: Path) -> None:
    for level, number in rows_of(sound_home / "ledger.db", "SELECT level, number FROM tiles"):
        home = tmp_path / f"{level}-{number}"
        shutil.copytree(sound_home, home)
        connection = sqlite3.connect(home / "ledger.db")
        data = bytearray(
            connection.execute(
                "SELECT hashes FROM tiles WHERE level = ? AND number = ?", (level, number)
            ).fetchone()[0]
        )
        data[-1] ^= 1
        connection.execute(
            "UPDATE tiles SET hashes = ? WHERE level = ? AND number = ?", (data, level, number)
        )
        connection.commit()
        connection.close()
        assert ("tiles", f"{level}/{number}", "hashes") in {f[1:4] for f in fsck(home)}


def test_an_altered_value_is_named_alone(home: Path) -> None:
    """One altered state value brings one finding, with the state key that a person can look up."""
    key = alter(home / "ledger.db", "state", "value", ["key"], 2, random.Random(1))
    assert key is not None
    (finding,) = fsck(home)
    assert finding[:4] == ("ledger.db", "state", key[0].hex(), "value")


def altered_body(home: Path, chain: Chain, index: int, *, raw: bool) -> int:
    """Alter one record of the body of vertex `index`; return its number within the body."""
    connection = sqlite3.connect(home / "vertices.db")
    number = index + 1
    stored = connection.execute("SELECT body FROM bodies WHERE number = ?", (number,)).fetchone()[0]
    if raw:
        data = bytearray(stored)
        data[len(data) // 2] ^= 1
        connection.execute("UPDATE bodies SET body = ? WHERE number = ?", (data, number))
        record = -1
    else:
        body = bytearray(zlib.decompress(stored))
        records = cbor.split_sequence(bytes(body), items_max=1_000)
        record = len(records) - 1
        body[-len(records[-1]) + 40] ^= 0x04
        packed = zlib.compress(bytes(body))
        connection.execute("UPDATE bodies SET body = ? WHERE number = ?", (packed, number))
    connection.commit()
    connection.close()
    return record


@pytest.mark.parametrize("index", [3, 20, 40])
def test_an_altered_record_is_named_with_its_vertex(home: Path, chain: Chain, index: int) -> None:
    record = altered_body(home, chain, index, raw=False)
    header = chain.vertices[index].header
    finding = fsck(home)[0]
    assert (finding.table, finding.column) == ("bodies", "body")
    from drystone.records.vertex import decode_header, vertex_id

    assert vertex_id(decode_header(header), chain.ledger).hex() in finding.row
    assert f"record {record}" in finding.what


def test_a_flipped_bit_in_a_packed_body_is_named(home: Path, chain: Chain) -> None:
    altered_body(home, chain, 25, raw=True)
    assert fsck(home)[0][:2] == ("vertices.db", "bodies")
    assert "record" in fsck(home)[0].what


def test_a_body_nobody_ordered_is_checked_too(home: Path, chain: Chain) -> None:
    altered_body(home, chain, len(chain.vertices) - 1, raw=True)
    (finding,) = fsck(home)
    assert (finding.table, finding.column) == ("bodies", "body")


@pytest.mark.parametrize(
    ("name", "sql", "table"),
    [
        ("ledger.db", "DELETE FROM blocks WHERE height = 9", "blocks"),
        ("ledger.db", "DELETE FROM blocks WHERE height = 0", "blocks"),
        ("ledger.db", "DELETE FROM state WHERE key = (SELECT max(key) FROM state)", "state"),
        ("ledger.db", "DELETE FROM tiles WHERE level = 0 AND number = 1", "tiles"),
        ("ledger.db", "INSERT INTO tiles VALUES (3, 0, x'00')", "tiles"),
        ("ledger.db", "INSERT INTO tiles VALUES (99, 0, x'00')", "tiles"),
        ("ledger.db", "INSERT INTO tiles VALUES (0, -1, x'00')", "tiles"),
        ("ledger.db", "INSERT INTO places VALUES (x'00', 0, 1, 1, x'000000', x'00')", "places"),
        ("ledger.db", "INSERT INTO ranges VALUES (x'00', x'01', x'01', 0)", "ranges"),
        ("ledger.db", "INSERT INTO ordered VALUES (x'00', 1, 0)", "ordered"),
        ("ledger.db", "INSERT INTO state VALUES (x'00', 1, x'00')", "state"),
        ("ledger.db", "DELETE FROM ordered WHERE height = 3", "ordered"),
        (
            "ledger.db",
            "DELETE FROM recent WHERE height = (SELECT max(height) FROM recent)",
            "recent",
        ),
        ("ledger.db", "DELETE FROM meta WHERE name = 'kind'", "meta"),
        ("ledger.db", "UPDATE blocks SET entry = 7 WHERE height = 5", "blocks"),
        ("ledger.db", "UPDATE blocks SET entry = x'00' WHERE height = 5", "blocks"),
        ("ledger.db", "UPDATE state SET value = 'text'", "state"),
        ("ledger.db", "UPDATE tiles SET hashes = 'text'", "tiles"),
        ("ledger.db", "DROP TABLE places", ""),
        ("vertices.db", "DELETE FROM vertices WHERE number = 9", "vertices"),
        ("vertices.db", "UPDATE vertices SET header = 'text' WHERE number = 4", "vertices"),
        ("vertices.db", "UPDATE vertices SET header = x'00' WHERE number = 4", "vertices"),
        ("vertices.db", "UPDATE bodies SET body = 7 WHERE number = 4", "bodies"),
        ("vertices.db", "UPDATE intake SET records = 7", "intake"),
        ("vertices.db", "UPDATE meta SET value = 7", "meta"),
        ("vertices.db", "DROP TABLE intake", ""),
        ("vertices.db", "DROP INDEX vertices_id", ""),
    ],
)
def test_rows_that_came_or_went_are_named(home: Path, name: str, sql: str, table: str) -> None:
    connection = sqlite3.connect(home / name)
    connection.execute(sql)
    connection.commit()
    connection.close()
    findings = fsck(home)
    if sql.startswith("DROP INDEX"):
        assert findings == []  # Nothing is lost with an index; it is only slower.
    else:
        assert any(finding.table == table for finding in findings), findings


def test_a_mark_that_runs_ahead_is_named(home: Path, chain: Chain) -> None:
    store = VertexDB.open(home / "vertices.db", chain.ledger)
    with store.database.transaction():
        store.database.put_meta("ordered-through", len(chain.vertices))
    store.close()
    (finding,) = fsck(home)
    assert finding[1:4] == ("meta", "ordered-through", "value")


def test_a_pruned_home_is_checked_as_far_as_it_goes(home: Path, chain: Chain) -> None:
    store = VertexDB.open(home / "vertices.db", chain.ledger)
    store.prune(range(20, 30))
    store.close()
    assert fsck(home) == []


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE blocks SET root = zeroblob(32) WHERE height = 40",
        "UPDATE blocks SET entry = zeroblob(131) WHERE height = 40",
        "UPDATE blocks SET size = 5 WHERE height = 40",
        "UPDATE blocks SET outcomes = x'8080' WHERE height = 40",
        "UPDATE state SET value = x'80' WHERE key = (SELECT max(key) FROM state)",
        "UPDATE state SET prefix = 3 WHERE key = (SELECT max(key) FROM state)",
        "UPDATE state SET value = 'text'",
        "UPDATE tiles SET hashes = zeroblob(8192) WHERE level = 0 AND number = 1",
        "UPDATE tiles SET hashes = zeroblob(length(hashes)) WHERE level = 1",
        "UPDATE recent SET changes = x'00' WHERE height = 45",
        "UPDATE recent SET leaves = zeroblob(length(leaves)) WHERE height = 45",
        "UPDATE ordered SET position = 7 WHERE height = 40",
    ],
)
def test_behind_pruned_bodies_damage_is_found_too(home: Path, chain: Chain, sql: str) -> None:
    store = VertexDB.open(home / "vertices.db", chain.ledger)
    store.prune([25])
    store.close()
    connection = sqlite3.connect(home / "ledger.db")
    connection.execute(sql)
    connection.commit()
    connection.close()
    findings = fsck(home)
    assert any(finding.table == sql.split()[1] for finding in findings), findings


@pytest.mark.parametrize("name", ["genesis.cbor", "vertices.db", "ledger.db"])
def test_a_missing_file_is_a_finding(home: Path, name: str) -> None:
    (home / name).unlink()
    (finding,) = fsck(home)
    assert finding.database == name


@pytest.mark.parametrize("name", ["genesis.cbor", "vertices.db", "ledger.db"])
def test_a_file_of_something_else_is_a_finding(home: Path, name: str) -> None:
    (home / name).write_bytes(b"something else" * 1_000)
    assert {finding.database for finding in fsck(home)} == {name}


def test_another_ledgers_genesis_is_named_as_a_foreign_meta_row(home: Path) -> None:
    (home / "genesis.cbor").write_bytes(make_chain("other", blocks=1).genesis)
    assert {
        ("vertices.db", "meta", "ledger", "value"),
        ("ledger.db", "meta", "ledger", "value"),
    } <= {finding[:4] for finding in fsck(home)}


def content(path: Path) -> list[object]:
    """Every value of every table of a file."""
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    tables = [
        row[0] for row in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")
    ]
    rows = [connection.execute(f"SELECT * FROM {table}").fetchall() for table in tables]
    connection.close()
    return [tables, rows]


@pytest.mark.parametrize("name", ["vertices.db", "ledger.db"])
def test_a_flipped_bit_anywhere_in_a_file_is_found_or_changes_nothing(
    sound_home: Path, tmp_path: Path, name: str
) -> None:
    """Bits of free space hold nothing; every other one is named, and none brings fsck down."""
    home = tmp_path / "home"
    backup(sound_home, home)
    sound = (home / name).read_bytes()
    whole = content(home / name)
    draw = random.Random(name)
    found = 0
    for _ in range(30):
        data = bytearray(sound)
        data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
        (home / name).write_bytes(data)
        findings = fsck(home)
        found += bool(findings)
        if not findings:
            assert content(home / name) == whole
    assert found > 5


def test_progress_is_told_block_by_block(sound_home: Path, chain: Chain) -> None:
    told: list[tuple[int, int]] = []
    fsck(sound_home, progress=lambda done, total: told.append((done, total)))
    last = len(chain.blocks) - 1
    assert told == [(height, last) for height in range(1, last + 1)]


def test_findings_are_bounded() -> None:
    report = Report()
    for number in range(FINDINGS_MAX + 10):
        report.add("ledger.db", "state", number, "value", "altered")
    assert len(report.findings) == FINDINGS_MAX


def test_reading_changes_no_file(home: Path) -> None:
    before = {
        path.name: hashlib.sha256(path.read_bytes()).digest()
        for path in home.iterdir()
        if not path.name.endswith(("-shm", "-wal"))
    }
    fsck(home)
    after = {
        path.name: hashlib.sha256(path.read_bytes()).digest()
        for path in home.iterdir()
        if not path.name.endswith(("-shm", "-wal"))
    }
    assert after == before


def test_a_ledger_with_only_its_genesis_is_sound(chain: Chain, tmp_path: Path) -> None:
    write_home(chain, tmp_path / "home", height=0)
    assert fsck(tmp_path / "home") == []
    ledger = LedgerDB.open(tmp_path / "home" / "ledger.db")
    ledger.database.rows("UPDATE blocks SET root = zeroblob(32)")
    ledger.close()
    findings = check_files(
        decode_genesis(chain.genesis),
        ledger=tmp_path / "home" / "ledger.db",
        vertices=tmp_path / "home" / "vertices.db",
    )
    assert names(findings, "blocks", "root")


def test_a_header_whose_body_is_still_to_come_is_sound_and_an_ordered_one_without_is_not(
    home: Path, chain: Chain
) -> None:
    last = len(chain.vertices)
    with sqlite3.connect(home / "vertices.db") as connection:
        # The home's last vertex is in no block; its body is asked of another gateway.
        connection.execute("UPDATE bodies SET body = x'' WHERE number = ?", (last,))
    connection.close()
    assert fsck(home) == []
    with sqlite3.connect(home / "vertices.db") as connection:
        connection.execute("UPDATE bodies SET body = x'' WHERE number = 20")
    connection.close()
    assert [finding.table for finding in fsck(home)][:1] == ["bodies"]
