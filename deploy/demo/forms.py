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

from deploy.demo.leaflets import sheet
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


_MISSING: Final = "母亲户口页"
_SUPPLEMENT_CODE: Final = "M04"
_SUPPLEMENT_DAYS: Final = 5
_PDF: Final = "application/pdf"


def form(
    type_: str, case: CaseRow, at: str, *, nth: int = 0, fields: Mapping[str, object] | None = None
) -> Form:
    """The data of one message of a case, said at the moment ``at`` (RFC 3339). The same arguments, the same data.

    ``nth`` counts the messages of this type that were said on the case before; ``fields`` replace the form's own.
    A type that the office has no form for is ``fields`` alone. Raises ValueError for an item without a leaflet.
    """
    if type_ == "case.step-completed":
        made = _step_completed(case, at, nth)
    else:
        made = _FORMS[type_](case, at) if type_ in _FORMS else {}
    return {**made, **(fields or {})}


def courier_number(event: bytes) -> str:
    """The courier number in the data of an event that arrived, or nothing."""
    data = orjson.loads(event).get("data")
    number = data.get("courier_number") if isinstance(data, dict) else None
    return number if isinstance(number, str) else ""


def application(
    case: CaseRow, at: str, applicant: Applicant, fields: Mapping[str, object] | None = None
) -> Form:
    """The data of ``case.submitted``; ``fields`` are added to it, those of ``sealed`` into the papers.

    Raises ValueError for an item that the hall has no leaflet for.
    """
    leaflet = sheet(case.item)
    days = leaflet.days(case.item_class)
    more = dict(fields or {})
    papers = more.pop("sealed", {})
    assert isinstance(papers, dict)
    made: Form = {
        "item_name": leaflet.name,
        "mode": case.mode,
        "title": leaflet.name,
        "submitted_at": at,
        "collected_by": "跨省通办专窗" if case.mode == "collected" else None,
        "agent": False,
        "materials": len(leaflet.materials),
        "promised_note": f"{days} 个工作日内办结" if days else "即时办结",
        "note": None,
    }
    if case.item_class:
        made["item_class"] = case.item_class
    sealed = {
        "applicant": applicant.to_json(),
        "agent": None,
        "documents": [_document("name", name, case) for name in leaflet.materials],
        "form": {},
    }
    return {**made, **more, "sealed": {**sealed, **papers}}


def complaint(at: str, *, subject: str, channel: str, about: str | None) -> Form:
    """The data of ``complaint.filed``. ``channel``: window, hotline, online or other."""
    return {"filed_at": at, "subject": subject, "channel": channel, "about_case": about, "answer_by": None}


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
        "promised_days": sheet(case.item).days(case.item_class),
        "responsible_number": case.number,
        "department": "综合受理窗口",
    }


def _step_completed(case: CaseRow, at: str, nth: int) -> Form:
    steps = sheet(case.item).steps
    code, name = steps[min(nth, len(steps) - 1)]
    return {
        "completed_at": at,
        "step": code,
        "step_name": name,
        "department": "审批股",
        "result": "审核通过",
    }


def _decided(_: CaseRow, at: str) -> Form:
    return {"outcome": "granted", "decided_at": at, "reason": None, "legal_basis": None}


def _result_issued(case: CaseRow, at: str) -> Form:
    leaflet = sheet(case.item)
    return {
        "issued_at": at,
        "licence_name": leaflet.licence,
        "licence_number": case.number,
        "documents": [_document("title", leaflet.licence, case)],
        "courier_company": "顺丰速运" if leaflet.by_courier else None,
        "courier_number": f"SF{_digits(case.number)}" if leaflet.by_courier else None,
        "sealed": {
            "applicant": None,
            "agent": None,
            "documents": [],
            "form": certificate(case.case, case.item),
        },
    }


def certificate(case: str, item: str) -> dict[str, str]:
    """The fields of the certificate that a case ends with: what it says of a person goes sealed. Of nobody here."""
    return {"证照名称": sheet(item).licence, "证照号码": f"ZZ{_digits(f'{case} {item}')}"}


def _delivered(case: CaseRow, at: str) -> Form:
    return {"delivered_at": at, "method": "courier" if sheet(case.item).by_courier else "electronic"}


def _rated(case: CaseRow, at: str) -> Form:
    tags = ["免跑腿"] if case.score > 2 else ["等待时间长"]
    return {"score": case.score, "rated_at": at, "channel": "短信", "tags": tags}


def _rectified(_: CaseRow, at: str) -> Form:
    return {"rectified_at": at, "measures": "已增设窗口并致歉", "called_back": True}


def _rating_appealed(_: CaseRow, at: str) -> Form:
    return {"appealed_at": at, "reason": "评价内容与本件无关，提请核实"}


def _urged(_: CaseRow, at: str) -> Form:
    return {"urged_at": at, "reason": "申请人询问进度"}


def _withdrawn(_: CaseRow, at: str) -> Form:
    return {"withdrawn_at": at, "reason": "申请人要求撤回"}


def _refused(_: CaseRow, at: str) -> Form:
    return {"refused_at": at, "reason": "材料不符", "legal_basis": "行政许可法第三十二条", "remedy": None}


def _fee_requested(case: CaseRow, at: str) -> Form:
    leaflet = sheet(case.item)
    return {
        "requested_at": at,
        "notice_number": notice_number(case.case),
        "amount_fen": leaflet.fee_fen,
        "purpose": leaflet.fee_for,
        "legal_basis": leaflet.fee_basis,
        "payee": "国库集中收付中心",
    }


def _fee_paid(case: CaseRow, at: str) -> Form:
    return {
        "paid_at": at,
        "notice_number": notice_number(case.case),
        "amount_fen": sheet(case.item).fee_fen,
        "treasury_reference": f"GK{_digits(case.case)}",
        "channel": "银行转账",
    }


def _complaint_answered(_: CaseRow, at: str) -> Form:
    return {
        "answered_at": at,
        "finding": "partly_upheld",
        "answer": "经核实，已补告知办理进度并致歉",
        "measures": "明确专人跟进",
    }


def notice_number(case: str) -> str:
    """The number of a case's payment notice (缴费通知单号)."""
    return f"JF{_digits(case)}"


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
    "case.decided": _decided,
    "case.result-issued": _result_issued,
    "case.delivered": _delivered,
    "case.rated": _rated,
    "case.rectified": _rectified,
    "case.rating-appealed": _rating_appealed,
    "case.urged": _urged,
    "case.withdrawn": _withdrawn,
    "case.refused": _refused,
    "fee.requested": _fee_requested,
    "fee.paid": _fee_paid,
    "complaint.answered": _complaint_answered,
}
