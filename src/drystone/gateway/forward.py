"""A gateway's engine: it orders nothing, it hands what was sealed to those who carry it on.

The sealer knows an engine as whoever takes stored vertices over (`seal.Engine`); on a gateway that is this. It never
refuses: the vertex is on the disk, and how long it stays there is the buffer's. A vertex goes out whether or not
anybody is there to hear of it now; the next session's frontier tells what is missing.

Place in a record's life: between vertex and the next gateway, or the uplink. Source: design.md sections 3.3 and 3.5.
"""

from collections.abc import Callable

from drystone.gateway.buffer import Buffer
from drystone.ledger.change import OrderedVertex
from drystone.records.vertex import VertexHeader


class Forward:
    """Takes sealed vertices over."""

    def __init__(self, *, tell: Callable[[VertexHeader, bytes], None], buffer: Buffer) -> None:
        """Tell `tell` of each vertex, header and id, once it is durable."""
        self._tell = tell
        self._buffer = buffer

    @property
    def idle(self) -> bool:
        """Always: a vertex for which somebody waits goes out at once."""
        return True

    def submit(self, vertex: OrderedVertex, vertex_id: bytes) -> None:
        """Take a stored vertex over; never refuses."""
        header = vertex.header
        self._buffer.sealed(records=header.count, size=header.length)
        self._tell(header, vertex_id)
