from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from broker.core.case.case_state import ENDS, CaseState, Fee, Rating, Status
from broker.core.case.lifecycle import MESSAGE_TYPES, Advanced, Role, Route, Terms, advance, allowed, role_of
from broker.core.catalogue.items import Item, Step
from broker.core.ids import PartnerId
from broker.core.message import Message, Mode
from broker.core.problems import CATALOGUE, Refusal
from tests.core.samples import (
    CASE,
    HENGSHAN,
    LAIBIN,
    NOON,
    after,
    by_broker,
    by_opening,
    by_responsible,
    said,
)

Said = Message | tuple[Message, dict[str, object]]

SUBMITTED = by_opening("case.submitted")
ACCEPTED = by_responsible("case.accepted")
DECIDED = by_responsible("case.decided")

# One way to each status, by the contract's table.
PATHS = {
    Status.SUBMITTED: (SUBMITTED,),
    Status.SUPPLEMENT_REQUESTED: (SUBMITTED, by_responsible("case.supplement-requested")),
    Status.SUPPLEMENTED: (
        SUBMITTED,
        by_responsible("case.supplement-requested"),
        by_opening("case.supplemented"),
    ),
    Status.ACCEPTED: (SUBMITTED, ACCEPTED),
    Status.IN_REVIEW: (SUBMITTED, ACCEPTED, by_responsible("case.step-completed")),
    Status.PAUSED: (SUBMITTED, ACCEPTED, by_responsible("case.paused")),
    Status.REFUSED: (SUBMITTED, by_responsible("case.refused")),
    Status.DECIDED: (SUBMITTED, ACCEPTED, DECIDED),
    Status.ISSUED: (SUBMITTED, ACCEPTED, DECIDED, by_responsible("case.result-issued")),
    Status.DELIVERED: (
        SUBMITTED,
        ACCEPTED,
        DECIDED,
        by_responsible("case.result-issued"),
        by_opening("case.delivered"),
    ),
    Status.WITHDRAWN: (SUBMITTED, by_opening("case.withdrawn")),
    Status.FILED: (by_opening("complaint.filed"),),
    Status.ANSWERED: (by_opening("complaint.filed"), by_responsible("complaint.answered")),
}

# The contract's table once more, by hand: type, who, statuses that take it, status after (None: the same).
S = Status
ALL = tuple(Status)
CASES = tuple(each for each in Status if each not in {S.FILED, S.ANSWERED})
OPEN = (S.SUBMITTED, S.SUPPLEMENT_REQUESTED, S.SUPPLEMENTED, S.ACCEPTED, S.IN_REVIEW, S.PAUSED)
CONTRACT: dict[str, tuple[str, tuple[Status, ...], Status | None]] = {
    "case.supplement-requested": ("R", (S.SUBMITTED,), S.SUPPLEMENT_REQUESTED),
    "case.supplemented": ("O", (S.SUPPLEMENT_REQUESTED,), S.SUPPLEMENTED),
    "case.accepted": ("R", (S.SUBMITTED, S.SUPPLEMENTED), S.ACCEPTED),
    "case.refused": ("R", (S.SUBMITTED, S.SUPPLEMENTED), S.REFUSED),
    "case.step-completed": ("R", (S.ACCEPTED, S.IN_REVIEW), S.IN_REVIEW),
    "case.paused": ("R", (S.ACCEPTED, S.IN_REVIEW), S.PAUSED),
    "case.resumed": ("R", (S.PAUSED,), S.IN_REVIEW),
    "case.extended": ("R", (S.ACCEPTED, S.IN_REVIEW, S.PAUSED), None),
    "case.decided": ("R", (S.ACCEPTED, S.IN_REVIEW), S.DECIDED),
    "case.result-issued": ("R", (S.DECIDED,), S.ISSUED),
    "case.delivered": ("OR", (S.ISSUED,), S.DELIVERED),
    "case.withdrawn": ("O", OPEN, S.WITHDRAWN),
    "case.rated": ("O", (S.DECIDED, S.ISSUED, S.DELIVERED), None),
    "case.urged": ("OR", ALL, None),
    "case.consulted": ("OR", ALL, None),
    "case.answered": ("OR", ALL, None),
    "fee.requested": ("R", (*OPEN, S.DECIDED, S.ISSUED), None),
    "complaint.answered": ("R", (S.FILED,), S.ANSWERED),
    # After nothing was requested or rated, these follow nothing:
    "fee.paid": ("O", (), None),
    "case.rectified": ("R", (), None),
    "case.rating-appealed": ("R", (), None),
}
# What a partner may never say, whatever its role.
NOT_A_PARTNERS = [
    name for name in MESSAGE_TYPES if name.partition(".")[0] in {"receipt", "notice", "operator", "directory"}
]


