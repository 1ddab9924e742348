"""Line f: memory of a node's processes with every device enrolled, and how it grows over the run.

Of a process its proportional set size is shown. The node's sum is taken apart from the rest of the machine: pages of
files that several of its processes map count once, and whoever else maps them too does not make them cheaper.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from bench.figure import Figure, at_most

if TYPE_CHECKING:
    from bench.stage import Stage

KIB = 1024
NODE_BYTES_MAX = 200_000_000


class Memory(NamedTuple):
    """Bytes at one moment."""

    processes: dict[str, int]
    """Proportional set size per kind of process."""
    node: int
    """All of them, as if nothing else ran here."""


def measure(pids: Mapping[str, Sequence[int]]) -> Memory:
    """Look at processes, by kind."""
    processes: dict[str, int] = {}
    files: dict[str, int] = {}
    anonymous = 0
    for kind, group in pids.items():
        for pid in group:
            rollup = _fields(Path(f"/proc/{pid}/smaps_rollup").read_text())
            processes[kind] = processes.get(kind, 0) + rollup["Pss"]
            anonymous += rollup["Pss_Anon"] + rollup.get("Pss_Shmem", 0)
            for place, size in _file_pages(Path(f"/proc/{pid}/smaps").read_text()).items():
                files[place] = max(files.get(place, 0), size)
    return Memory(processes, anonymous + sum(files.values()))


def figures(stage: "Stage") -> list[Figure]:
    """Line f."""
    samples = stage.flood.memory
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


def _fields(text: str) -> dict[str, int]:
    """The sizes of a `smaps` text, in bytes."""
    found: dict[str, int] = {}
    for line in text.splitlines():
        words = line.split()
        if len(words) == 3 and words[2] == "kB":
            found[words[0].rstrip(":")] = int(words[1]) * KIB
    return found


def _file_pages(text: str) -> dict[str, int]:
    """Bytes of each mapped file's pages that are in memory and were not written to."""
    found: dict[str, int] = {}
    place = ""
    pages = 0
    for line in text.splitlines():
        words = line.split()
        if "-" in words[0] and not words[0].endswith(":"):
            place = f"{words[5]} {words[2]}" if len(words) > 5 and words[5].startswith("/") else ""
        elif words[0] == "Rss:":
            pages = int(words[1]) * KIB
        elif words[0] == "Anonymous:" and place:
            found[place] = found.get(place, 0) + pages - int(words[1]) * KIB
    return found
