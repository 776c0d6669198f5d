"""Workers that issue cards: on time although one was down, once although there are two, page by page."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
import pytest_asyncio
from sqlalchemy import Connection, text

from broker.core.ids import CaseId
from broker.core.message import epoch_ms
from broker.errors import NotDurable
from broker.log.admin.topics import LEDGER
from broker.store.view import deadlines as rows
from broker.supervision.deadlines import AGAIN_S, Look
from tests.supervision.card_world import CASE, MONDAY, A, B, World, documents

BOTH = [A, B]
IN_SECONDS = documents(days=0, extra="instant=true\nminutes=0.5")
WITH_STEPS = documents(
    extra='[[steps]]\ncode="CS"\nname="初审"\ndays=1\n[[steps]]\ncode="FH"\nname="复核"\ndays=1'
)


@pytest_asyncio.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with World.open(tmp_path) as made:
        yield made


@pytest_asyncio.fixture
async def instant(tmp_path: Path) -> AsyncIterator[World]:
    async with World.open(tmp_path, IN_SECONDS) as made:
        yield made


@pytest_asyncio.fixture
async def stepped(tmp_path: Path) -> AsyncIterator[World]:
    async with World.open(tmp_path, WITH_STEPS) as made:
        yield made


async def accepted_case(world: World, case: CaseId = CASE) -> None:
    world.say("case.submitted", case=case)
    world.say("case.accepted", B, case=case)
    await world.judge()


async def test_nothing_falls_before_its_time(world: World) -> None:
    await accepted_case(world)
    world.at(day=5, hour=23, minute=59)
    assert await world.worker().look() == Look()
    world.at(day=6, hour=0)
    assert await world.worker().look() == Look(cases=1, cards=1)


async def test_what_fell_while_no_worker_was_there_falls_in_order_and_says_when_it_was_due(
    instant: World,
) -> None:
    await accepted_case(instant)
    instant.at(hour=20)
    await instant.issue()
    assert [instant.told(side) for side in BOTH] == [["decision yellow 0", "decision red 0"]] * 2
    yellow, red = await instant.cards()
    assert (yellow.light, red.light) == ("yellow", "red")
    assert red.falls_at - yellow.falls_at == 15_000
    assert yellow.issued_at - yellow.falls_at > 7 * 3_600_000
    instant.at(hour=23)
    assert await instant.worker().look() == Look()


async def test_two_workers_at_once_issue_once(instant: World) -> None:
    await accepted_case(instant)
    instant.at(hour=13)
    one, other = instant.worker(), instant.worker()
    await asyncio.gather(one.look(), other.look())
    assert instant.written() == 8
    await instant.judge()
    assert [instant.told(side) for side in BOTH] == [["decision yellow 0", "decision red 0"]] * 2


async def test_a_worker_does_not_repeat_itself_while_the_exchange_is_behind(instant: World) -> None:
    await accepted_case(instant)
    instant.at(hour=13)
    worker = instant.worker()
    assert await worker.look() == Look(cases=1, cards=2)
    for _ in range(3):
        assert await worker.look() == Look()
    instant.ledger.now += timedelta(seconds=AGAIN_S)
    assert await worker.look() == Look(cases=1, cards=2)


async def test_what_falls_right_after_a_page_that_was_read_is_not_missed(world: World) -> None:
    """A case whose card was judged between the two reads is looked at again when its next card falls."""
    await accepted_case(world)
    world.at(day=6, hour=0)
    worker = world.worker()
    await worker.look()
    await world.judge()
    world.at(day=9, hour=23, minute=59)
    assert await worker.look() == Look()
    world.at(day=10, hour=0)
    assert await worker.look() == Look(cases=1, cards=1)


async def test_page_by_page_until_none_is_due(instant: World) -> None:
    cases = [CaseId(f"{A}/{n}") for n in range(7)]
    for case in cases:
        instant.say("case.submitted", case=case)
        instant.say("case.accepted", B, case=case)
    await instant.judge()
    instant.at(hour=13)
    assert await instant.worker(page=2).look() == Look(cases=7, cards=14)
    await instant.judge()
    for case in cases:
        assert instant.told(B, case) == ["decision yellow 0", "decision red 0"]
    assert await instant.store.read(rows.due, epoch_ms(instant.ledger.now)) == []


async def test_a_log_that_is_away_is_tried_again(world: World) -> None:
    await accepted_case(world)
    world.at(day=6, hour=0)
    world.ledger.fail_writes = 1
    worker = world.worker()
    with pytest.raises(NotDurable):
        await worker.look()
    assert await worker.look() == Look(cases=1, cards=1)
    await world.judge()
    assert [world.told(side) for side in BOTH] == [["decision yellow 0"]] * 2


async def test_the_loop_outlives_a_log_that_is_away(world: World) -> None:
    await accepted_case(world)
    world.at(day=6, hour=0)
    world.ledger.fail_writes = 2
    running = asyncio.create_task(world.worker().run(0.01))
    async with asyncio.timeout(5):
        while world.written() < 6:
            await asyncio.sleep(0.01)
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running
    await world.judge()
    assert world.told(A) == ["decision yellow 0"]


async def test_a_step_can_be_late_although_the_case_is_not(stepped: World) -> None:
    await accepted_case(stepped)
    stepped.at(day=4, hour=0)  # CS: Tu 3 is its last day, yellow from the start
    await stepped.issue()
    assert stepped.told(B) == ["step yellow 0", "step red 0"]
    assert [each.step for each in await stepped.cards()] == ["CS", "CS"]


async def test_while_paused_nothing_falls_and_afterwards_with_what_was_left(stepped: World) -> None:
    await accepted_case(stepped)
    stepped.at(day=3, hour=8)  # half of the step's time has gone
    await stepped.issue()
    assert stepped.told(B) == ["step yellow 0"]
    stepped.say("case.paused", B)
    await stepped.judge()
    stepped.at(day=20, hour=12)  # Fr; paused from Tu 3 to Fr 20
    assert await stepped.worker().look() == Look()
    stepped.say("case.resumed", B)
    await stepped.judge()
    assert await stepped.worker().look() == Look(), "the step began anew, with its whole limit"
    stepped.at(day=24, hour=0)  # Mo 23 was the step's last day
    await stepped.issue()
    assert stepped.told(B)[1:] == ["step yellow 1", "step red 1"]


async def test_a_step_that_is_entered_again_has_its_own_cards_and_what_was_void_is_never_written_again(
    stepped: World,
) -> None:
    await accepted_case(stepped)
    stepped.say("case.step-completed", B, step="CS", completed_at=MONDAY, step_name="初审")
    await stepped.judge()
    stepped.at(day=4, hour=0)  # Tu 3 was the last day of FH
    stepped.say("case.step-completed", B, step="FH", completed_at=MONDAY, step_name="复核")
    assert await stepped.worker().look() == Look(cases=1, cards=2), "the view is behind"
    await stepped.judge()
    assert stepped.told(B) == []
    stepped.say("case.step-completed", B, step="CS", completed_at=MONDAY, step_name="初审")
    await stepped.judge()  # and FH once more, at the same turn of the clock
    stepped.at(day=6, hour=0)  # Th 5 was its last day
    await stepped.issue()
    assert stepped.told(B) == ["step yellow 2", "decision yellow 0", "step red 2"]
    running = (await stepped.state()).clock
    assert running is not None
    assert running.turn == 0
    written = stepped.written()
    for _ in range(3):
        stepped.ledger.now += timedelta(seconds=AGAIN_S)
        await stepped.issue()  # by a worker that knows nothing of the one before
    assert stepped.written() == written


async def test_a_case_ends_under_the_limits_that_it_began_under(world: World) -> None:
    await accepted_case(world)
    world.apply(documents(days=5, extra="yellow_days=3"))
    await world.judge()
    world.at(day=4, hour=0)
    assert await world.worker().look() == Look()
    world.at(day=6, hour=0)
    assert await world.worker().look() == Look(cases=1, cards=1)


async def test_a_complaint_has_a_clock_of_its_own(world: World) -> None:
    case = CaseId(f"{A}/TS-1")
    world.say("complaint.filed", case=case)
    await world.judge()
    world.at(day=24, hour=0)  # 15 working days after Mo 2: Mo 23
    await world.issue()
    assert world.told(B, case) == ["complaint yellow 0", "complaint red 0"]


async def test_a_plan_of_an_older_holiday_table_is_mended_and_no_card_comes_of_it(world: World) -> None:
    await accepted_case(world)
    await world.store.call(_plan, 5)
    assert await world.worker().look() == Look(replanned=1)
    assert await world.worker().look() == Look()
    world.at(day=6, hour=0)
    assert await world.worker().look() == Look(cases=1, cards=1)


async def test_a_case_that_does_not_read_holds_nobody_else_up(world: World) -> None:
    await accepted_case(world)
    other = CaseId(f"{A}/LB-2")
    await accepted_case(world, other)
    await world.store.call(_lose_directory)
    world.at(day=6, hour=0)
    worker = world.worker()
    assert await worker.look() == Look(cases=1, cards=1)
    assert await worker.look() == Look()


async def test_rebuilt_from_the_ledger_cards_and_plans_are_the_same(world: World, tmp_path: Path) -> None:
    await accepted_case(world)
    late = CaseId(f"{A}/LB-2")
    world.say("case.submitted", case=late)
    await world.judge()
    for day in (6, 10, 12):
        world.at(day=day, hour=0)
        await world.issue()
    folder = tmp_path / "rebuilt"
    folder.mkdir()
    async with World.open(folder) as again:
        again.ledger.records[LEDGER, 0] = list(world.ledger.records[LEDGER, 0])
        await again.judge()
        for case in (CASE, late):
            assert await again.cards(case) == await world.cards(case)
            assert await again.state(case) == await world.state(case)
        assert len(await again.cards(late)) > 2
        until = epoch_ms(world.ledger.now + timedelta(days=99))
        assert await again.store.read(rows.due, until) == await world.store.read(rows.due, until)


def _plan(connection: Connection, falls_at: int) -> None:
    connection.execute(text(f"UPDATE case_view SET falls_at = {falls_at}"))


def _lose_directory(connection: Connection) -> None:
    """The view names a version for case LB-1 that it does not hold."""
    connection.execute(
        text(
            'UPDATE case_view SET state = replace(state, \'"directory":"\', \'"directory":"x\')'
            " WHERE case_id LIKE '%LB-1'"
        )
    )
