"""What a gateway says about one record that was handed to it.

Lives here because transports and the REST API both pass it on; it may not know HTTP. Place in a
record's life: right after intake, and again when its place or outcome is known. Source: the issue's
item 5, design.md section 3.2.
"""

from typing import Final, Literal, NamedTuple

Wait = Literal["sealed", "committed"]
"""What a client may wait for beyond `stored`: the record's place, or its outcome."""

STORED: Final = "stored"
"""The record survives power loss and will be sealed."""

ALREADY: Final = "already"
"""The record's position in its stream was taken before; the place is the first one's, where
known."""


class Answer(NamedTuple):
    """One record's fate so far. `code` is `stored`, `already` or the code of a class in
    `errors.py`.
    """

    code: str
    detail: str = ""
    record_id: bytes | None = None
    place: tuple[str, str, int, int, int] | None = None
    """Author's organisation and id, epoch and sequence of the vertex, index of the record in its
    body."""
    outcome: str | None = None
    """Outcome code once the record is committed; asked for with `wait="committed"`."""
    height: int | None = None
    """Block that holds the outcome."""
    retry_after_ms: int | None = None
    """Set when the code belongs to an `Unavailable`: send this record again after that time."""
