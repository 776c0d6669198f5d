"""``python -m tests.campaigns kills|burst|isolation``: exit 0 when every promise held, 1 otherwise."""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

from deploy.kafka.cluster import EmbeddedKafka
from tests.campaigns import burst, isolation, kills
from tests.e2e.city import City
from tests.e2e.road import A, Road, three_cities
from tests.store.postgres import fresh_database, server_url

Work = Callable[[Road, argparse.Namespace], Awaitable[list[str]]]


async def _kills(road: Road, wanted: argparse.Namespace) -> list[str]:
    async with three_cities(road) as cities:
        draw = random.Random(wanted.seed)
        tally = await kills.campaign(road, cities, kills.steps_for(wanted.trials), draw=draw, told=_tell)
    return tally.lines()


async def _burst(road: Road, wanted: argparse.Namespace) -> list[str]:
    lines: list[str] = []
    async with three_cities(road, more=burst.LIMITS) as (a, b, _):
        accepted: list[str] = []
        for number in range(wanted.trials):
            trial = await burst.trial(road, a, b, accepted, cases=1500, steps=3, tag=f"t{number}")
            lines.append(str(trial))
            _tell(f"trial {number + 1} of {wanted.trials}: {trial}")
    return lines


async def _isolation(road: Road, wanted: argparse.Namespace) -> list[str]:
    async with three_cities(road, kind="http") as (a, b, c), City("430400") as sick:
        sick.broker, sick.broker_key = a.broker, a.broker_key
        road.apply_directory({sick.id: sick.document()}, [(A, sick.id)])
        found = await isolation.hang(
            road, a, (b, c), sick, rate=wanted.rate, minutes=wanted.minutes, told=_tell
        )
    return found.lines()


async def _run(wanted: argparse.Namespace, work: Work) -> list[str]:
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tongban-campaign-")))
        databases = ("", "")
        if wanted.database == "postgresql":
            server = stack.enter_context(server_url())
            databases = (
                stack.enter_context(fresh_database(server)),
                stack.enter_context(fresh_database(server)),
            )
        kafka = await stack.enter_async_context(EmbeddedKafka())
        road = Road(folder, kafka.bootstrap, *databases, settings="lease_s = 2.0\n")
        stack.callback(road.stop)
        return await work(road, wanted)


def _tell(line: str) -> None:
    print(f"[{time.strftime('%H:%M:%S')}] {line}", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.campaigns", description=__doc__)
    parser.add_argument("--database", choices=("sqlite", "postgresql"), default="sqlite")
    commands = parser.add_subparsers(dest="campaign", required=True)
    one = commands.add_parser("kills", help="kill -9 at every step of the road in turn")
    one.add_argument("--trials", type=int, default=200)
    one.add_argument("--seed", type=int, default=1)
    one.set_defaults(work=_kills)
    two = commands.add_parser("burst", help="kill -9 with a thousand deliveries in flight")
    two.add_argument("--trials", type=int, default=5)
    two.set_defaults(work=_burst)
    three = commands.add_parser("isolation", help="one of three partners hangs")
    three.add_argument("--minutes", type=float, default=5)
    three.add_argument("--rate", type=float, default=30, help="messages a second to each partner")
    three.set_defaults(work=_isolation)
    wanted = parser.parse_args()
    try:
        lines = asyncio.run(_run(wanted, wanted.work))
    except AssertionError as broken:
        print(f"a promise did not hold: {broken}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    print(*lines, sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