@pytest.mark.parametrize("status", Status)
@pytest.mark.parametrize("name", CONTRACT)
@pytest.mark.parametrize("role", ["O", "R"])
def test_the_table_is_the_contracts(status: Status, name: str, role: str) -> None:
    state = after(*PATHS[status])
    assert state.status is status
    says, since, to = CONTRACT[name]
    message = by_opening(name) if role == "O" else by_responsible(name)
    answer = advance(state, message, NOON)
    if role in says and status in since:
        assert isinstance(answer, Advanced)
        assert answer.state is not None
        assert answer.state.status is (to or status)
        assert answer.commands == (Route(PartnerId(HENGSHAN if role == "O" else LAIBIN)),)
    else:
        assert isinstance(answer, Refusal)
        # The samples' case is collected: its opening partner never says what is the responsible one's.
        assert answer.code == (
            "collector-decides" if role not in says and role == "O" else "transition-illegal"
        )


def test_every_type_of_the_contract_is_in_the_table() -> None:
    broker_says = {
        *("receipt.delivered", "receipt.rejected", "receipt.expired"),
        *("notice.refused", "notice.undeliverable", "notice.deadline"),
        *(
            f"operator.{act}"
            for act in [
                "paused",
                "resumed",
                "limited",
                "probed",
                "redriven",
                "returned",
                "skipped",
                "assigned",
                "noted",
                "unmasked",
                "reconciled",
            ]
        ),
        "directory.applied",
    }
    assert set(MESSAGE_TYPES) == set(CONTRACT) | {"case.submitted", "complaint.filed"} | broker_says


def test_a_case_begins_with_the_message_of_its_opening_partner() -> None:
    answer = advance(None, SUBMITTED, NOON)
    assert isinstance(answer, Advanced)
    assert answer.state == CaseState(
        case=CASE,
        opening=PartnerId(LAIBIN),
        responsible=PartnerId(HENGSHAN),
        item="newborn-hukou",
        mode=Mode.COLLECTED,
        status=Status.SUBMITTED,
        opened_at=NOON,
        updated_at=NOON,
    )
    assert answer.commands == (Route(PartnerId(HENGSHAN)),)


def code_of(state: CaseState | None, message_type: str, source: str, destination: str) -> str | None:
    answer = advance(state, said(message_type, source, destination), NOON)
    return answer.code if isinstance(answer, Refusal) else None


@pytest.mark.parametrize(
    ("opened", "type_", "source", "destination", "code"),
    [
        (False, "case.invented", LAIBIN, HENGSHAN, "type-unknown"),
        (False, "case.accepted", LAIBIN, HENGSHAN, "case-unknown"),  # its own case id: it is told
        (False, "case.accepted", HENGSHAN, LAIBIN, "party-not-involved"),  # another's: missing and foreign alike
        (True, "case.accepted", "350200", LAIBIN, "party-not-involved"),
        (False, "case.submitted", HENGSHAN, LAIBIN, "party-not-involved"),  # the case id is 来宾's
        (True, "case.submitted", "350200", LAIBIN, "party-not-involved"),
        (True, "case.submitted", LAIBIN, HENGSHAN, "case-exists"),
        (True, "complaint.filed", LAIBIN, HENGSHAN, "case-exists"),
        (False, "case.submitted", LAIBIN, LAIBIN, "party-not-involved"),
        (False, "case.submitted", LAIBIN, "tongban", "party-not-involved"),
        (True, "case.accepted", HENGSHAN, "350200", "party-not-involved"),  # must not leak to a third city
        (True, "case.accepted", HENGSHAN, HENGSHAN, "party-not-involved"),
        (True, "case.accepted", "430423-minzheng", LAIBIN, "party-not-involved"),  # an authority is its own partner
        (True, "case.urged", LAIBIN, "430423-minzheng", "party-not-involved"),
        (True, "case.decided", "tongban", LAIBIN, "transition-illegal"),
        (True, "case.accepted", HENGSHAN, LAIBIN, None),
    ],
)  # fmt: skip
def test_who_may_speak_at_all(
    opened: bool, type_: str, source: str, destination: str, code: str | None
) -> None:
    assert code_of(after(SUBMITTED) if opened else None, type_, source, destination) == code


