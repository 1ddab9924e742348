"""The yardstick: what PyNaCl alone verifies on all cores, of the very messages that the node gets."""

import multiprocessing
import time
from collections.abc import Sequence

from nacl.bindings import crypto_sign_open


def _verify(
    items: Sequence[tuple[bytes, bytes]], seconds: float, start: float
) -> tuple[int, float]:
    while time.time() < start:
        pass
    began = time.perf_counter()
    done = 0
    while time.perf_counter() - began < seconds:
        for signed, public in items[done % len(items) :][:500]:
            crypto_sign_open(signed, public)
            done += 1
    return done, time.perf_counter() - began


def verify_rate(items: Sequence[tuple[bytes, bytes]], *, processes: int, seconds: float) -> float:
    """Signatures per second, all processes together."""
    sample = list(items[:20_000])
    start = time.time() + 0.5
    with multiprocessing.get_context("fork").Pool(processes) as pool:
        parts = pool.starmap(_verify, [(sample, seconds, start)] * processes)
    return sum(done / took for done, took in parts)
