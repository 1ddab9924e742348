"""What a gateway says about one record that was handed to it.

Lives here because transports and the REST API both pass it on; it may not know HTTP. Place in a
record's life: right after intake, and again when its place or outcome is known. Source: the issue's
item 5, design.md section 3.2.
"""

from collections.abc import Iterator, Sequence
from typing import Final, Literal, NamedTuple, overload

from drystone import errors
from drystone.errors import DrystoneError

Wait = Literal["sealed", "provisional", "committed"]
"""What a client may wait for beyond `stored`: the record's place, its outcome as this node foresees it, its outcome."""

FINAL: Final = "final"
PROVISIONAL: Final = "provisional"
Finality = Literal["final", "provisional"]
"""Whether the ledger's order says so, or only a guess at it (`ledger/provisional.py`)."""

STORED: Final = "stored"
"""The record survives power loss and will be sealed."""

ID_BYTES: Final = 32

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
    """Outcome code once the record is committed; asked for with `wait="committed"`. With `wait="provisional"` what
    this node foresees: then there is no height."""
    height: int | None = None
    """Block that holds the outcome."""
    retry_after_ms: int | None = None
    """Set when the code belongs to an `Unavailable`: send this record again after that time."""

    @property
    def finality(self) -> Finality | None:
        """What kind of outcome it carries; None without one. Only a block makes one final."""
        if self.outcome is None:
            return None
        return PROVISIONAL if self.height is None else FINAL


class AllStored(Sequence[Answer]):
    """The answers of a request whose records were all stored: their ids, and nothing made before it is asked for."""

    def __init__(self, ids: bytes) -> None:
        """Take the record ids, 32 bytes each, one after the other."""
        self.ids = ids

    def __len__(self) -> int:
        """How many records there are."""
        return len(self.ids) // ID_BYTES

    @overload
    def __getitem__(self, index: int) -> Answer: ...
    @overload
    def __getitem__(self, index: slice) -> list[Answer]: ...
    def __getitem__(self, index: int | slice) -> Answer | list[Answer]:
        """One answer, or some."""
        numbers = range(len(self))[index]
        if isinstance(numbers, range):
            return [self[number] for number in numbers]
        at = numbers * ID_BYTES
        return Answer(STORED, "", self.ids[at : at + ID_BYTES])


def refusal(answer: Answer) -> DrystoneError | None:
    """The error whose code an answer carries; None if the record was taken.

    An outcome that refused a stored record is no refusal of the request: the record is in.
    """
    if answer.code in {STORED, ALREADY}:
        return None
    kind = ERRORS.get(answer.code, errors.Refused)
    if issubclass(kind, errors.Unavailable):
        return kind(answer.detail, retry_after_ms=answer.retry_after_ms or 1000)
    return kind(answer.detail)


def _classes(family: type[DrystoneError]) -> Iterator[type[DrystoneError]]:
    if family.__module__ == errors.__name__:
        yield family
        for child in family.__subclasses__():
            yield from _classes(child)


ERRORS: Final = {
    kind.code: kind
    for family in (errors.Refused, errors.Unavailable, errors.Broken)
    for kind in _classes(family)
}
"""Every error by its code, family by family, in the order of `errors.py`."""
