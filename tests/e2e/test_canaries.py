"""Canaries: a person's data is put wherever a partner can put it, and looked for wherever it must not be."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import orjson
import pytest

from broker.log.admin import topics
from broker.log.options import KafkaOptions
from broker.log.reading import scan
from tests.e2e.conftest import Running
from tests.e2e.road import ITEM, A, B, until

pytestmark = pytest.mark.asyncio(loop_scope="module")

NAME, NUMBER, PHONE = "王五示例金丝雀", "440524188001010014", "19900009999"
CANARIES = (NAME, NUMBER, PHONE)


def found(text: str) -> list[str]:
    escaped = [canary.encode("ascii", "backslashreplace").decode() for canary in CANARIES]
    return [canary for canary in (*CANARIES, *escaped) if canary in text]


def sealed() -> dict[str, object]:
    return {
        "applicant": {"name": NAME, "id_number": NUMBER, "phone": PHONE},
        "documents": [],
        "form": {NAME: NUMBER, "电话": PHONE},
    }


def bad_events(running: Running) -> Iterator[object]:
    """Events that are refused, with a canary in the very place that is at fault."""
    a = running.a

    def event(**changes: object) -> dict[str, object]:
        made = a.event("case.submitted", f"{A}/canary-bad", "canary-bad", B, item=ITEM, mode="online")
        return made | changes

    data = event()["data"]
    assert isinstance(data, dict)
    yield event(item=NUMBER)
    yield event(mode=NAME)
    yield event(time=NUMBER)
    yield event(id=NAME)
    yield event(subject=f"{A}/{NAME} {NUMBER}")
    yield event(destination=f"/partners/{NUMBER}")
    yield event(type=NAME)
    yield event(expirytime=PHONE)
    yield event(dataschema=NUMBER)
    yield event(unknown=NAME)
    yield event(data=data | {"sealed": sealed(), "materials": NUMBER})
    yield event(data=data | {"sealed": sealed(), NAME: NUMBER})
    yield event(data=data | {"sealed": {"applicant": {"name": NAME, "id_number": [NUMBER], "phone": PHONE}}})
    yield event(data=NUMBER)


async def test_no_personal_data_in_logs_errors_or_metrics(running: Running) -> None:
    a, b, case = running.a, running.b, f"{A}/canary"
    good = a.event("case.submitted", case, "canary", B, item=ITEM, mode="online")
    data = good["data"]
    assert isinstance(data, dict)
    b.failures[:] = [500, 422]
    answers = [await a.submit_surely(good | {"data": data | {"agent": False, "sealed": sealed()}})]
    assert answers[0].status == 202
    for bad in bad_events(running):
        answer = await a.submit(bad)  # type: ignore[arg-type]
        assert 400 <= answer.status < 500, answer.body
        answers.append(answer)
    await until(lambda: any(each.type == "receipt.rejected" and each.case == case for each in a.effects), 40)
    texts = [orjson.dumps(answer.body).decode() for answer in answers]
    texts.append(running.road.log())
    for path in ("/metrics", "/readyz"):
        async with a.session.get(f"{running.road.url}{path}") as page:
            texts.append(await page.text())
    texts.extend(await asyncio.to_thread(commands, running, case))
    texts.extend(str(effect.event) for effect in a.effects if effect.case == case)
    for text in texts:
        assert [text[max(0, text.find(each) - 150) : text.find(each) + 50] for each in found(text)] == []


def commands(running: Running, case: str) -> list[str]:
    """What operations and audit see of the case."""
    calls = (
        ["case", "timeline", case, "--facts", "--json"],
        ["replay", "--case", case, "--json"],
        ["export"],
    )
    return [running.road.tongban(*call).stdout for call in calls]


async def test_the_road_never_opens_the_envelope(running: Running) -> None:
    case = f"{A}/envelope"
    event = running.a.event("case.submitted", case, "envelope", B, item=ITEM, mode="online")
    data = event["data"]
    assert isinstance(data, dict)
    assert (
        await running.a.submit_surely(event | {"data": data | {"agent": False, "sealed": sealed()}})
    ).status == 202
    await until(lambda: any(effect.case == case for effect in running.b.effects))
    (effect,) = [effect for effect in running.b.effects if effect.case == case]
    assert set(found(orjson.dumps(effect.event).decode())) == set(CANARIES), "the partner gets the papers"
    kafka = KafkaOptions(bootstrap=running.road.bootstrap)
    for topic in (topics.LEDGER, topics.outbox(running.b.id), topics.DESK):  # type: ignore[arg-type]
        async for record in scan.scan(kafka, topic):
            whole = b"".join((record.key, record.value, *(value for _, value in record.headers)))
            assert not [canary for canary in CANARIES if canary.encode() in whole]


async def test_no_partner_is_told_of_another_s_case(running: Running) -> None:
    case = f"{A}/between-a-and-b"
    event = running.a.event("case.submitted", case, "between", B, item=ITEM, mode="online")
    assert (await running.a.submit_surely(event)).status == 202
    await until(lambda: any(effect.case == case for effect in running.a.effects))
    await running.c.pull(wait_s=1)
    assert not [effect for effect in running.c.effects if effect.case == case]
    for path in (f"/v1/cases/{case}", f"/v1/cases/{case}/timeline", f"/v1/messages/{A}/between"):
        status, body = await running.c.get(path)
        assert (status, body["code"]) == (404, "not-found")
