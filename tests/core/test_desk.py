"""The desk: what a dossier becomes by failures, deliveries and acts; order within a case; an end is an end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.core.ids import BROKER, CaseId, MessageId, PartnerId, Party, receipt_id
from broker.core.message import epoch_ms
from broker.core.operating import desk
from broker.core.operating.desk import (
    BEHIND_A_DOSSIER,
    HOUSE_OWNER,
    SCHEDULE_USED_UP,
    Act,
    Dossier,
    Standing,
    act,
    delivered,
    failed_again,
    is_control,
    is_stale,
    opened,
)
from broker.core.operating.desk_lanes import Desk
from broker.core.problems import CATALOGUE, Refusal
from broker.core.receipts import Outcome
from tests.core.samples import CASE, HENGSHAN, LAIBIN, said

AT = epoch_ms(datetime(2026, 11, 23, 1, 0, tzinfo=UTC))
DAY_MS = 24 * 3600 * 1000
TO = PartnerId(HENGSHAN)


def a_dossier(
    number: int = 1, *, cause: str = SCHEDULE_USED_UP, outcome: Outcome = Outcome.UNDELIVERABLE
) -> Dossier:
    return opened(
        (Party(LAIBIN), MessageId(f"m-{number}")),
        partner=TO,
        case=CASE,
        outcome=outcome,
        cause=cause,
        detail="503",
        place=(0, number),
        at_ms=AT,
    )


def done(answer: Dossier | Refusal) -> Dossier:
    assert isinstance(answer, Dossier), answer
    return answer


def refused(answer: Dossier | Refusal) -> Refusal:
    assert isinstance(answer, Refusal)
    assert answer.code in CATALOGUE, "it has a page"
    return answer


def failing(dossier: Dossier, at_ms: int = AT + 5, cause: str = SCHEDULE_USED_UP) -> Dossier:
    return failed_again(dossier, outcome=Outcome.UNDELIVERABLE, cause=cause, detail="503 again", at_ms=at_ms)


def test_a_new_dossier_has_an_owner_and_a_deadline_from_the_start() -> None:
    found = a_dossier()
    assert (found.owner, found.due_at_ms) == (HOUSE_OWNER, AT + DAY_MS)
    assert (found.status, found.failures, found.closed_at_ms) == (Standing.OPEN, 1, None)
    assert found.message == f"{LAIBIN}/m-1"


@pytest.mark.parametrize(
    ("outcome", "cause", "blocks"),
    [
        (Outcome.UNDELIVERABLE, SCHEDULE_USED_UP, True),
        (Outcome.UNDELIVERABLE, BEHIND_A_DOSSIER, True),
        (Outcome.UNDELIVERABLE, "papers-unreadable", False),
        (Outcome.EXPIRED, "expired", False),
        (Outcome.REJECTED, "422", False),
        (Outcome.REJECTED, SCHEDULE_USED_UP, False),  # a recipient may word its refusal as it likes
    ],
)
def test_a_lane_waits_only_for_what_went_to_the_desk_with_it(
    outcome: Outcome, cause: str, *, blocks: bool
) -> None:
    assert a_dossier(outcome=outcome, cause=cause).blocks is blocks


def test_a_redrive_that_fails_opens_it_again_with_one_more_failure_and_a_new_deadline() -> None:
    under_way = done(act(a_dossier(), Act.REDRIVEN, at_ms=AT + DAY_MS))
    assert (under_way.status, under_way.failures, under_way.redrive) == (Standing.REDRIVEN, 1, 1)
    again = failing(under_way, AT + 2 * DAY_MS)
    assert (again.status, again.failures, again.redrive) == (Standing.OPEN, 2, 1)
    assert again.due_at_ms == AT + 3 * DAY_MS
    assert again.opened_at_ms == AT
    assert done(act(again, Act.REDRIVEN, at_ms=AT)).redrive == 2


def test_a_second_word_on_the_same_end_is_no_second_failure_and_goes_on_blocking() -> None:
    late = failed_again(a_dossier(), outcome=Outcome.REJECTED, cause="422", detail="材料不全", at_ms=AT + 9)
    assert (late.failures, late.cause, late.detail, late.blocks) == (1, "422", "材料不全", True)
    assert late.updated_at_ms == AT + 9


def test_delivered_after_all_closes_it() -> None:
    for before in (a_dossier(), done(act(a_dossier(), Act.REDRIVEN, at_ms=AT))):
        home = delivered(before, at_ms=AT + 7)
        assert (home.status, home.closed_at_ms) == (Standing.DELIVERED, AT + 7)


def test_what_is_under_way_is_neither_returned_nor_redriven_twice() -> None:
    under_way = done(act(a_dossier(), Act.REDRIVEN, at_ms=AT))
    for kind in (Act.REDRIVEN, Act.RETURNED, Act.SKIPPED):
        answer = refused(act(under_way, kind, at_ms=AT + 1))
        assert (answer.code, answer.facts) == ("dossier-not-open", (("status", "redriven"),))
    assert done(act(under_way, Act.NOTED, at_ms=AT + 1)).status is Standing.REDRIVEN


def test_nothing_is_done_to_what_is_not_on_the_desk() -> None:
    for kind in Act:
        assert refused(act(None, kind, at_ms=AT)).code == "dossier-unknown"


def test_assigning_changes_owner_and_deadline_and_nothing_else() -> None:
    before = a_dossier()
    after = done(act(before, Act.ASSIGNED, at_ms=AT + 1, owner="窗口 3", due_on=date(2026, 11, 27)))
    assert (
        datetime.fromtimestamp(after.due_at_ms / 1000, UTC).isoformat() == "2026-11-27T15:59:59.999000+00:00"
    )
    assert after == replace(before, owner="窗口 3", due_at_ms=after.due_at_ms, updated_at_ms=AT + 1)
    without = done(act(before, Act.ASSIGNED, at_ms=AT + 1, owner="窗口 3"))
    assert without.due_at_ms == before.due_at_ms


def test_nothing_is_redriven_past_an_earlier_message_that_holds_the_lane() -> None:
    head, behind = a_dossier(1), a_dossier(2, cause=BEHIND_A_DOSSIER)
    answer = refused(act(behind, Act.REDRIVEN, at_ms=AT, first=head))
    assert answer.code == "desk-order"
    assert head.message in answer.detail
    assert done(act(head, Act.REDRIVEN, at_ms=AT, first=head)).status is Standing.REDRIVEN
    assert done(act(behind, Act.SKIPPED, at_ms=AT, first=head)).status is Standing.SKIPPED


def test_the_first_of_a_lane_is_the_earliest_that_holds_it_now() -> None:
    book = Desk([a_dossier(3), a_dossier(1), a_dossier(2, outcome=Outcome.REJECTED)])
    assert book.first(TO, CASE) == a_dossier(1)
    assert book.first(TO, CaseId("451300/other")) is None
    assert book.first(PartnerId("350200"), CASE) is None
    book.put(done(act(a_dossier(1), Act.REDRIVEN, at_ms=AT)))
    assert book.first(TO, CASE) == a_dossier(3)
    back = failing(done(act(a_dossier(1), Act.REDRIVEN, at_ms=AT)))
    book.put(back)
    assert book.first(TO, CASE) == back
    assert set(book.changed) == {back.name}


def test_a_late_repeat_of_an_earlier_failure_is_told_from_a_new_one() -> None:
    def receipt(redrive: int, outcome: Outcome = Outcome.UNDELIVERABLE) -> MessageId:
        return receipt_id(f"{LAIBIN}/m-1", TO, outcome, redrive)

    first = a_dossier()
    under_way = done(act(first, Act.REDRIVEN, at_ms=AT))
    again = failing(under_way)
    assert not is_stale(first, receipt(0), Outcome.UNDELIVERABLE)
    assert is_stale(under_way, receipt(0), Outcome.UNDELIVERABLE)
    assert not is_stale(under_way, receipt(1), Outcome.UNDELIVERABLE)
    assert is_stale(again, receipt(0), Outcome.UNDELIVERABLE)
    assert not is_stale(again, receipt(1), Outcome.UNDELIVERABLE)
    assert not is_stale(again, receipt(1, Outcome.REJECTED), Outcome.REJECTED)
    assert not is_stale(under_way, receipt(1, Outcome.DELIVERED), Outcome.DELIVERED)


def test_control_records_are_the_brokers_words_that_are_not_for_this_partner() -> None:
    def of(type_: str, to: str, source: str = BROKER) -> bool:
        return is_control(said(type_, source, to), TO)

    assert of("operator.skipped", HENGSHAN)
    assert of("operator.returned", LAIBIN)
    assert of("receipt.delivered", LAIBIN)
    assert not of("operator.returned", HENGSHAN), "returned to this partner: it is the sender"
    assert not of("notice.undeliverable", HENGSHAN)
    assert not of("case.submitted", HENGSHAN, LAIBIN)


def test_an_act_is_the_message_type_of_its_name() -> None:
    assert desk.ACTS["operator.redriven"] is Act.REDRIVEN
    assert {each.type for each in Act} == set(desk.ACTS)


STEPS = st.lists(
    st.tuples(
        st.integers(0, 4),
        st.sampled_from([*Act, "failed", "rejected", "delivered"]),
    ),
    max_size=60,
)


@given(STEPS)
def test_whatever_happens_order_holds_ends_are_ends_and_nothing_goes_unsaid(
    steps: Sequence[tuple[int, Act | str]],
) -> None:
    book = Desk(
        a_dossier(number, cause=SCHEDULE_USED_UP if number == 0 else BEHIND_A_DOSSIER) for number in range(5)
    )
    names = [(Party(LAIBIN), MessageId(f"m-{number}")) for number in range(5)]
    for at_ms, (number, what) in enumerate(steps, AT + 1):
        before = book.find(names[number])
        assert before is not None
        first = book.first(TO, CASE)
        after: Dossier | Refusal
        match what:
            case Act():
                after = act(before, what, at_ms=at_ms, first=first, owner="x")
            case "delivered":
                after = delivered(before, at_ms=at_ms)
            case _:
                outcome = Outcome.REJECTED if what == "rejected" else Outcome.UNDELIVERABLE
                after = failed_again(before, outcome=outcome, cause=what, detail="", at_ms=at_ms)
        if isinstance(after, Refusal):
            assert isinstance(what, Act)
            continue
        book.put(after)
        if before.closed:
            assert after == before, "closed stays closed"
        if what is Act.REDRIVEN:
            earlier = [book.find(name) for name in names[:number]]
            assert not any(each is not None and each.holds_its_lane for each in earlier)
        assert after.failures >= before.failures
        assert after.closed == (after.closed_at_ms is not None)
        assert (after.opened_at_ms, after.name, after.ledger_offset) == (
            AT,
            before.name,
            before.ledger_offset,
        )
        if after != before:
            assert after.updated_at_ms == at_ms
