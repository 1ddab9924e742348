"""The ordered log, passed on: blocks for followers, registry rows and outcomes for gateways.

One question of each kind is open at a time on either side. What is asked for blocks and outcomes stays open until there
is something to answer, so that waiting costs nothing; every `Ping` tells the height, and who is behind it without an
answer asks again. Checked here: that blocks follow one another and end with a checkpoint, that rows are what was asked
for. Not checked: signatures, roots, outcomes; who keeps them does (`gateway/uplink.py`, `engine/follow.py`).

Place in a record's life: after the commit. Source: docs/spec/sync.md.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

from drystone.errors import BlockForged, PeerSilent
from drystone.gateway.sync.chains import TRIES_MAX
from drystone.gateway.sync.line import Line
from drystone.gateway.sync.messages import (
    Blocks,
    Done,
    Have,
    OrderedBlock,
    Rows,
    WantBlocks,
    WantRows,
)

HAVE_WAITS: Final = 30
"""Times of an answer after which outcomes are asked for once more although the peer has not told of another block."""


class Feed:
    """The blocks', rows' and outcomes' part of one session."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self.height = 0
        """Of the last block here."""
        self.theirs = 0
        """Of the peer's last block, as far as it told."""
        self._blocks: WantBlocks | None = None
        self._blocks_ms = 0
        self._rows: WantRows | None = None
        self._rows_ms = 0
        self._rows_tries = 0
        self._have: Have | None = None
        self._have_ms = 0
        self._have_height = 0
        self._asked_blocks: WantBlocks | None = None
        self._asked_have: Have | None = None
        self._loading_rows = False
        self._looked: dict[type, tuple[object, int, int]] = {}
        """What was last looked for, for each kind of question, at which height and when."""

    # --- asking ------------------------------------------------------------------------------------

    def want_blocks(self, want: WantBlocks) -> None:
        """Ask for blocks; another question that is open is replaced."""
        self._blocks, self._blocks_ms = want, self._line.now_ms
        if self._line.hello is not None:
            self._line.send(want)

    def want_rows(self, want: WantRows) -> None:
        """Ask for rows; another question that is open is replaced."""
        self._rows, self._rows_ms, self._rows_tries = want, self._line.now_ms, 0
        if self._line.hello is not None:
            self._line.send(want)

    def have(self, have: Have) -> None:
        """Ask for outcomes; another question that is open is replaced."""
        self._have, self._have_ms, self._have_height = have, self._line.now_ms, self.theirs
        if self._line.hello is not None:
            self._line.send(have)

    def opened(self) -> None:
        """The peer's hello came: ask what was asked for before."""
        for question in (self._blocks, self._rows, self._have):
            if question is not None:
                self._line.send(question)

    def go_on(self) -> None:
        """Ask again what should have been answered.

        Raises:
            PeerSilent: rows were asked for too often.
        """
        line = self._line
        answer_ms = line.bounds.answer_ms
        if line.hello is None:
            return
        if self._rows is not None:
            if line.now_ms >= self._rows_ms + answer_ms:
                self._rows_ms, self._rows_tries = line.now_ms, self._rows_tries + 1
                if self._rows_tries >= TRIES_MAX:
                    raise PeerSilent(f"{line.name} does not answer")
                line.send(self._rows)
            line.wake(self._rows_ms + answer_ms)
        if self._blocks is not None and self.theirs > self._blocks.after:
            if line.now_ms >= self._blocks_ms + answer_ms:
                self._blocks_ms = line.now_ms
                line.send(self._blocks)
            line.wake(self._blocks_ms + answer_ms)
        if self._have is not None:
            # A higher block need not hold a vertex of ours: ask once more, then seldom; an answer may be lost.
            grown = self.theirs > self._have_height
            due_ms = self._have_ms + (1 if grown else HAVE_WAITS) * answer_ms
            if line.now_ms >= due_ms:
                self._have_ms, self._have_height = line.now_ms, self.theirs
                line.send(self._have)
                due_ms = line.now_ms + HAVE_WAITS * answer_ms
            line.wake(due_ms)

    # --- what comes --------------------------------------------------------------------------------

    def take_blocks(self, message: Blocks) -> None:
        """Take blocks that were asked for.

        Raises:
            BlockForged: they do not follow one another, or no checkpoint closes them.
        """
        line = self._line
        self.theirs = max(self.theirs, message.height)
        want = self._blocks
        if want is None or not message.blocks or message.blocks[0].height != want.after + 1:
            line.useless()
            return
        check_blocks(message.blocks, line.name, in_a_row=True)
        self._blocks = None
        line.out.blocks.extend(message.blocks)

    def take_rows(self, message: Rows) -> None:
        """Take rows that were asked for."""
        want = self._rows
        if want is None or message.after != want.after or (message.same and not want.digest):
            self._line.useless()
            return
        self.theirs = max(self.theirs, message.height)
        self._rows = None
        self._line.out.rows.append(message)

    def take_done(self, message: Done) -> None:
        """Take outcomes that were asked for.

        Raises:
            BlockForged: the blocks do not rise, or no checkpoint closes them.
        """
        line = self._line
        have = self._have
        behind = have is not None and (have.place is None or message.place > have.place)
        if not behind or not message.blocks:
            line.useless()
            return
        check_blocks(message.blocks, line.name, in_a_row=False)
        self.theirs = max(self.theirs, message.blocks[-1].height)
        self._have = None
        line.out.done.append(message)

    # --- answering ---------------------------------------------------------------------------------

    def serve_blocks(self, want: WantBlocks) -> None:
        """The peer asks for blocks: load them as soon as there are any."""
        self._asked_blocks = want
        if self.height > want.after and self._looks(want):
            self._line.out.load_blocks.append(want)

    def serve_rows(self, want: WantRows) -> None:
        """The peer asks for rows."""
        if self._loading_rows:
            self._line.useless()
            return
        self._loading_rows = True
        self._line.out.load_rows.append(want)

    def serve_done(self, have: Have) -> None:
        """The peer asks for outcomes: look now, and with every block until there are any."""
        self._asked_have = have
        if self._looks(have):
            self._line.out.load_done.append(have)

    def _looks(self, question: WantBlocks | Have) -> bool:
        """Whether to look for an answer: not again for what was looked for a moment ago, at the same height."""
        line = self._line
        last = self._looked.get(type(question))
        asked, height, at_ms = last or (None, 0, 0)
        again = (asked, height) == (question, self.height)
        if again and line.now_ms < at_ms + line.bounds.answer_ms:
            line.useless()
            return False
        self._looked[type(question)] = (question, self.height, line.now_ms)
        return True

    def committed(self, height: int) -> None:
        """The ledger here has grown: look again for what is asked."""
        if height <= self.height:
            return
        self.height = height
        if self._asked_blocks is not None and height > self._asked_blocks.after:
            self._line.out.load_blocks.append(self._asked_blocks)
        if self._asked_have is not None:
            self._line.out.load_done.append(self._asked_have)

    def blocks_loaded(self, height: int, blocks: Sequence[OrderedBlock]) -> None:
        """Answer the peer's question for blocks."""
        want = self._asked_blocks
        if want is not None and blocks and blocks[0].height == want.after + 1:
            self._asked_blocks = None
            self._line.send(Blocks(height, tuple(blocks)))

    def rows_loaded(self, rows: Rows) -> None:
        """Answer the peer's question for rows."""
        self._loading_rows = False
        self._line.send(rows)

    def done_loaded(self, done: Done) -> None:
        """Answer the peer's question for outcomes."""
        have = self._asked_have
        if have is not None and done.blocks and (have.place is None or done.place > have.place):
            self._asked_have = None
            self._line.send(done)


def check_blocks(blocks: Sequence[OrderedBlock], who: str, *, in_a_row: bool) -> None:
    """Check that blocks rise, one by one or with gaps, and that the last one, and no other, has a checkpoint.

    Raises:
        BlockForged: they do not.
    """
    heights = [block.height for block in blocks]
    steps = [b - a for a, b in pairwise(heights)]
    if any(step < 1 or (in_a_row and step > 1) for step in steps):
        raise BlockForged(f"{who}: blocks {heights[0]} to {heights[-1]} do not follow one another")
    for before, block in pairwise(blocks):
        joins = before.size <= block.first_leaf and (
            not in_a_row or before.size == block.first_leaf
        )
        if not joins:
            raise BlockForged(f"{who}: the log of block {block.height} does not follow")
    if blocks[-1].checkpoint is None or any(one.checkpoint is not None for one in blocks[:-1]):
        raise BlockForged(f"{who}: a checkpoint closes blocks, and stands nowhere else")
