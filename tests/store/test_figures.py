"""Cases are streamed with their cards, by the bytes of their ids, and only those that the window touches."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date
from typing import Any

from sqlalchemy import Connection

from broker.core.calendar import STATUTORY
from broker.core.case.case_state import CaseState
from broker.core.evaluation.figures import Card
from broker.core.ids import CaseId
from broker.core.message import epoch_ms, from_epoch_ms
from broker.store.access.engine import Store
from broker.store.rows import CardRow, CaseRow
from broker.store.view import ledger_view
from broker.store.view.figures import Places, Window, cases_in
from tests.core.figure_samples import HENGSHAN, LAIBIN, a_case, accepted, at
from tests.store import samples

NOVEMBER = Window(since=epoch_ms(at("11-01 00:00")), until=epoch_ms(at("12-01 00:00")))


def card(state: CaseState, when: str, light: str = "yellow", turn: int = 0) -> CardRow:
    return CardRow(
        case_id=state.case,
        kind="decision",
        step="",
        light=light,
        turn=turn,
        falls_at=epoch_ms(at(when)),
        issued_at=epoch_ms(at(when)) + 5,
        due_on="2026-11-10",
        late=state.responsible,
        opening=state.opening,
        responsible=state.responsible,
        item=state.item,
        ledger_partition=0,
        ledger_offset=turn,
    )


def batch(*states: CaseState, cards: Any = ()) -> Any:
    return samples.batch(0, 1, cases=[CaseRow(state=each) for each in states], cards=cards)


async def told(store: Store) -> list[tuple[CaseId, tuple[Card, ...]]]:
    return await store.scan(
        lambda connection: [(state.case, cards) for state, cards in cases_in(connection, NOVEMBER)]
    )


async def test_a_case_comes_with_the_cards_that_fell_in_the_window(store: Store) -> None:
    first, second, third = a_case(1), a_case(2), a_case(3)
    cards = [
        card(first, "11-09"),
        card(third, "11-04", turn=1),
        card(third, "11-05", "red"),
        card(third, "12-01 00:00", "red", turn=2),
    ]
    await store.call(ledger_view.apply, [batch(first, second, third, cards=cards)])
    found = await told(store)
    assert [case for case, _ in found] == [first.case, second.case, third.case]
    assert found[0][1] == (Card(from_epoch_ms(epoch_ms(at("11-09"))), False),)
    assert found[1][1] == ()
    assert sorted(each.red for each in found[2][1]) == [False, True]


async def test_a_card_without_its_case_does_not_take_the_next_one_s_place(store: Store) -> None:
    lost, there = a_case(1), a_case(2)
    await store.call(ledger_view.apply, [batch(there, cards=[card(lost, "11-09"), card(there, "11-10")])])
    (found,) = await told(store)
    assert [each.falls_at for each in found[1]] == [from_epoch_ms(epoch_ms(at("11-10")))]


async def test_ids_of_any_script_meet_their_cards(store: Store) -> None:
    names = ["a", "B", "é", "中", "-", "_", "\U0001f600", "\ufe30", "z", "Z9"]
    states = [replace(a_case(), case=CaseId(f"{LAIBIN}/{name}")) for name in names]
    await store.call(ledger_view.apply, [batch(*states, cards=[card(each, "11-09") for each in states])])
    found = await told(store)
    assert [case for case, _ in found] == sorted(state.case for state in states)
    assert [len(cards) for _, cards in found] == [1] * len(names)


async def test_what_the_window_does_not_touch_is_left_out(store: Store) -> None:
    before = replace(a_case(1), opened_at=at("10-02"), updated_at=at("10-31 23:59"))
    carded = replace(a_case(2), opened_at=at("10-02"), updated_at=at("10-02"))
    after = replace(a_case(3), opened_at=at("12-01 00:00"), updated_at=at("12-01 00:00"))
    going_on = replace(accepted(4), updated_at=at("12-20"))
    cards = [card(carded, "11-02"), card(before, "10-20")]
    await store.call(ledger_view.apply, [batch(before, carded, after, going_on, cards=cards)])
    assert [case for case, _ in await told(store)] == [carded.case, going_on.case]


async def test_progress_ends_with_all(store: Store) -> None:
    states = [a_case(number) for number in range(2500)]
    await store.call(ledger_view.apply, [batch(*states)])
    seen: list[tuple[int, int]] = []

    def count(connection: Connection) -> int:
        return sum(1 for _ in cases_in(connection, NOVEMBER, lambda *each: seen.append(each)))

    assert await store.scan(count) == 2500
    assert seen == [(2000, 2500), (2500, 2500)]


PARTNER = 'id = "430423"\nname = "衡山县"\ncontact = "值班室"\nclosures = [2026-11-04]\ncomplaint_days = 7\n[connector]\nkind = "mailbox"\n'


async def test_a_place_is_as_the_directory_says_under_which_its_case_was_opened(store: Store) -> None:
    row = samples.directory("v1", documents=json.dumps({f"partners/{HENGSHAN}.toml": PARTNER}))
    await store.call(ledger_view.apply, [samples.batch(0, 1, directories=[row])])

    def ask(connection: Connection) -> None:
        places = Places(connection)
        under, before = a_case(1, directory="v1"), a_case(2, directory="gone")
        assert not places.calendar(under).is_working(date(2026, 11, 4))
        assert places.complaint_days(under) == 7
        assert places.calendar(before) is STATUTORY
        assert places.complaint_days(before) == 15

    await store.scan(ask)
