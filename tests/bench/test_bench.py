"""The pure pieces of the bench. No figure is judged here: times belong into ``make bench``."""

from __future__ import annotations

import asyncio
import itertools
import os
import subprocess
import sys
import time
from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench import letters, report, tables
from bench.lean_http import Answering, Asking, Framer, body_length, closes, header, status_of
from bench.letters import Order
from bench.load import Load
from bench.measure import Meter, Neighbours, cpu_of_stat, memory, memory_of_status, percentile
from bench.occasion import Occasion
from bench.results import Latency, Part, Restart, Results, Road
from bench.road import read_arguments, sizes
from bench.steps import measure_all
from bench.stub import Partner
from broker.core.signatures import SigningKey, verify
from broker.log.schema.schemas import SchemaSet
from broker.log.values.codec import Codec

KEY = SigningKey.from_seed(b"k" * 32)


def _message(body: bytes) -> bytes:
    return b"POST /x HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % len(body) + body


# framing


@given(bodies=st.lists(st.binary(max_size=40), max_size=6), cuts=st.lists(st.integers(0, 400), max_size=12))
def test_messages_are_found_however_the_stream_is_cut(bodies: list[bytes], cuts: list[int]) -> None:
    stream = b"".join(map(_message, bodies))
    places = sorted({0, len(stream), *(min(cut, len(stream)) for cut in cuts)})
    framer = Framer()
    found = [body for start, end in itertools.pairwise(places) for _, body in framer.feed(stream[start:end])]
    assert found == bodies


def test_a_head_without_a_length_has_no_body() -> None:
    assert body_length(b"GET / HTTP/1.1\r\nHost: x\r\n") == 0
    assert body_length(b"HTTP/1.1 200 OK\r\ncontent-length: 7\r\n") == 7


def test_a_header_is_found_by_its_whole_name() -> None:
    head = b"POST / HTTP/1.1\r\nx-webhook-id: no\r\nwebhook-id: 451300_a\r\n"
    assert header(head, b"webhook-id") == b"451300_a"
    assert header(head, b"webhook-timestamp") == b""


# figures


@given(values=st.lists(st.floats(0, 1e6), min_size=1, max_size=50), percent=st.integers(1, 100))
def test_a_percentile_is_the_least_value_that_covers_its_share(values: list[float], percent: int) -> None:
    found = percentile(values, percent)
    assert found in values
    assert sum(value <= found for value in values) * 100 >= percent * len(values)
    assert sum(value < found for value in values) * 100 < percent * len(values)


def test_a_process_name_may_hold_brackets_and_spaces() -> None:
    stat = "7 (a b) (c)) S 1 1 1 0 -1 4 0 0 0 0 250 150 0 0 20 0 5 0 1 1 1"
    assert cpu_of_stat(stat) * os.sysconf("SC_CLK_TCK") == 400


def test_memory_is_read_in_mebibytes() -> None:
    found = memory_of_status("Name:\tx\nVmHWM:\t  2048 kB\nVmRSS:\t  1024 kB\nThreads:\t1\n")
    assert (found.rss_mb, found.peak_mb) == (1.0, 2.0)


def test_a_meter_reads_a_process_that_runs() -> None:
    meter = Meter({"self": os.getpid()})
    end = time.process_time() + 0.05
    while time.process_time() < end:
        sum(range(1000))
    assert meter.cpu()["self"] > 0
    resident_mb = memory(os.getpid()).rss_mb
    assert resident_mb > 1
    assert meter.peaks()["self"] > resident_mb - 1  # the kernel counts pages in batches


def test_own_work_and_that_of_ended_children_is_not_the_neighbours() -> None:
    neighbours = Neighbours([])
    subprocess.run([sys.executable, "-c", "sum(range(3_000_000))"], check=True)
    sum(range(3_000_000))
    assert 0 <= neighbours.share() <= 1


# messages


def _order(**changes: object) -> Order:
    facts: dict[str, object] = {
        "run": "r",
        "cases_of": "r",
        "sender": "451300",
        "destination": "430423",
        "messages": 40,
        "cases": 10,
    }
    return Order(**{**facts, **changes})  # type: ignore[arg-type]


def test_requests_are_signed_events_of_a_kilobyte_and_cases_are_opened_first(tmp_path: Path) -> None:
    made = letters.make(_order(), KEY, tmp_path / "r.requests")
    requests = letters.read_requests(made.path)
    assert (len(requests), made.opening, made.messages) == (40, 10, 40)
    assert letters.read_about(made.path) == made
    events = [orjson.loads(letters.body_of(request)) for request in requests]
    assert {event["type"] for event in events[:10]} == {"cn.tongban.case.submitted"}
    assert {event["type"] for event in events[10:]} == {"cn.tongban.case.urged"}
    assert {event["subject"] for event in events[10:]} <= {event["subject"] for event in events[:10]}
    assert len({event["id"] for event in events}) == 40
    assert abs(made.bytes_per_event - letters.EVENT_BYTES) < 16
    for request in requests:
        assert _signature_holds(request)


