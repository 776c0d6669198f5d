"""The hall's bench: its two years, its letters, its sender and its report. No figure is judged here."""

from __future__ import annotations

import asyncio
import base64
import itertools
from collections import Counter, defaultdict
from collections.abc import Iterator

import orjson
import pytest

from bench import hall, hall_report, pages, rebuild
from bench.hall_days import ITEMS, KINDS, MINUTES, PER_DAY, UNITS, Said, items, opened, said
from bench.hall_letters import HALL, OPENING, SIDES, Writer, request, side_of
from bench.hall_load import Batch, Load, Plan
from bench.hall_run import HallRun, Road, Tenth, Watch, broker_memory
from bench.house import free_port
from bench.lean_http import Answering, body_length
from bench.results import Part
from broker.core.signatures import SigningKey
from broker.log.codec import Codec
from broker.log.schemas import SchemaSet

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


# the sender


def _plan(sequence: Iterator[Said], size: int) -> Plan:
    return Plan(sequence, Writer("t", CODEC), size)


def test_batches_hold_all_messages_and_wait_for_those_before_them() -> None:
    plan = _plan(said(400), 50)
    batches: list[Batch] = []
    while (batch := plan.next()) is not None:
        batches.append(batch)
    assert sum(len(batch.events) for batch in batches) == 1600
    where = {
        orjson.loads(event)["id"].rpartition("x")[2]: batch.number
        for batch in batches
        for event in batch.events
    }
    by_number = {batch.number: batch for batch in batches}
    for name, number in where.items():
        case, _, step = name.rpartition("-")
        if int(step) > 1:
            before = where[f"{case}-{int(step) - 1}"]
            assert before == number or before in by_number[number].after


def test_a_batch_knows_when_it_waits_for_one_that_is_not_full() -> None:
    sequence = [Said(0.0, 0, 0, 0), Said(1.0, 0, 1, 0)]
    plan = _plan(iter([*sequence, Said(2.0, 1, 0, 0)]), 1)
    first = plan.next()
    second = plan.next()
    assert first is not None
    assert second is not None
    assert second.after == {first.number}
    assert not plan.waits_for_building(second)
    slow = _plan(iter(sequence), 2)
    third = slow.next()
    assert third is not None, "the end makes batches that are not full"
    fourth = slow.next()
    assert fourth is not None
    assert fourth.after == {third.number}
    assert slow.next() is None


async def test_the_ledger_gets_every_case_in_order_though_the_broker_turns_batches_away() -> None:
    taken: list[str] = []
    turned_away: list[bytes] = []

    def answer(head: bytes, body: bytes) -> bytes:
        del head
        if len(turned_away) < 5:
            turned_away.append(body)
            return b"HTTP/1.1 503 No\r\nRetry-After: 0\r\nContent-Length: 0\r\n\r\n"
        taken.extend(event["id"] for event in orjson.loads(body))
        return b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n"

    port = free_port()
    server = await asyncio.get_running_loop().create_server(lambda: Answering(answer), "127.0.0.1", port)
    keys = {side: SigningKey.from_seed(bytes(32)) for side in SIDES}
    load = Load(_plan(said(300), 40), keys, "t", 2)
    async with asyncio.timeout(30):
        await load.run(port)
    server.close()
    assert (load.taken, load.first_fault, load.statuses[503]) == (1200, None, 5)
    last: dict[str, int] = {}
    for name in taken:
        case, _, step = name.rpartition("x")[2].partition("-")
        assert int(step) == last.get(case, 0) + 1
        last[case] = int(step)
    assert len(last) == 300


async def test_a_refusal_ends_the_load_and_is_told() -> None:
    told = orjson.dumps({"results": [{"status": 202}, {"status": 409, "code": "case-exists"}]})
    answer = b"HTTP/1.1 207 Multi\r\nContent-Length: %d\r\n\r\n%b" % (len(told), told)
    port = free_port()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Answering(lambda head, body: answer), "127.0.0.1", port)
    keys = {side: SigningKey.from_seed(bytes(32)) for side in SIDES}
    load = Load(_plan(said(100), 40), keys, "t", 1)
    async with asyncio.timeout(30):
        await load.run(port)
    server.close()
    assert load.first_fault is not None
    assert "case-exists" in load.first_fault


# figures and report


def _run(**changes: object) -> HallRun:
    made = HallRun(
        road="http",
        processes="intake/exchange/delivery",
        cases=100,
        messages=2_000_000,
        seconds=500.0,
        accepted_s=490.0,
        cpu_us={"serve intake": 100.0, "Kafka": 50.0},
        peak_mb={"serve intake": 150.0},
        tenths=[
            Tenth(messages=40, seconds=0.01, cpu_us={"serve intake": 100.0 + n, "Kafka": 5.0})
            for n in range(10)
        ],
        rss_mb={"serve intake": [100.0, 110.0, 111.0, 112.0], "Kafka": [1.0]},
    )
    for name, value in changes.items():
        setattr(made, name, value)
    return made


