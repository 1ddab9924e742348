"""The state as a table: the flat, ordered map that is the truth, under its hash tree's cache.

Rows are written at a flush, sorted by key; between two flushes the newest values are in the
overlay. `prefix`, the first bits of the key's hash, finds the keys that neighbour one another in
the hash tree. Source: `budget.md`, "State rows"; design.md section 4.
"""

from collections.abc import Iterator, Mapping
from hashlib import sha256
from typing import Final

from drystone import limits
from drystone.storage.database import Database

TABLES: Final = (
    """
    CREATE TABLE state (
        key BLOB PRIMARY KEY, prefix INTEGER NOT NULL, value BLOB NOT NULL
    ) WITHOUT ROWID""",
    "CREATE INDEX state_prefix ON state (prefix)",
)


def prefix_of(key_hash: bytes) -> int:
    """Return the first 64 bits of a key's hash as SQLite's signed integer."""
    return int.from_bytes(key_hash[:8], signed=True)


def write_state(database: Database, writes: Mapping[bytes, bytes | None]) -> None:
    """Set and delete values, sorted by key, inside the caller's transaction."""
    items = sorted(writes.items())
    database.many("DELETE FROM state WHERE key = ?", [(k,) for k, value in items if value is None])
    values = [(value, key) for key, value in items if value is not None]
    before = database.changes()
    database.many("UPDATE state SET value = ? WHERE key = ?", values)
    if database.changes() - before < len(values):
        # Some keys are new; which ones SQLite finds out faster than we would.
        database.many(
            "INSERT OR IGNORE INTO state VALUES (?, ?, ?)",
            [(key, prefix_of(sha256(key).digest()), value) for value, key in values],
        )


def read_state(database: Database, key: bytes) -> bytes | None:
    """Return the flushed value under `key`."""
    found = database.row("SELECT value FROM state WHERE key = ?", (key,))
    return None if found is None else found[0]


def keys_with_prefix(database: Database, prefix: int) -> list[bytes]:
    """Return the flushed keys whose hashes begin with these 64 bits: hardly ever more than one."""
    rows = database.rows(
        "SELECT key FROM state WHERE prefix = ? LIMIT ?", (prefix, limits.LIST_ROWS_MAX)
    )
    return [row[0] for row in rows]


def scan_state(
    database: Database,
    overlay: Mapping[bytes, bytes | None],
    prefix: bytes,
    *,
    after: bytes | None,
    limit: int,
) -> list[tuple[bytes, bytes]]:
    """Return up to `limit` pairs whose key starts with `prefix`, by key, behind the key `after`.

    `overlay` holds newer values, None where a key went.
    """
    start = prefix if after is None else max(prefix, after + b"\x00")
    end = _end_of(prefix)
    newer = {
        key: value for key, value in overlay.items() if key >= start and (end is None or key < end)
    }
    pairs: list[tuple[bytes, bytes]] = []
    while len(pairs) < limit:
        rows = _read_range(database, start, end, limit=limit)
        complete = len(rows) < limit
        merged = dict(rows)
        last = rows[-1][0] if rows else b""
        for key, value in newer.items():
            if key < start or not (complete or key <= last):
                continue
            if value is None:
                merged.pop(key, None)
            else:
                merged[key] = value
        pairs += sorted(merged.items())
        if complete:
            break
        start = last + b"\x00"
    return pairs[:limit]


def state_pairs(
    database: Database, overlay: Mapping[bytes, bytes | None]
) -> Iterator[tuple[bytes, bytes]]:
    """Yield every pair of the state, read in pages, newer values from `overlay`; in no order."""
    start = b""
    while True:
        rows = _read_range(database, start, None, limit=limits.LIST_ROWS_MAX)
        yield from ((key, value) for key, value in rows if key not in overlay)
        if len(rows) < limits.LIST_ROWS_MAX:
            break
        start = rows[-1][0] + b"\x00"
    yield from ((key, value) for key, value in overlay.items() if value is not None)


def _read_range(
    database: Database, start: bytes, end: bytes | None, *, limit: int
) -> list[tuple[bytes, bytes]]:
    if end is None:
        sql, bindings = "SELECT key, value FROM state WHERE key >= ? ORDER BY key LIMIT ?", (start,)
    else:
        sql, bindings = (
            "SELECT key, value FROM state WHERE key >= ? AND key < ? ORDER BY key LIMIT ?",
            (start, end),
        )
    return [(key, value) for key, value in database.rows(sql, (*bindings, limit))]


def _end_of(prefix: bytes) -> bytes | None:
    """Return the first key behind all that start with `prefix`; None if there can be none."""
    trimmed = prefix.rstrip(b"\xff")
    return trimmed[:-1] + bytes((trimmed[-1] + 1,)) if trimmed else None