def test_batches_hold_all_events_and_never_mix_opening_with_others(tmp_path: Path) -> None:
    made = letters.make(_order(batch=4), KEY, tmp_path / "r.requests")
    requests = letters.read_requests(made.path)
    assert made.opening == 3
    batches = [orjson.loads(letters.body_of(request)) for request in requests]
    assert sum(map(len, batches)) == 40
    assert all(len({event["type"] for event in batch}) == 1 for batch in batches)
    assert all(map(_signature_holds, requests))


def test_cases_that_are_open_are_not_opened_again(tmp_path: Path) -> None:
    made = letters.make(_order(run="s", opened=True), KEY, tmp_path / "s.requests")
    assert made.opening == 0
    first = orjson.loads(letters.body_of(letters.read_requests(made.path)[0]))
    assert first["type"] == "cn.tongban.case.urged"
    assert first["subject"].startswith("451300/r-")


def test_the_data_is_avro_of_its_schema(tmp_path: Path) -> None:
    import base64

    made = letters.make(_order(messages=1), KEY, tmp_path / "r.requests")
    event = orjson.loads(letters.body_of(letters.read_requests(made.path)[0]))
    codec = Codec(SchemaSet.load())
    schema = codec.schemas.by_dataschema(event["dataschema"])
    assert schema is not None
    decoded = codec.decode(codec.frame(schema, base64.b64decode(event["data_base64"])))
    assert decoded.datum["title"] == "新生儿落户登记"


def test_draws_follow_zipfs_law() -> None:
    drawn = letters.zipf(100, 1.0, 20_000, seed=1)
    assert 3 < drawn.count(0) / drawn.count(4) < 8
    assert set(drawn) <= set(range(100))


def _signature_holds(request: bytes) -> bool:
    head = request[: request.index(b"\r\n\r\n") + 2]
    timestamp = int(header(head, b"webhook-timestamp"))
    fault = verify(
        header(head, b"webhook-signature").decode(),
        header(head, b"webhook-id").decode(),
        timestamp,
        letters.body_of(request),
        now_s=timestamp,
        public_keys=[KEY.verify_key],
        secrets=[],
    )
    return fault is None


def test_every_step_of_the_three_stages_is_measured(tmp_path: Path) -> None:
    found = measure_all(tmp_path, seconds=0.001)
    assert {name.partition(":")[0] for name in found} == {"intake", "exchange", "delivery"}
    assert all(cost_us > 0 for cost_us in found.values())


# load generator and partner


async def test_nothing_is_sent_before_the_cases_are_open_and_a_503_is_sent_again() -> None:
    seen: list[bytes] = []

    def answer(head: bytes, body: bytes) -> bytes:
        del head
        seen.append(body)
        busy = body == b"2" and seen.count(b"2") == 1
        said = b"503 Busy\r\nConnection: close" if busy else b"202 Accepted"
        return b"HTTP/1.1 %s\r\nContent-Length: 0\r\n\r\n" % said

    server = await asyncio.get_running_loop().create_server(lambda: Answering(answer), "127.0.0.1", 0)
    load = Load([_message(b"%d" % number) for number in range(20)], opening=5, rate=0)
    await load.run(server.sockets[0].getsockname()[1], connections=4)
    server.close()
    assert sorted(seen[:6]) == [b"0", b"1", b"2", b"2", b"3", b"4"]
    assert {*seen} == {b"%d" % number for number in range(20)}
    assert load.statuses == {202: 20, 503: 1}
    assert load.first_fault is None
    assert all(answered >= due > 0 for due, answered in zip(load.due_at, load.answered_at, strict=True))


