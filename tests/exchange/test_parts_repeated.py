"""Bundles judged twice, in any order, in batches of any size, and made again from the ledger: the same each time."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
import structlog
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.core.bundle.bundles import PartStatus
from broker.core.case.lifecycle import Status
from broker.core.ids import opening_partner, part_case
from broker.core.message import from_record
from broker.core.records import Position
from broker.exchange.applying import directory_records
from broker.exchange.rejudging import take_in
from broker.log.admin import topics
from broker.store.access.engine import Store
from broker.store.view import cases, ledger_view
from tests.exchange.bundle_steps import CHAIN, applied, copies
from tests.exchange.bundle_world import (
    AUTHORITIES,
    BORN,
    DATA,
    DOCUMENTS,
    HALL,
    LEAD,
    NOW,
    PARTITION,
    World,
    decided,
)
from tests.exchange.fakes import CODEC, Ledger
from tests.exchange.test_stage import World as StageWorld


def test_a_batch_judged_twice_makes_the_same_ids_and_bytes() -> None:
    once, twice = World(), World(twice=True)
    for world in (once, twice):
        applied(world)
        world.decide("chusheng")
        world.decide("luohu", "denied")
        world.say("case.withdrawn", HALL, LEAD, BORN)
        world.judge()
    made: dict[str, set[tuple[object, ...]]] = {}
    for record in twice.ledger:
        made.setdefault(from_record(record).name, set()).add((record.key, record.value, record.headers))
    assert {name for name, forms in made.items() if len(forms) > 1} == set()
    assert made.keys() == {from_record(record).name for record in once.ledger}
    assert len(twice.ledger) > len(once.ledger), "repeats are on the ledger and change nothing"
    assert once.statuses() == twice.statuses()
    assert {k: v.status for k, v in once.cases.items()} == {k: v.status for k, v in twice.cases.items()}
    assert once.outbox.keys() == twice.outbox.keys()
    assert twice.refusals() == once.refusals()


def test_without_the_submissions_record_parts_stay_held_and_it_is_told(world: World) -> None:
    applied(world)
    world.lost = {Position(topics.LEDGER, PARTITION, 0)}
    with structlog.testing.capture_logs() as events:
        world.decide("chusheng")
    told = {(each["event"], each["count"]) for each in events if each["log_level"] == "error"}
    assert told == {("parts_not_opened", 2)}
    assert world.statuses()["luohu"] == "held"
    assert world.statuses()["chusheng"] == "granted"


# Whatever order.


@settings(max_examples=60, deadline=None)
@given(data=st.data(), size=st.sampled_from([1, 2, 7, 1000]), twice=st.booleans())
def test_however_the_parts_end_the_case_ends_once_at_the_hall(
    data: st.DataObject, size: int, twice: bool
) -> None:
    world = World(size=size, twice=twice)
    applied(world)
    withdraw_at = data.draw(st.none() | st.integers(0, 6))
    for turn in range(7):
        still = [each.name for each in world.bundle().parts if each.status is PartStatus.OPEN]
        before = data.draw(st.booleans()) if withdraw_at == turn else None
        if before is True:
            world.say("case.withdrawn", HALL, LEAD, BORN)
        if still:
            _end_one(world, data, data.draw(st.sampled_from(still)))
        if before is False:  # what the end above makes the broker say comes after the withdrawal
            world.say("case.withdrawn", HALL, LEAD, BORN)
        world.judge()
    for name in CHAIN:
        if world.statuses()[name] == "granted":
            world.issue(name)
    parent = world.cases[BORN]
    ends = Counter(world.heard_by_the_hall())
    endings = ends["case.decided"] + ends["case.refused"] + ends["case.withdrawn"]
    granted = "granted" in world.statuses().values()
    assert not {"held", "open"} & set(world.statuses().values())
    if parent.status is Status.WITHDRAWN and not ends["case.withdrawn"]:
        assert (endings, granted) == (0, False), "withdrawn by the hall itself"
    else:
        assert endings == 1
    assert ends["case.result-issued"] == ends["case.decided"]
    assert (parent.status is Status.ISSUED) == bool(ends["case.decided"])
    for name, status in world.statuses().items():
        opened = [
            each for each in copies(world) if each.case.endswith(f"~{name}") and each.type == "case.submitted"
        ]
        assert len({each.id for each in opened}) == (status != "void")
        if opened:
            expected = {
                "granted": Status.ISSUED,
                "denied": Status.DECIDED,
                "refused": Status.REFUSED,
                "withdrawn": Status.WITHDRAWN,
            }
            assert world.part(name).status is expected[status]
    on_one_partition = {record.key for record in world.ledger}
    assert on_one_partition == {BORN.encode()}
    assert all(opening_partner(each.case) == HALL for each in copies(world))


def _end_one(world: World, data: st.DataObject, name: str) -> None:
    how = data.draw(st.sampled_from(["granted", "denied", "refused", "withdrawn"]))
    if how == "refused":
        world.by(name, "case.refused")
    elif how == "withdrawn":
        world.say("case.withdrawn", HALL, AUTHORITIES[name], part_case(BORN, name), DATA["case.withdrawn"])
    else:
        world.by(name, "case.accepted")
        world.by(name, "case.decided", data=decided(how))


# In the stage itself, on a store.


@pytest.mark.parametrize(("size", "chunk"), [(1, 1), (1, 100), (3, 7), (1000, 2)])
async def test_the_stage_and_a_rebuild_come_to_the_same_bundle(tmp_path: Path, size: int, chunk: int) -> None:
    store = await Store.open(f"sqlite:///{tmp_path / 'view.db'}")
    stage = StageWorld(store)
    stage.ledger = Ledger()
    (applied_directory,) = directory_records(
        CODEC, DOCUMENTS, by="test", reason="test", now=NOW, ledger_partitions=1
    )
    stage.ledger.append(applied_directory)
    script = World()
    steps = [
        [script.apply_newborn()],
        [script.by("chusheng", "case.accepted"), script.by("chusheng", "case.decided", data=decided())],
        [script.by("luohu", "case.accepted"), script.by("luohu", "case.decided", data=decided("denied"))],
        [script.say("case.withdrawn", HALL, LEAD, BORN)],
    ]
    for step in steps:
        for message in step:
            stage.ledger.put(message)
        async with stage.at_work(batch=size):
            await stage.caught_up()
    names = [BORN, *(part_case(BORN, name) for name in ("chusheng", "jiezhong", "luohu"))]
    before = [await store.read(cases.case_state, name) for name in names]
    assert [each.status for each in before if each] == [
        Status.DECIDED,
        Status.DECIDED,
        Status.WITHDRAWN,
        Status.DECIDED,
    ]

    await store.call(ledger_view.clear_view)
    records = stage.ledger.records[topics.LEDGER, 0]
    for start in range(0, len(records), chunk):
        some = records[start : start + chunk]
        await take_in(store, CODEC, some, read_at=stage.ledger.read_at, outbox_partitions=1)
    assert [await store.read(cases.case_state, name) for name in names] == before
    await store.close()