def test_another_partners_case_and_a_missing_one_look_the_same_to_a_stranger() -> None:
    for type_ in ("case.submitted", "case.urged", "case.accepted", "receipt.delivered"):
        message = said(type_, "350200", LAIBIN)
        assert advance(None, message, NOON) == advance(after(SUBMITTED), message, NOON)


def test_an_authority_within_a_place_is_a_partner_of_its_own() -> None:
    case = "350206-minzheng/1"
    state_or = advance(None, said("case.submitted", "350206-minzheng", LAIBIN, case=case), NOON)
    assert isinstance(state_or, Advanced)
    assert state_or.state is not None
    assert state_or.state.opening == "350206-minzheng"
    assert code_of(state_or.state, "case.withdrawn", "350206", LAIBIN) == "party-not-involved"


def test_an_illegal_move_names_state_role_and_what_is_allowed() -> None:
    answer = advance(after(SUBMITTED), by_responsible("case.decided"), NOON)
    assert isinstance(answer, Refusal)
    assert answer.facts == (
        ("state", "submitted"),
        ("event", "case.decided"),
        ("role", "responsible"),
        (
            "allowed",
            (
                "case.supplement-requested",
                "case.accepted",
                "case.refused",
                "case.urged",
                "case.consulted",
                "case.answered",
                "fee.requested",
            ),
        ),
        ("law", "行政许可法第四十二条"),
    )
    assert "case.decided" in answer.detail
    assert "submitted" in answer.detail


def test_a_supplement_is_asked_once_and_the_refusal_names_the_law() -> None:
    answer = advance(after(*PATHS[Status.SUPPLEMENTED]), by_responsible("case.supplement-requested"), NOON)
    assert isinstance(answer, Refusal)
    assert "行政许可法第三十二条" in answer.detail


@pytest.mark.parametrize("name", NOT_A_PARTNERS)
def test_a_partner_never_says_what_is_the_brokers(name: str) -> None:
    for message in (by_opening(name), by_responsible(name)):
        answer = advance(after(SUBMITTED), message, NOON)
        assert isinstance(answer, Refusal)
        assert answer.code == "transition-illegal"


@pytest.mark.parametrize("name", NOT_A_PARTNERS)
def test_the_brokers_word_moves_no_case_and_needs_none(name: str) -> None:
    state = after(SUBMITTED)
    to_partner = (Route(PartnerId(LAIBIN)),)
    assert advance(state, by_broker(name), NOON) == Advanced(state, to_partner)
    assert advance(None, by_broker(name), NOON) == Advanced(None, to_partner)
    assert advance(state, by_broker(name, "tongban"), NOON) == Advanced(state, ())


def test_one_rating_a_case_and_what_follows_a_bad_one_comes_after_it() -> None:
    delivered = PATHS[Status.DELIVERED]
    good = after(*delivered, (by_opening("case.rated"), {"score": 3}))
    assert (good.rating, good.score, good.rectify_from) == (Rating.RATED, 3, None)
    assert good.status is Status.DELIVERED
    assert code_of(good, "case.rated", LAIBIN, HENGSHAN) == "transition-illegal"
    for name, then in (("case.rectified", Rating.RECTIFIED), ("case.rating-appealed", Rating.APPEALED)):
        assert code_of(after(*delivered), name, HENGSHAN, LAIBIN) == "transition-illegal"
        assert code_of(good, name, HENGSHAN, LAIBIN) == "transition-illegal", "nothing to put right"
        bad: tuple[Said, ...] = (*delivered, (by_opening("case.rated"), {"score": 2}))
        assert after(*bad).rating is Rating.POOR
        assert after(*bad, by_responsible(name)).rating is then
    appealed: tuple[Said, ...] = (*bad, by_responsible("case.rating-appealed"))
    assert code_of(after(*appealed), "case.rated", LAIBIN, HENGSHAN) == "transition-illegal"
    assert after(*appealed, by_responsible("case.rectified")).rating is Rating.RECTIFIED


