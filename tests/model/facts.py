"""What is said in each type of message: values that its schema allows, ordinary ones and those at the bounds."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from random import Random
from typing import Final

from tests.model.days import day_of
from tests.model.naive import Case

Facts = dict[str, object]
THEN: Final = datetime(2026, 1, 5, 1, 0, tzinfo=UTC)
"""What partners state of the time of their own acts: nothing depends on it."""
URGED: Final[Facts] = {"urged_at": THEN, "reason": "请尽快办理"}
LONG_AGO, FAR_OFF = date(1970, 1, 1), date(9999, 12, 31)
PAPER: Final = {"title": "文书", "media_type": "application/pdf", "sha256": "0" * 64, "size": 9}

_STATED: Final[Mapping[str, Facts]] = {
    "case.supplemented": {"supplemented_at": THEN},
    "case.refused": {"refused_at": THEN, "reason": "不属本机关职权", "legal_basis": "行政许可法第三十二条"},
    "case.paused": {"paused_at": THEN, "procedure": "hearing", "reason": "听证"},
    "case.resumed": {"resumed_at": THEN},
    "case.withdrawn": {"withdrawn_at": THEN, "reason": "申请人要求"},
    "case.rating-appealed": {"appealed_at": THEN, "reason": "误评"},
    "case.consulted": {"consulted_at": THEN, "subject": "进度"},
    "case.answered": {"answered_at": THEN},
    "complaint.answered": {"answered_at": THEN, "finding": "upheld", "answer": "属实，已整改"},
}


def good(type_: str, case: Case | None, now: datetime) -> Facts:
    """What an orderly partner would say."""
    if type_ in _STATED:
        return dict(_STATED[type_])
    today = day_of(now)
    notice = case.fee_notice if case is not None and case.fee_notice else "JF-1"
    fen = case.fee_fen if case is not None and case.fee_fen else 1
    courier = case.courier if case is not None else None
    step = case.step if case is not None and case.step else "SC"
    known: dict[str, Facts] = {
        "case.submitted": {
            "item_name": "事项",
            "mode": "online",
            "title": "事项",
            "submitted_at": THEN,
            "agent": False,
        },
        "complaint.filed": {"filed_at": THEN, "subject": "窗口态度", "channel": "hotline"},
        "case.supplement-requested": {
            "requested_at": THEN,
            "items": [{"code": "sfz", "name": "身份证", "reason": "缺反面"}],
            "deadline": today + timedelta(days=14),
        },
        "case.accepted": {"accepted_on": today, "promised_days": 7},
        "case.step-completed": {"completed_at": THEN, "step": step, "step_name": "环节"},
        "case.extended": {"extended_at": THEN, "extra_days": 2, "approved_by": "局长", "reason": "案情复杂"},
        "case.decided": {"outcome": "granted", "decided_at": THEN},
        "case.result-issued": {"issued_at": THEN, "documents": [PAPER]},
        "case.delivered": {"delivered_at": THEN, "method": "courier", "courier_number": courier},
        "case.rated": {"score": 5, "rated_at": THEN},
        "case.rectified": {"rectified_at": THEN, "measures": "已整改", "called_back": True},
        "fee.requested": {
            "requested_at": THEN,
            "notice_number": "JF-1",
            "amount_fen": 500,
            "purpose": "工本费",
        },
        "fee.paid": {
            "paid_at": THEN,
            "notice_number": notice,
            "amount_fen": fen,
            "treasury_reference": "GK-1",
            "channel": None,
        },
    }
    return known.get(type_, dict(URGED))


def hostile(type_: str, facts: Facts, now: datetime, rng: Random) -> Facts:
    """The same with something at the bounds of its schema, or beside what was agreed."""
    today = day_of(now)
    some_day = rng.choice([LONG_AGO, FAR_OFF, today, today - timedelta(days=9), today + timedelta(days=3)])
    changes: dict[str, list[Facts]] = {
        "case.submitted": [
            {"agent": True},
            {"agent": True, "acting": {"authority": "power_of_attorney"}},
            {"item_class": "I"},
            {"item_class": "II"},
            {"item_class": "III"},
            {"item_class": "IV"},
        ],
        "complaint.filed": [{"answer_by": some_day}, {"answer_by": today + timedelta(days=3)}],
        "case.supplement-requested": [{"deadline": some_day}],
        "case.accepted": [{"accepted_on": some_day}, {"promised_days": rng.choice([0, 1, 3, 1000])}],
        "case.step-completed": [{"step": rng.choice(["SC", "FH", "QF", "KC"])}],
        "case.extended": [{"extra_days": rng.choice([1, 8, 10, 11, 15, 16, 1000])}],
        "case.decided": [{"outcome": "denied", "reason": "不符合条件"}],
        "case.result-issued": [{"courier_company": "邮政", "courier_number": "EMS-1"}, {"documents": []}],
        "case.delivered": [{"courier_number": "EMS-2"}, {"method": "window", "courier_number": None}],
        "case.rated": [{"score": each} for each in (1, 2, 3, 4)],
        "case.rectified": [{"called_back": False}],
        "fee.requested": [{"amount_fen": 10**13}, {"amount_fen": 1}, {"notice_number": "JF-2"}],
        "fee.paid": [
            {"amount_fen": 499},
            {"notice_number": "JF-9"},
            {"channel": "现金"},
            {"channel": "银行"},
        ],
    }
    known = changes.get(type_)
    return {**facts, **rng.choice(known)} if known else facts
