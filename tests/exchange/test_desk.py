"""The desk through the exchange: acts in the ledger's order, redrives verbatim, faults, and the same again in a rebuild."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
import pytest_asyncio

from broker.core.ids import CaseId, PartnerId, Party
from broker.core.message import Message, from_record
from broker.core.operating.desk import BEHIND_A_DOSSIER, HOUSE_OWNER, Act, Standing, end_of_day_ms
from broker.core.operating.levers import Levers, levers_case
from broker.core.receipts import Outcome
from broker.core.records import Position, Record
from broker.exchange import rejudging
from broker.exchange.acts import Lever, lever_record
from broker.log.admin.topics import LEDGER
from broker.store.access.engine import Store
from broker.store.rows import MessageRow
from broker.store.view import desk, ledger_view, levers, messages
from broker.store.view.export import export
from broker.telemetry import UNREADABLE
from tests.exchange.desk_samples import BY, WHY, Office, ended
from tests.exchange.fakes import CODEC, NOW, Ledger, message
from tests.exchange.test_stage import A, B, World

FIRST = message("m-1")
SECOND, THIRD = (message(f"m-{number}", "case.urged") for number in (2, 3))
LINE = PartnerId(B)


@pytest_asyncio.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    store = await Store.open(f"sqlite:///{tmp_path / 'view.db'}")
    yield World(store)
    await store.close()


@pytest.fixture
def office(world: World) -> Office:
    return Office(world.ledger)


async def judged(world: World) -> None:
    async with world.at_work():
        await world.caught_up()


async def standing(world: World, of: Message) -> Standing:
    found = await world.store.read(desk.dossier, of.source, of.id)
    assert found is not None
    return found.status


async def history(world: World, of: Message) -> list[str]:
    return [each.act for each in await world.store.read(desk.acts, of.source, of.id)]


async def row(world: World, of: Message) -> MessageRow:
    found = await world.store.read(messages.message, of.source, of.id)
    assert found is not None
    return found


async def verdict(world: World, act: Position) -> str | None:
    """The code with which an act was refused; None: it was not."""
    said = from_record(world.ledger.records[LEDGER, 0][act.offset])
    return (await row(world, said)).code


def a_lane_on_the_desk(ledger: Ledger) -> None:
    """Three messages of one case: the schedule of the first is used up, the others are behind it."""
    for each in (FIRST, SECOND, THIRD):
        ledger.put(each)
    ledger.append(ended(FIRST))
    for each in (SECOND, THIRD):
        ledger.append(ended(each, cause=BEHIND_A_DOSSIER))


async def owed(world: World) -> tuple[int, int]:
    found = {each.partner: each for each in await world.store.read(messages.backlogs)}
    return found[LINE].failed, found[LINE].owed


async def test_a_failure_opens_a_dossier_that_says_where_its_message_stands(world: World) -> None:
    a_lane_on_the_desk(world.ledger)
    rejected = message("m-4", "case.urged")
    world.ledger.put(rejected)
    world.ledger.append(ended(rejected, Outcome.REJECTED, cause="422"))
    await judged(world)
    found = await world.store.read(desk.dossiers)
    assert [(each.name[1], each.ledger_offset, each.cause, each.blocks) for each in found] == [
        ("m-1", 1, "schedule-used-up", True),
        ("m-2", 2, BEHIND_A_DOSSIER, True),
        ("m-3", 3, BEHIND_A_DOSSIER, True),
        ("m-4", 7, "422", False),
    ]
    (first, *_) = await world.store.read(desk.acts, FIRST.source, FIRST.id)
    assert (first.act, first.by, first.reason, first.detail, first.ledger_offset) == (
        "failed",
        "tongban",
        "schedule-used-up",
        "503",
        4,
    )


async def test_a_redrive_is_the_original_verbatim_from_the_place_of_the_act(
    world: World, office: Office
) -> None:
    a_lane_on_the_desk(world.ledger)
    await judged(world)
    before = world.ledger.outbox(B)[0]
    act = office.does(Act.REDRIVEN, FIRST)
    await judged(world)
    original, copy = world.ledger.records[LEDGER, 0][1], world.ledger.outbox(B)[-1]
    assert (copy.key, copy.value) == (original.key, original.value)
    headers = dict(copy.headers)
    assert headers == {**dict(before.headers), "tongban-source": str(act).encode(), "tongban-redrive": b"1"}
    assert from_record(copy).accepted_at == from_record(before).accepted_at
    assert await standing(world, FIRST) is Standing.REDRIVEN
    found = await row(world, FIRST)
    assert (found.outcome, found.verdict) == (None, "applied")
    assert await owed(world) == (2, 1)
    assert (await row(world, from_record(world.ledger.records[LEDGER, 0][act.offset]))).verdict == "recorded"


async def test_a_lane_comes_home_in_its_order_and_not_otherwise(world: World, office: Office) -> None:
    a_lane_on_the_desk(world.ledger)
    early = office.does(Act.REDRIVEN, SECOND)
    acts = [office.does(Act.REDRIVEN, each) for each in (FIRST, SECOND, THIRD)]
    await judged(world)
    assert await verdict(world, early) == "desk-order"
    assert [await verdict(world, each) for each in acts] == [None] * 3
    redriven = [from_record(each) for each in world.ledger.outbox(B)[3:]]
    assert [(each.id, each.redrive) for each in redriven] == [("m-1", 1), ("m-2", 1), ("m-3", 1)]
    sources = [each.source_position for each in map(from_record, world.ledger.outbox(B))]
    assert sources == sorted(sources, key=lambda each: each.offset if each else -1)
    for each in (FIRST, SECOND, THIRD):
        world.ledger.append(ended(each, Outcome.DELIVERED))
    await judged(world)
    assert [await standing(world, each) for each in (FIRST, SECOND, THIRD)] == [Standing.DELIVERED] * 3
    assert await history(world, FIRST) == ["failed", "redriven", "delivered"]
    assert await owed(world) == (0, 0)
    assert (await row(world, FIRST)).outcome == "delivered"


async def test_the_order_holds_across_batches_and_by_what_stands_there_now(
    world: World, office: Office
) -> None:
    a_lane_on_the_desk(world.ledger)
    await judged(world)
    early = office.does(Act.REDRIVEN, THIRD)
    await judged(world)
    office.does(Act.SKIPPED, FIRST)
    office.does(Act.RETURNED, SECOND)
    now_first = office.does(Act.REDRIVEN, THIRD)
    await judged(world)
    assert (await verdict(world, early), await verdict(world, now_first)) == ("desk-order", None)


async def test_a_second_failure_is_back_on_the_desk_and_a_third_redrive_has_the_next_number(
    world: World, office: Office
) -> None:
    world.ledger.put(FIRST)
    world.ledger.append(ended(FIRST))
    office.does(Act.REDRIVEN, FIRST)
    await judged(world)
    world.ledger.append(ended(FIRST))  # the first failure, told again by a worker that was killed
    await judged(world)
    assert await standing(world, FIRST) is Standing.REDRIVEN
    world.ledger.append(ended(FIRST, redrive=1))
    world.ledger.append(ended(FIRST))
    await judged(world)
    found = await world.store.read(desk.dossier, FIRST.source, FIRST.id)
    assert found is not None
    assert (found.status, found.failures, found.blocks) == (Standing.OPEN, 2, True)
    assert await owed(world) == (1, 0)
    office.does(Act.REDRIVEN, FIRST)
    await judged(world)
    assert [from_record(each).redrive for each in world.ledger.outbox(B)] == [0, 1, 2]
    assert await history(world, FIRST) == ["failed", "redriven", "failed", "redriven"]
    notices = [each for each in map(from_record, world.ledger.outbox(A)) if each.correlation == FIRST.name]
    assert len({each.id for each in notices}) == len(notices) == 2, "its sender is told of each failure once"


async def test_returned_goes_to_its_sender_and_lets_the_lane_go(world: World, office: Office) -> None:
    a_lane_on_the_desk(world.ledger)
    act = office.does(Act.RETURNED, FIRST)
    await judged(world)
    at_home, control = world.ledger.outbox(A)[-1], world.ledger.outbox(B)[-1]
    for each in (at_home, control):
        said = from_record(each)
        assert (said.type, said.destination, said.correlation) == ("operator.returned", A, FIRST.name)
        assert said.source_position == act
    assert await standing(world, FIRST) is Standing.RETURNED
    found = await row(world, from_record(at_home))
    assert (found.verdict, found.destination) == ("applied", A), "its sender is owed it, as any message"
    assert (await row(world, FIRST)).outcome == "undeliverable"


async def test_what_held_no_lane_needs_no_letting_go(world: World, office: Office) -> None:
    world.ledger.put(FIRST)
    world.ledger.append(ended(FIRST, Outcome.REJECTED, cause="422"))
    await judged(world)
    lying = len(world.ledger.outbox(B))
    office.does(Act.SKIPPED, FIRST)
    await judged(world)
    assert len(world.ledger.outbox(B)) == lying
    assert await standing(world, FIRST) is Standing.SKIPPED


async def test_skipped_is_told_to_the_lane_alone_and_nobody_is_owed_it(world: World, office: Office) -> None:
    a_lane_on_the_desk(world.ledger)
    await judged(world)
    at_a = len(world.ledger.outbox(A))
    act = office.does(Act.SKIPPED, FIRST)
    await judged(world)
    said = from_record(world.ledger.outbox(B)[-1])
    assert (said.type, said.source_position) == ("operator.skipped", act)
    assert len(world.ledger.outbox(A)) == at_a
    assert await owed(world) == (3, 0)
    assert (await row(world, said)).verdict == "recorded"


async def test_a_late_delivery_of_what_held_its_lane_lets_it_go(world: World) -> None:
    a_lane_on_the_desk(world.ledger)
    world.ledger.append(ended(FIRST, Outcome.DELIVERED))
    await judged(world)
    control = from_record(world.ledger.outbox(B)[-1])
    assert (control.type, control.destination, control.correlation) == ("receipt.delivered", A, FIRST.name)
    assert await standing(world, FIRST) is Standing.DELIVERED
    assert await history(world, FIRST) == ["failed", "delivered"]


async def test_of_two_operators_the_first_has_decided_and_the_second_is_told(
    world: World, office: Office
) -> None:
    a_lane_on_the_desk(world.ledger)
    first, second = (office.does(act, FIRST) for act in (Act.SKIPPED, Act.REDRIVEN))
    again = office.does(Act.NOTED, FIRST, note="何故？")
    await judged(world)
    assert [await verdict(world, each) for each in (first, second, again)] == [
        None,
        "dossier-not-open",
        "dossier-not-open",
    ]
    found = await world.store.read(desk.dossier, FIRST.source, FIRST.id)
    assert found is not None
    refused = await world.store.read(desk.refusals, found)
    assert [(each.type, each.code) for each in refused] == [
        ("operator.redriven", "dossier-not-open"),
        ("operator.noted", "dossier-not-open"),
    ]
    assert "skipped" in (refused[0].detail or "")
    assert BY not in str(refused)
    assert await history(world, FIRST) == ["failed", "skipped"]
    assert not [each for each in world.ledger.outbox(B) if from_record(each).redrive]


async def test_an_act_of_no_dossier_or_under_another_s_case_changes_nothing(
    world: World, office: Office
) -> None:
    a_lane_on_the_desk(world.ledger)
    nobody = office.does(Act.REDRIVEN, message("m-9"))
    elsewhere = office.does(Act.SKIPPED, replace(FIRST, case=CaseId("451300/LB-2")))
    other_line = office.does(Act.REDRIVEN, replace(FIRST, destination=Party("350200")))
    await judged(world)
    assert [await verdict(world, each) for each in (nobody, elsewhere, other_line)] == ["dossier-unknown"] * 3
    assert await standing(world, FIRST) is Standing.OPEN


async def test_assigned_and_noted_are_kept_with_what_they_say(world: World, office: Office) -> None:
    a_lane_on_the_desk(world.ledger)
    office.does(Act.ASSIGNED, FIRST, owner="窗口 3", due_on=date(2026, 11, 27))
    office.does(Act.NOTED, FIRST, note="已电话联系")
    await judged(world)
    found = await world.store.read(desk.dossier, FIRST.source, FIRST.id)
    assert found is not None
    assert (found.owner, found.due_at_ms) == ("窗口 3", end_of_day_ms(date(2026, 11, 27)))
    _, assigned, noted = await world.store.read(desk.acts, FIRST.source, FIRST.id)
    assert (assigned.act, assigned.by, assigned.reason) == ("assigned", BY, WHY)
    assert assigned.detail == "窗口 3 · 2026-11-27"
    assert (noted.act, noted.detail) == ("noted", "已电话联系")
    other = await world.store.read(desk.dossier, SECOND.source, SECOND.id)
    assert other is not None
    assert other.owner == HOUSE_OWNER


async def test_the_same_act_again_has_no_second_effect(world: World, office: Office) -> None:
    a_lane_on_the_desk(world.ledger)
    record = office.record(Act.REDRIVEN, FIRST)
    for _ in range(2):
        world.ledger.append(record)
        await judged(world)
    world.ledger.append(record)
    await judged(world)
    assert await history(world, FIRST) == ["failed", "redriven"]
    assert len([each for each in world.ledger.outbox(B) if from_record(each).redrive]) == 1


async def test_acts_whose_values_do_not_read_are_told_and_passed(world: World, office: Office) -> None:
    a_lane_on_the_desk(world.ledger)
    before = UNREADABLE.labels("exchange")._value.get()
    good = office.record(Act.REDRIVEN, FIRST)
    of_skip = office.record(Act.SKIPPED, FIRST).value
    for value in (b"\x00\x00\x00\x00\x1dgarbage", b"", of_skip):
        world.ledger.append(replace(good, value=value))
    nameless = tuple(pair for pair in good.headers if pair[0] != "ce_correlationid")
    world.ledger.append(replace(good, headers=nameless))
    world.ledger.put(message("m-4", "case.urged"))
    await judged(world)
    assert UNREADABLE.labels("exchange")._value.get() - before == 4
    assert await standing(world, FIRST) is Standing.OPEN
    assert "m-4" in world.ids(B)


async def test_an_original_that_the_ledger_does_not_show_is_not_redriven(
    world: World, office: Office
) -> None:
    a_lane_on_the_desk(world.ledger)
    other = message("m-4", "case.urged", case=CaseId("451300/LB-4"))
    world.ledger.put(replace(other, type="case.submitted"))
    world.ledger.append(ended(other))
    await judged(world)
    world.ledger.lost.add(Position(LEDGER, 0, 1))
    acts = [office.does(Act.REDRIVEN, each) for each in (FIRST, other)]
    await judged(world)
    assert [await verdict(world, each) for each in acts] == ["original-missing", None]
    assert await standing(world, FIRST) is Standing.OPEN
    assert (await row(world, FIRST)).outcome == "undeliverable"


async def test_while_the_log_does_not_answer_nothing_is_decided(world: World, office: Office) -> None:
    a_lane_on_the_desk(world.ledger)
    await judged(world)
    world.ledger.fail_reads = 1
    office.does(Act.REDRIVEN, FIRST)
    await judged(world)
    assert world.ledger.reads == 2
    assert await standing(world, FIRST) is Standing.REDRIVEN
    assert len([each for each in world.ledger.outbox(B) if from_record(each).redrive]) == 1


async def test_killed_after_its_outputs_the_exchange_makes_the_same_again(
    world: World, office: Office
) -> None:
    a_lane_on_the_desk(world.ledger)
    await judged(world)
    office.does(Act.REDRIVEN, FIRST)
    office.does(Act.RETURNED, SECOND)
    world.ledger.fail_writes = 1
    await judged(world)
    new = world.ledger.outbox(B)[3:]
    assert len(new) == 4
    assert [_content(each) for each in new[:2]] == [_content(each) for each in new[2:]]
    assert await history(world, FIRST) == ["failed", "redriven"]


async def test_ordinary_records_cost_no_look_at_the_desk(world: World) -> None:
    for each in (FIRST, SECOND):
        world.ledger.put(each)
        world.ledger.append(ended(each, Outcome.DELIVERED))
    await judged(world)
    assert world.ledger.reads == 0
    assert await world.store.read(desk.dossiers, standing=None) == []


def _content(record: Record) -> tuple[object, ...]:
    return record.key, record.value, record.headers


async def test_levers_are_folded_in_the_ledgers_order(world: World) -> None:
    def pull(kind: Lever, second: int, partner: str = B, **limits: float) -> None:
        world.ledger.append(
            lever_record(
                CODEC,
                kind,
                PartnerId(partner),
                by=BY,
                reason=WHY,
                now=NOW.replace(second=second),
                ledger_partitions=1,
                **limits,  # type: ignore[arg-type]
            )
        )

    pull("paused", 1)
    pull("limited", 2, in_flight=8, per_second=2.5)
    await judged(world)
    pull("resumed", 3)
    pull("probed", 4)
    pull("paused", 5, A)
    pull("paused", 5, A)
    await judged(world)
    found = await world.store.read(levers.read_all)
    assert set(found) == {A, B}
    of = found[LINE]
    assert (of.paused, of.in_flight, of.per_second, of.batch) == (None, 8, 2.5, None)
    assert of.probed is not None
    assert (of.probed.by, of.probed.reason) == (BY, WHY)
    assert of.updated_at_ms == of.probed.at_ms
    assert found[PartnerId(A)].paused is not None
    assert await world.store.read(levers.read, [LINE, PartnerId("350200")]) == {LINE: of}
    assert world.ledger.outbox(B) == []
    assert await world.store.read(messages.backlogs) == []


async def test_a_lever_of_one_partner_under_the_key_of_another_is_passed(world: World) -> None:
    record = lever_record(CODEC, "paused", LINE, by=BY, reason=WHY, now=NOW, ledger_partitions=1)
    said = from_record(world.ledger.records[LEDGER, 0][world.ledger.append(record).offset])
    world.ledger.records[LEDGER, 0].pop()
    world.ledger.put(replace(said, case=levers_case(PartnerId(A))))
    await judged(world)
    assert await world.store.read(levers.read_all) == {}


def everything(ledger: Ledger) -> None:
    """A ledger on which everything happens that the desk and the levers know."""
    office = Office(ledger)
    a_lane_on_the_desk(ledger)
    office.does(Act.REDRIVEN, SECOND)
    for each in (FIRST, SECOND):
        office.does(Act.REDRIVEN, each)
    ledger.append(ended(FIRST, redrive=1))
    ledger.append(ended(SECOND, redrive=1, cause=BEHIND_A_DOSSIER))
    ledger.append(ended(FIRST))
    office.does(Act.ASSIGNED, FIRST, owner="窗口 3")
    office.does(Act.REDRIVEN, FIRST)
    ledger.append(ended(FIRST, Outcome.DELIVERED))
    office.does(Act.NOTED, FIRST, note="太晚")
    office.does(Act.RETURNED, SECOND)
    office.does(Act.SKIPPED, THIRD)
    ledger.append(ended(THIRD, Outcome.REJECTED, cause="422"))
    rejected = message("m-4", "case.urged")
    ledger.put(rejected)
    ledger.append(ended(rejected, Outcome.REJECTED, cause="422"))
    office.does(Act.REDRIVEN, rejected)
    kinds: tuple[Lever, ...] = ("paused", "limited", "resumed", "probed")
    for kind in kinds:
        batch = 3 if kind == "limited" else None
        ledger.append(
            lever_record(CODEC, kind, LINE, by=BY, reason=WHY, now=NOW, ledger_partitions=1, batch=batch)
        )


async def test_the_view_is_the_same_however_the_ledger_is_cut_and_when_it_is_rebuilt(
    world: World, tmp_path: Path
) -> None:
    everything(world.ledger)
    records = world.ledger.records[LEDGER, 0]
    exports, outputs = [], []
    for batch in (1, 2, 5, 1000):
        store = await Store.open(f"sqlite:///{tmp_path / f'view-{batch}.db'}")
        other = World(store)
        other.ledger.records[LEDGER, 0][:] = records
        async with other.at_work(batch):
            await other.caught_up()
        exports.append(await store.scan(lambda connection: b"".join(export(connection))))
        outputs.append([_content(each) for each in other.ledger.outbox(B)])
        await store.close()
    for batch in (3, 1000):
        await world.store.call(ledger_view.clear_view)
        for since in range(0, len(records), batch):
            await rejudging.take_in(
                world.store,
                CODEC,
                records[since : since + batch],
                read_at=world.ledger.read_at,
                outbox_partitions=1,
            )
        exports.append(await world.store.scan(lambda connection: b"".join(export(connection))))
    assert len(set(exports)) == 1
    assert all(each == outputs[0] for each in outputs)
    assert [await standing(world, each) for each in (FIRST, SECOND, THIRD)] == [
        Standing.DELIVERED,
        Standing.RETURNED,
        Standing.SKIPPED,
    ]
    assert await world.store.read(levers.read_all) != {LINE: Levers(partner=LINE)}
    assert b'"table":"dossier_act"' in exports[0]
    assert await history(world, FIRST) == [
        *("failed", "redriven", "failed", "assigned", "redriven", "delivered"),
    ]
    assert await world.store.read(desk.redrives, FIRST.source, FIRST.id) == 2


async def test_two_workers_on_one_partition_do_an_act_once(world: World, office: Office) -> None:
    a_lane_on_the_desk(world.ledger)
    async with world.at_work(), world.at_work():
        await world.caught_up()
        office.does(Act.REDRIVEN, FIRST)
        await world.caught_up()
        await asyncio.sleep(0.05)
        office.does(Act.NOTED, FIRST, note="一")
        await world.caught_up()
    assert await history(world, FIRST) == ["failed", "redriven", "noted"]
