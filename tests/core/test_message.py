from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.core.ids import CaseId, MessageId, Party
from broker.core.message import (
    BadRecord,
    Message,
    MessageClass,
    Mode,
    from_record,
    is_partner,
    to_headers,
)
from broker.core.records import Headers, Position, Record
from tests.core.samples import NOON, by_opening

AT_MS = 1772424000000  # 2026-03-02T04:00:00Z


def record(headers: Headers, *, value: bytes = b"", timestamp_ms: int = AT_MS) -> Record:
    return Record(
        position=Position("tongban.exchange", 3, 17),
        timestamp_ms=timestamp_ms,
        key=b"451300/1",
        value=value,
        headers=headers,
    )


def whole_ms(moment: datetime) -> datetime:
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


moments = st.datetimes(
    min_value=datetime(1971, 1, 1),  # noqa: DTZ001
    max_value=datetime(2200, 1, 1),  # noqa: DTZ001
    timezones=st.sampled_from(
        [UTC, timezone(timedelta(hours=8)), timezone(timedelta(hours=-3, minutes=-30))]
    ),
).map(whole_ms)
parties = st.one_of(st.just("tongban"), st.from_regex(r"[0-9]{6}(-[a-z0-9]{1,24})?", fullmatch=True)).map(
    Party
)
texts = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20)
messages = st.builds(
    Message,
    id=st.from_regex(r"[A-Za-z0-9_-]{1,64}", fullmatch=True).map(MessageId),
    source=parties,
    type=st.from_regex(r"[a-z]{1,9}\.[a-z-]{1,20}", fullmatch=True),
    case=st.from_regex(r"[0-9]{6}/[0-9A-Z办件-]{1,40}", fullmatch=True).map(CaseId),
    destination=parties,
    time=moments,
    message_class=st.sampled_from(MessageClass),
    digest=st.from_regex(r"sha-256:[0-9a-f]{64}", fullmatch=True),
    dataschema=texts,
    value=st.binary(max_size=30),
    item=st.none() | texts,
    mode=st.none() | st.sampled_from(Mode),
    correlation=st.none() | texts,
    expires=st.none() | moments,
    sequence=st.none() | texts,
    signature=st.none() | texts,
    signed=st.none() | texts,
    traceparent=st.none() | texts,
    trusted_channel=st.booleans(),
    accepted_at=moments,
    redrive=st.integers(0, 999_999),
    part_of=st.none() | texts,
    source_position=st.none()
    | st.builds(Position, st.just("tongban.exchange"), st.integers(0, 63), st.integers(0, 2**40)),
)


@given(messages)
def test_a_message_survives_its_headers(message: Message) -> None:
    headers = to_headers(message)
    assert len({name for name, _ in headers}) == len(headers)
    assert from_record(record(headers, value=message.value)) == message


def test_the_headers_are_the_contracts() -> None:
    assert to_headers(by_opening("case.submitted")) == (
        ("ce_specversion", b"1.0"),
        ("ce_id", b"m-1"),
        ("ce_source", b"/partners/451300"),
        ("ce_type", b"cn.tongban.case.submitted"),
        ("ce_time", b"2026-03-02T04:00:00.000Z"),
        ("ce_subject", b"451300/20260302-0001"),
        ("ce_dataschema", b"/schemas/ids/1"),
        ("content-type", b"application/avro"),
        ("ce_destination", b"/partners/430423"),
        ("ce_class", b"0"),
        ("ce_digest", b"sha-256:" + b"0" * 64),
        ("ce_item", b"newborn-hukou"),
        ("ce_mode", b"collected"),
    )


def test_the_time_of_acceptance_is_the_records_own_until_it_is_carried_along() -> None:
    message = by_opening("case.submitted")
    assert from_record(record(to_headers(message))).accepted_at == NOON
    derived = message.derived_from(Position("tongban.exchange", 3, 17), NOON - timedelta(days=1))
    again = from_record(record(to_headers(derived)))
    assert again.accepted_at == NOON - timedelta(days=1)
    assert again.source_position == Position("tongban.exchange", 3, 17)


GOOD = dict(to_headers(by_opening("case.submitted")))
MANDATORY = ["ce_specversion", "ce_id", "ce_source", "ce_type", "ce_subject", "ce_destination", "ce_time", "ce_class",
             "ce_digest", "ce_dataschema"]  # fmt: skip


@pytest.mark.parametrize("name", MANDATORY)
def test_a_missing_header_is_named(name: str) -> None:
    with pytest.raises(BadRecord) as caught:
        from_record(record(tuple((each, raw) for each, raw in GOOD.items() if each != name)))
    assert caught.value.header == name


@pytest.mark.parametrize(
    ("name", "raw"),
    [
        ("ce_specversion", b"0.3"),
        ("ce_id", b"a.b"),
        ("ce_id", b"\xff"),
        ("ce_source", b"451300"),
        ("ce_source", b"/partners/45130"),
        ("ce_type", b"com.example.order"),
        ("ce_subject", b"451300"),
        ("ce_destination", b""),
        ("ce_time", b"2026-03-02T04:00:00"),
        ("ce_time", b"yesterday"),
        ("ce_class", b"4"),
        ("ce_class", b""),
        ("ce_mode", b"by-courier"),
        ("ce_expirytime", b"never"),
        ("tongban-source", b"topic"),
        ("tongban-accepted", b"2026"),
        ("tongban-redrive", b"0"),
        ("tongban-redrive", b"-1"),
        ("tongban-redrive", b""),
        ("tongban-redrive", b"1000000"),
        ("tongban-redrive", "一".encode()),
    ],
)
def test_a_bad_header_is_named(name: str, raw: bytes) -> None:
    with pytest.raises(BadRecord) as caught:
        from_record(record(tuple((GOOD | {name: raw}).items())))
    assert caught.value.header == name
    assert caught.value.expected


@given(
    st.dictionaries(
        st.sampled_from([*GOOD, "ce_expirytime", "tongban-source", "tongban-accepted", "tongban-redrive"]),
        st.one_of(
            st.binary(max_size=30),
            st.from_regex(
                rb"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}[+-][0-9]{2}:[0-9]{2}", fullmatch=True
            ),
        ),
        max_size=4,
    )
)
def test_any_headers_are_a_message_or_a_bad_record(hostile: dict[str, bytes]) -> None:
    try:
        message = from_record(record(tuple((GOOD | hostile).items())))
    except BadRecord:
        return
    assert isinstance(message.time, datetime)


def test_expiry_is_at_its_moment() -> None:
    message = from_record(record((*GOOD.items(), ("ce_expirytime", b"2026-03-02T12:00:00+08:00"))))
    assert not message.expired(NOON - timedelta(milliseconds=1))
    assert message.expired(NOON)
    assert not by_opening("case.submitted").expired(NOON)


def test_names() -> None:
    message = by_opening("case.submitted")
    assert message.name == "451300/m-1"
    assert message.webhook_id == "451300_m-1"
    assert is_partner(message.source)
    assert not is_partner(Party("tongban"))
