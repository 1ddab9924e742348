"""Line f: memory of a node's processes with every device enrolled, and how it grows over the run.

Of a process its proportional set size is shown. The node's sum is taken apart from the rest of the machine: pages of
files that several of its processes map count once, and whoever else maps them too does not make them cheaper.
"""

from bench.figure import Figure, at_most
from bench.flood import street_flood
from bench.stage import Stage

NODE_BYTES_MAX = 200_000_000


def figures(stage: Stage) -> list[Figure]:
    """Line f."""
    samples = stage.once(street_flood).memory
    meters = stage.sizes.meters
    first, last = samples[1], samples[-1]
    end = last.memory
    found = [
        Figure(
            "f", f"memory, {meters:,} devices, no reading yet", _mb(samples[0].memory.node), "MB"
        ),
        Figure("f", f"at {first.records:,} readings", _mb(first.memory.node), "MB"),
        Figure(
            "f", f"at {last.records:,} readings", _mb(end.node), "MB", at_most(_mb(NODE_BYTES_MAX))
        ),
    ]
    found += [
        Figure("f", f"  of it {kind}", _mb(size), "MB PSS") for kind, size in end.processes.items()
    ]
    if len(samples) > 2:
        grown = end.node - first.memory.node
        per_million = grown / (last.records - first.records)
        found.append(Figure("f", "growth between these, per million readings", per_million, "MB"))
    return found


def _mb(size: int) -> float:
    return size / 1_000_000
