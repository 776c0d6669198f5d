"""A case's timeline from both halls' own ledgers: special procedures and extensions say what they are."""

from __future__ import annotations

import orjson

from deploy.demo.checks import NOTHING, Books
from deploy.demo.records import Effect, Sent
from deploy.demo.timeline import PROCEDURES, TYPES, timeline
from tests.demo.doubles import AT

CASE = "360300/PX-1"
PART = f"{CASE}~360300-jiaotong"
ROAD = "360300-jiaotong"
SAID: dict[str, dict[str, object]] = {
    "case.paused": {"procedure": "testing", "expected_days": 3},
    "case.resumed": {"result": "承载能力符合要求"},
    "case.extended": {"extra_days": 3, "approved_by": "萍乡市人民政府"},
}


def _sent(seq: int, type_: str) -> Sent:
    return Sent(
        seq=seq,
        id=f"m-{seq}",
        type=type_,
        case=PART,
        state="accepted",
        attempts=1,
        status=202,
        code=None,
        detail=None,
        digest=None,
        duplicate=False,
        receipt="delivered",
        receipt_detail=None,
        queued_at=AT,
        accepted_at=AT.replace("09:00:00", f"09:00:0{seq}"),
        receipt_at=AT,
    )


def _arrived(seq: int, type_: str, data: dict[str, object]) -> Effect:
    return Effect(
        seq=seq,
        webhook_id=f"{ROAD}_m-{seq}",
        source=ROAD,
        id=f"m-{seq}",
        type=type_,
        case=PART,
        correlation=None,
        digest="",
        attempt=1,
        reference=None,
        event=orjson.dumps({"data": data}),
        at=AT,
    )


def test_a_special_procedure_and_an_extension_say_what_they_are() -> None:
    said = Books(
        effects=(), attempts=(), cases=(), steps=(), sent=[_sent(n, type_) for n, type_ in enumerate(SAID)]
    )
    heard = Books(
        effects=[_arrived(n, type_, data) for n, (type_, data) in enumerate(SAID.items())],
        attempts=(),
        cases=(),
        steps=(),
        sent=(),
    )
    told = timeline({ROAD: said, "360300": heard}, (ROAD, "360300"), [CASE])
    assert [each.said for each in told] == [
        "特别程序开始：检测，预计 3 个工作日，停表",
        "特别程序结束：承载能力符合要求，续表",
        "延期：3 个工作日，萍乡市人民政府批准",
    ]


def test_before_the_other_side_has_it_the_word_stands_alone() -> None:
    said = Books(effects=(), attempts=(), cases=(), steps=(), sent=[_sent(0, "case.paused")])
    (told,) = timeline({ROAD: said, "360300": NOTHING}, (ROAD, "360300"), [CASE])
    assert told.said == "特别程序开始"


def test_every_procedure_of_the_law_and_every_word_of_a_case_has_a_name() -> None:
    assert len(PROCEDURES) == 9
    assert set(SAID) <= set(TYPES)
