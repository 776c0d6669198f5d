"""The delivery bench: its records, its partner, its plan and its report. No figure is judged here."""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench import delivery_report, pages
from bench.crew import listening
from bench.delivery import Delivered, outbox_of, plan, read_arguments
from bench.delivery_lanes import measure
from bench.delivery_partner import Program, Stats, Stub, partner
from bench.delivery_peers import CONTENDERS, Job
from bench.delivery_records import Load, Maker, draw, enough
from bench.delivery_runs import Figure, middle
from bench.house import free_port
from bench.occasion import Occasion
from bench.peers.asking import LeanClient, name_of
from broker.core.ids import PartnerId
from broker.core.message import MessageClass, from_record
from broker.core.records import Position, Record

PARTNER = PartnerId("430423-t")

# records


def test_cases_follow_zipfs_law_and_are_the_same_every_time() -> None:
    drawn = draw(50_000, 1.0, cases=1000)
    assert drawn == draw(50_000, 1.0, cases=1000)
    counted = Counter(drawn)
    assert max(counted, key=lambda case: counted[case]) == 1
    assert 1.6 < counted[1] / counted[2] < 2.4
    assert 8 < counted[1] / counted[10] < 12


def test_the_bound_is_the_hottest_cases() -> None:
    load = Load(partner=PARTNER, records=1000, hottest=10)
    assert load.bound(0.01) == pytest.approx(10_000)
    assert load.bound(0.0) is None


@given(cases=st.lists(st.integers(1, 5), min_size=1, max_size=30))
def test_records_are_messages_named_by_case_and_number_on_a_ledger_that_only_rises(cases: list[int]) -> None:
    maker = Maker()
    numbers: Counter[int] = Counter()
    last: dict[int, int] = {}
    for case in cases:
        new = maker.record(PARTNER, case, MessageClass.RECEIPT)
        numbers[case] += 1
        assert name_of(new.value).decode() == f"z{case}-{numbers[case]}"
        record = Record(
            position=Position(new.topic, new.partition or 0, 0),
            timestamp_ms=0,
            key=new.key,
            value=new.value,
            headers=new.headers,
        )
        message = from_record(record)
        assert message.id == f"z{case}-{numbers[case]}"
        assert len(new.value) == 1024
        source = message.source_position
        assert source is not None
        assert source.offset > last.get(source.partition, -1)
        last[source.partition] = source.offset


# the partner


@asynccontextmanager
async def stub(language: str, folder: Path) -> AsyncIterator[Stub]:
    if language == "best":
        async with partner(folder, folder) as started:
            yield started
        return
    port = free_port()
    child = Program("partner", [sys.executable, "-m", "bench.delivery_stub", "-port", str(port)], folder)
    try:
        await listening(port, child)
        yield Stub(child, port, "Python")
    finally:
        await child.stop()


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    return tmp_path


@pytest.mark.parametrize("language", ["best", "Python"])
async def test_the_partner_sees_repeats_and_what_is_out_of_order(here: Path, language: str) -> None:
    async with stub(language, here) as started:
        client = LeanClient(started.url, 4)
        await started.reset(detailed=True)
        for name in (b"z1-1", b"z1-2", b"z2-2", b"z2-1", b"z1-2", b"z1-3", b"nonsense"):
            await client.post(name, b"\0\0\0\0\1" + name + b" x")
        stats = await started.stats()
        assert (stats.effects, stats.doubled, stats.out_of_order, stats.unnamed) == (5, 1, 1, 1)
        assert stats.requests == 7
        assert list(await started.arrivals()) == ["z1-1", "z1-2", "z2-2", "z2-1", "z1-3"]
        await started.reset()
        assert (await started.stats()).effects == 0


@pytest.mark.parametrize("language", ["best", "Python"])
async def test_the_partner_is_slow_and_sick_when_told(here: Path, language: str) -> None:
    async with stub(language, here) as started:
        await started.reset(delay_s=0.1)
        loop = asyncio.get_running_loop()
        began = loop.time()
        await LeanClient(started.url, 1).post(b"z1-1", b"x")
        assert loop.time() - began >= 0.1
        await started.sicken("hung", 3)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(LeanClient(f"{started.url}/p/3", 1).post(b"z1-2", b"x"), 0.3)
        await LeanClient(f"{started.url}/p/4", 1).post(b"z1-3", b"x")
        await started.sicken("dead", 3)
        with pytest.raises(ConnectionError):
            await LeanClient(f"{started.url}/p/6", 1).post(b"z1-4", b"x")
        await started.sicken("none", 0)
        await LeanClient(f"{started.url}/p/6", 1).post(b"z1-5", b"x")
        assert (await started.stats()).effects == 3