def test_a_correction_without_a_call_back_is_refused() -> None:
    bad = after(*PATHS[Status.DELIVERED], (by_opening("case.rated"), {"score": 1}))
    answer = advance(bad, by_responsible("case.rectified"), NOON, {"called_back": False})
    assert isinstance(answer, Refusal)
    assert answer.code == "callback-missing"
    assert "国办发〔2019〕51号" in answer.detail


def test_a_fee_is_paid_after_its_request_and_once() -> None:
    asked = (SUBMITTED, ACCEPTED, by_responsible("fee.requested", id_="f-1"))
    assert after(*asked).fee is Fee.REQUESTED
    assert after(*asked).fee_request == "430423/f-1"
    assert code_of(after(*asked), "fee.requested", HENGSHAN, LAIBIN) == "charged-twice"
    paid = after(*asked, by_opening("fee.paid", correlation="430423/f-1"))
    assert paid.fee is Fee.PAID
    assert code_of(paid, "fee.paid", LAIBIN, HENGSHAN) == "transition-illegal"
    assert code_of(paid, "fee.requested", HENGSHAN, LAIBIN) == "charged-twice"
    assert after(*asked, by_opening("fee.paid")).fee is Fee.PAID  # a bank's note may not know the request


NOTICE = {"notice_number": "JK-1", "amount_fen": 1500}


@pytest.mark.parametrize(
    ("paid", "code"),
    [
        (NOTICE, None),
        ({**NOTICE, "channel": "银行柜台"}, None),
        ({**NOTICE, "channel": "现金"}, "cash-refused"),
        ({**NOTICE, "channel": " Cash "}, "cash-refused"),
        ({**NOTICE, "amount_fen": 1501}, "fee-mismatch"),
        ({**NOTICE, "notice_number": "JK-2"}, "fee-mismatch"),
    ],
)
def test_a_payment_is_that_of_the_notice_and_never_cash(paid: dict[str, object], code: str | None) -> None:
    asked = after(SUBMITTED, ACCEPTED, (by_responsible("fee.requested", id_="f-1"), NOTICE))
    answer = advance(asked, by_opening("fee.paid"), NOON, paid)
    assert (answer.code if isinstance(answer, Refusal) else None) == code
    other = advance(asked, by_opening("fee.paid", correlation="430423/f-2"), NOON, paid)
    assert isinstance(other, Refusal)
    assert other.code == "fee-mismatch"
    assert "430423/f-1" in other.detail


def test_the_result_waits_for_the_fee() -> None:
    asked = (SUBMITTED, ACCEPTED, (by_responsible("fee.requested", id_="f-1"), NOTICE), DECIDED)
    assert code_of(after(*asked), "case.result-issued", HENGSHAN, LAIBIN) == "fee-unpaid"
    paid = after(*asked, (by_opening("fee.paid"), NOTICE))
    assert code_of(paid, "case.result-issued", HENGSHAN, LAIBIN) is None


def test_a_treasury_that_the_directory_names_says_what_was_paid_to_both_sides() -> None:
    asked = after(SUBMITTED, ACCEPTED, (by_responsible("fee.requested", id_="f-1"), NOTICE))
    message = said("fee.paid", "430423-caizheng", HENGSHAN)
    refused = advance(asked, message, NOON, NOTICE)
    assert isinstance(refused, Refusal)
    assert refused.code == "party-not-involved"
    paid = advance(asked, message, NOON, NOTICE, Terms(treasury=True))
    assert isinstance(paid, Advanced)
    assert paid.commands == (Route(PartnerId(LAIBIN)), Route(PartnerId(HENGSHAN)))
    accepted = advance(
        asked, said("case.decided", "430423-caizheng", HENGSHAN), NOON, terms=Terms(treasury=True)
    )
    assert isinstance(accepted, Refusal), "a treasury speaks of payments only"


