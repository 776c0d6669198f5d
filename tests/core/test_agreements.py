from __future__ import annotations

from datetime import date

import pytest

from broker.core.case.agreements import check
from broker.core.catalogue.directory import Directory, read_directory
from broker.core.message import Mode
from tests.core.samples import HENGSHAN, LAIBIN, after, by_opening, said


def partner(code: str, name: str) -> str:
    return f'id = "{code}"\nname = "{name}"\ncontact = "窗口"\nconnector = {{ kind = "mailbox" }}\n'


DIRECTORY: Directory = read_directory(
    {
        "partners/451300.toml": partner("451300", "来宾"),
        "partners/430423.toml": partner("430423", "衡山县"),
        "partners/350200.toml": partner("350200", "厦门"),
        "partners/430423-minzheng.toml": partner("430423-minzheng", "衡山县民政局"),
        "items/newborn-hukou.toml": 'code = "newborn-hukou"\nname = "新生儿入户"\npromised_days = 3\n',
        "items/no-crime.toml": 'code = "no-crime"\nname = "无犯罪记录证明"\npromised_days = 1\n',
        "items/marriage.toml": 'code = "marriage"\nname = "婚姻登记"\npromised_days = 0\n',
        "agreements/430423--451300.toml": (
            'partners = ["430423", "451300"]\nitems = ["newborn-hukou", "no-crime"]\n'
            'modes = ["collected", "online"]\nsince = 2026-01-01\nuntil = 2026-12-31\n'
        ),
    }
)
DAY = date(2026, 3, 2)


def code(
    message_type: str = "case.submitted", *, opened: bool = False, day: date = DAY, **facts: object
) -> str | None:
    parties = {"source": facts.pop("source", LAIBIN), "destination": facts.pop("destination", HENGSHAN)}
    message = said(message_type, str(parties["source"]), str(parties["destination"]), **facts)  # type: ignore[arg-type]
    refusal = check(DIRECTORY, message, after(by_opening("case.submitted")) if opened else None, day)
    return refusal.code if refusal else None


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({}, None),
        ({"item": "no-crime", "mode": Mode.ONLINE}, None),
        ({"source": "999999"}, "partner-unknown"),
        ({"destination": "999999"}, "partner-unknown"),
        ({"destination": "999999", "opened": True}, "partner-unknown"),
        ({"item": None}, "item-unknown"),
        ({"item": "invented"}, "item-unknown"),
        ({"item": "marriage"}, "agreement-missing"),
        ({"mode": Mode.JOINT}, "agreement-missing"),
        ({"mode": None}, "agreement-missing"),
        ({"destination": "350200"}, "agreement-missing"),
        ({"destination": LAIBIN}, "agreement-missing"),
        ({"destination": "430423-minzheng"}, "agreement-missing"),  # its county's agreement is not its own
        ({"day": date(2025, 12, 31)}, "agreement-missing"),
        ({"day": date(2026, 1, 1)}, None),  # the first day is in
        ({"day": date(2026, 12, 31)}, None),  # the last day is in
        ({"day": date(2027, 1, 1)}, "agreement-missing"),
        ({"day": date(2027, 1, 1), "opened": True}, None),  # what began is finished
        ({"message_type": "case.accepted", "item": None}, None),
        ({"message_type": "case.invented", "item": None}, None),  # the life cycle says so
        ({"message_type": "complaint.filed", "item": None, "mode": None}, None),
        ({"message_type": "complaint.filed", "item": "marriage", "mode": None}, None),
        ({"message_type": "complaint.filed", "item": "invented"}, "item-unknown"),
        ({"message_type": "complaint.filed", "destination": "350200"}, None),
        ({"message_type": "receipt.delivered", "source": "tongban"}, None),
    ],
)  # fmt: skip
def test_who_may_send_what_to_whom_when(facts: dict[str, object], expected: str | None) -> None:
    assert code(**facts) == expected  # type: ignore[arg-type]


def test_a_refusal_lists_what_the_two_have_agreed_now() -> None:
    refusal = check(DIRECTORY, said("case.submitted", LAIBIN, HENGSHAN, item="marriage"), None, DAY)
    assert refusal is not None
    facts = dict(refusal.facts)
    assert facts["allowed"] == (
        "新生儿入户 collected",
        "新生儿入户 online",
        "无犯罪记录证明 collected",
        "无犯罪记录证明 online",
    )
    assert facts["items"] == ("newborn-hukou 新生儿入户", "no-crime 无犯罪记录证明")
    assert "婚姻登记 (marriage)" in refusal.detail


@pytest.mark.parametrize(
    ("day", "words"),
    [
        (date(2025, 12, 31), "in force from 2026-01-01"),
        (date(2027, 1, 1), "had an agreement until 2026-12-31"),
    ],
)
def test_an_agreement_out_of_force_says_since_when_and_allows_nothing_now(day: date, words: str) -> None:
    refusal = check(DIRECTORY, by_opening("case.submitted"), None, day)
    assert refusal is not None
    assert words in refusal.detail
    assert dict(refusal.facts)["allowed"] == ()
