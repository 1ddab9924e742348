"""The pytest plugin: fixtures `chain`, `device`, `org` and `clock`, readable failures, a table of costs.

Lives here: what pytest calls. Loaded by `-p drystone.workshop.plugin`, so nothing of Drystone is imported
before a test asks for a fixture. May not: decide about a contract.

    def test_reading_that_falls_is_refused(chain, device):
        chain.deploy()
        meter = device("electricity")
        chain.reading(meter, 5)
        with chain.refused("meter.backwards"):
            chain.reading(meter, 4)
"""

from __future__ import annotations

import json
from collections.abc import Callable, Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from drystone.workshop.actors import Device, Organisation
    from drystone.workshop.chain import Chain, Clock
    from drystone.workshop.watch import Watcher

CHAIN: pytest.StashKey[Chain] = pytest.StashKey()
WATCHERS: pytest.StashKey[list[Watcher]] = pytest.StashKey()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--contract-costs`."""
    parser.addoption(
        "--contract-costs",
        metavar="FILE",
        help="write how many steps, cells and bytes each contract's functions took, as JSON",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Begin to collect what contracts take."""
    config.stash[WATCHERS] = []


@pytest.fixture
def chain(request: pytest.FixtureRequest) -> Chain:
    """A ledger of its own, with one organisation; `chain.deploy()` deploys the contract beside the test."""
    from drystone.workshop.chain import Chain

    made = Chain(near=request.path.parent)
    request.node.stash[CHAIN] = made
    request.config.stash[WATCHERS].append(made.watcher)
    return made


@pytest.fixture
def device(chain: Chain) -> Callable[..., Device]:
    """Enrol devices: `device("electricity", "m-1", gateway="g-2")`. As `Chain.device`."""
    return chain.device


@pytest.fixture
def org(chain: Chain) -> Organisation:
    """The organisation that the chain begins with; as a sender it is its operator."""
    return chain.org()


@pytest.fixture
def clock(chain: Chain) -> Clock:
    """The time of blocks: `clock.tick(seconds)`, `clock.ms`."""
    return chain.clock


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, Any]:
    """Tell what happened on the chain under a test that failed."""
    report = yield
    if report.when == "call" and report.failed and CHAIN in item.stash:
        report.sections.append(("what happened on the chain", item.stash[CHAIN].tell()))
    return report


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write what the tests' contracts took, where `--contract-costs` asks for it."""
    file: str | None = session.config.getoption("--contract-costs")
    if file is None:
        return
    from drystone.workshop.costs import as_json, measure

    uses = [use for watcher in session.config.stash[WATCHERS] for use in watcher.uses]
    found = {
        "tests": session.testscollected,
        "failed": session.testsfailed,
        "contracts": as_json(measure(uses)),
    }
    Path(file).write_text(json.dumps(found), encoding="utf-8")
