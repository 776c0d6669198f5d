"""What the cities' tests share: a case, an event, a hall of one's own."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import orjson

from deploy.demo.events import Event, event_of
from deploy.demo.forms import Applicant
from deploy.demo.hall import Hall, Wish
from deploy.demo.ledger import Ledger
from deploy.demo.office import Office, Procedure
from deploy.demo.records import CaseRow

AT: Final = "2026-03-02T09:00:00.000+08:00"
APPLICANT: Final = Applicant(name="张三（示例）", id_number="11010519491231002X", phone="10000000000")
CODES: Final = {
    "case.submitted": "1",
    "case.accepted": "3",
    "case.supplement-requested": "6",
    "case.decided": "11",
}


def an_office(city: str = "430423") -> Office:
    procedures = {
        "xinshenger-ruhu": Procedure.SUPPLEMENT,
        "huji-zhengming": Procedure.REVIEW,
        "yidi-jiuyi-beian": Procedure.INSTANT,
        "budongchan-diya": Procedure.FEE,
        "shebaoka-shenling": Procedure.REFUSE,
        "gongjijin-tuixiu": Procedure.DENY,
        "gongchang-xuke": Procedure.BY_HAND,
        "yanglao-zhuanyi": Procedure.REVIEW,
    }
    return Office(city=city, codes=CODES, procedures=procedures, promises={"yanglao-zhuanyi": 12})


def a_wish(**changes: object) -> Wish:
    facts = {"to": "430423", "item": "xinshenger-ruhu", "mode": "collected", "applicant": APPLICANT}
    return Wish(**{**facts, **changes})  # type: ignore[arg-type]


def a_hall(ledger: Ledger, city: str = "430423") -> Hall:
    return Hall(an_office(city), ledger, numbering="HS1", wake=lambda: None)


def a_ledger(folder: Path) -> Ledger:
    return Ledger(folder / "ledger.db")


def a_case(*, item_class: str = "", manner: str = "usual", score: int = 5, **changes: str) -> CaseRow:
    facts = {
        "number": "HS1-0001",
        "case": "451300/LB1-0001",
        "role": "responsible",
        "counterpart": "451300",
        "item": "xinshenger-ruhu",
        "mode": "collected",
        "stage": "new",
        "code": "1",
        "opened_at": AT,
        "updated_at": AT,
    }
    return CaseRow(**{**facts, **changes}, item_class=item_class, manner=manner, score=score)


def an_event_body(
    type_: str = "case.submitted",
    *,
    message: str = "LB1-0001-submitted",
    case: str = "451300/LB1-0001",
    source: str | None = "/partners/451300",
    **attributes: object,
) -> bytes:
    event = {
        "specversion": "1.0",
        "id": message,
        "source": source,
        "type": f"cn.tongban.{type_}",
        "subject": case,
        "digest": "sha-256:" + "0" * 64,
        "item": "xinshenger-ruhu",
        "mode": "collected",
        "data": {},
        **attributes,
    }
    return orjson.dumps(event)


def an_event(type_: str = "case.submitted", source: str = "/partners/451300", **attributes: object) -> Event:
    fields = orjson.loads(an_event_body(type_, message=f"m-{type_.rpartition('.')[2]}", source=source))
    fields.update(attributes)
    return event_of(fields, orjson.dumps(fields))
