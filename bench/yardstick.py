"""The yardstick: what PyNaCl alone verifies on all cores, of the very messages that the node gets."""

import multiprocessing
import time
from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

from nacl.bindings import crypto_sign_open

Signed: TypeAlias = Sequence[tuple[bytes, bytes]]
"""Signature and message in one, and the public key."""

SAMPLE = 20_000
CHUNK = 500
START_S = 0.5
"""For every process to be there."""


class Rate(NamedTuple):
    """What the yardstick said once."""

    per_second: float
    """Signatures, all processes together."""
    cpu_us: float
    """Processor time of one signature."""


def verify_rate(items: Signed, *, processes: int, seconds: float) -> Rate:
    """Verify in so many processes at once for so long."""
    sample = list(items[:SAMPLE])
    start = time.time() + START_S
    with multiprocessing.get_context("fork").Pool(processes) as pool:
        parts = pool.starmap(_verify, [(sample, seconds, start)] * processes)
    cpu_s = sum(spent for _, _, spent in parts) / sum(done for done, _, _ in parts)
    return Rate(sum(done / took for done, took, _ in parts), 1e6 * cpu_s)


def _verify(items: Signed, seconds: float, start: float) -> tuple[int, float, float]:
    while time.time() < start:
        pass
    began, spent = time.perf_counter(), time.process_time()
    done = 0
    while time.perf_counter() - began < seconds:
        for signed, public in items[done % len(items) :][:CHUNK]:
            crypto_sign_open(signed, public)
            done += 1
    return done, time.perf_counter() - began, time.process_time() - spent
