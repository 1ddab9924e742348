"""The audit log of a node: who was denied what, when and why. Bounded, rotated, never a secret in it.

Lives here: one line of JSON for each denied request, newest in `audit.jsonl`, older ones in `audit.jsonl.1` and so on
until the last is forgotten. The file is its node's own and proves nothing to others. A line is lost rather than a
request delayed: when the disk is full or denials come faster than `limits.AUDIT_LINES_SECOND_MAX`, lines are counted
instead, and the next line says how many are missing. Beside it, `drystone audit` and `GET /v1/audit` read it.

Source: issue 4 item 2 (denials are recorded), requirement S2.6.
"""

import json
import logging
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

from drystone import limits

TEXT_LENGTH_MAX: Final = 200

log = logging.getLogger("drystone.home.audit")


@dataclass(frozen=True, slots=True, kw_only=True)
class Denial:
    """One denied request. `who` is a member, a token's id, `operator` or `nobody`; unproven names carry a `?`."""

    who: str
    origin: str
    """Address the request came from."""
    what: str
    """Method and path, without the query."""
    code: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A denial as it was written down; `missed` are those before it that were not."""

    number: int
    time_ms: int
    denial: Denial
    missed: int


class AuditLog:
    """The audit log in a home: written by the front only, read by anyone who may read the file."""

    def __init__(self, path: Path, *, now_ms: Callable[[], int]) -> None:
        """Go on with the file that is there; `now_ms` is the wall clock."""
        self._path = path
        self._now_ms = now_ms
        last = next(read_entries(path, before=None, limit=1), None)
        self._number = 0 if last is None else last.number
        self._missed = 0
        self._second = 0
        self._lines = 0

    def write(self, denial: Denial) -> None:
        """Write one line, or count it as missed."""
        now_ms = self._now_ms()
        second = now_ms // 1000
        if second != self._second:
            self._second, self._lines = second, 0
        self._lines += 1
        if self._lines > limits.AUDIT_LINES_SECOND_MAX:
            self._missed += 1
            return
        self._number += 1
        fields: dict[str, object] = {"number": self._number, "time_ms": now_ms}
        for name in ("who", "origin", "what", "code", "why"):
            fields[name] = _harmless(str(getattr(denial, name)))
        if self._missed:
            fields["missed"] = self._missed
        line = json.dumps(fields, separators=(",", ":")).encode() + b"\n"
        try:
            # Some microseconds into the page cache: no reason to leave the loop.
            self._append(line)
        except OSError as error:
            self._missed += 1
            log.warning("the audit log cannot be written: %s", error)
        else:
            self._missed = 0

    def entries(self, *, before: int | None, limit: int) -> list[Entry]:
        """Give entries, the newest first, below a number."""
        return list(read_entries(self._path, before=before, limit=limit))

    def _append(self, line: bytes) -> None:
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            full = os.fstat(descriptor).st_size + len(line) > limits.AUDIT_BYTES_MAX
            if not full:
                os.write(descriptor, line)
        finally:
            os.close(descriptor)
        if full:
            self._rotate()
            self._append(line)

    def _rotate(self) -> None:
        for number in range(limits.AUDIT_FILES_MAX - 1, 0, -1):
            older, newer = _file(self._path, number), _file(self._path, number - 1)
            if newer.exists():
                newer.replace(older)


def read_entries(path: Path, *, before: int | None, limit: int) -> Iterator[Entry]:
    """Yield up to `limit` entries below a number, the newest first; a line that is none is passed over."""
    left = limit
    for number in range(limits.AUDIT_FILES_MAX):
        try:
            lines = _file(path, number).read_bytes().split(b"\n")
        except OSError:
            return
        for line in reversed(lines):
            entry = _entry(line)
            if entry is None or (before is not None and entry.number >= before):
                continue
            if left <= 0:
                return
            left -= 1
            yield entry


def _harmless(text: str) -> str:
    """Give the start of a text; what a terminal could take for a command is marked."""
    shown = text[:TEXT_LENGTH_MAX]
    return "".join(one if one.isprintable() else "\ufffd" for one in shown)


def _file(path: Path, number: int) -> Path:
    return path if number == 0 else path.with_name(f"{path.name}.{number}")


def _entry(line: bytes) -> Entry | None:
    try:
        fields = cast("dict[str, Any]", json.loads(line))
        return Entry(
            number=int(fields["number"]),
            time_ms=int(fields["time_ms"]),
            denial=Denial(
                **{name: str(fields[name]) for name in ("who", "origin", "what", "code", "why")}
            ),
            missed=int(fields.get("missed", 0)),
        )
    except (ValueError, KeyError, TypeError):
        return None
