"""Fixtures of the API's tests."""

from collections.abc import Iterator

import pytest
from api_desk import Desk, open_desk


@pytest.fixture
def desk() -> Iterator[Desk]:
    yield from open_desk()


@pytest.fixture
def lone_desk() -> Iterator[Desk]:
    """A desk whose application nobody has asked before: its metrics begin at zero."""
    yield from open_desk(alone=True)
