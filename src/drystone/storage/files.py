"""What the files of a home are called that hold a ledger, and how one knows whose it is."""

from pathlib import Path
from typing import Final

from drystone import limits
from drystone.errors import HomeInvalid
from drystone.ledger.apply import apply_genesis
from drystone.ledger.genesis import Genesis, decode_genesis
from drystone.storage.memory import MemoryView

GENESIS_FILE: Final = "genesis.cbor"
LEDGER_FILE: Final = "ledger.db"
VERTICES_FILE: Final = "vertices.db"
MIRROR_FILE: Final = "mirror.db"
"""A gateway's, in place of a ledger."""


def read_genesis(home: Path) -> Genesis:
    """Read and check a home's genesis file.

    Raises:
        HomeInvalid: the file cannot be read. GenesisInvalid: it is no genesis file.
    """
    try:
        with (home / GENESIS_FILE).open("rb") as file:
            data = file.read(limits.GENESIS_BYTES_MAX + 1)
    except OSError as error:
        raise HomeInvalid(f"{home}: {error}") from error
    return decode_genesis(data)


def ledger_id(home: Path) -> bytes:
    """Return the id of the ledger that a home's genesis file begins; raises as `read_genesis`."""
    return apply_genesis(read_genesis(home), MemoryView()).ledger
