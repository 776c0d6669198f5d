"""The desk and the levers in the store: what is asked of them, and redriven messages that are owed again."""

from __future__ import annotations

from dataclasses import replace

import pytest

from broker.core.ids import CaseId, MessageId, PartnerId, Party
from broker.core.operating.desk import Dossier, Standing
from broker.core.operating.levers import Levers, Pulled
from broker.store.access.engine import Store
from broker.store.rows import Name
from broker.store.view import desk, ledger_view, levers, messages
from broker.store.view.desk import Count
from broker.store.view.ledger_view import DeskWanted
from tests.store import samples
from tests.store.samples import HENGSHAN, LAIBIN, XIAMEN, act_row, batch, dossier, outcome

NAME: Name = (Party(LAIBIN), MessageId("m-1"))
REDRIVEN = outcome(outcome=None, outcome_at=None, attempts=0, reference=None, answer=None, receipt_id="n-1")


async def test_a_dossier_comes_back_as_it_was_put_and_the_last_state_stands(store: Store) -> None:
    first = dossier(1, blocks=True)
    closed = replace(
        first,
        status=Standing.SKIPPED,
        closed_at_ms=9,
        updated_at_ms=9,
        failures=2,
        owner="窗口 3",
        due_at_ms=8,
    )
    await store.call(ledger_view.apply, [batch(0, 1, dossiers=[first])])
    assert await store.read(desk.dossier, *NAME) == first
    await store.call(ledger_view.apply, [batch(1, 2, dossiers=[first]), batch(2, 3, dossiers=[closed])])
    assert await store.read(desk.dossier, *NAME) == closed
    assert await store.read(desk.dossier, Party(LAIBIN), MessageId("none")) is None


async def _fill(store: Store) -> dict[str, Dossier]:
    put = {
        "late": dossier(1, ledger_offset=9, opened_at_ms=1, due_at_ms=10),
        "early": dossier(2, ledger_offset=3, opened_at_ms=2, due_at_ms=30, cause="expired"),
        "other": dossier(
            3, ledger_partition=1, ledger_offset=1, partner=XIAMEN, opened_at_ms=3, due_at_ms=20
        ),
        "case": dossier(4, ledger_offset=4, case=CaseId("451300/2"), opened_at_ms=4, due_at_ms=10),
        "done": dossier(5, ledger_offset=5, status=Standing.RETURNED, closed_at_ms=5),
    }
    await store.call(ledger_view.apply, [batch(0, 9, dossiers=[*put.values()])])
    return put


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({}, "early case late other"),
        ({"order": "due"}, "case late other early"),
        ({"partner": HENGSHAN}, "early case late"),
        ({"cause": "expired"}, "early"),
        ({"case": CaseId("451300/2")}, "case"),
        ({"opened_from_ms": 2, "opened_to_ms": 4}, "early other"),
        ({"standing": Standing.RETURNED}, "done"),
        ({"standing": None, "partner": HENGSHAN}, "early case done late"),
        ({"standing": Standing.REDRIVEN}, ""),
    ],
)
async def test_dossiers_are_found_by_all_that_is_given_in_their_order(
    store: Store, wanted: dict[str, object], expected: str
) -> None:
    put = await _fill(store)

    def names(found: list[Dossier]) -> str:
        return " ".join(name for each in found for name, dossier in put.items() if dossier == each)

    assert names(await store.read(desk.dossiers, **wanted)) == expected  # type: ignore[arg-type]
    paged: list[Dossier] = []
    while True:
        after = paged[-1] if paged else None
        page = await store.read(desk.dossiers, **wanted, after=after, limit=1)  # type: ignore[arg-type]
        if not page:
            break
        paged += page
    assert names(paged) == expected, "in pages the same"


async def test_counts_by_partner_cause_and_standing(store: Store) -> None:
    await _fill(store)
    assert await store.read(desk.counts) == [
        Count(partner=XIAMEN, cause="schema-invalid", standing=Standing.OPEN, dossiers=1),
        Count(partner=HENGSHAN, cause="expired", standing=Standing.OPEN, dossiers=1),
        Count(partner=HENGSHAN, cause="schema-invalid", standing=Standing.OPEN, dossiers=2),
        Count(partner=HENGSHAN, cause="schema-invalid", standing=Standing.RETURNED, dossiers=1),
    ]


async def test_the_history_stands_in_the_ledgers_order(store: Store) -> None:
    rows = [act_row(2), act_row(5, act="redriven", by="王", reason="检修结束", detail=""), act_row(7)]
    stranger = act_row(3, 2)
    await store.call(ledger_view.apply, [batch(0, 9, acts=[rows[2], stranger, *rows[:2]])])
    assert await store.read(desk.acts, *NAME) == rows
    assert await store.read(desk.redrives, *NAME) == 1
    assert await store.read(desk.redrives, Party(LAIBIN), MessageId("m-2")) == 0


async def test_refused_acts_are_told_with_their_dossier(store: Store) -> None:
    refused = samples.message(
        "o-1",
        source=Party("tongban"),
        type="operator.redriven",
        correlation=dossier(1).message,
        verdict="refused",
        code="desk-order",
    )
    others = [
        replace(refused, id=MessageId("o-2"), verdict="recorded", code=None),
        replace(refused, id=MessageId("o-3"), correlation="451300/m-2"),
    ]
    await store.call(ledger_view.apply, [batch(0, 3, messages=[refused, *others])])
    assert await store.read(desk.refusals, dossier(1)) == [refused]


