"""The clocks: read here, for every role, and handed on as functions."""

import time


def now_ms() -> int:
    """Give the wall clock's Unix time in milliseconds."""
    return time.time_ns() // 1_000_000


def monotonic_ms() -> int:
    """Give a clock that never goes back, in milliseconds."""
    return time.monotonic_ns() // 1_000_000