@pytest.mark.parametrize("language", ["best", "Python"])
async def test_the_partner_answers_a_batch_message_by_message(here: Path, language: str) -> None:
    async with stub(language, here) as started:
        await started.reset()
        reader, writer = await asyncio.open_connection("127.0.0.1", started.port)
        body = b'[{"specversion":"1.0","id":"z1-1"},{"id":"z2-1"}]'
        writer.write(
            b"POST /inbox HTTP/1.1\r\nContent-Type: application/cloudevents-batch+json\r\n"
            b"Content-Length: %d\r\n\r\n" % len(body) + body
        )
        told = await reader.readuntil(b"]}")
        writer.close()
        assert b'{"id":"z1-1","status":200}' in told
        assert b'{"id":"z2-1","status":200}' in told
        assert (await started.stats()).effects == 2


# plan and report


def figure(contender: str, delay_ms: float = 0.0, rate: float = 1000.0, **more: object) -> Figure:
    given: dict[str, object] = {
        "contender": contender, "exponent": 0.6, "delay_ms": delay_ms, "records": 100, "rate": rate, "bound": None,
        "cpu_us": 100.0, "peak_mb": 50.0, "out_of_order": 0, "doubled": 0, "lost": 0, "partner_cpu_us": 5.0,
        "start_s": 1.0, **more,
    }  # fmt: skip
    return Figure(**given)  # type: ignore[arg-type]


def delivered(*figures: Figure, **trials: object) -> Delivered:
    return Delivered(
        occasion=Occasion(command="x", date="x", machine={"cores": "2"}, other_load=0.0), quick=False, figures=list(figures),
        partner={"language": "Go", "rate": 9.0, "cpu_us": 1.0}, trials=dict(trials),
    )  # fmt: skip


def test_the_median_run_counts_and_the_worst_faults() -> None:
    runs = [
        figure("tongban", rate=1.0, lost=3),
        figure("tongban", rate=9.0),
        figure("tongban", rate=2.0, peak_mb=99.0),
    ]
    found = middle(runs)
    assert (found.rate, found.lost, found.peak_mb, found.runs) == (2.0, 3, 99.0, 3)


def test_goals_are_ratios_of_the_same_run() -> None:
    slow, fast = figure("pc", rate=1000.0), figure("pc-core", rate=500.0)
    for rate, met in ((1300.0, True), (1299.0, False)):
        goals = list(
            delivery_report.goals(
                {_key(each): each for each in (figure("tongban", rate=rate), slow, fast)}, {}
            )
        )
        assert [goal.met for goal in goals] == [met]
    bounded = figure("tongban", delay_ms=50.0, rate=91.0, bound=100.0)
    (goal,) = delivery_report.goals({_key(bounded): bounded}, {})
    assert (goal.met, goal.ratio) == (False, "0.91")
    signed = figure("tongban-signed", rate=700.0, cpu_us=300.0)
    judged = list(delivery_report.goals({_key(each): each for each in (signed, slow)}, {}))
    assert [goal.met for goal in judged] == [True, False]


def _key(each: Figure) -> tuple[str, float, float]:
    return each.contender, each.exponent, each.delay_ms


def test_the_report_shows_faults_what_was_cut_and_what_was_not_run() -> None:
    text = delivery_report.section(
        _with_missing(
            delivered(
                figure("tongban"),
                figure("pyrallel", out_of_order=3),
                figure("plain", cut=True),
                figure("tongban", delay_ms=50.0, bound=1900.0),
            )
        )
    )
    assert "**3 out of order**" in text
    assert "1,000\\*" in text
    assert "not run: no JDK" in text
    assert "| bound set by the hottest case | – | 1,900 |" in text


def _with_missing(found: Delivered) -> Delivered:
    found.missing["pc"] = "no JDK"
    return found


