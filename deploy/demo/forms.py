"""The forms that the office fills in: the data of each message type, field by field as its schema describes it.

A citizen's papers go into ``sealed`` and nowhere else: only there are they encrypted on the road. Times are
RFC 3339, days ``YYYY-MM-DD``. Nobody in here exists: names, numbers and papers are made up.
Source: ``schemas/case/*.avsc`` (each field's doc); 行政许可法 32 (everything is asked for at once).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Final

import orjson

from deploy.demo.records import CaseRow

Form = dict[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Applicant:
    """Who applies. Sent in the sealed compartment only; the road and its operators never see it."""

    name: str
    id_number: str
    phone: str

    def to_json(self) -> dict[str, str]:
        return asdict(self)

    @classmethod
    def from_json(cls, fields: object) -> Applicant:
        """Raises ValueError naming the field."""
        if not isinstance(fields, dict):
            raise ValueError("applicant: expected name, id_number, phone")
        for name in ("name", "id_number", "phone"):
            if not isinstance(fields.get(name), str) or not fields[name]:
                raise ValueError(f"applicant.{name}: expected text")
        return cls(name=fields["name"], id_number=fields["id_number"], phone=fields["phone"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """What the hall's leaflet (办事指南) says of an item. ``by_courier``: the result is a paper that is sent."""

    name: str
    licence: str
    promised_days: int
    materials: tuple[str, ...]
    by_courier: bool = False


SHEETS: Final[Mapping[str, Sheet]] = {
    "xinshenger-ruhu": Sheet(
        name="新生儿入户",
        licence="常住人口登记卡",
        promised_days=3,
        materials=("出生医学证明", "父亲身份证", "结婚证"),
        by_courier=True,
    ),
    "yidi-jiuyi-beian": Sheet(
        name="异地就医结算备案", licence="异地就医备案回执", promised_days=0, materials=("备案申请表",)
    ),
    "huji-zhengming": Sheet(name="户籍证明", licence="户籍证明", promised_days=1, materials=("居民身份证",)),
    "wufanzui-zhengming": Sheet(
        name="无犯罪记录证明", licence="无犯罪记录证明", promised_days=3, materials=("居民身份证",)
    ),
}
_MISSING: Final = "母亲户口页"
_SUPPLEMENT_CODE: Final = "M04"
_SUPPLEMENT_DAYS: Final = 5
_PDF: Final = "application/pdf"


def form(type_: str, case: CaseRow, at: str) -> Form:
    """The data of one message of a case, said at the moment ``at`` (RFC 3339). The same arguments, the same data."""
    return _FORMS[type_](case, at)


def courier_number(event: bytes) -> str:
    """The courier number in the data of an event that arrived, or nothing."""
    data = orjson.loads(event).get("data")
    number = data.get("courier_number") if isinstance(data, dict) else None
    return number if isinstance(number, str) else ""


def application(case: CaseRow, at: str, applicant: Applicant) -> Form:
    """The data of ``case.submitted``. Raises ValueError for an item that the hall has no leaflet for."""
    if case.item not in SHEETS:
        raise ValueError(f"item: expected one of {', '.join(SHEETS)}")
    sheet = SHEETS[case.item]
    return {
        "item_name": sheet.name,
        "mode": case.mode,
        "title": sheet.name,
        "submitted_at": at,
        "collected_by": "跨省通办专窗" if case.mode == "collected" else None,
        "agent": False,
        "materials": len(sheet.materials),
        "promised_note": f"{sheet.promised_days} 个工作日内办结" if sheet.promised_days else "即时办结",
        "note": None,
        "sealed": {
            "applicant": applicant.to_json(),
            "agent": None,
            "documents": [_document("name", name, case) for name in sheet.materials],
            "form": {},
        },
    }


def _supplement_requested(_: CaseRow, at: str) -> Form:
    missing = {"code": _SUPPLEMENT_CODE, "name": _MISSING, "reason": "未提交，请拍照或扫描上传"}
    deadline = datetime.fromisoformat(at) + timedelta(days=_SUPPLEMENT_DAYS)
    return {
        "requested_at": at,
        "items": [missing],
        "deadline": deadline.date().isoformat(),
        "note": "请一次补齐",
    }


def _supplemented(case: CaseRow, at: str) -> Form:
    document = _document("name", _MISSING, case)
    return {
        "supplemented_at": at,
        "items": [_SUPPLEMENT_CODE],
        "materials": 1,
        "note": None,
        "sealed": {"applicant": None, "agent": None, "documents": [document], "form": {}},
    }


def _accepted(case: CaseRow, at: str) -> Form:
    return {
        "accepted_on": at[:10],
        "promised_days": SHEETS[case.item].promised_days,
        "responsible_number": case.number,
        "department": "综合受理窗口",
    }


def _step_completed(_: CaseRow, at: str) -> Form:
    return {
        "completed_at": at,
        "step": "SPCL",
        "step_name": "审核",
        "department": "户政",
        "result": "审核通过",
    }


def _decided(_: CaseRow, at: str) -> Form:
    return {"outcome": "granted", "decided_at": at, "reason": None, "legal_basis": None}


def _result_issued(case: CaseRow, at: str) -> Form:
    sheet = SHEETS[case.item]
    return {
        "issued_at": at,
        "licence_name": sheet.licence,
        "licence_number": case.number,
        "documents": [_document("title", sheet.licence, case)],
        "courier_company": "顺丰速运" if sheet.by_courier else None,
        "courier_number": f"SF{_digits(case.number)}" if sheet.by_courier else None,
    }


def _delivered(case: CaseRow, at: str) -> Form:
    by_courier = SHEETS[case.item].by_courier
    return {"delivered_at": at, "method": "courier" if by_courier else "electronic"}


def _rated(_: CaseRow, at: str) -> Form:
    return {"score": 5, "rated_at": at, "channel": "短信", "tags": ["免跑腿"]}


def _urged(_: CaseRow, at: str) -> Form:
    return {"urged_at": at, "reason": "申请人询问进度"}


def _document(label: str, name: str, case: CaseRow) -> Form:
    """A document by its digest. The demo's papers are their own names; real ones go by claim check."""
    content = f"{case.case} {name}".encode()
    digest = hashlib.sha256(content).hexdigest()
    return {label: name, "media_type": _PDF, "sha256": digest, "size": len(content)}


def _digits(number: str) -> str:
    """Thirteen digits, the same for the same case number."""
    return f"{int(hashlib.sha256(number.encode()).hexdigest(), 16) % 10**13:013d}"


_FORMS: Final[Mapping[str, Callable[[CaseRow, str], Form]]] = {
    "case.supplement-requested": _supplement_requested,
    "case.supplemented": _supplemented,
    "case.accepted": _accepted,
    "case.step-completed": _step_completed,
    "case.decided": _decided,
    "case.result-issued": _result_issued,
    "case.delivered": _delivered,
    "case.rated": _rated,
    "case.urged": _urged,
}
