"""The levers of a partner's line, folded from what operators have said."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.core.case.transitions import MESSAGE_TYPES
from broker.core.ids import CaseId, PartnerId, case_id
from broker.core.operating.levers import (
    LEVERS,
    LIMITED,
    NONE,
    PAUSED,
    PROBED,
    RESUMED,
    Levers,
    Pulled,
    levers_case,
    levers_partner,
    pull,
)

PARTNER = PartnerId("430423")
UNTOUCHED = Levers(partner=PARTNER)
SAID = {"partner": PARTNER, "by": "值班员 07", "reason": "检修"}
NO_LIMITS = {"in_flight": None, "per_second": None, "batch": None, "queue_bytes": None}


def pulled(at_ms: int) -> Pulled:
    return Pulled(by="值班员 07", reason="检修", at_ms=at_ms)


def test_a_pause_holds_until_it_is_resumed() -> None:
    paused = pull(UNTOUCHED, PAUSED, SAID, 5)
    assert paused == Levers(partner=PARTNER, paused=pulled(5), updated_at_ms=5)
    assert pull(paused, RESUMED, SAID, 9) == replace(UNTOUCHED, updated_at_ms=9)


def test_limits_stand_until_they_are_all_given_back() -> None:
    limited = pull(UNTOUCHED, LIMITED, {**SAID, **NO_LIMITS, "in_flight": 8, "per_second": 2.5}, 5)
    assert (limited.in_flight, limited.per_second, limited.batch, limited.limited) == (
        8,
        2.5,
        None,
        pulled(5),
    )
    other = pull(limited, LIMITED, {**SAID, **NO_LIMITS, "batch": 3}, 6)
    assert (other.in_flight, other.per_second, other.batch) == (None, None, 3), (
        "the last word is the whole word"
    )
    assert pull(other, LIMITED, {**SAID, **NO_LIMITS}, 7) == replace(UNTOUCHED, updated_at_ms=7)


def test_levers_do_not_touch_each_other() -> None:
    levers = UNTOUCHED
    limits: dict[str, object] = {**SAID, **NO_LIMITS, "queue_bytes": 65536}
    said: list[tuple[str, dict[str, object]]] = [(PAUSED, {**SAID}), (LIMITED, limits), (PROBED, {**SAID})]
    for at_ms, (type_, facts) in enumerate(said, 1):
        levers = pull(levers, type_, facts, at_ms)
    assert (levers.paused, levers.limited, levers.probed) == (pulled(1), pulled(2), pulled(3))
    assert levers.updated_at_ms == 3
    assert pull(levers, RESUMED, SAID, 4).probed == pulled(3)


@pytest.mark.parametrize("rate", [-0.1, math.nan, math.inf])
def test_a_rate_that_is_none_is_not_taken(rate: float) -> None:
    with pytest.raises(ValueError, match="per_second"):
        pull(UNTOUCHED, LIMITED, {**SAID, **NO_LIMITS, "per_second": rate}, 1)


def test_all_levers_of_a_partner_stand_under_one_key_that_is_no_case_of_anybody() -> None:
    for partner in (PARTNER, PartnerId("350206-minzheng")):
        key = levers_case(partner)
        assert case_id(key) == key
        assert levers_partner(key) == partner
    assert levers_partner(CaseId("451300/430423")) is None
    assert set(MESSAGE_TYPES) >= LEVERS


_PULLS = st.none() | st.builds(Pulled, by=st.text(), reason=st.text(), at_ms=st.integers(0, 2**53))


@given(
    st.builds(
        Levers,
        partner=st.just(PARTNER),
        paused=_PULLS,
        limited=_PULLS,
        probed=_PULLS,
        in_flight=st.none() | st.integers(1, 1000),
        per_second=st.none() | st.floats(0, 1e6),
        updated_at_ms=st.integers(0, 2**53),
    )
)
def test_levers_come_back_from_json_and_equal_ones_are_the_same_bytes(levers: Levers) -> None:
    text = levers.to_json()
    assert Levers.from_json(text) == levers
    assert Levers.from_json(text).to_json() == text


@pytest.mark.parametrize("text", ["{}", "[]", "3", '{"partner": "430423"}', NONE.to_json()[:-1]])
def test_what_are_no_levers_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError, match="not the levers"):
        Levers.from_json(text)
