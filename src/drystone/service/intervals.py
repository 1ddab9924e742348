"""The interval around a record, as its receipt carries it: the block that holds it, and the one its anchor names.

An anchor is the start of an application hash. There is no index of those: the blocks before the record's are looked
through, newest first, page by page, and pages are remembered. What is not among the last `ANCHOR_BLOCKS` stays
unproved, and the receipt simply has no lower end. Blocking, in the reader's thread.
Place in a record's life: its last station. Source: design.md section 4 (time).
"""

from collections import OrderedDict
from typing import Final

from drystone.errors import InvariantBroken
from drystone.proof.block import decode_block
from drystone.proof.interval import Interval, Moment, path_below
from drystone.records.record import ANCHOR_LENGTH
from drystone.storage.blocks import StoredBlock
from drystone.storage.ledger import LedgerDB
from drystone.trees.log import inclusion_path

ANCHOR_BLOCKS: Final = 16_384
"""Blocks before a record's own in which its anchor is looked for."""

PAGE_BLOCKS: Final = 512
PAGES_REMEMBERED: Final = 64


class Intervals:
    """Finds the blocks around a record."""

    def __init__(self, ledger: LedgerDB) -> None:
        self._ledger = ledger
        self._pages: OrderedDict[int, dict[bytes, int]] = OrderedDict()

    def around(self, *, height: int, index: int, anchor: bytes | None, size: int) -> Interval:
        """Give the interval of the record at log index `index`, which block `height` holds, for a log of `size`."""
        last = self._block(height)
        since = None if anchor is None else self._find(anchor, below=height)
        return Interval(
            until=self._moment(last, record=index, size=size),
            since=None
            if since is None
            else self._moment(self._block(since), record=index, size=size),
        )

    def _moment(self, block: StoredBlock, *, record: int, size: int) -> Moment:
        index = block.size - 1
        with self._ledger.snapshot():
            path = inclusion_path(index, size, self._ledger.nodes(size))
        below = path_below(index=index, path=path, record=record, size=size)
        return Moment(index, below, decode_block(block.entry))

    def _find(self, anchor: bytes, *, below: int) -> int | None:
        """Give the height of the block after which the application hash began with `anchor`."""
        page = (below - 1) // PAGE_BLOCKS
        for number in range(page, max(-1, page - ANCHOR_BLOCKS // PAGE_BLOCKS), -1):
            height = self._page(number).get(anchor)
            if height is not None and height < below:
                return height
        return None

    def _page(self, number: int) -> dict[bytes, int]:
        """Give the starts of a page's application hashes with their heights; a page that still grows is read again."""
        known = self._pages.get(number)
        if known is not None and len(known) == PAGE_BLOCKS:
            return known
        first = number * PAGE_BLOCKS
        found = self._ledger.blocks(after=first - 1, limit=PAGE_BLOCKS)
        page = {block.head[:ANCHOR_LENGTH]: block.height for block in found}
        self._pages[number] = page
        if len(self._pages) > PAGES_REMEMBERED:
            self._pages.popitem(last=False)
        return page

    def _block(self, height: int) -> StoredBlock:
        block = self._ledger.block(height)
        if block is None:
            raise InvariantBroken(f"a record lies in block {height}, which is not there")
        return block
