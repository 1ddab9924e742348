"""Where the first of two copies lies, for the answer to the second.

Source: design.md section 3.3 (the same frame heard twice).
"""

from drystone.gateway.intake import FoundPlace
from drystone.service.dag_service import RunInReader
from drystone.service.reads import Reads


async def find_place(
    reads: Reads, run_in_reader: RunInReader, stream: tuple[str, ...], *, epoch: int, seq: int
) -> FoundPlace | None:
    """Give where the record at a committed position of a stream lies, for a copy's answer."""
    found = await run_in_reader(lambda: reads.record(stream, epoch=epoch, seq=seq))
    if found is None:
        return None
    place = found.place
    assert found.height is not None, "what the ledger has is in a block"
    return FoundPlace((place.iss, place.sub, place.epoch, place.seq, place.index), found.height)
