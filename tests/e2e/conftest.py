"""One road for each database: a Kafka of its own, the broker as a process, three cities."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio

from deploy.kafka.cluster import EmbeddedKafka
from tests.e2e.city import City
from tests.e2e.road import Road, directory_in_force, three_cities
from tests.store.postgres import fresh_database, server_url


@dataclass(frozen=True, slots=True)
class Running:
    """A road at work, with A (opens cases), B (responsible, http) and C (mailbox)."""

    road: Road
    a: City
    b: City
    c: City


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    with server_url() as url:
        yield url


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def databases(request: pytest.FixtureRequest) -> Iterator[tuple[str, str]]:
    """URLs of view and vault; empty: the road's own SQLite files."""
    if request.param == "sqlite":
        yield "", ""
        return
    server = request.getfixturevalue("postgres")
    with contextlib.ExitStack() as made:
        yield made.enter_context(fresh_database(server)), made.enter_context(fresh_database(server))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(
    tmp_path_factory: pytest.TempPathFactory, databases: tuple[str, str]
) -> AsyncIterator[Running]:
    folder: Path = tmp_path_factory.mktemp("road")
    async with EmbeddedKafka() as kafka:
        road = Road(folder, kafka.bootstrap, *databases)
        try:
            async with three_cities(road) as cities:
                road.serve()
                await road.ready()
                await directory_in_force(cities[0])
                yield Running(road, *cities)
        finally:
            road.stop()
