"""The forms against the released schemas, read with the broker's own codec: two programs, one contract."""

from __future__ import annotations

import asyncio
import base64
from pathlib import Path

import orjson
import pytest

from broker.core.problems import Refusal
from broker.log.schema.schemas import SchemaSet
from broker.log.values.codec import Codec
from deploy.demo.client import RegisteredSchema
from deploy.demo.forms import Form, application, complaint, courier_number, form, notice_number
from deploy.demo.leaflets import sheet
from deploy.demo.letters import AvroEvents, JsonEvents, Letter, message_id, subject_of
from deploy.demo.roster import HERE
from tests.demo.doubles import APPLICANT, AT, a_case

SCHEMAS = SchemaSet.load()
CODEC = Codec(SCHEMAS)
TYPES = [
    "case.submitted",
    "case.supplement-requested",
    "case.supplemented",
    "case.accepted",
    "case.step-completed",
    "case.decided",
    "case.result-issued",
    "case.delivered",
    "case.rated",
    "case.urged",
    "case.withdrawn",
    "case.refused",
    "case.rectified",
    "case.rating-appealed",
    "fee.requested",
    "fee.paid",
    "complaint.answered",
]
ITEMS = sorted(path.stem for path in Path(str(HERE / "directory" / "items")).glob("*.toml"))


class Registry:
    """The exchange's registry, from the released schemas."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def schema(self, subject: str) -> RegisteredSchema:
        self.asked.append(subject)
        versions = SCHEMAS.versions(subject)
        latest = versions[max(versions)]
        return RegisteredSchema(id=latest.id, text=latest.text)


def filled(type_: str, item: str = "xinshenger-ruhu") -> Form:
    case = a_case(item=item)
    return application(case, AT, APPLICANT) if type_ == "case.submitted" else form(type_, case, AT)


def a_letter(type_: str) -> Letter:
    case = a_case(item="budongchan-diya")
    return Letter(
        id=message_id(case.number, type_, 0),
        type=type_,
        case=case.case,
        destination=case.counterpart,
        time=AT,
        item=case.item,
        mode=case.mode,
        answers="451300/LB1-0001-submitted",
        data=filled(type_, case.item),
    )


@pytest.mark.parametrize("type_", TYPES)
@pytest.mark.parametrize("item", [*ITEMS, "hunan-0001"])
def test_every_form_fits_its_schema(type_: str, item: str) -> None:
    if type_.startswith("fee.") and not sheet(item).fee_fen:
        return  # no fee, no notice
    schema = SCHEMAS.latest(type_)
    assert schema is not None
    datum = CODEC.from_json(schema, filled(type_, item))
    assert not isinstance(datum, Refusal), datum


@pytest.mark.parametrize("type_", TYPES)
def test_json_and_avro_say_the_same(type_: str) -> None:
    schema = SCHEMAS.latest(type_)
    assert schema is not None
    as_json = orjson.loads(asyncio.run(JsonEvents("430423").body(a_letter(type_))))
    as_avro = orjson.loads(asyncio.run(AvroEvents("430423", Registry()).body(a_letter(type_))))
    assert as_avro["dataschema"] == schema.dataschema
    assert CODEC.check(schema, base64.b64decode(as_avro["data_base64"])) == CODEC.from_json(
        schema, as_json["data"]
    )


def test_a_schema_is_fetched_once() -> None:
    async def say_twice() -> list[str]:
        registry = Registry()
        events = AvroEvents("430423", registry)
        bodies = {await events.body(a_letter("case.accepted")) for _ in range(2)}
        assert len(bodies) == 1, "the same letter, the same bytes"
        return registry.asked

    assert asyncio.run(say_twice()) == ["cn.tongban.case.Accepted"]


@pytest.mark.parametrize("type_", TYPES)
def test_subjects_are_derived_from_types(type_: str) -> None:
    schema = SCHEMAS.latest(type_)
    assert schema is not None
    assert subject_of(type_) == schema.subject


def test_the_applicant_stands_in_the_sealed_part_alone() -> None:
    data = filled("case.submitted")
    sealed = data.pop("sealed")
    assert isinstance(sealed, dict)
    assert sealed["applicant"] == APPLICANT.to_json()
    clear = orjson.dumps(data).decode()
    assert not any(text in clear for text in APPLICANT.to_json().values())


def test_only_papers_go_by_courier() -> None:
    by_courier = orjson.dumps({"data": filled("case.result-issued")})
    online = orjson.dumps({"data": filled("case.result-issued", "yidi-jiuyi-beian")})
    assert courier_number(by_courier).startswith("SF")
    assert len(courier_number(by_courier)) == 15
    assert courier_number(online) == courier_number(b"{}") == ""


def test_ids_are_deterministic_and_count_what_repeats() -> None:
    assert message_id("LB1-0001", "case.urged", 0) == "LB1-0001-urged"
    assert message_id("LB1-0001", "case.urged", 1) == "LB1-0001-urged-2"
    longest = message_id("LB991231235959-9999", "case.supplement-requested", 99)
    assert len(longest) <= 64


def test_a_letter_survives_the_ledger() -> None:
    letter = a_letter("case.decided")
    assert Letter.from_bytes(letter.to_bytes()) == letter


def test_what_is_told_beside_the_form_goes_along() -> None:
    fields = {
        "agent": True,
        "acting": {"authority": "hall_helper", "office": "衡阳帮代办窗口"},
        "route": ["430000-jiaotong", "360300-jiaotong"],
        "envelope": {"company": "中国邮政速递", "number": "EMS1"},
        "sealed": {"agent": {"name": "王帮办", "id_number": "430400190001010043", "authority": "委托书"}},
    }
    data = application(a_case(item="dajian-yunshu", mode="joint", item_class="II"), AT, APPLICANT, fields)
    schema = SCHEMAS.latest("case.submitted")
    assert schema is not None
    datum = CODEC.from_json(schema, data)
    assert not isinstance(datum, Refusal), datum
    assert (data["item_class"], data["promised_note"]) == ("II", "即时办结")
    assert isinstance(data["sealed"], dict)
    assert data["sealed"]["applicant"] == APPLICANT.to_json()


def test_a_complaint_fits_its_schema() -> None:
    schema = SCHEMAS.latest("complaint.filed")
    assert schema is not None
    for about in ("451300/LB1-0001", None):
        found = complaint(AT, subject="迟迟未办", channel="hotline", about=about)
        datum = CODEC.from_json(schema, found)
        assert not isinstance(datum, Refusal), datum


def test_each_step_of_the_leaflet_has_its_turn() -> None:
    case = a_case(item="yanglao-zhuanyi")
    codes = [form("case.step-completed", case, AT, nth=nth)["step"] for nth in range(4)]
    assert codes == ["CBPZ", "LXH", "JJZY", "JJZY"]


def test_the_rating_is_the_citizens() -> None:
    assert form("case.rated", a_case(score=2), AT)["score"] == 2


def test_a_notices_number_is_the_cases_own() -> None:
    case = a_case(item="budongchan-diya")
    assert form("fee.requested", case, AT)["notice_number"] == notice_number(case.case)
    assert form("fee.paid", case, AT)["notice_number"] == notice_number(case.case)
    assert notice_number("451300/LB1-0002") != notice_number(case.case)


def test_an_item_without_a_leaflet_is_named() -> None:
    with pytest.raises(ValueError, match="xinshenger-ruhu"):
        sheet("unknown")
