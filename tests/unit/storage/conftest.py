"""One eventful chain for all tests of this folder, made once."""

import pytest

from drystone.sim.chain import Chain, make_chain


@pytest.fixture(scope="session")
def chain() -> Chain:
    return make_chain("storage", blocks=50, devices=5, records=40)
