"""One seeded world per test: organisation `ewz` with operator, gateway and two enrolled meters."""

import pytest

from drystone.sim.world import Actor, World


@pytest.fixture
def world() -> World:
    return World.begin()


@pytest.fixture
def meter(world: World) -> Actor:
    return world.enrolled("m-1")[0]