@pytest.mark.parametrize("mode", [Mode.COLLECTED, Mode.JOINT])
def test_an_extension_stays_within_the_law(mode: Mode) -> None:
    most = 15 if mode is Mode.JOINT else 10
    accepted = after(said("case.submitted", LAIBIN, HENGSHAN, mode=mode), ACCEPTED)
    for days, stands in ((most, True), (most + 1, False), (0, False), (-3, False)):
        answer = advance(accepted, by_responsible("case.extended"), NOON, {"extra_days": days})
        assert isinstance(answer, Advanced) is stands
        if isinstance(answer, Refusal):
            assert answer.code == "extension-too-long"
    once = after(
        said("case.submitted", LAIBIN, HENGSHAN, mode=mode),
        ACCEPTED,
        (by_responsible("case.extended"), {"extra_days": most}),
    )
    again = advance(once, by_responsible("case.extended"), NOON, {"extra_days": 1})
    assert isinstance(again, Refusal)


def test_who_acts_for_another_says_on_what_authority() -> None:
    refused = advance(None, SUBMITTED, NOON, {"agent": True, "acting": None, "sealed": None})
    assert isinstance(refused, Refusal)
    assert refused.code == "agent-unauthorised"
    helper = {"agent": True, "acting": {"authority": "hall_helper", "office": "武陵区帮代办中心"}}
    stands = advance(None, SUBMITTED, NOON, helper)
    assert isinstance(stands, Advanced)
    assert stands.state is not None
    assert stands.state.agent == "hall_helper"
    papers: dict[str, object] = {"agent": True, "acting": None, "sealed": {"agent": {"authority": "父亲"}}}
    assert isinstance(advance(None, SUBMITTED, NOON, papers), Advanced)
    sealed = {"agent": True, "acting": None, "sealed": {"ciphertext": b"\x00"}}
    assert isinstance(advance(None, SUBMITTED, NOON, sealed), Advanced), "the ledger does not open papers"
    nobody: dict[str, object] = {"agent": True, "acting": None, "sealed": {"agent": None, "applicant": {}}}
    assert isinstance(advance(None, SUBMITTED, NOON, nobody), Refusal)
    unread = advance(None, SUBMITTED, NOON, {"agent": True, "acting": None})
    assert isinstance(unread, Advanced), "the exchange reads the clear fields alone"
    older = advance(None, SUBMITTED, NOON, {"agent": True})
    assert isinstance(older, Advanced), "a schema without the field cannot say it"


def test_another_courier_number_than_the_results_is_refused() -> None:
    issued = after(
        SUBMITTED, ACCEPTED, DECIDED, (by_responsible("case.result-issued"), {"courier_number": "SF1"})
    )
    for told, stands in (("SF1", True), (None, True), ("SF2", False)):
        answer = advance(issued, by_opening("case.delivered"), NOON, {"courier_number": told})
        assert isinstance(answer, Advanced) is stands


def test_what_a_bank_has_taken_is_told_even_when_the_case_has_ended() -> None:
    ended = after(SUBMITTED, by_responsible("fee.requested"), by_opening("case.withdrawn"))
    assert isinstance(advance(ended, by_opening("fee.paid"), NOON), Advanced)


@pytest.mark.parametrize("mode", Mode)
def test_only_the_responsible_city_decides_in_every_mode(mode: Mode) -> None:
    state = after(said("case.submitted", LAIBIN, HENGSHAN, mode=mode), ACCEPTED)
    code = "collector-decides" if mode is Mode.COLLECTED else "transition-illegal"
    assert code_of(state, "case.decided", LAIBIN, HENGSHAN) == code
    assert code_of(state, "case.decided", HENGSHAN, LAIBIN) is None


def test_times_are_those_of_the_steps() -> None:
    issued = by_responsible("case.result-issued")
    state = after(
        SUBMITTED, ACCEPTED, DECIDED, issued, by_opening("case.delivered"), by_opening("case.urged")
    )
    hours = [NOON + timedelta(hours=hour) for hour in range(6)]
    assert state.opened_at == hours[0]
    assert state.accepted_at == hours[1]
    assert state.decided_at == hours[2]
    assert state.ended_at == hours[4]
    assert state.updated_at == hours[5]
    assert state.revision == 6
    resumed = after(SUBMITTED, ACCEPTED, by_responsible("case.paused"), by_responsible("case.resumed"))
    assert resumed.status is Status.IN_REVIEW
    assert resumed.accepted_at == hours[1]


