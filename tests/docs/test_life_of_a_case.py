"""The explanation for officials: its example is counted again by hand, and both languages tell the same."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from broker.core import clock
from broker.core.calendar import STATUTORY
from broker.core.case.guards import agent_unauthorised
from broker.core.case.transitions import TRANSITIONS
from broker.core.clocks.deadlines import Light
from broker.core.clocks.limits import Kind
from tests.model.days import Promise, begins_with

FOLDER = Path(__file__).parents[2] / "docs" / "explanation"
ENGLISH = (FOLDER / "life-of-a-case.md").read_text(encoding="utf-8")
CHINESE = (FOLDER / "life-of-a-case.zh-CN.md").read_text(encoding="utf-8")
BOTH = pytest.mark.parametrize("page", [ENGLISH, CHINESE], ids=["en", "zh"])


def ten(month: int, day: int) -> datetime:
    """Ten in the morning in China."""
    return datetime(2026, month, day, 2, tzinfo=UTC)


def test_the_example_counted_by_hand_and_by_the_clock_is_the_pages() -> None:
    by_hand = Promise(
        started_at=ten(9, 23), started_on=date(2026, 9, 23), days=7, minutes=None, closed=frozenset()
    )
    product = clock.start(ten(9, 23), date(2026, 9, 23), days=7, minutes=None)
    due = [(by_hand.due_on(ten(9, 23)), clock.due_on(product, STATUTORY))]
    yellow = begins_with(due[0][0], 1)
    by_hand.pause(ten(9, 29))
    by_hand.resume(ten(10, 9))
    product = clock.resume(clock.pause(product, ten(9, 29)), ten(10, 9), STATUTORY)
    due.append((by_hand.due_on(ten(10, 9)), clock.due_on(product, STATUTORY)))
    by_hand.extend(5)
    product = clock.extend(product, 5)
    due.append((by_hand.due_on(ten(10, 9)), clock.due_on(product, STATUTORY)))
    expected = [date(2026, 10, 10), date(2026, 10, 14), date(2026, 10, 21)]
    assert due == [(each, each) for each in expected]
    assert (yellow, expected[0] + timedelta(days=1)) == (date(2026, 10, 9), date(2026, 10, 11))
    for page in (ENGLISH, CHINESE):
        assert re.findall(r"\*\*(2026-\d\d-\d\d)\*\*", page) == [str(each) for each in expected]
    assert "At the beginning of 9 October" in ENGLISH
    assert "at the beginning of 11 October" in ENGLISH
    assert "10 月 9 日零时" in CHINESE
    assert "10 月 11 日零时" in CHINESE


@BOTH
def test_every_message_between_people_is_explained(page: str) -> None:
    for rule in TRANSITIONS:
        if not rule.of_the_road:
            assert f"`{rule.name}`" in page, rule.name
            assert rule.zh in CHINESE


@BOTH
def test_every_limit_and_both_cards_are_explained(page: str) -> None:
    table = re.search(r"picture: limits_\w+ -->\n(.*?)\n<!--", page, re.DOTALL)
    assert table is not None
    assert len(table[1].splitlines()) == 2 + len(Kind)
    assert {Light.YELLOW, Light.RED} == set(Light)
    for word in ("黄牌", "红牌"):
        assert word in page


def test_both_languages_tell_the_same() -> None:
    def pictures(page: str) -> list[str]:
        return [each.removesuffix("_zh").removesuffix("_en") for each in re.findall(r"picture: (\w+)", page)]

    assert pictures(ENGLISH) == pictures(CHINESE)
    assert len(re.findall("^## ", ENGLISH, re.MULTILINE)) == len(re.findall("^## ", CHINESE, re.MULTILINE))
    commands = [re.findall(r"^tongban [^#\n]*[^# \n]", page, re.MULTILINE) for page in (ENGLISH, CHINESE)]
    assert commands[0] == commands[1]


@BOTH
def test_what_nobody_has_read_in_the_original_is_marked_to_be_checked(page: str) -> None:
    assert set(re.findall(r"(?:行政许可法第五十七条|行政许可法 57)(.)", page)) == {"※"}
    assert set(re.findall(r"\*\*(?:not counted|当日不计)\*\*(.)", page)) == {"※"}
    rows = re.findall(r"^\|[^|]*※[^|]*\|[^|]*\|([^|]*)\|$", page, re.MULTILINE)
    assert rows
    assert all(each.strip() not in ("", "–", "-") for each in rows), (
        "what is marked says what is to be checked"
    )


def test_what_a_refusal_names_the_page_names_too() -> None:
    refusal = agent_unauthorised({"agent": True, "acting": None, "sealed": None})
    assert refusal is not None
    named = {rule.law for rule in TRANSITIONS} | {refusal.law}
    texts = {text.removeprefix("行政许可法") for law in named if law for text in law.split("、")}
    assert len(texts) > 8
    assert [text for text in texts if text not in CHINESE] == []
    assert [text for text in texts if text.startswith("国办发") and text not in ENGLISH] == []
