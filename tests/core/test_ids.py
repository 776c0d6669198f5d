from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.core.ids import (
    BROKER,
    InvalidId,
    Party,
    case_id,
    derived_id,
    key_case,
    message_id,
    opening_partner,
    part_case,
    partner_id,
    party_from_path,
    party_path,
    place,
    receipt_id,
    split_part,
)


@pytest.mark.parametrize("text", ["451300", "430423", "350206-minzheng", "000000", "350206-" + "a1" * 12])
def test_partners(text: str) -> None:
    assert partner_id(text) == text
    assert place(partner_id(text)) == text[:6]


@pytest.mark.parametrize(
    "text",
    ["", "45130", "4513000", "45130a", "350206-", "350206-Minzheng", "350206-民政", "350206-" + "a" * 25,
     "451300\n", " 451300", "４５１３００", "350206-a-b", "tongban"],
)  # fmt: skip
def test_no_partners(text: str) -> None:
    with pytest.raises(InvalidId, match="partner id"):
        partner_id(text)


@pytest.mark.parametrize(
    "text", ["451300/1", "350206-minzheng/办件-2026", "451300/" + "9" * 64, "451300/a?b#c"]
)
def test_cases(text: str) -> None:
    assert case_id(text) == text


def test_the_opening_partner_is_in_the_case_id() -> None:
    assert opening_partner(case_id("350206-minzheng/1")) == "350206-minzheng"


@pytest.mark.parametrize(
    "text",
    ["", "451300", "451300/", "/1", "451300/a/b", "451300/a b", "451300/" + "9" * 65, "451300/a\n", "451300/\x00",
     "451300/\u200b", "451300/\ue000", "451300/\u2028", "451300/\ud800", "45130/1"],
)  # fmt: skip
def test_no_cases(text: str) -> None:
    with pytest.raises(InvalidId, match="case id") as caught:
        case_id(text)
    assert len(text) < 3 or text not in str(caught.value)


NUMBERS = st.from_regex(r"[0-9A-Za-z办件-]{1,39}", fullmatch=True)
PART_NAMES = st.from_regex(r"[a-z0-9][a-z0-9-]{0,23}", fullmatch=True)


@given(NUMBERS, PART_NAMES)
def test_a_part_is_a_case_that_says_whose_part_it_is(number: str, name: str) -> None:
    parent = case_id(f"350206-minzheng/{number}")
    part = part_case(parent, name)
    assert case_id(part) == part
    assert split_part(part) == (parent, name)
    assert key_case(part) == parent
    assert opening_partner(part) == opening_partner(parent)
    assert split_part(parent) is None
    assert key_case(parent) is parent


@pytest.mark.parametrize(
    "text",
    ["451300/1~", "451300/1~A", "451300/1~-a", "451300/1~a~b", "451300/~a", "451300/1~" + "a" * 25],
)
def test_what_looks_like_a_part_and_is_none_stands_for_itself(text: str) -> None:
    case = case_id(text)
    assert split_part(case) is None
    assert key_case(case) == case


@pytest.mark.parametrize("name", ["", "A", "-a", "a_b", "a" * 25, "a~b", "a/b"])
def test_no_part_names(name: str) -> None:
    with pytest.raises(InvalidId, match="part name"):
        part_case(case_id("451300/1"), name)


def test_a_parent_whose_number_is_too_long_for_its_parts_has_none() -> None:
    with pytest.raises(InvalidId, match="case id"):
        part_case(case_id("451300/" + "9" * 64), "a")


@pytest.mark.parametrize("text", ["", "a.b", "a b", "x" * 65, "中", "a\n", "a/b"])
def test_no_messages(text: str) -> None:
    with pytest.raises(InvalidId, match="message id"):
        message_id(text)


@given(st.from_regex(r"[0-9]{6}(-[a-z0-9]{1,24})?", fullmatch=True))
def test_parties_survive_their_path(text: str) -> None:
    party = Party(partner_id(text))
    assert party_from_path(party_path(party)) == party


def test_the_brokers_path() -> None:
    assert party_path(BROKER) == "/tongban"
    assert party_from_path("/tongban") == BROKER


@pytest.mark.parametrize(
    "path", ["", "/", "tongban", "/tongban/", "/partners/", "/partners/tongban", "/partner/451300",
             "/partners//451300", "partners/451300", "/partners/451300/", "/x/partners/451300"]
)  # fmt: skip
def test_no_parties(path: str) -> None:
    with pytest.raises(InvalidId):
        party_from_path(path)


@given(st.text(max_size=40))
def test_any_text_is_an_id_or_refused(text: str) -> None:
    for check in (partner_id, case_id, message_id, party_from_path):
        try:
            checked = check(text)
        except InvalidId:
            continue
        assert checked in {text, "tongban", text.rpartition("/")[2]}


@given(st.lists(st.text(max_size=6), max_size=4), st.lists(st.text(max_size=6), max_size=4))
def test_derived_ids_are_of_their_facts_alone(one: list[str], other: list[str]) -> None:
    assert (derived_id("r", *one) == derived_id("r", *other)) == (one == other)
    assert message_id(derived_id("n", *one)) != derived_id("r", *one)


def test_facts_that_join_to_the_same_text_differ() -> None:
    assert derived_id("r", "ab", "c") != derived_id("r", "a", "bc")
    assert receipt_id("a", "b", "c") == derived_id("r", "a", "b", "c")
