"""Nothing acknowledged is missing after a power loss or a failing operation, and fsck is clean.

The short form of `make torture`: the real stores, on a disk in memory that tears sectors.
"""

import pytest

from drystone.sim.chain import Chain, make_chain
from drystone.sim.torture import fail_once, torture_full_disk, torture_ledger, torture_vertices
from drystone.storage import database

LOSSES = 300


@pytest.fixture(scope="module")
def chain() -> Chain:
    return make_chain("torture", blocks=25, devices=4, records=12)


@pytest.mark.parametrize("garbage", [False, True])
def test_ledger_db_survives_power_losses(chain: Chain, garbage: bool) -> None:
    lives = torture_ledger(chain, losses=LOSSES // 2, seed=1, garbage=garbage)
    assert lives.losses >= LOSSES // 2
    assert lives.checked > 3


@pytest.mark.parametrize("garbage", [False, True])
def test_vertices_db_survives_power_losses(chain: Chain, garbage: bool) -> None:
    lives = torture_vertices(chain, losses=LOSSES // 2, seed=1, garbage=garbage)
    assert lives.losses >= LOSSES // 2
    assert lives.checked > 3


def test_ledger_db_survives_operations_that_fail(chain: Chain) -> None:
    """Each failure comes both ways: not persisted, and persisted but reported failed."""
    lives = torture_ledger(chain, losses=LOSSES, seed=2, trouble=fail_once)
    assert lives.losses >= LOSSES


def test_vertices_db_survives_operations_that_fail(chain: Chain) -> None:
    lives = torture_vertices(chain, losses=LOSSES, seed=2, trouble=fail_once)
    assert lives.losses >= LOSSES


def test_a_full_disk_refuses_blocks_and_recovers(chain: Chain) -> None:
    lives = torture_full_disk(chain, times=LOSSES // 3, seed=3)
    assert lives.losses >= LOSSES // 3


@pytest.mark.parametrize("torture", [torture_ledger, torture_vertices])
def test_this_torture_notices_a_store_that_does_not_sync(
    chain: Chain, monkeypatch: pytest.MonkeyPatch, torture: object
) -> None:
    """The same with `synchronous` below FULL must fail, or the test above says nothing."""
    connect = database.connect

    def careless(*args: object, **named: object) -> object:
        connection = connect(*args, **named)  # type: ignore[arg-type]
        connection.execute("PRAGMA synchronous=NORMAL").fetchall()
        return connection

    monkeypatch.setattr(database, "connect", careless)
    with pytest.raises(AssertionError, match="told"):
        torture(chain, losses=1_000, seed=4)  # type: ignore[operator]
