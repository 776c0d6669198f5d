"""Killed with hundreds in flight and back at once: nothing lost, nothing doubled, little attempted again."""

from __future__ import annotations

import pytest

from deploy.kafka.cluster import EmbeddedKafka
from tests.campaigns.burst import IN_FLIGHT, LIMITS, trial
from tests.e2e.road import Road, three_cities


@pytest.mark.timeout(150)
async def test_a_kill_with_hundreds_in_flight_loses_nothing_and_repeats_little_else(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    async with EmbeddedKafka() as kafka:
        road = Road(tmp_path_factory.mktemp("burst"), kafka.bootstrap)
        try:
            async with three_cities(road, more=LIMITS) as (a, b, _):
                seen = await trial(road, a, b, [], cases=800, steps=3, tag="t")
                print(f"\n{seen}")
                assert seen.in_flight > 100, "the trial killed at a quiet moment: it shows nothing"
                assert seen.again <= 2 * IN_FLIGHT
        finally:
            road.stop()
