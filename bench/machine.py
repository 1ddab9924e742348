"""What the bench ran on: without it no figure means anything."""

import os
import platform
import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import apsw

LIBRARIES = (
    "pynacl", "cryptography", "apsw", "numpy", "starlark-pyo3", "uvloop", "httptools", "uvicorn",
)  # fmt: skip
SYNCS = 100


def facts(folder: Path) -> dict[str, object]:
    """Processor, memory, system, libraries, load before, and how fast the disk under `folder` syncs."""
    return {
        "date": time.strftime("%Y-%m-%d %H:%M:%S %z"),
        "processor": processor(),
        "cores": core_count(),
        "memory": f"{memory_bytes() / 2**30:.1f} GiB",
        "kernel": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "libraries": {**versions(), "SQLite": apsw.sqlite_lib_version()},
        "load": " ".join(f"{load:.2f}" for load in os.getloadavg()) + " before (1, 5, 15 min)",
        "disk": f"{sync_rate(folder):.0f} fsync/s of 4 kB ({filesystem(folder)})",
    }


def core_count() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0))


def processor() -> str:
    """The processor's name."""
    for line in _lines("/proc/cpuinfo"):
        if line.partition(":")[0].strip() in {"model name", "Model", "Hardware"}:
            return line.partition(":")[2].strip()
    return platform.processor() or "unknown"


def memory_bytes() -> int:
    """Memory of the machine."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def versions() -> dict[str, str]:
    """Versions of the libraries that the figures depend on; absent ones say so."""
    return {name: _or_absent(lambda name=name: version(name)) for name in LIBRARIES}  # type: ignore[misc]


def filesystem(folder: Path) -> str:
    """Type of the file system that holds a folder."""
    best, kind = "", "unknown"
    for line in _lines("/proc/mounts"):
        _, point, found, *_ = line.split()
        if folder.resolve().is_relative_to(point) and len(point) > len(best):
            best, kind = point, found
    return kind


def sync_rate(folder: Path) -> float:
    """Appends of one page, each made durable, per second: what bounds single writes."""
    path = folder / "sync"
    with path.open("wb", buffering=0) as file:
        began = time.perf_counter()
        for _ in range(SYNCS):
            file.write(bytes(4096))
            os.fdatasync(file.fileno())
        took = time.perf_counter() - began
    path.unlink()
    return SYNCS / took


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []


def _or_absent(find: Callable[[], str]) -> str:
    try:
        return find()
    except PackageNotFoundError:
        return "absent"
