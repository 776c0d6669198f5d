"""The road, end to end: cases there and back through real processes, judged by the partners' own ledgers."""

from __future__ import annotations

import asyncio
import time

import pytest

from tests.e2e.city import City
from tests.e2e.conftest import Running
from tests.e2e.road import ITEM, A, B, C, until

pytestmark = pytest.mark.asyncio(loop_scope="module")

ROAD_THERE_AND_BACK = (
    (A, "case.submitted"),
    (B, "case.supplement-requested"),
    (A, "case.supplemented"),
    (B, "case.accepted"),
    (B, "case.step-completed"),
    (B, "case.decided"),
    (B, "case.result-issued"),
    (A, "case.delivered"),
    (A, "case.rated"),
)


def opening(city: City, number: str, to: str = B, **attributes: object) -> dict[str, object]:
    return city.event(
        "case.submitted", f"{city.id}/{number}", f"{number}-1", to, item=ITEM, mode="collected", **attributes
    )


def got(city: City, case: str) -> list[str]:
    """The types that a city took in on a case, in its own order, without receipts."""
    return [
        effect.type
        for effect in city.effects
        if effect.case == case and not effect.type.startswith("receipt.")
    ]


def receipts(city: City, case: str) -> list[str]:
    return [
        str(effect.event["correlationid"])
        for effect in city.effects
        if effect.case == case and effect.type == "receipt.delivered"
    ]


async def until_state(city: City, identity: str, states: set[str], within_s: float = 10) -> None:
    """What the broker says of a message comes after what it does: outputs first, then the view."""
    end = time.monotonic() + within_s
    while True:
        status, whereabouts = await city.get(f"/v1/messages/{city.id}/{identity}")
        if status == 200 and whereabouts["state"] in states:
            return
        assert time.monotonic() < end, (status, whereabouts)
        await asyncio.sleep(0.05)


async def test_a_case_goes_there_and_back_and_every_step_has_a_receipt(running: Running) -> None:
    a, b, case = running.a, running.b, f"{A}/there-and-back"
    said: dict[str, list[str]] = {A: [], B: []}
    for number, (speaker, message_type) in enumerate(ROAD_THERE_AND_BACK):
        city, to = (a, B) if speaker == A else (b, A)
        identity = f"tab-{number}"
        extra = {"item": ITEM, "mode": "collected"} if number == 0 else {}
        answer = await city.submit_surely(city.event(message_type, case, identity, to, **extra))
        assert answer.status == 202, answer.body
        assert answer.body["case"] == case
        said[speaker].append(message_type)
    await until(lambda: got(b, case) == said[A], what="B's ledger")
    await until(lambda: got(a, case) == said[B], what="A's ledger")
    await until(lambda: len(receipts(a, case)) == len(said[A]), what="A's receipts")
    await until(lambda: len(receipts(b, case)) == len(said[B]), what="B's receipts")
    assert all(count == 1 for name, count in (*a.attempts.items(), *b.attempts.items()) if "tab-" in name)
    assert a.bad_signatures == b.bad_signatures == 0

    (facts,) = running.road.json("case", "show", case)
    assert facts["status"] == "delivered"
    rows = running.road.json("case", "timeline", case, "--facts")
    assert [row["type"] for row in rows] == [message_type for _, message_type in ROAD_THERE_AND_BACK]
    assert {row["outcome"] for row in rows} == {"delivered"}
    replayed = running.road.json("replay", "--case", case)
    assert [each["type"] for each in replayed if not str(each["type"]).startswith("receipt.")] == [
        message_type for _, message_type in ROAD_THERE_AND_BACK
    ]


