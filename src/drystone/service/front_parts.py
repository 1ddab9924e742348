"""What a service needs of whatever takes records in, and its twin on a node that takes none.

A follower serves reads and proofs; records are a gateway's or a node's. Source: design.md section 2 (follower).
"""

from collections.abc import Sequence
from typing import Final, Protocol

from drystone.errors import NotHere
from drystone.formats.senml import Measurement
from drystone.gateway.answer import Answer, Wait

ELSEWHERE: Final = "a follower takes no records: send them to a gateway or node"
RETRY_AFTER_MS: Final = 60_000


class Takes(Protocol):
    """Intake."""

    waiters: int
    codes: dict[str, int]

    async def submit(self, sequence: bytes, *, wait: Wait | None) -> Sequence[Answer]:
        """Take a CBOR sequence of records in."""
        ...


class Attests(Protocol):
    """Who signs for devices that cannot."""

    async def attest(
        self, device: str, measurements: Sequence[Measurement], *, wait: Wait | None
    ) -> Answer:
        """Sign a reading and take it in."""
        ...


class Seals(Protocol):
    """How much is on its way into the order."""

    @property
    def unsealed_records(self) -> int:
        """Records acknowledged and not sealed."""
        ...

    @property
    def unsealed_bytes(self) -> int:
        """Their bytes."""
        ...

    @property
    def unordered_vertices(self) -> int:
        """Vertices sealed here and not ordered."""
        ...


class Holds(Protocol):
    """Stream positions that are taken and not committed."""

    records: int


class Orders(Protocol):
    """The engine."""

    @property
    def blocks_in_flight(self) -> int:
        """Blocks that the executor has not committed yet."""
        ...


class TakesNone:
    """A follower's intake, attestor, sealer and positions: there are none."""

    def __init__(self) -> None:
        self.waiters = self.records = 0
        self.codes: dict[str, int] = {}
        self.unsealed_records = self.unsealed_bytes = self.unordered_vertices = 0

    async def submit(self, sequence: bytes, *, wait: Wait | None) -> Sequence[Answer]:
        """Refuse. Raises: NotHere."""
        del sequence, wait
        raise NotHere(ELSEWHERE, retry_after_ms=RETRY_AFTER_MS)

    async def attest(
        self, device: str, measurements: Sequence[Measurement], *, wait: Wait | None
    ) -> Answer:
        """Refuse. Raises: NotHere."""
        del device, measurements, wait
        raise NotHere(ELSEWHERE, retry_after_ms=RETRY_AFTER_MS)
