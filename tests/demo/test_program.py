"""Runs of scenarios against the fake exchange: together, judged one by one, and none able to stop the others."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from deploy.demo.checks import UNWRITTEN, Check, Ledgers
from deploy.demo.play import BrokerHandle
from deploy.demo.program import Ended, cast_of, run_scenarios
from deploy.demo.scenarios import Scenario, scenarios, the_play
from deploy.demo.scenarios.base import LAIBIN
from deploy.demo.scenarios.fees import FeesAndFindings
from deploy.demo.scenarios.instant import Instant
from deploy.demo.scenarios.newborn_hukou import NewbornHukou
from deploy.demo.scenarios.one_window import OneWindow
from deploy.demo.scenarios.provincial_hall import ProvincialHall
from deploy.demo.scenarios.repeated import Repeated
from deploy.demo.stage import Stage
from tests.demo.fake_exchange import FakeExchange, Faults


async def a_run(
    folder: Path, chosen: Sequence[Scenario], faults: Faults | None = None, *, patience_s: float = 30.0
) -> list[Ended]:
    async with AsyncExitStack() as stack:

        async def start_broker(directory: Path) -> BrokerHandle:
            exchange = await stack.enter_async_context(FakeExchange(directory, faults or Faults()).serving())
            return BrokerHandle(base_url=exchange.url, keys=[exchange.public_key])

        return await run_scenarios(start_broker, folder, chosen, patience_s=patience_s)


class Broken(NewbornHukou):
    """A scenario that fails in the middle."""

    name = "broken"

    async def act(self, stage: Stage) -> None:
        await super().act(stage)
        raise RuntimeError("the scenario is wrong")


class Hopeless(NewbornHukou):
    """A scenario whose expectation never comes true."""

    name = "hopeless"

    def checks(self, ledgers: Ledgers) -> Sequence[Check]:
        return [Check(zh="不可能", en="impossible", holds=False, found=str(len(ledgers[LAIBIN].sent)))]


async def test_scenarios_run_together_and_are_told_in_their_order(tmp_path: Path) -> None:
    chosen: list[Scenario] = [Repeated(), OneWindow(operators=False), NewbornHukou(), Instant()]
    ended = await a_run(tmp_path, chosen)
    assert [each.scenario.name for each in ended] == ["repeated", "one-window", "newborn-hukou", "instant"]
    assert all(each.ok for each in ended), [each for each in ended if not each.ok]


async def test_one_that_fails_leaves_the_others_alone(tmp_path: Path) -> None:
    ended = await a_run(tmp_path, [Broken(), Hopeless(), NewbornHukou()], patience_s=2)
    assert [each.ok for each in ended] == [False, False, True]
    assert ended[0].fault == "RuntimeError: the scenario is wrong"
    assert ended[1].fault is None


async def test_every_case_of_the_provincial_hall_is_accounted_for(tmp_path: Path) -> None:
    ended = await a_run(tmp_path, [ProvincialHall()])
    assert ended[0].ok, ended[0]
    assert "两年 270 万件约" in ended[0].checks[-1].found


async def test_a_lost_case_of_the_provincial_hall_is_missed(tmp_path: Path) -> None:
    ended = await a_run(
        tmp_path, [ProvincialHall()], Faults(drop_receipts_for="case.submitted"), patience_s=6
    )
    assert [check.holds for check in ended[0].checks] == [True, True, False, True]


async def test_where_no_operator_can_be_asked_a_scenario_that_needs_one_says_so(tmp_path: Path) -> None:
    ended = await a_run(tmp_path, [OneWindow()], patience_s=2)
    assert ended[0].fault is not None
    assert "operators" in ended[0].fault


async def test_the_timeline_tells_who_said_what_in_its_own_words(tmp_path: Path) -> None:
    ended = (await a_run(tmp_path, [NewbornHukou()]))[0]
    told = [(moment.who, moment.said, moment.state) for moment in ended.moments]
    assert told[0] == ("来宾", "申办（SB）", "已送达")
    assert ("衡山县", "补正告知（6）", "已送达") in told
    assert told[-1] == ("来宾", "评价（PJ）", "已送达")
    assert [moment.at for moment in ended.moments] == sorted(moment.at for moment in ended.moments)
    assert {moment.case for moment in ended.moments} == set(ended.scenario.cases)


def test_each_has_a_name_of_its_own_and_halls_of_the_roster() -> None:
    known = scenarios()
    assert list(known) == [each.name for each in known.values()]
    assert len(known) == 14
    for each in (*known.values(), *the_play()):
        assert len(set(each.cast)) == len(each.cast), each.name
    assert set(cast_of([NewbornHukou(), FeesAndFindings()])) == {"451300", "430423", "430423-caizheng"}


@pytest.mark.parametrize("name", scenarios())
def test_nothing_holds_before_it_was_played(name: str) -> None:
    checks = scenarios()[name].checks(UNWRITTEN)
    assert checks
    assert [check.zh for check in checks if check.holds] == []
