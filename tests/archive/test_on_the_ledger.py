"""From the ledger through the exchange to audit and figures, and the same once more from an empty view."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest_asyncio

from broker.archive.findings import Question, as_document, findings
from broker.core.evaluation.figures import month_of
from broker.core.evaluation.reconciliation import Entry
from broker.core.ids import CaseId, PartnerId, Party
from broker.core.message import Message, value_digest
from broker.core.problems import Refusal
from broker.exchange.reconciling import reconciled_records
from broker.store.access.engine import Store
from broker.store.view import ledger_view
from broker.supervision.figures import compute, csv_bytes
from tests.exchange.fakes import CODEC, NOW, message
from tests.exchange.test_stage import World
from tests.schemas.examples import VALID

LAIBIN, HENGSHAN = PartnerId("451300"), PartnerId("430423")


def said(identity: str, type_: str, number: int, source: str = HENGSHAN, **facts: object) -> Message:
    """A message with a value of its type: that of the example, with other ``facts``."""
    schema = CODEC.schemas.latest(type_)
    assert schema is not None
    data = next(each.data for each in VALID if each.type == type_)
    datum = CODEC.from_json(schema, {**data, "sealed": None})
    assert not isinstance(datum, Refusal)
    value = CODEC.encode(type_, {**datum, **facts})
    return message(
        identity,
        type_,
        case=CaseId(f"{LAIBIN}/LB-{number}"),
        source=Party(source),
        destination=Party(HENGSHAN if source == LAIBIN else LAIBIN),
        value=value,
        digest=value_digest(value),
        dataschema=CODEC.dataschema(type_),
    )


def story(world: World) -> None:
    """Two cases done as they should be but for what is forbidden, and a list of the city."""
    today = NOW.date()
    for number in (1, 2):
        world.ledger.put(said(f"s-{number}", "case.submitted", number, LAIBIN, agent=False))
    world.ledger.put(said("d-0", "case.decided", 1, outcome="granted"))
    for number in (1, 2):
        facts: dict[str, Any] = {"accepted_on": today, "responsible_number": f"HS-{number}"}
        world.ledger.put(said(f"a-{number}", "case.accepted", number, **facts))
        world.ledger.put(said(f"f-{number}", "fee.requested", number))
    world.ledger.put(said("f-3", "fee.requested", 1))
    world.ledger.put(said("d-1", "case.decided", 1, outcome="granted", decided_at=NOW))
    world.ledger.put(said("d-9", "case.decided", 9, outcome="granted"))
    world.ledger.put(said("d-2", "case.decided", 2, LAIBIN, outcome="granted"))
    world.ledger.put(said("s-3", "case.submitted", 3, LAIBIN, agent=False))
    world.ledger.put(said("a-3", "case.accepted", 3, accepted_on=today, responsible_number="HS-3"))
    dated = NOW - timedelta(days=2)
    world.ledger.put(said("d-3", "case.decided", 3, outcome="granted", decided_at=dated))
    entries = [
        Entry(number="HS-1", item=None, decided_on=today, fee_fen=None),
        Entry(number="HS-2", item=None, decided_on=today, fee_fen=1),
        Entry(number="HS-7", item=None, decided_on=date(2026, 11, 2), fee_fen=None),
    ]
    for record in reconciled_records(
        CODEC, HENGSHAN, "2026-11", entries, by="审计员 03", reason="对账", now=NOW, ledger_partitions=1
    ):
        world.ledger.append(replace(record, partition=0))


@pytest_asyncio.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    store = await Store.open(f"sqlite:///{tmp_path / 'view.db'}")
    yield World(store)
    await store.close()


async def told(world: World, batch: int) -> tuple[list[dict[str, object]], bytes]:
    """Findings and figures of the view that the exchange makes of the whole ledger."""
    await world.store.call(ledger_view.clear_view)
    async with world.at_work(batch=batch):
        await world.caught_up()
    found = await world.store.scan(findings, Question())
    counted = await world.store.scan(compute, (month_of(NOW),), small=1)
    return [as_document(each) for each in found], csv_bytes(counted.rows)


async def test_what_is_forbidden_is_found_with_its_records_also_in_a_view_made_again(world: World) -> None:
    story(world)
    found, figures = await told(world, batch=1000)
    assert [(each["kind"], each["case"]) for each in found] == [
        ("decided-before-accepted", "451300/LB-1"),
        ("charged-twice", "451300/LB-1"),
        ("outside-the-exchange", "451300/LB-9"),
        ("collected-and-decided", "451300/LB-2"),
        ("decided-before-accepted", "451300/LB-3"),
        ("outside-the-exchange", "451300/LB-2"),
        ("outside-the-exchange", None),
        ("paid-outside-the-exchange", "451300/LB-2"),
    ]
    for each in found:
        for record in each["records"]:  # type: ignore[attr-defined]
            held = world.ledger.records[record["topic"], record["partition"]][record["offset"]]
            headers = dict(held.headers)
            assert headers["ce_type"].decode() == f"cn.tongban.{record['type']}"
            assert record["message"].endswith(f"/{headers['ce_id'].decode()}")
    assert b"2026-11,pair,430423,451300,xinshenger-ruhu,false,3,3,3,0,0,2,2,0" in figures
    assert (found, figures) == await told(world, batch=1)
