"""How far an import is: which stretch of each stream belongs to it, and how many records are acknowledged.

One JSON file per table and mapping, in the key folder. It is written before any record is sent, and again as answers
come. Lost: the same import begins anew behind what is there, so the table is in the ledger twice. Rolled back: records
are sent again and answered `already`. Forged: positions collide or are left out, which the answers show.
"""

import json
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, cast

from drystone.errors import ImportMalformed
from drystone.home.keyfolder import Position, make_private_folder, write_private

VERSION: Final = 1
FILE_BYTES_MAX: Final = 64 * 1024 * 1024


@dataclass(slots=True, kw_only=True)
class Journal:
    """The state of one import; `begins` has the first position of each device."""

    path: Path
    done: int = 0
    begins: dict[str, Position] = field(default_factory=dict[str, Position])

    def save(self) -> None:
        """Write it, synced, whole or not at all."""
        fields = {
            "drystone-import": VERSION,
            "done": self.done,
            "begins": {name: list(begin) for name, begin in sorted(self.begins.items())},
        }
        make_private_folder(self.path.parent)
        write_private(self.path, (json.dumps(fields) + "\n").encode())


def journal_path(folder: Path, *, table: bytes, mapping: bytes) -> Path:
    """Give the place of the journal of a table (its SHA-256) under a mapping (its SHA-256)."""
    digest = sha256(b"drystone/import/1\n" + table + mapping).hexdigest()
    return folder / f"import-{digest[:16]}.json"


def open_journal(path: Path) -> Journal:
    """Read a journal, or begin one. Raises: ImportMalformed when the file holds something else."""
    try:
        with path.open("rb") as file:
            loaded: object = json.loads(file.read(FILE_BYTES_MAX))
    except FileNotFoundError:
        return Journal(path=path)
    except ValueError as error:
        raise ImportMalformed(f"{path} is not JSON") from error
    fields = cast("dict[str, Any]", loaded) if isinstance(loaded, dict) else {}
    begins, done = fields.get("begins"), fields.get("done")
    if fields.get("drystone-import") != VERSION or type(done) is not int or done < 0:
        raise ImportMalformed(f"{path} is no journal of version {VERSION}")
    if not isinstance(begins, dict):
        raise ImportMalformed(f"{path} is no journal of version {VERSION}")
    try:
        known = {
            name: Position(int(epoch), int(seq))
            for name, (epoch, seq) in cast("dict[str, Any]", begins).items()
        }
    except (TypeError, ValueError) as error:
        raise ImportMalformed(f"{path}: a position is not [epoch, number]") from error
    return Journal(path=path, done=done, begins=known)
