"""Every write of mirror.db is failed twice, and the next life goes on from a file that is whole.

Method as in `test_every_write.py`: a short life is counted in disk operations, then lived once per operation and kind
of failure. What the mirror was told before must be there or must be asked for again; nothing in between.
"""

import contextlib
from pathlib import Path

import pytest

from drystone.errors import Broken
from drystone.proof.block import BlockEntry, encode_block
from drystone.sim.power_loss import Disk, Fault
from drystone.storage.fsck.mirror import check_mirror
from drystone.storage.mirror import MirrorDB, OrderedHere, SeenBlock

LEDGER = bytes(range(32))
MIRROR = Path("/mirror.db")
BLOCKS = 6


def block(height: int) -> SeenBlock:
    entry = encode_block(BlockEntry(height, 1_000 + height, bytes(32), bytes(32), bytes(32), 1))
    return SeenBlock(height, 2 * height + 1, entry)


def make(disk: Disk) -> None:
    MirrorDB.create(
        MIRROR, LEDGER, genesis=block(0), rows={b"\x01a": b"x"}, vfs=disk.mount()
    ).close()


def live(disk: Disk) -> None:
    """Follow the chain block by block from where it stands, with rows and streams between."""
    mirror = MirrorDB.open(MIRROR, LEDGER, vfs=disk.mount())
    with contextlib.closing(mirror):
        while (height := mirror.last.height + 1) <= BLOCKS:
            one = OrderedHere(height.to_bytes(32, "big"), height, 0, {0: "already"})
            mirror.follow(
                [block(height)], ordered=[one], checkpoint=bytes([height]), place=(0, height)
            )
            mirror.put_rows([(b"\x01a", bytes([height]))], after=b"", last=b"", height=height)
            mirror.put_streams({b"s": bytes([height])}, through=height)


def check(disk: Disk) -> None:
    assert check_mirror(MIRROR, ledger=LEDGER, vfs=disk.mount()) == []
    mirror = MirrorDB.open(MIRROR, LEDGER, vfs=disk.mount())
    assert mirror.last == (BLOCKS, 2 * BLOCKS + 1, bytes([BLOCKS]))
    for height in range(1, BLOCKS + 1):
        assert mirror.order_of(height.to_bytes(32, "big")) is not None
    mirror.close()


@pytest.mark.parametrize("fault", list(Fault))
def test_no_failing_operation_leaves_half_a_block(fault: Fault) -> None:
    disk = Disk()
    make(disk)
    before = disk.operations
    live(disk)
    operations = disk.operations - before
    assert operations > 40
    for number in range(operations):
        disk = Disk()
        make(disk)
        disk.fail_after(number, fault)
        with contextlib.suppress(Broken):
            live(disk)
        disk.reopen()
        live(disk)
        check(disk)