def test_every_trial_has_its_table_and_goals() -> None:
    kill = {
        "contender": "tongban",
        "lost": 0,
        "replayed": 900,
        "in_flight": 256,
        "out_of_order": 0,
        "first_s": 1.0,
    }
    phases = {
        name: {"p50": 1.0, "p99": p99, "records": 5}
        for name, p99 in (("before", 10.0), ("hung", 11.0), ("dead", 13.0))
    }
    found = delivered(
        kill=[kill, {"contender": "pc", "missing": "no JDK"}],
        two={"one": {"rate": 1.0}, "two": {"rate": 2.0}, "ratio": 2.0},
        partners={"partners": [10, 340], "rates": [5.0, 4.0], "cpu_us": [1.0, 1.0], "ratio": 0.8},
        lanes={"rows": [{"lanes": 5, "bytes_per_lane": 300.0, "per_s": 1.0}], "ratio": 0.9},
        sick={**phases, "missing": 0},
        backlog={"records": 5, "rate": 1.0, "median_tenth": 1.0, "marks": [{"percent": 10, "rate": 1.0, "rss_mb": 9.0}]},
    )  # fmt: skip
    verdicts = [goal.met for goal in delivery_report.goals({}, found.trials)]
    assert verdicts == [False, True, False, True, True, True, False]
    text = delivery_report.section(found)
    assert text.count("### Trial") == 6


def test_the_section_is_put_into_the_page_once_and_kept() -> None:
    page = "# Benchmarks\n\nroad\n"
    heading = delivery_report.HEADING
    once = pages.with_section(page, heading, delivery_report.section(delivered(figure("tongban"))))
    again = pages.with_section(once, heading, delivery_report.section(delivered(figure("tongban", rate=5.0))))
    assert once.startswith(page.rstrip())
    assert again.count(delivery_report.HEADING) == 1
    assert pages.with_section(page, heading, pages.section_of(again, heading)) == again


def test_the_default_plan_is_bounded_and_covers_what_the_goals_need() -> None:
    turns = list(plan(read_arguments([])))
    assert {turn.contender for turn in turns} == set(CONTENDERS) - {"pc-sync"}
    needed = {("tongban", 0.6, delay) for delay in (0, 5, 10, 50, 100)} | {
        ("tongban", 1.0, 10),
        ("pc", 1.0, 0),
    }
    assert needed <= {(turn.contender, turn.exponent, turn.delay_s * 1000) for turn in turns}
    assert sum(turn.runs for turn in turns) < 120
    assert len(list(plan(read_arguments(["--full"])))) > len(turns)
    outboxes = {outbox_of(turn.exponent, turn.records, CONTENDERS[turn.contender].receipts) for turn in turns}
    assert len(outboxes) <= 16


@given(exponent=st.sampled_from([0.6, 1.0]), delay_ms=st.integers(0, 200))
def test_no_run_is_longer_than_order_per_case_should_take(exponent: float, delay_ms: int) -> None:
    records = enough(20_000, exponent, delay_ms / 1000, 6.0)
    assert 200 <= records <= 20_000
    hottest = records / sum(each**-exponent for each in range(1, 10_001))
    assert records == 200 or hottest * delay_ms / 1000 <= 6.1


@pytest.mark.parametrize("words", [["--only", "nonsense"], ["--trial", "nonsense"], ["--delays", "soon"]])
def test_wrong_words_are_refused(words: list[str]) -> None:
    with pytest.raises(SystemExit):
        read_arguments(words)


def test_our_own_command_is_told_everything() -> None:
    job = Job(bootstrap="b", partner=PARTNER, group="g", member="m", url="u", folder=Path("f"))
    command = CONTENDERS["tongban-batch"].command(job, Path("out"))
    assert command[1:3] == ["-m", "bench.peers.tongban"]
    assert command[command.index("--mode") + 1] == "batch"
    assert command[command.index("--partners") + 1] == PARTNER


def test_open_lanes_are_counted_and_timed() -> None:
    (few,) = measure([5000])
    assert few["per_s"] > 1000
    assert 0 < few["bytes_per_lane"] < 2000


def test_the_rate_is_between_the_first_and_the_last_effect() -> None:
    stats = Stats(
        effects=100, doubled=0, out_of_order=0, unnamed=0, first_at=10.0, last_at=12.0, requests=100, connections=1,
        cpu_s=0.1, cases=5,
    )  # fmt: skip
    assert stats.rate == 50