def _found(run: HallRun, **changes: object) -> hall.Found:
    made = hall.Found(command="c", date="d", machine={"cores": "2"}, other_load=0.0, share=0.01, main=run)
    made.raw = {name: Part(messages=10, seconds=1.0, cpu_us=1.0) for name in ("raw produce", "raw consume")}
    for name, value in changes.items():
        setattr(made, name, value)
    return made


def test_the_goals_are_judged_by_rate_time_drift_and_memory() -> None:
    assert [goal.met for goal in hall_report.goals(_found(_run()))] == [True, True, True, True]
    slow = _run(seconds=1000.0)
    assert [goal.met for goal in hall_report.goals(_found(slow))] == [False, False, True, True]
    assert hall_report.projected_minutes(slow) == pytest.approx(90.0)
    assert [goal.met for goal in hall_report.goals(_found(_run(messages=2000, seconds=0.5)))][2] is None
    drifting = _run()
    drifting.tenths[-1].cpu_us["serve intake"] = 150.0
    assert [goal.met for goal in hall_report.goals(_found(drifting))][2] is False
    growing = _run(rss_mb={"serve intake": [100.0, 100.0, 100.0, 200.0]})
    assert [goal.met for goal in hall_report.goals(_found(growing))][3] is False


def test_an_interrupted_run_decides_no_rate() -> None:
    found = list(hall_report.goals(_found(_run(whole=False))))
    assert found[0].met is None
    assert "interrupted" in hall_report.section(_found(_run(whole=False)))


def test_the_section_names_both_roads_and_what_others_used() -> None:
    text = hall_report.section(_found(_run(), trials=[_run(), _run(road="mailbox")], others=0.5))
    assert text.startswith(hall_report.HEADING)
    assert "| mailbox, 2,000,000 messages |" in text
    assert "the figures say little" in text


def test_memory_is_that_of_the_brokers_processes_together() -> None:
    run = _run(rss_mb={"serve a": [1.0, 2.0], "serve b": [10.0, 20.0, 30.0], "Kafka": [500.0]})
    assert broker_memory(run, (0.0, 1.0)) == [11.0, 22.0]
    assert broker_memory(_run(rss_mb={}), (0.0,)) == []


def test_each_tenth_is_marked_once_and_told() -> None:
    lines: list[str] = []
    watch = Watch({"serve": 1}, 100, lines.append)
    for settled in (0, 5, 10, 10, 55, 100):
        watch.look(settled)
    made = watch.result(
        hall_road(), 25, 100, 2.0,
        {"cpu_s": 1.0, "peak_mb": 1.0, "first_sent": 1.0, "last_answer": 1.5, "statuses": {"202": 3, "503": 2}},
    )  # fmt: skip
    assert [tenth.messages for tenth in made.tenths] == [10, 45, 45]
    assert len(lines) == 3
    assert (made.rate, made.put_off) == (100.0, 2)


def hall_road() -> Road:
    return Road(connector="http", processes="intake", batch=1, connections=1)


def test_wrong_shares_are_refused_and_full_is_all() -> None:
    assert hall.read_arguments(["--full"]).share == 1.0
    assert hall.read_arguments([]).share == 0.01
    for words in (["--share", "0"], ["--share", "1.5"], ["--road", "pigeon"]):
        with pytest.raises(SystemExit):
            hall.read_arguments(words)


def test_the_rebuilds_middle_run_counts() -> None:
    found = rebuild.Rebuilt(command="c", date="d", machine={}, other_load=0.0, records=30_000)
    found.runs = [{"seconds": s, "cpu_s": 1.0, "peak_mb": 100.0} for s in (4.0, 1.0, 2.0)]
    found.raw = {"raw consume": Part(messages=10, seconds=1.0, cpu_us=1.0)}
    assert found.rate == 15_000
    assert [goal.met for goal in rebuild.goals(found)] == [True]
    assert rebuild.section(found).startswith(rebuild.HEADING)


# pages


def test_a_section_takes_the_place_of_its_own_and_of_no_other() -> None:
    page = "# Benchmarks\n\n## One\n\na\n"
    two = pages.with_section(page, "## Two", "## Two\n\nb\n")
    three = pages.with_section(two, "## Three", "## Three\n\nc\n")
    again = pages.with_section(three, "## Two", "## Two\n\nnew\n")
    assert again == "# Benchmarks\n\n## One\n\na\n\n## Two\n\nnew\n\n## Three\n\nc\n"
    assert pages.section_of(again, "## Two") == "## Two\n\nnew\n"
    assert pages.section_of(again, "## Four") == ""


def test_a_page_made_anew_keeps_what_others_made() -> None:
    before = "# Old\n\n## Two\n\nb\n\n## Three\n\nc\n"
    assert (
        pages.kept("# New\n", before, ("## Three", "## Two", "## Four"))
        == "# New\n\n## Three\n\nc\n\n## Two\n\nb\n"
    )
