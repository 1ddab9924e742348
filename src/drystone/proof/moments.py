"""When: what a verdict proves about time, in words, and Unix seconds as a person writes them.

A part of `report.py`, which has the other words. Times are those of blocks; what a record claims is its sender's.
Source: design section 4 (what the ledger proves about time).
"""

from collections.abc import Iterable
from typing import Final

from drystone.proof.verdict import MomentFacts, Verdict

TIME_MAX: Final = 253_402_300_799
"""The last second of the year 9999."""


def sentences(verdict: Verdict) -> Iterable[str]:
    """Yield what the blocks around a record prove, where its receipts bring them."""
    until, since = until_of(verdict), since_of(verdict)
    if since is not None:
        yield (
            f"It was signed after {unix_time(since.time_ms // 1000)}, the time of block"
            f" {since.height:,}: it names the state after that block, its anchor."
        )
    if until is not None:
        yield (
            f"The log had it by {unix_time(_rounded_up(until))}, the time of block {until.height:,}."
        )


def rows(verdict: Verdict) -> list[tuple[str, str]]:
    """Return label and text of the proven time, where there is one."""
    until, since = until_of(verdict), since_of(verdict)
    if until is None:
        return []
    begin = ""
    if since is not None:
        begin = f"after {unix_time(since.time_ms // 1000)} (block {since.height:,}), "
    end = f"by {unix_time(_rounded_up(until))} (block {until.height:,})"
    return [("proven time", begin + end)]


def until_of(verdict: Verdict) -> MomentFacts | None:
    """The earliest block that a receipt shows behind the record."""
    found = [one.interval.until for one in verdict.inclusions if one.interval is not None]
    return min(found, key=lambda moment: moment.index, default=None)


def since_of(verdict: Verdict) -> MomentFacts | None:
    """The block whose state the record's anchor is, where a receipt leads to it."""
    intervals = [one.interval for one in verdict.inclusions if one.interval is not None]
    found = [one.since for one in intervals if one.since is not None]
    return max(found, key=lambda moment: moment.index, default=None)


def _rounded_up(moment: MomentFacts) -> int:
    """A moment in seconds; the second that has begun counts, so that no bound is too early."""
    return -(-moment.time_ms // 1000)


def unix_time(seconds: int) -> str:
    """Return Unix seconds as UTC text; a time before 1970 or after the year 9999, as the number."""
    if not 0 <= seconds <= TIME_MAX:
        return f"Unix time {seconds}"
    days, rest = divmod(seconds, 86_400)
    # Years that begin in March, in eras of 400 years: leap days come last (H. Hinnant, "chrono-compatible dates").
    era, day = divmod(days + 719_468, 146_097)
    year = (day - day // 1_460 + day // 36_524 - day // 146_096) // 365
    day -= 365 * year + year // 4 - year // 100
    month = (5 * day + 2) // 153
    day_of_month = day - (153 * month + 2) // 5 + 1
    year += 400 * era + (month >= 10)
    month += 3 if month < 10 else -9
    clock = f"{rest // 3600:02d}:{rest // 60 % 60:02d}:{rest % 60:02d}"
    return f"{year:04d}-{month:02d}-{day_of_month:02d} {clock} UTC"
