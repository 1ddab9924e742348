"""A node's reads in the provisional view: the same service over the state as it is foreseen.

Streams, members, contracts and their values are read from the executor's provisional view, and say whether the final
state says the same. Everything else is the node's own: blocks, proofs and lists of records hold only what is final.
Reads run in the reader's thread and ask the executor from there. Source: design.md section 3.6 (provisional view).
"""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from drystone import limits
from drystone.api.values import (
    ContractValue,
    EventCursor,
    FoundRecord,
    MemberInfo,
    ServiceEvent,
    StreamInfo,
    StreamKey,
)
from drystone.ledger import keyspace
from drystone.records.stream import decode
from drystone.service.contract_reads import ContractReads
from drystone.service.node_service import NodeService
from drystone.service.reads import text_parts
from drystone.service.registry_reads import RegistryReads
from drystone.workers.executor_client import ProvisionalExecutor

if TYPE_CHECKING:
    from drystone.storage.ledger import LedgerDB

Answer = TypeVar("Answer")


class ProvisionalPages:
    """The foreseen state, read by key and page by page from a thread that is not the loop's."""

    def __init__(self, *, executor: ProvisionalExecutor, ledger: "LedgerDB") -> None:
        self._executor = executor
        self._loop = asyncio.get_running_loop()
        self.final = ledger

    @property
    def height(self) -> int:
        """Height of the last block: what is foreseen changes between blocks too."""
        return self.final.height

    def get(self, key: bytes) -> bytes | None:
        """Return the value under `key`, or None."""
        return self._ask(self._executor.peek(key))

    def scan(
        self, prefix: bytes, *, after: bytes | None = None, limit: int = limits.LIST_ROWS_MAX
    ) -> list[tuple[bytes, bytes]]:
        """Return pairs whose key starts with `prefix`, by key, behind the key `after`."""
        return self._ask(self._executor.peek_scan(prefix, after=after, limit=limit))

    def is_final(self, key: bytes, value: bytes | None) -> bool:
        """Whether the final state says the same."""
        return self.final.get(key) == value

    def _ask(self, question: Coroutine[Any, Any, Answer]) -> Answer:
        return asyncio.run_coroutine_threadsafe(question, self._loop).result()


class ProvisionalService(NodeService):
    """One running node, as it foresees the ledger."""

    def __init__(self, node: NodeService, *, executor: ProvisionalExecutor) -> None:
        """Share everything with `node` but where the state is read from."""
        self.__dict__.update(node.__dict__)
        self._pages = ProvisionalPages(executor=executor, ledger=self._reads.ledger)
        self._registry = RegistryReads(self._pages)
        self._contracts = ContractReads(self._pages)

    async def record(self, stream: StreamKey, *, epoch: int, seq: int) -> FoundRecord | None:
        """The record at a stream position: final, or else pending with its provisional outcome."""
        found = await super().record(stream, epoch=epoch, seq=seq)
        if found is not None or self._foresight is None:
            return found
        found = await self._foresight.record(stream, epoch=epoch, seq=seq)
        if found is None:
            return None
        return replace(found, witnesses=await self._dag.witnesses(found.vertex))

    async def stream(self, stream: StreamKey) -> StreamInfo | None:
        """One stream's state, as it is foreseen."""
        return await self._run(lambda: self._stream(stream))

    def _stream(self, stream: StreamKey) -> StreamInfo | None:
        key = keyspace.stream(stream)
        value = self._pages.get(key)
        if value is None:
            return None
        final = self._pages.is_final(key, value)
        return StreamInfo(stream=stream, state=decode(value), final=final)

    async def streams(
        self, iss: str | None, *, after: StreamKey | None, limit: int
    ) -> Sequence[StreamInfo]:
        """Streams in the order of their state keys."""
        return await self._run(lambda: self._streams(iss, after, limit))

    def _streams(self, iss: str | None, after: StreamKey | None, limit: int) -> list[StreamInfo]:
        prefix = keyspace.key(keyspace.STREAM, *([] if iss is None else [iss]))
        behind = None if after is None else keyspace.stream(after)
        return [
            StreamInfo(
                stream=text_parts(key), state=decode(value), final=self._pages.is_final(key, value)
            )
            for key, value in self._pages.scan(prefix, after=behind, limit=limit)
        ]

    async def member(self, member: StreamKey) -> MemberInfo | None:
        """One member with its keys."""

        def read() -> MemberInfo | None:
            found = self._registry.member(member)
            if found is None:
                return None
            key = keyspace.member(*member)
            return replace(found, final=self._pages.is_final(key, self._pages.get(key)))

        return await self._run(read)

    async def contract_values(
        self, name: str, *, path: str, after: bytes | None, limit: int
    ) -> Sequence[ContractValue]:
        """A contract's values at and below a path."""

        def read() -> list[ContractValue]:
            found = self._contracts.values(name, path=path, after=after, limit=limit)
            return [replace(one, final=self._pages.is_final(one.key, one.value)) for one in found]

        return await self._run(read)

    def events(self, after: EventCursor | None) -> AsyncIterator[ServiceEvent]:
        """Events behind a cursor, then as they happen, final and provisional."""
        return self._hub.subscribe(after, provisional=True)