async def test_papers_are_sealed_on_the_ledger_and_open_at_the_partner(running: Running) -> None:
    event = opening(running.a, "sealed")
    assert (await running.a.submit_surely(event)).status == 202
    await until(lambda: bool(got(running.b, f"{A}/sealed")))
    (effect,) = [each for each in running.b.effects if each.case == f"{A}/sealed"]
    assert effect.event["data"]["sealed"] == event["data"]["sealed"] | {  # type: ignore[index]
        key: effect.event["data"]["sealed"][key]  # type: ignore[index]
        for key in effect.event["data"]["sealed"].keys() - event["data"]["sealed"].keys()  # type: ignore[index]
    }
    (replayed,) = [
        each
        for each in running.road.json("replay", "--case", f"{A}/sealed")
        if each["type"] == "case.submitted"
    ]
    applicant = event["data"]["sealed"]["applicant"]  # type: ignore[index]
    text = str(replayed) + running.road.log()
    assert applicant["id_number"] not in text
    assert applicant["name"] not in text


async def test_digests_agree_from_submission_to_delivery_to_receipt(running: Running) -> None:
    answer = await running.a.submit_surely(opening(running.a, "digest"))
    await until(lambda: bool(receipts(running.a, f"{A}/digest")))
    (effect,) = [each for each in running.b.effects if each.case == f"{A}/digest"]
    (receipt,) = [each for each in running.a.effects if each.case == f"{A}/digest"]
    assert answer.body["digest"] == effect.digest == receipt.event["data"]["digest"]  # type: ignore[index]


async def test_a_repeated_message_id_has_one_effect_and_the_same_answer(running: Running) -> None:
    event = opening(running.a, "repeated")
    first = await running.a.submit_surely(event)
    again = [await running.a.submit_surely(event) for _ in range(3)]
    assert first.body["duplicate"] is False
    assert [each.status for each in again] == [202] * 3
    assert all(each.body["duplicate"] is True for each in again)
    assert {str(each.body["position"]) for each in (first, *again)} == {str(first.body["position"])}
    other = await running.a.submit_surely(event | {"time": "2026-11-22T09:00:00Z"})
    assert (other.status, other.body["code"]) == (409, "message-id-reused")
    await until(lambda: bool(receipts(running.a, f"{A}/repeated")))
    assert got(running.b, f"{A}/repeated") == ["case.submitted"]


async def test_a_case_outside_every_agreement_is_refused_with_what_would_be_allowed(running: Running) -> None:
    answer = await running.a.submit_surely(opening(running.a, "outside") | {"item": "wufanzui"})
    assert (answer.status, answer.body["code"]) == (422, "item-unknown")
    answer = await running.a.submit_surely(opening(running.a, "outside", to="110000"))
    assert (answer.status, answer.body["code"]) == (422, "partner-unknown")
    assert (await running.a.get(f"/v1/cases/{A}/outside"))[0] == 404


async def test_a_message_that_the_case_does_not_allow_is_refused_and_changes_nothing(
    running: Running,
) -> None:
    case = f"{A}/illegal"
    assert (await running.a.submit_surely(opening(running.a, "illegal"))).status == 202
    await until(lambda: bool(got(running.b, case)))
    answer = await running.b.submit_surely(running.b.event("case.decided", case, "illegal-2", A))
    assert (answer.status, answer.body["code"]) == (409, "transition-illegal")
    assert answer.body["state"] == "submitted"
    assert "case.accepted" in answer.body["allowed"]  # type: ignore[operator]
    assert (await running.b.get(f"/v1/cases/{A}/illegal"))[1]["status"] == "submitted"
    assert (
        await running.b.submit_surely(running.b.event("case.accepted", case, "illegal-3", A))
    ).status == 202


async def test_a_city_that_is_down_gets_everything_in_order_when_it_is_back(running: Running) -> None:
    a, b, case = running.a, running.b, f"{A}/down"
    b.down = True
    assert (await a.submit_surely(opening(a, "down"))).status == 202
    for number in range(2, 12):
        assert (await a.submit_surely(a.event("case.urged", case, f"down-{number}", B))).status == 202
    await until(lambda: b.attempts[f"{A}_down-1"] > 0, what="an attempt")
    await until_state(a, "down-2", {"routed", "delivering", "parked"})
    b.down = False
    await until(lambda: len(receipts(a, case)) == 11, within_s=60, what="receipts after the outage")
    names = [effect.name for effect in b.effects if effect.case == case]
    assert names == [f"{A}_down-{number}" for number in range(1, 12)]