class TestSteps:
    TERMS = Terms(
        item=Item(
            code="x",
            name="x",
            promised_days=5,
            steps=(Step(code="CS", name="初审", days=2), Step(code="FH", name="复核", days=1)),
        ),
        promised_days=5,
    )

    def reached(self, *words: Said) -> tuple[str, int]:
        state = after(SUBMITTED, ACCEPTED, *words, terms=self.TERMS)
        return state.step, state.step_turn

    def test_each_beginning_of_a_step_is_a_turn_of_its_own(self) -> None:
        first: Said = (by_responsible("case.step-completed"), {"step": "CS"})
        second: Said = (by_responsible("case.step-completed"), {"step": "FH"})
        pause = (by_responsible("case.paused"), by_responsible("case.resumed"))
        assert self.reached() == ("CS", 0)
        assert self.reached(first) == ("FH", 1)
        assert self.reached(first, first) == ("FH", 2), "sent back and done again"
        assert self.reached(first, second, first) == ("FH", 2)
        assert self.reached(*pause) == ("CS", 1), "with its whole limit again"
        assert self.reached(first, second, *pause) == ("", 1), "none is under way"
        assert self.reached((by_responsible("case.extended"), {"extra_days": 3})) == ("CS", 0)


@pytest.mark.parametrize(
    ("stated", "kept"),
    [
        (NOON + timedelta(hours=2), None),
        (NOON - timedelta(days=1), (NOON - timedelta(days=1)).date()),
        (NOON + timedelta(days=1), (NOON + timedelta(days=1)).date()),
        (None, None),
    ],
)
def test_the_day_that_a_decision_bears_is_kept_where_it_is_not_the_ledgers(
    stated: datetime | None, kept: date | None
) -> None:
    facts: dict[str, object] = {"outcome": "granted"} | ({"decided_at": stated} if stated else {})
    state = after(SUBMITTED, ACCEPTED, (DECIDED, facts))
    assert state.decided_on == kept
    assert CaseState.from_json(state.to_json()) == state
    assert ("decided_on" in state.to_json()) is (kept is not None)


def test_times_are_kept_in_utc_and_naive_ones_refused() -> None:
    answer = advance(None, SUBMITTED, datetime(2026, 3, 2, 12, 0, tzinfo=timezone(timedelta(hours=8))))
    assert isinstance(answer, Advanced)
    assert answer.state is not None
    assert answer.state.opened_at == NOON  # 12:00 +08:00 = 04:00 UTC
    assert answer.state.opened_at.tzinfo is UTC
    with pytest.raises(ValueError, match="time zone"):
        advance(None, SUBMITTED, datetime(2026, 3, 2, 12, 0))  # noqa: DTZ001  a naive time is the point


def test_a_complaint_may_name_no_item() -> None:
    answer = advance(None, said("complaint.filed", LAIBIN, HENGSHAN, item=None, mode=None), NOON)
    assert isinstance(answer, Advanced)
    assert answer.state is not None
    assert (answer.state.item, answer.state.mode, answer.state.status) == ("", "", Status.FILED)
    assert CaseState.from_json(answer.state.to_json()) == answer.state


@pytest.mark.parametrize("status", Status)
def test_no_status_without_an_end_or_a_step_towards_one(status: Status) -> None:
    reached, found = {status}, {status}
    while found:
        found = {
            each.to for each in MESSAGE_TYPES.values() if each.to and not each.opens and each.since & reached
        } - reached
        reached |= found
    assert reached & ENDS
    if status in ENDS:
        assert reached == {status}


def test_allowed_before_a_case_and_roles() -> None:
    assert allowed(None, Role.OPENING) == ("case.submitted", "complaint.filed")
    assert allowed(None, Role.RESPONSIBLE) == ()
    assert "receipt.delivered" in allowed(None, Role.BROKER)
    assert "operator.noted" in allowed(after(SUBMITTED), Role.OPERATOR)
    assert role_of(after(SUBMITTED), by_broker("notice.refused").source) is Role.BROKER


@pytest.mark.parametrize("text", ["", "[]", "null", "{}", '{"case": 1}', '"x"', "\x00"])
def test_what_is_not_a_state_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  each of them has its own words
        CaseState.from_json(text)


