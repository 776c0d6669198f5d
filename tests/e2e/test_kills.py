"""kill -9 between any two steps of the road: nothing lost, nothing out of order, one effect for each message id.

One history over all kills: the broker is killed at every step in turn, and started again at once, while two
cities are being sent cases. ``python -m tests.campaigns kills`` does the same for hundreds of kills.
"""

from __future__ import annotations

import random

import pytest

from deploy.kafka.cluster import EmbeddedKafka
from tests.campaigns.kills import STEPS, campaign
from tests.e2e.road import Road, three_cities


@pytest.mark.timeout(200)
@pytest.mark.parametrize("databases", ["sqlite", "postgresql"], indirect=True)
async def test_kill_at_every_step_loses_nothing_doubles_nothing_and_keeps_order(
    tmp_path_factory: pytest.TempPathFactory, databases: tuple[str, str]
) -> None:
    async with EmbeddedKafka() as kafka:
        road = Road(tmp_path_factory.mktemp("kills"), kafka.bootstrap, *databases, settings="lease_s = 2.0\n")
        try:
            async with three_cities(road) as cities:
                tally = await campaign(road, cities, STEPS, draw=random.Random(20260101))
                print("", *tally.lines(), sep="\n")
        finally:
            road.stop()
