"""The hall's two years and its letters."""

from __future__ import annotations

import base64
import itertools
from collections import Counter, defaultdict

import orjson

from bench.hall_days import ITEMS, KINDS, MINUTES, PER_DAY, UNITS, Said, items, opened, said
from bench.hall_letters import HALL, OPENING, Writer, request, side_of
from bench.lean_http import body_length
from broker.core.signatures import SigningKey
from broker.log.schema.schemas import SchemaSet
from broker.log.values.codec import Codec

CODEC = Codec(SchemaSet.load())


# the two years


def test_the_same_two_years_every_time() -> None:
    assert list(said(300)) == list(said(300))
    assert items() == items()


def test_the_hall_has_its_items_and_units() -> None:
    known = items()
    assert len({each.code for each in known}) == ITEMS
    assert {each.unit for each in known} == set(range(UNITS))
    assert any(each.promised_days == 0 for each in known)


def test_a_day_has_two_peaks_and_some_four_thousand_cases() -> None:
    days: dict[int, list[float]] = defaultdict(list)
    for at, _, _ in opened(6 * PER_DAY):
        days[int(at // MINUTES)].append(at % MINUTES)
    assert all(0.75 * PER_DAY < len(days[day]) < 1.3 * PER_DAY for day in range(5))
    hours = Counter(int(minute // 60) for minute in itertools.chain.from_iterable(days.values()))
    assert hours[1] > 2 * hours[3] < hours[5], "ten o'clock and two o'clock are busier than noon"


def test_busy_items_are_asked_for_by_zipfs_law() -> None:
    drawn = Counter(item for _, _, item in opened(20_000))
    assert 1.5 < drawn[0] / drawn[1] < 2.6


def test_every_case_says_its_four_messages_in_order_and_time_only_rises() -> None:
    steps: dict[int, list[int]] = defaultdict(list)
    last = 0.0
    for each in said(500):
        assert each.at >= last
        last = each.at
        steps[each.case].append(each.step)
    assert len(steps) == 500
    assert all(found == [0, 1, 2, 3] for found in steps.values())


# letters


def test_an_event_is_a_kilobyte_of_its_kind_with_the_papers_of_nobody() -> None:
    writer = Writer("t", CODEC)
    for step, kind in enumerate(KINDS):
        event = orjson.loads(text := writer.event(Said(0.0, 42, step, 7)))
        assert 900 < len(text) <= 1030
        assert event["type"] == f"cn.tongban.{kind}"
        assert event["subject"] == f"{OPENING}/t-00000042"
        assert event["source"] == f"/partners/{side_of(step)}"
        assert event["id"].endswith(f"-{step + 1}")
        schema = CODEC.schemas.latest(kind)
        assert schema is not None
        datum = CODEC.check(schema, base64.b64decode(event["data_base64"]))
        assert isinstance(datum, dict)
        sealed = datum["sealed"]
        assert isinstance(sealed, dict)
        assert sealed["applicant"]["id_number"] == "110105190001010019"
        assert ("item" in event) is (step == 0)


def test_a_partners_names_of_one_case_end_in_rising_numbers() -> None:
    writer = Writer("t", CODEC)
    names = [orjson.loads(writer.event(Said(0.0, 1, step, 0)))["id"] for step in range(4)]
    assert len(set(names)) == 4
    assert len({name.rpartition("-")[0] for name in names[1:]}) == 1
    assert names[0].rpartition("-")[0] != names[1].rpartition("-")[0]


def test_a_request_is_a_signed_batch() -> None:
    raw = request(HALL, "b1", [b'{"a":1}', b'{"b":2}'], SigningKey.from_seed(bytes(32)))
    head, _, body = raw.partition(b"\r\n\r\n")
    assert orjson.loads(body) == [{"a": 1}, {"b": 2}]
    assert body_length(head + b"\r\n") == len(body)
    assert b"webhook-signature: v1a," in head