def test_unknown_facts_of_a_state_are_refused() -> None:
    known = after(SUBMITTED).to_json()
    with pytest.raises(ValueError, match="not the state of a case"):
        CaseState.from_json(known[:-1] + ',"colour":"red"}')
    with pytest.raises(ValueError, match="without an offset"):
        CaseState.from_json(known.replace("+00:00", "").replace("Z", ""))


moments = st.datetimes(
    min_value=datetime(2000, 1, 1),  # noqa: DTZ001  Hypothesis adds the zone
    max_value=datetime(2100, 1, 1),  # noqa: DTZ001
    timezones=st.just(UTC),
)


@given(
    status=st.sampled_from(Status),
    fee=st.sampled_from(Fee),
    rating=st.sampled_from(Rating),
    mode=st.sampled_from([*Mode, ""]),
    item=st.text(max_size=8),
    times=st.tuples(moments, moments, *[st.none() | moments] * 3),
    counts=st.tuples(st.integers(0, 9), st.integers(1, 99)),
)
def test_a_state_survives_json(
    status: Status,
    fee: Fee,
    rating: Rating,
    mode: Mode,
    item: str,
    times: tuple[datetime, datetime, datetime | None, datetime | None, datetime | None],
    counts: tuple[int, int],
) -> None:
    state = CaseState(
        case=CASE,
        opening=PartnerId(LAIBIN),
        responsible=PartnerId(HENGSHAN),
        item=item,
        mode=mode,
        status=status,
        opened_at=times[0],
        updated_at=times[1],
        fee=fee,
        fee_request=None if fee is Fee.NONE else "430423/f-1",
        rating=rating,
        supplements=counts[0],
        revision=counts[1],
        accepted_at=times[2],
        decided_at=times[3],
        ended_at=times[4],
    )
    again = CaseState.from_json(state.to_json())
    assert again == state
    assert again.to_json() == state.to_json()
    assert type(again.status) is Status


class RandomWalk(RuleBasedStateMachine):
    """Anybody says anything: nothing crashes, refusals change nothing, ``allowed`` and ``advance`` agree."""

    @initialize(type_=st.sampled_from(["case.submitted", "complaint.filed"]))
    def open(self, type_: str) -> None:
        self.now = NOON
        answer = advance(None, by_opening(type_), NOON)
        assert isinstance(answer, Advanced)
        assert answer.state is not None
        self.state = answer.state

    @rule(
        type_=st.sampled_from([*MESSAGE_TYPES, "case.invented"]),
        source=st.sampled_from([LAIBIN, HENGSHAN, "350200", "tongban"]),
        destination=st.sampled_from([LAIBIN, HENGSHAN, "350200", "tongban"]),
        correlation=st.sampled_from([None, "430423/m-1", "430423/other"]),
    )
    def say(self, type_: str, source: str, destination: str, correlation: str | None) -> None:
        before = self.state.to_json()
        self.now += timedelta(seconds=1)
        message = said(type_, source, destination, correlation=correlation)
        answer = advance(self.state, message, self.now)
        assert self.state.to_json() == before
        role = role_of(self.state, message.source)
        if isinstance(answer, Refusal):
            assert answer.code in CATALOGUE
            if answer.code in {"transition-illegal", "charged-twice", "collector-decides"}:
                assert role is not None
                assert type_ not in allowed(self.state, role)
                assert dict(answer.facts)["allowed"] == allowed(self.state, role)
        else:
            assert role is not None
            assert role is Role.BROKER or type_ in allowed(self.state, role)
            assert answer.state is not None
            self.advanced_from(answer.state)

    def advanced_from(self, state: CaseState) -> None:
        ended, self.state = self.state.status in ENDS, state
        if ended:
            assert state.status in ENDS

    @invariant()
    def the_state_reads_back(self) -> None:
        assert CaseState.from_json(self.state.to_json()) == self.state

    @invariant()
    def someone_can_always_go_on_until_the_end(self) -> None:
        moves = allowed(self.state, Role.OPENING) + allowed(self.state, Role.RESPONSIBLE)
        assert self.state.status in ENDS or any(MESSAGE_TYPES[name].to for name in moves)

    @invariant()
    def an_end_has_its_time(self) -> None:
        assert (self.state.ended_at is not None) == (self.state.status in ENDS)


TestRandomWalk = RandomWalk.TestCase
TestRandomWalk.settings = settings(max_examples=60, stateful_step_count=60, deadline=None)
