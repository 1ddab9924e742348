"""Whether a node does its work, in one sentence and in parts that a person can act on.

Reads numbers that other parts keep; asks no database. Source: the issue's item 5 and 8.
"""

from typing import NamedTuple

from drystone import limits
from drystone.api.values import Health, HealthCheck


class Numbers(NamedTuple):
    """What health is judged by."""

    height: int
    idle_ms: int
    """Since the last commit."""
    last_minute: int
    waiting_records: int
    """Acknowledged, and not committed."""
    verify_batches: int
    full: str
    """Why there is no room on the disk, or nothing."""
    restarts: int


STUCK_MS = 10_000
"""Records that wait this long while nothing is committed mean that the node is stuck."""


def judge(numbers: Numbers) -> Health:
    """Give the node's health from its numbers."""
    stuck = numbers.waiting_records > 0 and numbers.idle_ms > STUCK_MS
    checks = (
        HealthCheck(
            name="commit",
            ok=not stuck,
            detail=f"{numbers.waiting_records} records wait, last commit {numbers.idle_ms} ms ago",
        ),
        HealthCheck(name="disk", ok=not numbers.full, detail=numbers.full or "there is room"),
        HealthCheck(
            name="load",
            ok=numbers.waiting_records < limits.INTAKE_RECORDS_MAX,
            detail=f"{numbers.verify_batches} requests wait for a verifier",
        ),
        HealthCheck(
            name="restarts",
            ok=numbers.restarts < limits.RESTARTS_MAX,
            detail=f"started again {numbers.restarts} times",
        ),
    )
    ok = all(check.ok for check in checks)
    if not ok:
        wrong = next(check for check in checks if not check.ok)
        sentence = f"The node needs you: {wrong.name}: {wrong.detail}."
    elif numbers.last_minute:
        sentence = f"All is well: {numbers.last_minute} records in the last minute."
    else:
        sentence = f"All is well: idle at block {numbers.height}."
    return Health(ok=ok, sentence=sentence, checks=checks, records_last_minute=numbers.last_minute)