async def test_one_case_s_failure_holds_up_no_other_case(running: Running) -> None:
    a, b = running.a, running.b
    b.failures[:] = [500]
    assert (await a.submit_surely(opening(a, "held-up"))).status == 202
    for number in range(10):
        assert (await a.submit_surely(opening(a, f"free-{number}"))).status == 202
    await until(lambda: all(got(b, f"{A}/free-{number}") for number in range(10)))
    await until(lambda: bool(got(b, f"{A}/held-up")), within_s=40)


async def test_a_rejected_message_comes_back_to_its_sender_with_a_dossier(running: Running) -> None:
    a, b, case = running.a, running.b, f"{A}/rejected"
    b.failures[:] = [422]
    assert (await a.submit_surely(opening(a, "rejected"))).status == 202
    await until(lambda: any(each.case == case and each.type == "receipt.rejected" for each in a.effects))
    await until_state(a, "rejected-1", {"rejected"})
    assert got(b, case) == []


async def test_a_mailbox_partner_pulls_and_acknowledges(running: Running) -> None:
    a, c, case = running.a, running.c, f"{A}/mailbox"
    assert (await a.submit_surely(opening(a, "mailbox", to=C))).status == 202
    assert (await a.submit_surely(a.event("case.urged", case, "mailbox-2", C))).status == 202
    end = time.monotonic() + 20
    while len(got(c, case)) < 2:
        await c.pull(wait_s=1)
        assert time.monotonic() < end
    assert [each.name for each in c.effects if each.case == case] == [f"{A}_mailbox-1", f"{A}_mailbox-2"]
    await until(lambda: len(receipts(a, case)) == 2, what="receipts for what was pulled")


async def test_a_partner_sees_its_own_cases_only(running: Running) -> None:
    assert (await running.a.submit_surely(opening(running.a, "mine"))).status == 202
    await until(lambda: bool(receipts(running.a, f"{A}/mine")))
    assert (await running.a.get(f"/v1/cases/{A}/mine"))[0] == 200
    assert (await running.b.get(f"/v1/cases/{A}/mine/timeline"))[0] == 200
    foreign = await running.c.get(f"/v1/cases/{A}/mine")
    missing = await running.c.get(f"/v1/cases/{A}/nothing")
    assert foreign == missing
    assert foreign[0] == 404


async def test_a_batch_answers_message_by_message(running: Running) -> None:
    a = running.a
    good = [opening(a, f"batch-{number}") for number in range(5)]
    bad = opening(a, "batch-bad") | {"item": "nothing"}
    answer = await a.submit([*good[:3], bad, *good[3:]])
    assert answer.status == 207
    results = answer.body["results"]
    assert [result["status"] for result in results] == [202, 202, 202, 422, 202, 202]  # type: ignore[attr-defined]
    await until(lambda: all(receipts(a, f"{A}/batch-{number}") for number in range(5)))


async def test_lag_health_and_metrics_say_where_the_road_stands(running: Running) -> None:
    await asyncio.sleep(0.3)
    lags = running.road.json("lag")
    assert {each["stage"] for each in lags} == {"exchange", "delivery"}
    assert {each["partner"] for each in lags} >= {A, B, C}
    async with running.a.session.get(f"{running.road.url}/readyz") as answer:
        document = await answer.json()
    assert document["ready"]
    assert {each["dependency"] for each in document["dependencies"]} == {
        "kafka",
        "store",
        "exchange",
        "delivery",
    }
    async with running.a.session.get(f"{running.road.url}/metrics") as answer:
        text = await answer.text()
    for name in (
        "kafka_consumergroup_group_lag",
        "kafka_consumergroup_group_lag_seconds",
        "tongban_deliveries_total",
    ):
        assert name in text
    assert "there-and-back" not in text
