"""The whole play against the fake exchange: it passes on an honest one, and names what a dishonest one breaks."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from rich.console import Console

from deploy.demo.play import BrokerHandle, Outcome, play
from deploy.demo.scenarios import Scenario
from deploy.demo.scenarios.agreements import Agreements
from deploy.demo.scenarios.instant import Instant
from deploy.demo.scenarios.newborn_hukou import NewbornHukou
from deploy.demo.scenarios.outage import Outage
from deploy.demo.scenarios.repeated import Repeated
from tests.demo.cities import eventually
from tests.demo.fake_exchange import FakeExchange, Faults


def a_short_outage() -> Outage:
    outage = Outage()
    outage.outage_s = 0.5
    return outage


async def played(
    folder: Path,
    faults: Faults | None = None,
    *,
    scenarios: Sequence[Scenario] | None = None,
    patience_s: float = 30.0,
    once: bool = True,
    stop: asyncio.Event | None = None,
    screen: io.StringIO | None = None,
) -> tuple[Outcome, str]:
    screen = screen or io.StringIO()
    async with AsyncExitStack() as stack:

        async def start_broker(directory: Path) -> BrokerHandle:
            exchange = await stack.enter_async_context(FakeExchange(directory, faults or Faults()).serving())
            return BrokerHandle(base_url=exchange.url, keys=[exchange.public_key], lag=lag)

        async def lag() -> dict[str, int]:
            return {"exchange": 0, "451300": 7}

        outcome = await play(
            start_broker,
            folder,
            once=once,
            console=Console(file=screen, width=160),
            scenarios=scenarios,
            patience_s=patience_s,
            stop=stop,
        )
    return outcome, screen.getvalue()


async def test_every_expected_effect_is_in_the_partners_ledgers(tmp_path: Path) -> None:
    scenarios: list[Scenario] = [
        NewbornHukou(),
        Instant(),
        Agreements(operators=False),
        a_short_outage(),
        Repeated(),
    ]
    outcome, screen = await played(tmp_path, scenarios=scenarios)
    assert outcome.ok, outcome.missing
    assert [len(checks) for _, checks in outcome.scenes] == [5, 5, 42, 11, 5]
    assert outcome.first_effect_s is not None
    assert 0 < outcome.first_effect_s < outcome.took_s
    for shown in ("新生儿入户", "衡山县 430423", "SF", "agreement-missing", "积压 lag: 451300 7", "PJ / 16"):
        assert shown in screen


async def test_a_rough_road_changes_nothing_for_the_ledgers(tmp_path: Path) -> None:
    faults = Faults(refuse_first=3, lose_first_answers=2, deliver_twice=True)
    outcome, _ = await played(tmp_path, faults, scenarios=[NewbornHukou(), Instant(), a_short_outage()])
    assert outcome.ok, outcome.missing


@pytest.mark.parametrize(
    ("faults", "scenario", "named"),
    [
        (Faults(drop_receipts_for="case.accepted"), NewbornHukou(), "one receipt.delivered"),
        (Faults(twice_under_new_ids="case.urged"), a_short_outage(), "in order, once each"),
        (Faults(swap=("case.accepted", "case.step-completed")), NewbornHukou(), "in order, once each"),
        (Faults(forget_agreements=True), Agreements(operators=False), "without an agreement"),
    ],
    ids=["receipt lost", "effect doubled", "out of order", "agreement ignored"],
)
async def test_a_broken_promise_is_found_and_named(
    tmp_path: Path, faults: Faults, scenario: Scenario, named: str
) -> None:
    outcome, screen = await played(tmp_path, faults, scenarios=[scenario], patience_s=4)
    assert not outcome.ok
    assert any(named in line for line in outcome.missing), outcome.missing
    assert "✗" in screen


async def test_a_lost_answer_is_seen_to_come_again(tmp_path: Path) -> None:
    outcome, _ = await played(tmp_path, scenarios=[Repeated()])
    assert outcome.ok, outcome.missing
    held = {check.en: check.found for check in outcome.scenes[0][1]}
    assert held["衡山县's answer is lost and the id comes again: one effect"].startswith(
        "answer-lost, repeat"
    )


async def test_it_stays_up_with_commands_to_try_until_stopped(tmp_path: Path) -> None:
    stop, screen = asyncio.Event(), io.StringIO()
    running = asyncio.create_task(
        played(tmp_path, scenarios=[Instant()], once=False, stop=stop, screen=screen)
    )
    await eventually(lambda: "Ctrl-C" in screen.getvalue())
    await asyncio.sleep(0.5)
    assert not running.done()
    stop.set()
    outcome, shown = await running
    assert outcome.ok, outcome.missing
    for command in (
        "tongban case timeline 430400/HY",
        "tongban lag --watch",
        "replay --case",
        "/faults/outage",
    ):
        assert command in shown


async def test_stopped_early_it_claims_nothing(tmp_path: Path) -> None:
    stop = asyncio.Event()
    stop.set()
    outcome, _ = await played(tmp_path, scenarios=[NewbornHukou(), Instant()], stop=stop)
    assert not outcome.ok
    assert "not played" in outcome.missing[-1]
