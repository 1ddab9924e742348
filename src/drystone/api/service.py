"""What the REST API and the pages need of a node: the Protocol `Service`.

`node/wiring.py` implements it on the running processes; tests implement it in memory. Its values are in
`values.py`. Nothing here knows HTTP, and nothing in `api/` knows more of a node than this.

A *stream* is `(iss, sub)` or, for an unsigned device that a gateway attests, `(iss, sub, device)`.
Lists take `after`, the cursor of the last row already seen, and `limit`, at most
`limits.LIST_ROWS_MAX`. Methods raise `NotFound` only where their docstring says so; where nothing
is stored they answer None. Every method may raise `Unavailable`. Source: design.md sections 3, 7.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING, Protocol

from drystone.api.dag_values import DagCursor, DagPage, ForkInfo, FrontierInfo, PeerInfo
from drystone.api.values import (
    BlockInfo,
    ContractInfo,
    ContractValue,
    EventCursor,
    FoundRecord,
    Head,
    Health,
    KnownKey,
    LedgerInfo,
    MemberInfo,
    NodeMetrics,
    OrganisationInfo,
    OutcomeInfo,
    ProfileInfo,
    ServiceEvent,
    StateProof,
    StreamCursor,
    StreamInfo,
    StreamKey,
    VersionInfo,
    VertexCursor,
    VertexInfo,
)
from drystone.gateway.answer import Answer, Wait

if TYPE_CHECKING:
    from drystone.formats.senml import Measurement
    from drystone.ledger.read_rights import Asker, ReadRights


class Service(Protocol):
    """A running node, as the API sees it."""

    @property
    def info(self) -> LedgerInfo:
        """The ledger and this node."""
        ...

    @property
    def sees_ledger(self) -> bool:
        """Whether whoever asks may see the ledger as a whole: its blocks, contracts, organisations."""
        ...

    async def submit(self, sequence: bytes, *, wait: Wait | None) -> Sequence[Answer]:
        """Hands a CBOR sequence of records in; one answer per record, in order. Bounded by the
        caller's limits.
        """
        ...

    async def attest(
        self, device: str, measurements: Sequence[Measurement], *, wait: Wait | None
    ) -> Answer:
        """Signs an unsigned device's reading as this gateway; the record names the device for
        ever.
        """
        ...

    async def head(self) -> Head:
        """The last commit."""
        ...

    async def checkpoint(self) -> bytes:
        """The last commit as a C2SP signed note."""
        ...

    async def trust(self) -> bytes:
        """The trust file (JSON) that this node hands to verifiers."""
        ...

    async def record(self, stream: StreamKey, *, epoch: int, seq: int) -> FoundRecord | None:
        """The accepted record at a stream position."""
        ...

    async def records(
        self,
        stream: StreamKey,
        *,
        after: StreamCursor | None,
        limit: int,
        newest_first: bool = False,
    ) -> Sequence[FoundRecord]:
        """Accepted records by (epoch, seq), rising, or falling with `newest_first`; `after` is
        exclusive.
        """
        ...

    def provisional(self) -> Service:
        """The node as it foresees the ledger: streams, records, members, contracts, values and events
        as if everything pending became final in the order of its arrival. Itself, where nothing is.
        """
        ...

    async def stream(self, stream: StreamKey) -> StreamInfo | None:
        """One stream's state."""
        ...

    async def streams(
        self, iss: str | None, *, after: StreamKey | None, limit: int
    ) -> Sequence[StreamInfo]:
        """Streams in the order of their state keys; of one organisation, or of all."""
        ...

    async def member(self, member: StreamKey) -> MemberInfo | None:
        """One member with its keys: `(iss, sub)`, or `(iss, gateway, device)` if attested."""
        ...

    async def members(
        self,
        iss: str | None,
        *,
        after: StreamKey | None,
        limit: int,
        roles: frozenset[str] | None = None,
    ) -> Sequence[MemberInfo]:
        """Members in the order of their state keys; of one organisation, or of all.

        With `roles` only those that have one of them. `keys` is left empty in lists.
        """
        ...

    async def known_key(self, iss: str, sub: str, *, kid: bytes | None) -> KnownKey | None:
        """A key of a member, its current one without `kid`, and whether it still speaks for it."""
        ...

    async def read_rights(self, asker: Asker | None) -> ReadRights:
        """What the organisations' read policies let a member see; None: nobody known."""
        ...

    async def organisations(self) -> Sequence[OrganisationInfo]:
        """All organisations; at most `limits.ORGANISATIONS_MAX`."""
        ...

    async def profiles(
        self, iss: str | None, *, after: tuple[str, str] | None, limit: int
    ) -> Sequence[ProfileInfo]:
        """Profiles in the order of their state keys; of one organisation, or of all."""
        ...

    async def profile(self, *, iss: str, name: str) -> ProfileInfo | None:
        """One profile."""
        ...

    async def contracts(self, *, after: str | None, limit: int) -> Sequence[ContractInfo]:
        """Contracts in the order of their state keys, without their versions."""
        ...

    async def contract(self, name: str) -> ContractInfo | None:
        """One contract with its versions, without their packages."""
        ...

    async def contract_version(self, name: str, *, version: int) -> VersionInfo | None:
        """One version with its package, where the state still holds it."""
        ...

    async def contract_values(
        self, name: str, *, path: str, after: bytes | None, limit: int
    ) -> Sequence[ContractValue]:
        """The value at a path and those below it, by state key; all of them where `path` is empty.

        `after` is the state key of the last one seen.
        """
        ...

    async def block(self, height: int) -> BlockInfo | None:
        """One block; height 0 is the genesis."""
        ...

    async def blocks(
        self, *, after: int | None, limit: int, newest_first: bool = False
    ) -> Sequence[BlockInfo]:
        """Blocks by height, rising, or falling with `newest_first`; `after` is exclusive."""
        ...

    async def outcomes(self, height: int) -> Sequence[OutcomeInfo]:
        """A block's outcomes other than a plain `accepted`, in order; empty where the block is
        unknown.
        """
        ...

    async def vertex(self, vertex_id: bytes) -> VertexInfo | None:
        """One vertex, with its body where it is kept."""
        ...

    async def vertices(
        self,
        author: tuple[str, str] | None,
        *,
        after: VertexCursor | None,
        limit: int,
        newest_first: bool = False,
    ) -> Sequence[VertexInfo]:
        """Vertices by (iss, sub, epoch, seq) without bodies; of one author, or of all."""
        ...

    async def tips(self) -> Sequence[VertexInfo]:
        """Vertices without children, without bodies."""
        ...

    async def dag(self, *, after: DagCursor | None, limit: int) -> DagPage:
        """The newest part of the DAG: vertices that are new or changed behind a cursor; all of it
        without one. A cursor of an earlier life of the node counts as none.
        """
        ...

    def dag_changes(self, after: DagCursor | None) -> AsyncIterator[DagPage]:
        """The same as it happens, without end: pages that are not empty, until the node stops."""
        ...

    async def frontier(self) -> Sequence[FrontierInfo]:
        """The last vertex of every author, by author."""
        ...

    async def forks(self) -> Sequence[ForkInfo]:
        """Places with two vertices here, and the ledger's evidence; at most a list's rows."""
        ...

    async def peers(self) -> Sequence[PeerInfo]:
        """Whom this node exchanges vertices with, by name."""
        ...

    async def state(self, key: bytes) -> StateProof:
        """A state key's value, or its absence, proved."""
        ...

    async def receipt(self, stream: StreamKey, *, epoch: int, seq: int) -> bytes:
        """The record at a position as a transparent statement. Raises: NotFound (no record, or its
        body pruned).
        """
        ...

    async def completeness(self, stream: StreamKey, *, since: bytes | None) -> bytes:
        """Proof that a stream has no hidden gap up to now: from its start, or from the end of the
        proof `since`.

        Raises: NotFound, ReceiptMalformed (`since`), ReceiptMismatch (`since` is another stream's),
        TooLarge.
        """
        ...

    async def tile(self, *, level: int, index: int, width: int) -> bytes:
        """`width` hashes of a tile, full at `limits.TILE_WIDTH`. Raises: NotFound."""
        ...

    async def entries(self, *, index: int, width: int) -> bytes:
        """`width` entries of an entry bundle in C2SP form. Raises: NotFound."""
        ...

    def events(self, after: EventCursor | None) -> AsyncIterator[ServiceEvent]:
        """Events behind a cursor, first from stored blocks, then as they happen; None means from
        now on.

        The iterator ends when the node stops. A slow reader loses nothing: it reads stored blocks
        again.
        """
        ...

    async def health(self) -> Health:
        """Whether the node does its work."""
        ...

    async def metrics(self) -> NodeMetrics:
        """The node's numbers."""
        ...
