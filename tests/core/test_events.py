from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime

import orjson
import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from broker.core.events import NotCanonical, canonical, compartment_aad, event_digest, structured_event
from broker.core.ids import CaseId, MessageId, Party
from broker.core.message import Message, MessageClass, Mode

SAFE = 2**53 - 1
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-SAFE, SAFE) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=15,
)
MESSAGE = Message(
    id=MessageId("m-1"),
    source=Party("451300"),
    type="case.submitted",
    case=CaseId("451300/1"),
    destination=Party("430423"),
    time=datetime(2026, 11, 22, 8, tzinfo=UTC),
    message_class=MessageClass.INITIAL,
    digest="sha-256:00",
    dataschema="/schemas/ids/1",
    value=b"",
)


@given(st.dictionaries(TEXT, VALUES, max_size=6))
def test_the_quick_way_and_rfc_8785_agree(event: dict[str, object]) -> None:
    assert canonical(event) == rfc8785.dumps(event)  # type: ignore[arg-type]


@given(st.dictionaries(TEXT, st.floats(allow_nan=False, allow_infinity=False) | VALUES, max_size=4))
def test_floats_go_the_canonical_way(event: dict[str, object]) -> None:
    assert canonical(event) == rfc8785.dumps(event)  # type: ignore[arg-type]


def test_one_event_has_one_digest_however_it_is_written() -> None:
    event = {"id": "1", "data": {"b": 1, "a": "中", "n": 1.5}}
    other = json.loads(json.dumps(dict(reversed(event.items())), indent=2))
    assert event_digest(event) == event_digest(other)
    assert event_digest(event) != event_digest({**event, "id": "2"})


@pytest.mark.parametrize("number", [2**53, -(2**53), 2**64 - 1])
def test_numbers_that_a_double_cannot_hold_are_refused(number: int) -> None:
    with pytest.raises(NotCanonical):
        event_digest({"data": [number]})


def test_a_structured_event_has_what_the_message_has_and_nothing_else() -> None:
    event = structured_event(MESSAGE, {"note": "x"})
    assert event["source"] == "/partners/451300"
    assert event["type"] == "cn.tongban.case.submitted"
    assert event["class"] == 0
    assert event["data"] == {"note": "x"}
    assert not event.keys() & {"item", "mode", "correlationid", "expirytime", "sequence", "traceparent"}


def test_equal_messages_give_equal_bytes() -> None:
    full = replace(
        MESSAGE, item="i", mode=Mode.ONLINE, correlation="430423/x", expires=MESSAGE.time, sequence="1"
    )
    event = structured_event(full, None)
    assert "data" not in event
    assert event["expirytime"] == event["time"] == "2026-11-22T08:00:00.000Z"
    assert orjson.dumps(event) == orjson.dumps(structured_event(replace(full), None))


def test_a_compartment_is_bound_to_its_message_and_case() -> None:
    others = [
        replace(MESSAGE, id=MessageId("m-2")),
        replace(MESSAGE, case=CaseId("451300/2")),
        replace(MESSAGE, source=Party("430423")),
    ]
    assert len({compartment_aad(each) for each in (MESSAGE, *others)}) == 4


def test_the_copy_for_a_part_is_bound_to_what_it_is_a_copy_of() -> None:
    part = CaseId("451300/1~luohu")
    copy = replace(MESSAGE, id=MessageId("p-1"), case=part, part_of="451300/m-1")
    assert compartment_aad(copy) == compartment_aad(MESSAGE)
    own = replace(copy, part_of=None)  # what is said on the part itself is bound to the part
    assert compartment_aad(own) not in {
        compartment_aad(MESSAGE),
        compartment_aad(replace(own, case=MESSAGE.case)),
    }


def test_a_message_on_a_part_says_whose_part_it_is() -> None:
    event = structured_event(replace(MESSAGE, case=CaseId("451300/1~luohu")), None)
    assert (event["subject"], event["parent"]) == ("451300/1~luohu", "451300/1")
    assert "parent" not in structured_event(MESSAGE, None)
