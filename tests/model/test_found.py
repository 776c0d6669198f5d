"""The smallest walks of faults that were found here: what they showed must stay mended."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from broker.core.case.case_state import Status
from broker.core.ids import CaseId
from tests.model.facts import good
from tests.model.place import BROKER, HALL, LEAD, TOWN
from tests.model.play import Play
from tests.model.sheet import Word
from tests.model.walks import ONE, Step

MONDAY = datetime(2026, 3, 2, 1, 0, tzinfo=UTC)


def say(
    play: Play, type_: str, source: str, to: str, *, case: str = ONE, after_days: int = 0, **more: object
) -> None:
    """Somebody says it, in order, so many days later. The play itself compares with the naive model."""
    at = play.now + timedelta(days=after_days)
    opens = type_ == "case.submitted"
    item = str(more.pop("item")) if opens else None
    mode = "joint" if item == "lianban" else "online"
    facts = good(type_, play.office.cases.get(case), at) | more
    if opens:
        facts["mode"] = mode
    word = Word(
        id=f"m-{len(play.road.ledger) if hasattr(play.road, 'ledger') else 0}",
        type=type_,
        source=source,
        to=to,
        case=case,
        at=at,
        facts=facts,
        item=item,
        mode=mode if opens else None,
    )
    play.step(Step(wait=timedelta(days=after_days), words=(word,)))


def test_what_counts_as_accepted_cannot_be_refused_any_more() -> None:
    play = Play(now=MONDAY)
    say(play, "case.submitted", HALL, TOWN, item="putong")
    say(play, "case.refused", TOWN, HALL, after_days=12)
    assert [each.code for each in play.road.notices] == ["transition-illegal"]
    state = play.road.cases[CaseId(ONE)]
    assert (state.status, state.deemed) == (Status.SUBMITTED, True)
    say(play, "case.accepted", TOWN, HALL)
    say(play, "case.decided", TOWN, HALL, outcome="denied", reason="不符合条件")
    assert play.road.cases[CaseId(ONE)].status is Status.DECIDED


def test_who_was_denied_everything_has_a_case_that_ends() -> None:
    play = Play(now=MONDAY)
    say(play, "case.submitted", HALL, LEAD, item="yijianshi")
    say(play, "case.decided", LEAD, HALL, case=f"{ONE}~jia")  # not accepted: refused
    say(play, "case.accepted", LEAD, HALL, case=f"{ONE}~jia")
    say(play, "case.decided", LEAD, HALL, case=f"{ONE}~jia", outcome="denied", reason="不符合条件")
    heard = [type_ for type_, case, source, _ in play.road.arrived if case == ONE and source == BROKER]
    assert heard[-2:] == ["case.decided", "case.result-issued"]
    say(play, "case.delivered", HALL, LEAD)
    state = play.road.cases[CaseId(ONE)]
    assert (state.status, state.granted) == (Status.DELIVERED, False)


def test_a_part_that_opens_later_is_under_the_terms_of_the_whole() -> None:
    play = Play(now=MONDAY)
    say(play, "case.submitted", HALL, LEAD, item="lianban")
    play.step(Step(edition=1))
    say(play, "case.accepted", LEAD, HALL)
    whole, part = play.road.cases[CaseId(ONE)], play.road.cases[CaseId(f"{ONE}~dong")]
    assert part.directory == whole.directory
