"""The fixture of this folder's tests."""

import pytest

from drystone.apps.metering import scenario
from drystone.apps.metering.town import home_group
from drystone.workshop.chain import Chain


@pytest.fixture
def town(chain: Chain) -> Chain:
    """Return a chain with the contract deployed and set up: one server, one group, tariffs; no meters yet."""
    chain.deploy()
    for call in scenario.setup_calls(organisation="ewz", gateway="g-1", installed=[]):
        chain.call(chain.org(), f"{call.contract}.{call.function}", **call.args)
    home_group(chain, "north", "ewz/g-1")
    return chain