async def test_a_redriven_message_is_owed_again_and_yet_nobody_brings_its_first_record_again(
    store: Store,
) -> None:
    failed = outcome(outcome="undeliverable", receipt_id="n-1")
    await store.call(ledger_view.apply, [batch(0, 2, messages=[samples.message(1)], outcomes=[failed])])
    await store.call(ledger_view.apply, [batch(2, 3, outcomes=[REDRIVEN])])
    (of,) = await store.read(messages.backlogs)
    assert (of.accepted, of.failed, of.owed, of.oldest_at) == (1, 0, 1, samples.message(1).accepted_at)
    row = await store.read(messages.message, *NAME)
    assert row == replace(samples.message(1), receipt_id="n-1")
    assert await store.read(messages.settled, [NAME]) == {NAME}
    await store.call(ledger_view.apply, [batch(3, 4, outcomes=[outcome()])])
    (of,) = await store.read(messages.backlogs)
    assert (of.accepted, of.delivered, of.failed, of.owed) == (1, 1, 0, 0)


async def test_failed_redriven_and_delivered_in_one_batch_counts_once(store: Store) -> None:
    failed = outcome(outcome="undeliverable", receipt_id="n-1")
    await store.call(
        ledger_view.apply,
        [
            batch(
                0, 4, messages=[samples.message(1)], outcomes=[failed, REDRIVEN, failed, REDRIVEN, outcome()]
            )
        ],
    )
    (of,) = await store.read(messages.backlogs)
    assert (of.accepted, of.delivered, of.failed, of.owed) == (1, 1, 0, 0)


@pytest.mark.parametrize(
    ("dossier_", "ended"),
    [
        (dossier(1), {0}),
        (dossier(1, status=Standing.REDRIVEN), {0}),
        (dossier(1, failures=2), {0, 1}),
        (dossier(1, failures=2, status=Standing.REDRIVEN), {0, 1}),
        (dossier(1, failures=2, status=Standing.RETURNED, closed_at_ms=1), {0, 1, 2}),
    ],
)
async def test_which_redrives_have_ended(store: Store, dossier_: Dossier, ended: set[int]) -> None:
    await store.call(ledger_view.apply, [batch(0, 1, dossiers=[dossier_])])
    asked = [(NAME, number) for number in range(3)] + [((Party(LAIBIN), MessageId("none")), 1)]
    assert await store.read(desk.settled, asked) == {(NAME, number) for number in ended}
    assert await store.read(desk.settled, []) == set()


async def test_a_batch_is_given_the_dossiers_that_its_records_concern_and_no_others(store: Store) -> None:
    failed = [outcome(number, outcome="undeliverable", receipt_id=f"n-{number}") for number in (1, 2)]
    again = [replace(REDRIVEN, id=failed[1].id, receipt_id="n-2")]
    delivered = outcome(3)
    head = dossier(7, blocks=True)
    others = [
        dossier(8, blocks=True, status=Standing.SKIPPED, closed_at_ms=1),
        dossier(9),
        dossier(10, blocks=True, partner=XIAMEN),
    ]
    await store.call(
        ledger_view.apply,
        [
            batch(
                0,
                9,
                messages=[samples.message(number) for number in range(1, 5)],
                outcomes=[*failed, *again, delivered],
                dossiers=[dossier(1), dossier(2, status=Standing.REDRIVEN), head, *others],
            )
        ],
    )
    names = [(Party(LAIBIN), MessageId(f"m-{number}")) for number in range(1, 5)]

    def found(loaded: ledger_view.Loaded) -> set[str]:
        return {each.name[1] for each in loaded.dossiers}

    assert found(await store.read(ledger_view.load, [], names)) == {"m-1", "m-2"}
    assert found(await store.read(ledger_view.load, [], names[2:])) == set()
    wanted = DeskWanted(names=[others[1].name], lanes=[(HENGSHAN, CaseId("451300/1"))])
    assert found(await store.read(ledger_view.load, [], [], wanted)) == {"m-7", "m-9"}


async def test_levers_come_back_as_they_were_put(store: Store) -> None:
    paused = Levers(
        partner=HENGSHAN, paused=Pulled(by="王", reason="检修", at_ms=5), per_second=0.5, updated_at_ms=5
    )
    other = Levers(partner=PartnerId("350206-minzheng"), updated_at_ms=1)
    assert await store.read(levers.read_all) == {}
    await store.call(ledger_view.apply, [batch(0, 1, levers=[Levers(partner=HENGSHAN), other])])
    await store.call(ledger_view.apply, [batch(1, 2, levers=[paused])])
    assert await store.read(levers.read_all) == {HENGSHAN: paused, other.partner: other}
    loaded = await store.read(ledger_view.load, [], [], DeskWanted(levers=[HENGSHAN]))
    assert loaded.levers == {HENGSHAN: paused}


async def test_what_the_broker_says_to_itself_is_nobody_s_backlog(store: Store) -> None:
    own = samples.message(1, source=Party("tongban"), destination=Party("tongban"))
    skipped = samples.message(2, source=Party("tongban"), verdict="recorded")
    await store.call(ledger_view.apply, [batch(0, 2, messages=[own, skipped])])
    assert await store.read(messages.backlogs) == []
    assert await store.read(messages.unsettled, HENGSHAN) == []