async def test_a_refusal_and_a_lost_connection_are_told() -> None:
    def refuse(head: bytes, body: bytes) -> bytes:
        del head, body
        return b"HTTP/1.1 400 Bad\r\nContent-Length: 3\r\n\r\nwhy"

    class Hangs(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            transport.close()

    for factory, told in ((lambda: Answering(refuse), "why"), (Hangs, "closed")):
        server = await asyncio.get_running_loop().create_server(factory, "127.0.0.1", 0)
        load = Load([_message(b"")] * 3, opening=0, rate=0)
        async with asyncio.timeout(10):
            await load.run(server.sockets[0].getsockname()[1], connections=1)
        server.close()
        assert told in (load.first_fault or "")


async def test_at_a_rate_requests_are_due_at_even_times() -> None:
    def accept(head: bytes, body: bytes) -> bytes:
        del head, body
        return b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n"

    server = await asyncio.get_running_loop().create_server(lambda: Answering(accept), "127.0.0.1", 0)
    load = Load([_message(b"")] * 10, opening=0, rate=200)
    await load.run(server.sockets[0].getsockname()[1], connections=2)
    server.close()
    gaps = [later - due for due, later in zip(load.due_at, load.due_at[1:], strict=False)]
    assert gaps == pytest.approx([0.005] * 9, abs=1e-6)


def test_the_partner_has_one_effect_for_each_webhook_id() -> None:
    partner = Partner(detailed=True)
    head = b"POST /inbox HTTP/1.1\r\nwebhook-id: 451300_a\r\n"
    for _ in range(2):
        answer = partner.answer(head, b'{"acceptedtime":"2026-01-01T00:00:00.000Z"}')
        assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert (len(partner.effects), partner.repeats) == (1, 1)
    assert partner.accepted == {b"451300_a": "2026-01-01T00:00:00.000Z"}
    told = partner.answer(b"GET / HTTP/1.1\r\n", b"")
    assert orjson.loads(told.partition(b"\r\n\r\n")[2])["effects"] == 1


def test_asking_hears_the_status_and_the_body() -> None:
    heard: list[tuple[int, bool, bytes]] = []
    asking = Asking(lambda _, head, body: heard.append((status_of(head), closes(head), body)), lambda _: None)
    asking.data_received(b"HTTP/1.1 202 Accepted\r\nContent-Length: 2\r\n\r\n{}")
    asking.data_received(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
    assert heard == [(202, False, b"{}"), (503, True, b"")]


# report


def _road(rate: float, cpu_us: float = 500.0) -> Road:
    return Road(
        messages=1000,
        seconds=1000 / rate,
        accepted_s=500 / rate,
        cpu_us={"serve": cpu_us, "Kafka": 200.0},
        peak_mb={"serve": 120.0, "Kafka": 230.0},
        rss_mb={10: 100.0, 100: 120.0},
    )


def _results(**changes: object) -> Results:
    names = ("raw produce", "raw consume", "intake", "exchange", "delivery", "delivery by aiohttp", "store")
    facts: dict[str, object] = {
        "occasion": Occasion(
            command="python -m bench.road",
            date="2026-01-01 00:00 UTC",
            machine={"cores": "2"},
            other_load=0.01,
        ),
        "quick": False,
        "parts": {name: Part(messages=1000, seconds=0.1, cpu_us=100.0) for name in names},
        "single": _road(2500),
        "staged": _road(1500),
        "batches": _road(5999),
        "stages": {
            "intake": Part(messages=1000, seconds=0.125, cpu_us=100.0),
            "exchange": Part(messages=1000, seconds=0.2, cpu_us=100.0),
        },
        "latency": Latency(
            rate=200, messages=100, accepted_p50=5, accepted_p99=20, sent_p50=8, sent_p99=30, answer_p50=3,
            answer_p99=9, hops_p50=4, hops_p99=10, broker_us=900,
        ),
        "restart": Restart(after_stop_s=2, after_kill_s=9, ledger_records=5000, start_s=1.5),
    }  # fmt: skip
    return Results(**{**facts, **changes})  # type: ignore[arg-type]


def test_each_goal_is_judged_by_its_own_figure() -> None:
    verdicts = {goal.what: goal.met for goal in report.goals(_results())}
    assert verdicts == {
        "end to end, signed, one message per request": True,
        "the same with a process for each stage": False,
        "end to end, batches of 100, mailbox": False,
        "CPU per message, bare parts where aiohttp delivers": True,
        "CPU per message, bare parts where our own client delivers": None,
        "intake alone": True,
        "exchange alone": False,
        "p99 from accepted to delivered at 200/s": True,
        "memory of `tongban serve`, peak after 1,000 messages": None,
        "restart to first delivery, 5,000 records on the ledger": None,
    }


def test_the_sum_of_bare_parts_has_every_part_of_one_messages_road() -> None:
    results = _results()
    assert report.bare_sum_us(results, "delivery") == 500.0
    results.parts["store"].cpu_us = 1.0
    assert report.bare_sum_us(results, "delivery") == 401.0


def test_runs_that_others_disturbed_are_named() -> None:
    page = report.render(_results(others={"single": 0.02, "staged": 0.4}))
    assert "2% during single, 40% during staged; **the figures of these runs say little: staged**" in page


def test_too_much_memory_is_a_goal_missed_however_short_the_run() -> None:
    road = _road(2500)
    road.peak_mb["serve"] = 251.0
    verdicts = {goal.what: goal.met for goal in report.goals(_results(single=road))}
    assert verdicts["memory of `tongban serve`, peak after 1,000 messages"] is False


def test_the_page_names_the_run_and_says_what_is_not_met() -> None:
    page = report.render(_results())
    assert "`python -m bench.road`, 2026-01-01 00:00 UTC" in page
    assert "| end to end, batches of 100, mailbox | ≥ 6,000/s | 5,999/s |" in page
    assert page.count("**not met**") == 3
    assert "nan" not in page


def test_runs_that_were_not_made_are_left_out() -> None:
    page = report.render(
        _results(single=None, staged=None, batches=None, latency=None, restart=None, stages={})
    )
    assert "## Latency" not in page
    assert "end to end" not in page.partition("## How")[0].partition("## Goals")[2]


def test_a_table_cell_cannot_break_its_row() -> None:
    assert tables.table(("a", "b"), [("x|y", "z")]) == ["| a | b |", "| --- | --- |", "| x&#124;y | z |"]


def test_a_quick_run_is_small_and_unknown_runs_are_refused() -> None:
    assert sizes(read_arguments(["--quick"])).single < sizes(read_arguments([])).single
    with pytest.raises(SystemExit):
        read_arguments(["--only", "nonsense"])
