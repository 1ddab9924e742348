"""One eventful chain for all tests of this folder, made once."""

import pytest

from drystone.sim.chain import Chain, make_chain


@pytest.fixture(scope="session")
def chain() -> Chain:
    return make_chain("engine", blocks=24, devices=4, records=20)
