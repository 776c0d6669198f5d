"""What the tests of the exchange share."""

from __future__ import annotations

import pytest

from tests.exchange.bundle_world import World


@pytest.fixture
def world() -> World:
    """An exchange in memory with two services of several parts."""
    return World()
