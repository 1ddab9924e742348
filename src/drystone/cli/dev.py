"""`dev --watch`: one node, and each save of a contract checked, submitted and deployed to it.

The node is the one that runs in `--home`, or one started there, or a throw-away one that is gone afterwards. A
save that breaks a rule is told and changes nothing. The version in the folder's manifest is not touched: only
what is submitted counts upwards, because a ledger takes each version once.
"""

import contextlib
import hashlib
import signal
import tempfile
import time
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from drystone.cli.output import facts

if TYPE_CHECKING:
    from drystone.client.rest import Client
    from drystone.workshop.folder import ContractFolder

LOOK_S: Final = 0.2
"""How often the files are looked at."""
SAVES_MAX: Final = 100_000


def dev(
    watch: Annotated[
        Path,
        typer.Option(
            "--watch", metavar="FOLDER", exists=True, file_okay=False, help="The contract's folder."
        ),
    ],
    home: Annotated[
        Path | None,
        typer.Option(
            "--home", help="A home to keep. Without it: a throw-away one.", show_default=False
        ),
    ] = None,
    tests: Annotated[
        bool, typer.Option("--test", help="Run the tests before each deployment.")
    ] = False,
    saves: Annotated[
        int,
        typer.Option("--saves", min=1, max=SAVES_MAX, help="End after so many saves were handled."),
    ] = SAVES_MAX,
) -> None:
    """Run a node and deploy a contract to it each time it is saved.

    Each save is checked (with --test also tested), submitted as the next version and deployed;
    what happened is printed. Other commands reach the node by the --home or --url that is printed first.
    Ends with Ctrl-C, and leaves nothing running.

    Examples:
      drystone dev --watch frost-alarm
      drystone dev --watch frost-alarm --home ./dev-home --test
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with contextlib.suppress(KeyboardInterrupt), _home(home) as folder, _node(folder) as node:
        typer.echo(facts([("node", node.endpoint.url), ("home", folder), ("watching", watch)]))
        handled = 0
        before = b""
        while handled < saves:
            now = fingerprint(watch)
            if now == before:
                node.get("/healthz")  # a node that has died ends this, too
                time.sleep(LOOK_S)
                continue
            before = now
            handled += 1
            _handle(node, folder, watch, tests=tests)
    typer.echo("stopped")


def fingerprint(folder: Path) -> bytes:
    """Return what changes when one of a contract's files does; a file that is missing counts as empty."""
    from drystone.workshop.folder import MANIFEST, PROFILES, SOURCE

    digest = hashlib.sha256()
    tests = sorted(path.name for path in folder.glob("test_*.py"))
    for name in (MANIFEST, SOURCE, PROFILES, *tests):
        with contextlib.suppress(OSError):
            digest.update(name.encode() + (folder / name).read_bytes())
    return digest.digest()


def _handle(node: "Client", home: Path, watch: Path, *, tests: bool) -> None:
    """Handle one save, and print what came of it; only a node that is gone ends the watch."""
    from drystone.errors import NodeAbsent, Refused, Unavailable
    from drystone.workshop.findings import findings
    from drystone.workshop.folder import read_folder

    typer.echo(time.strftime("\n%H:%M:%S"))
    try:
        found = read_folder(watch)
        wrong = findings(found)
        if wrong:
            typer.echo("\n".join(wrong))
        elif not tests or _tests_pass(found):
            typer.echo(_deploy(node, home, found))
    except NodeAbsent:
        raise
    except (Refused, Unavailable) as error:
        typer.echo(f"{error.code}: {error}")


def _tests_pass(found: "ContractFolder") -> bool:
    from drystone.workshop.costs import table
    from drystone.workshop.testing import run_tests

    done = run_tests(found, show=True)
    typer.echo(table(done.costs) if done.passed else "not deployed: the tests do not pass")
    return done.passed


def _deploy(node: "Client", home: Path, found: "ContractFolder") -> str:
    """Submit and deploy as the next free version, unless just this runs already; say what was done."""
    from drystone.cli import contract_life as life
    from drystone.cli.node_access import caller

    known = life.contract_or_none(node, found.name)
    version = found.version
    if known is not None:
        newest = life.waiting_version(known)
        latest = newest["version"] if newest is not None else known["version"]
        if latest and _same(found, life.version_of(node, found.name, latest)):
            return f"{found.name}: version {latest} is deployed already"
        version = max([version, *(one["version"] + 1 for one in known["versions"])])
    by = caller(node, home, None)
    began = time.monotonic()
    life.submit(by, found, version=version)
    answer = life.deploy(by, found.name, version)
    added = life.add_profiles(by, found.profiles)
    took_ms = int((time.monotonic() - began) * 1000)
    return facts(
        [
            ("deployed", f"{found.name}@{version} in {took_ms} ms"),
            ("runs from block", (answer.height or 0) + 1),
            *(("profile", name) for name in added),
            *(("call", f"{found.name}.{word}") for word in found.package.manifest.calls),
        ]
    )


def _same(found: "ContractFolder", there: dict[str, Any]) -> bool:
    """Say whether a version on the ledger is what the folder holds, but for its number."""
    manifest = {**found.package.manifest.as_map(), "version": there["version"]}
    return (there["manifest"], there["source"]) == (manifest, found.package.source)


@contextlib.contextmanager
def _home(home: Path | None) -> Generator[Path]:
    """Give a home: the one named, made if it is new, or one that is gone afterwards."""
    from drystone.home.layout import init_home

    def made(folder: Path) -> Path:
        if not (folder / "config.toml").exists():
            init_home(folder, org="dev", node_name="node-1", origin="dev.example/drystone")
        return folder

    if home is not None:
        yield made(home)
        return
    with tempfile.TemporaryDirectory(prefix="drystone-dev-") as scratch:
        yield made(Path(scratch) / "home")


@contextlib.contextmanager
def _node(home: Path) -> Generator["Client"]:
    """Give a client of the node in a home; one that did not run before is stopped afterwards."""
    from drystone.cli.dev_node import is_well, started
    from drystone.client.rest import Client, find_endpoint

    running = contextlib.nullcontext() if is_well(home) else started(home)
    with running, Client(find_endpoint(home)) as node:
        yield node
