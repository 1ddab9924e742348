"""Similar branches in virtual time: the whole grows with them, nothing is lost, and a seed says it all."""

import pytest

from drystone.sim import branches
from drystone.sim.branches import grow
from drystone.sim.net_check import NotHeldError
from drystone.sim.profiles import GSM, WIFI


def test_branches_grow_and_each_record_is_in_the_log_once_s1_29() -> None:
    one, many = (grow(count=count, minutes=2, seed=1, profile=WIFI) for count in (1, 6))
    assert (one.records, many.records) == (2, 12)
    assert many.vertices >= 6
    assert many.up_bytes > one.up_bytes
    assert many.behind_s < 30


def test_same_seed_is_the_same_valley() -> None:
    first, second = (grow(count=3, minutes=1, seed=5, profile=GSM) for _ in range(2))
    assert first == second
    assert first != grow(count=3, minutes=1, seed=6, profile=GSM)


def test_branches_that_do_not_become_equal_in_time_are_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(branches, "SETTLE_S", 0.0)
    with pytest.raises(NotHeldError, match="not equal"):
        grow(count=2, minutes=1, seed=1, profile=GSM)


def test_gateway_that_does_not_take_a_record_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(*_: object) -> None:
        return None

    monkeypatch.setattr(branches.Host, "take", refuse)
    with pytest.raises(NotHeldError, match="does not take record 0 of m-0"):
        grow(count=1, minutes=1, seed=1, profile=WIFI)
