"""How a node writes what happens: one line per event, for a person or for a machine, never a secret.

Everything logs through the standard library's `logging`; this gives the lines their form. What is passed as `extra`
becomes members of the JSON line. Records, payloads, keys and tokens are never logged: ids, codes, counts and addresses
are. The standard library and no logging package, because that one costs a front 15 MB of its memory budget.
Source: style.md; design.md section 8.6.
"""

import asyncio
import json
import logging
import sys
import time
from typing import Final, Literal

_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class JsonFormatter(logging.Formatter):
    """One JSON object per line: time, level, logger, event, and what was passed as `extra`."""

    def format(self, record: logging.LogRecord) -> str:
        """Give the line of one event."""
        whole_s, rest_s = divmod(record.created, 1)
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(whole_s))
        fields: dict[str, object] = {
            "time": f"{stamp}.{int(rest_s * 1000):03}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
        }
        fields.update(_extra(record))
        if record.exc_info:
            fields["exception"] = self.formatException(record.exc_info)
        return json.dumps(fields, default=str, ensure_ascii=False)


class PersonFormatter(logging.Formatter):
    """A short line: time of day, level where it matters, event, extras."""

    def format(self, record: logging.LogRecord) -> str:
        """Give the line of one event, with the traceback behind it if there is one."""
        parts = [time.strftime("%H:%M:%S", time.localtime(record.created))]
        if record.levelno != logging.INFO:
            parts.append(record.levelname.lower())
        parts.append(record.getMessage())
        parts += [f"{name}={value}" for name, value in _extra(record).items()]
        line = " ".join(parts)
        if record.exc_info:
            line += "\n" + self.formatException(record.exc_info)
        return line


def configure(*, form: Literal["auto", "console", "json"], level: str) -> None:
    """Send every log line of this process to standard error in one form.

    `auto` writes for a person where standard error is a terminal, and JSON lines elsewhere.
    """
    person = form == "console" or (form == "auto" and sys.stderr.isatty())
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(PersonFormatter() if person else JsonFormatter())
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())
    # Each request would be a line; the metrics count them.
    logging.getLogger("uvicorn.access").disabled = True
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
    logging.getLogger("uvicorn.error").addFilter(_is_defect)
    logging.getLogger("asyncio").setLevel(logging.WARNING)


def _is_defect(record: logging.LogRecord) -> bool:
    """Whether a server's error is one: a request that was cut off because the node stops is none."""
    return not record.exc_info or not isinstance(record.exc_info[1], asyncio.CancelledError)


def _extra(record: logging.LogRecord) -> dict[str, object]:
    return {name: value for name, value in vars(record).items() if name not in _STANDARD}
