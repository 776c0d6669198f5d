"""What the commands of operations count, on both databases."""

from __future__ import annotations

from sqlalchemy import Connection

from broker.core.ids import BROKER, CaseId, MessageId
from broker.core.operating.desk import Standing
from broker.store.access.engine import Store
from broker.store.delivering import parked
from broker.store.delivering.parked import ParkedLane
from broker.store.view import ledger_view, standing
from broker.store.view.standing import OnDesk, ParkedCases, Verdict
from tests.commands.desk_view import HENGSHAN, HENGYANG, a_dossier, put_dossiers
from tests.store import samples


async def test_dossiers_that_are_not_closed_are_counted_per_partner(store: Store) -> None:
    dossiers = [
        a_dossier(1, due_at_ms=1_000),
        a_dossier(2, due_at_ms=2_000),
        a_dossier(3, status=Standing.REDRIVEN, due_at_ms=0),
        a_dossier(4, status=Standing.SKIPPED, closed_at_ms=5, due_at_ms=0),
        a_dossier(5, partner=HENGYANG, status=Standing.DELIVERED, closed_at_ms=5),
    ]
    await store.call(put_dossiers, dossiers)
    assert await store.read(standing.on_desk, 1_500) == {HENGSHAN: OnDesk(open=2, overdue=1, redriven=1)}


async def test_parked_cases_are_counted_with_the_next_attempt(store: Store) -> None:
    def work(connection: Connection) -> None:
        for number, next_at in ((1, 900), (2, 500)):
            lane = ParkedLane(
                case=CaseId(f"451300/P-{number}"), parked_at=1, attempts=3, next_at=next_at, reason="503"
            )
            parked.park(connection, HENGSHAN, lane, [])

    await store.call(work)
    assert await store.read(standing.parked_cases) == {HENGSHAN: ParkedCases(cases=2, next_at=500)}


async def test_verdicts_are_of_the_broker_s_own_acts_and_refusals_say_why(store: Store) -> None:
    rows = [
        samples.message(1, id=MessageId("o-1"), source=BROKER, verdict="recorded", accepted_at=7),
        samples.message(
            2, id=MessageId("o-2"), source=BROKER, verdict="refused", code="desk-order", detail="m-1 first"
        ),
        samples.message(3, id=MessageId("o-3")),
    ]
    await store.call(ledger_view.apply, [samples.batch(0, 5, messages=rows)])
    found = await store.read(standing.verdicts, [MessageId(f"o-{number}") for number in range(5)])
    assert found[MessageId("o-1")] == Verdict(at=7, code=None, detail=None)
    assert (found[MessageId("o-2")].code, found[MessageId("o-2")].detail) == ("desk-order", "m-1 first")
    assert set(found) == {"o-1", "o-2"}
