"""`doctor`: looks at the machine, the home and the node, and says what to do about each thing that is not well.

Reads only. Each check is a function that gives findings; none of them stops the others.
"""

import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Final, Literal, NamedTuple

import typer

from drystone.cli import exits, options
from drystone.cli.output import emit, size
from drystone.errors import DrystoneError

CLOCK_PAST_S: Final = 1_767_225_600
"""2026-01-01: a clock before it was never set."""
CLOCK_LEAD_MS_MAX: Final = 60_000
OPEN_FILES_MIN: Final = 1_024

Status = Literal["ok", "warn", "fail"]


class Finding(NamedTuple):
    """One thing that was looked at, how it is, and what to do about it."""

    what: str
    status: Status
    detail: str
    fix: str = ""


Check = Callable[[Path], Iterator[Finding]]


def doctor(
    strict: Annotated[
        bool, typer.Option("--strict", help="A warning counts as a failure.")
    ] = False,
    home: options.Home = options.HOME_DEFAULT,
    as_json: options.AsJson = False,
) -> None:
    """Look at machine, home and node; say what to fix.

    Changes nothing. Ends with 1 when something fails (with --strict also when it warns).

    Examples:
      drystone doctor
      drystone doctor --home /srv/drystone --json
    """
    findings = [finding for check in CHECKS for finding in _safely(check, home)]
    bad = [f for f in findings if f.status == "fail" or (strict and f.status == "warn")]
    emit(
        {"ok": not bad, "findings": [finding._asdict() for finding in findings]},
        as_json=as_json,
        text=lambda: "\n".join(_lines(findings)),
    )
    if bad:
        raise exits.CheckFailed


def check_python(_home: Path) -> Iterator[Finding]:
    """The interpreter, and the compiled parts that make a node fast."""
    version = ".".join(str(part) for part in sys.version_info[:3])
    yield Finding(
        "python", "ok" if sys.version_info >= (3, 11) else "fail", version, "use 3.11 or newer"
    )
    if not __debug__:
        yield Finding(
            "python -O", "fail", "assertions are off", "run without -O and PYTHONOPTIMIZE"
        )
    from drystone.records.key import ED25519_BACKENDS

    backend = next(iter(ED25519_BACKENDS))
    slow = backend != "pynacl"
    yield Finding(
        "ed25519",
        "warn" if slow else "ok",
        backend,
        "install pynacl: signatures twice as fast" if slow else "",
    )


def check_clock(_home: Path) -> Iterator[Finding]:
    """A clock that was never set claims times nobody believes."""
    now = time.time()
    shown = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(now))
    if now < CLOCK_PAST_S:
        yield Finding("clock", "fail", shown, "set the clock (NTP); blocks would claim this time")
    else:
        yield Finding("clock", "ok", shown)


def check_open_files(_home: Path) -> Iterator[Finding]:
    """Every connection is an open file."""
    import resource

    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    few = soft != resource.RLIM_INFINITY and soft < OPEN_FILES_MIN
    yield Finding(
        "open files",
        "warn" if few else "ok",
        str(soft),
        f"ulimit -n {OPEN_FILES_MIN} or more" if few else "",
    )


def check_home(home: Path) -> Iterator[Finding]:
    """The home can be opened: settings, genesis, the node's key."""
    from drystone.home.layout import open_home

    made = open_home(home)
    yield Finding("home", "ok", f"{home}, {made.node.organisation}/{made.node.member}")
    yield Finding("ledger", "ok", made.ledger.hex())


def check_keys(home: Path) -> Iterator[Finding]:
    """Secrets are readable by their owner only."""
    for folder in (home / "keys", home / "devices", home / "ca"):
        if not folder.exists():
            continue
        open_ones = [path for path in [folder, *folder.rglob("*")] if path.stat().st_mode & 0o077]
        secrets = [path for path in open_ones if path.is_dir() or path.suffix in {".key", ".token"}]
        if secrets:
            yield Finding(
                folder.name, "fail", f"{secrets[0]} is open to others", f"chmod -R go-rwx {folder}"
            )
        else:
            yield Finding(folder.name, "ok", "readable by their owner only")


def check_disk(home: Path) -> Iterator[Finding]:
    """There is room above the reserve, and the disk can be written."""
    from drystone.limits import DISK_RESERVE_BYTES

    free = shutil.disk_usage(home).free
    if free < DISK_RESERVE_BYTES:
        yield Finding(
            "disk", "fail", f"{size(free)} free", "make room: intake refuses with disk-full"
        )
    elif free < 10 * DISK_RESERVE_BYTES:
        yield Finding("disk", "warn", f"{size(free)} free", "make room before intake has to refuse")
    else:
        yield Finding("disk", "ok", f"{size(free)} free")
    if not os.access(home, os.W_OK):
        yield Finding("write", "fail", f"{home} is not writable", "give the node's user the folder")


def check_databases(home: Path) -> Iterator[Finding]:
    """Both databases are there; `fsck` looks inside."""
    for name in ("ledger.db", "vertices.db"):
        path = home / name
        if not path.exists():
            yield Finding(name, "fail", "missing", "drystone restore from a backup")
        else:
            total = sum(part.stat().st_size for part in home.glob(f"{name}*"))
            yield Finding(name, "ok", size(total))


def check_node(home: Path) -> Iterator[Finding]:
    """The node that runs in the home answers and is well."""
    from drystone.client.rest import Client, find_endpoint

    try:
        endpoint = find_endpoint(home)
    except DrystoneError as error:
        yield Finding("node", "warn", str(error), "drystone up")
        return
    with Client(endpoint) as node:
        head = node.get("/v1/ledger")["head"]
        yield Finding("node", "ok", f"{endpoint.url}, block {head['height']}")
        try:
            health = node.get("/healthz")
        except DrystoneError as error:
            yield Finding("health", "fail", str(error), error.fix)
            return
        yield Finding("health", "ok", str(health.get("sentence", "it is well")))


CHECKS: Final[tuple[Check, ...]] = (
    check_python,
    check_clock,
    check_open_files,
    check_home,
    check_keys,
    check_disk,
    check_databases,
    check_node,
)


def _safely(check: Check, home: Path) -> Iterator[Finding]:
    """Run one check; what it raises on purpose is its finding."""
    name = check.__name__.removeprefix("check_")
    try:
        yield from check(home)
    except DrystoneError as error:
        yield Finding(name, "fail", f"{error.code}: {error}", error.fix)
    except (OSError, json.JSONDecodeError) as error:
        yield Finding(name, "fail", str(error), "look at the file it names")


def _lines(findings: list[Finding]) -> Iterator[str]:
    width = max(len(finding.what) for finding in findings)
    for finding in findings:
        yield f"{finding.status:<4}  {finding.what:<{width}}  {finding.detail}"
        if finding.fix and finding.status != "ok":
            yield f"      {'':<{width}}  fix: {finding.fix}"
