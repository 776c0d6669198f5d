"""``tongban partner``: what it shows of the view, and what it refuses before anything is written."""

from __future__ import annotations

from dataclasses import replace

import pytest
import typer

from broker.commands.acting import Written, actor, now_ms, words
from broker.commands.partners import partner_levers, standing
from broker.commands.partners.partner import app
from broker.commands.partners.pulling import NO_LIMITS, Limits, Pulled, probed, report
from broker.commands.partners.standing import Phase, Read, Standing
from broker.commands.partners.standing_document import document
from broker.commands.showing import age, clock, moment, plain
from broker.core.catalogue.directory import read_directory
from broker.core.ids import MessageId
from broker.core.message import parse_time
from broker.core.operating.levers import Levers
from broker.core.records import Position
from broker.errors import Unreachable, WrongUse
from broker.log.reading.lag import Exactness
from broker.store.view.messages import Backlog
from broker.store.view.standing import OnDesk, ParkedCases, Verdict
from broker.supervision.lag import StageLag
from tests.commands.desk_view import (
    DOCUMENTS,
    HENGSHAN,
    HENGYANG,
    HOUR_MS,
    LAIBIN,
    View,
    a_dossier,
    a_line,
    paused,
    put_owed,
)

NOW = now_ms()
BY = ("--by", "张三", "--reason", "对方机房割接")


def read(**facts: object) -> Read:
    plain_read = Read(
        directory=read_directory(DOCUMENTS),
        levers={},
        lines=[a_line(each, updated_at=NOW) for each in (LAIBIN, HENGSHAN, HENGYANG)],
        backlogs=[],
        parked={},
        desk={},
        now_ms=NOW,
    )
    return replace(plain_read, **facts)  # type: ignore[arg-type]


def of(found: list[Standing], partner: str = HENGSHAN) -> Standing:
    return next(each for each in found if each.id == partner)


def owed(count: int, oldest_at: int | None, partner: str = HENGSHAN) -> Backlog:
    return Backlog(
        partner=HENGSHAN if partner == HENGSHAN else LAIBIN,
        accepted=count,
        delivered=0,
        failed=0,
        owed=count,
        oldest_at=oldest_at,
    )


# how partners stand


def test_all_that_flow_need_nobody() -> None:
    found = standing.stand(read(), [])
    assert [each.phase for each in found] == [Phase.FLOWING] * 3
    assert not any(each.needs_person for each in found)
    assert [standing.sentence(each, NOW) for each in found] == [None] * 3


@pytest.mark.parametrize(
    ("facts", "phase", "says"),
    [
        ({"levers": {HENGSHAN: paused(now=NOW)}}, Phase.PAUSED, "paused for 12 min by 张三: 对方机房割接"),
        ({"lines": [a_line(phase="open", reason="503", since=NOW - 60_000, next_probe_at=NOW)]}, Phase.OPEN, "circuit open for 1 min: 503"),
        ({"lines": [a_line(phase="open", reason="410")]}, Phase.OPEN, "tongban partner probe 430423"),
        ({"lines": [a_line(phase="half-open")]}, Phase.HALF_OPEN, "a probe is under way"),
        ({"lines": [a_line(phase="faulty", reason="url")]}, Phase.FAULTY, "cannot be delivered to"),
        ({"desk": {HENGSHAN: OnDesk(open=3, overdue=1, redriven=0)}}, Phase.FLOWING, "3 on the desk, 1 overdue"),
    ],
)  # fmt: skip
def test_what_needs_a_person_comes_first_with_a_sentence(
    facts: dict[str, object], phase: Phase, says: str
) -> None:
    found = standing.stand(read(**facts), [])
    worst = found[0]
    assert (worst.id, worst.phase, worst.needs_person) == (HENGSHAN, phase, True)
    sentence = standing.sentence(worst, NOW)
    assert sentence is not None
    assert says in sentence
    assert sentence.startswith("430423 衡山县: ")


def test_a_pause_holds_whatever_the_workers_have_said_so_far() -> None:
    assert of(standing.stand(read(levers={HENGSHAN: paused()}), [])).phase is Phase.PAUSED


def test_the_worst_worker_s_word_is_the_partner_s() -> None:
    lines = [
        a_line(),
        a_line(worker="machine-2", phase="open", reason="timed out"),
        a_line(worker="machine-3"),
    ]
    found = of(standing.stand(read(lines=lines), []))
    assert (found.phase, found.why) == (Phase.OPEN, "timed out")
    assert (found.in_flight, found.waiting, found.held) == (6, 9, 3)


def test_a_worker_that_has_said_nothing_for_a_minute_is_not_believed() -> None:
    old = a_line(phase="open", worker="gone", updated_at=NOW - 61_000)
    found = of(standing.stand(read(lines=[a_line(updated_at=NOW), old]), []))
    assert (found.phase, len(found.heard), len(found.silent)) == (Phase.FLOWING, 1, 1)
    alone = of(standing.stand(read(lines=[old]), []))
    assert (alone.phase, alone.needs_person) == (Phase.SILENT, False)
    assert document(alone, NOW)["in_flight"] is None
    assert standing.row(alone, NOW)["fly/wait/held"] == "unknown"


def test_no_word_while_something_is_owed_needs_a_person() -> None:
    found = of(standing.stand(read(lines=[], backlogs=[owed(340, NOW - HOUR_MS)]), []))
    assert found.needs_person
    sentence = standing.sentence(found, NOW)
    assert sentence is not None
    assert "no word from any worker" in sentence
    assert "340 owed, the oldest 1 h" in sentence


def test_a_lag_that_was_not_measured_is_unknown_and_never_0() -> None:
    found = standing.stand(read(), [])[0]
    assert document(found, NOW)["lag"] == {"messages": None, "seconds": None, "exactness": "unknown"}
    assert standing.row(found, NOW)["lag"] == "unknown"
    lag = StageLag(
        stage="delivery",
        partner=LAIBIN,
        messages=0,
        seconds=0.0,
        exactness=Exactness.EXACT,
        partitions=2,
        of=2,
    )
    measured = of(standing.stand(read(), [lag]), LAIBIN)
    assert document(measured, NOW)["lag"] == {"messages": 0, "seconds": 0.0, "exactness": "exact"}


def test_a_partner_out_of_the_directory_that_is_owed_something_is_not_forgotten() -> None:
    directory = read_directory({name: text for name, text in DOCUMENTS.items() if HENGSHAN not in name})
    found = of(standing.stand(read(directory=directory, backlogs=[owed(2, NOW)], lines=[]), []))
    assert (found.name, found.limits, found.needs_person) == ("not in the directory", None, True)


def test_limits_in_force_are_the_lever_s_where_one_is_pulled() -> None:
    levers = {HENGSHAN: Levers(partner=HENGSHAN, in_flight=4, per_second=0.0)}
    found = of(standing.stand(read(levers=levers), []))
    assert found.limits is not None
    assert (found.limits.in_flight, found.limits.per_second, found.limits.batch) == (4, 0.0, 1)
    assert standing.pulled_limits(found) == ["in_flight", "per_second"]


def test_partners_are_sorted_worst_first() -> None:
    lines = [
        a_line(LAIBIN, phase="open", reason="503"),
        a_line(HENGYANG, phase="faulty", reason="url"),
        a_line(),
    ]
    desk = {HENGSHAN: OnDesk(open=1, overdue=0, redriven=0)}
    found = standing.stand(read(lines=lines, desk=desk), [])
    assert [each.id for each in found] == [HENGYANG, LAIBIN, HENGSHAN]


def test_the_page_of_a_partner_has_everything_that_a_row_has() -> None:
    facts = {"parked": {HENGSHAN: ParkedCases(cases=2, next_at=NOW)}, "backlogs": [owed(5, NOW - 1000)]}
    found = document(of(standing.stand(read(**facts), [])), NOW)
    assert found["parked"] == 2
    assert found["owed"] == 5
    assert found["workers"]
    assert found["limits"] == {
        "in_flight": 64, "per_second": 0.0, "batch": 1, "queue_bytes": 16 << 20, "by_lever": []
    }  # fmt: skip


# the command over a real store


def test_status_shows_the_view_when_kafka_is_away_and_says_that_the_lag_is_unknown(view: View) -> None:
    view.put(dossiers=[a_dossier(1)], lines=[a_line()], levers=[paused()])
    view.write(lambda connection: put_owed(connection, HENGSHAN, 7))
    code, out, err = view.run(app, "status")
    assert code == 3
    assert "the lag is unknown" in err
    assert "430423 衡山县: paused for 12 min by 张三: 对方机房割接; tongban partner resume 430423" in out
    assert "7 owed" in out
    assert "1 on the desk" in out
    code, rows = view.json(app, "status", HENGSHAN)
    assert code == 3
    assert [(row["partner"], row["phase"], row["owed"]) for row in rows] == [(HENGSHAN, "paused", 7)]
    code, out, _ = view.run(app, "status", HENGSHAN)
    assert code == 3
    assert "machine-1" in out
    assert "值班室" in out


def test_what_a_partner_s_answer_says_cannot_paint_the_screen(view: View) -> None:
    view.put(lines=[a_line(phase="open", reason="\x1b[2J[/red] gone")])
    _, out, _ = view.run(app, "status", HENGSHAN)
    assert "\x1b[2J" not in out
    assert "[/red] gone" in out


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("status", "43042"), "no partner 43042 in the directory in force; near: 430423 衡山县"),
        (("pause", "衡山", *BY), "near: 430423 衡山县"),
        (("pause", "x" * 9, *BY), "tongban directory show lists them"),
        (("pause", HENGSHAN, "--reason", "x"), "partner pause: --by: say who acts, or set TONGBAN_OPERATOR"),
        (("resume", HENGSHAN, "--by", "张三"), "partner resume: --reason: say why"),
        (("probe", HENGSHAN, "--by", "张三", "--reason", "见 11010519491231002X"), "a citizen's number"),
        (("limit", HENGSHAN, *BY), "name --in-flight, --per-second, --batch or --queue-bytes, or --reset"),
        (("limit", HENGSHAN, *BY, "--reset", "--batch", "5"), "or --reset alone"),
        (("limit", HENGSHAN, *BY, "--in-flight", "0"), "--in-flight: expected 1 to 100000"),
        (("limit", HENGSHAN, *BY, "--per-second", "nan"), "--per-second: expected 0 to 1000000"),
        (("recover", HENGSHAN, *BY), "partner recover: --since: say from when"),
        (("recover", HENGSHAN, *BY, "--since", "yesterday"), "--since: expected RFC 3339 with an offset"),
        (("recover", HENGSHAN, *BY, "--since", "1h", "--until", "2h"), "expected a time before --until"),
    ],
)
def test_wrong_use_is_one_clear_line(view: View, words: tuple[str, ...], says: str) -> None:
    with pytest.raises(WrongUse) as fault:
        view.run(app, *words, env={"TONGBAN_OPERATOR": ""})
    assert says in str(fault.value)
    assert "\n" not in str(fault.value)


def test_pausing_what_is_paused_says_so_and_writes_nothing(view: View) -> None:
    view.put(levers=[paused(by="李四")])
    code, _, err = view.run(app, "pause", HENGSHAN, *BY)  # Kafka is away: a write would be Unreachable
    assert code == 1
    assert "is paused already" in err
    assert "by 李四: 对方机房割接; nothing was written" in err


def test_resuming_what_is_not_paused_says_so(view: View) -> None:
    code, _, err = view.run(app, "resume", HENGSHAN, *BY)
    assert (code, "430423 衡山县 is not paused; nothing was written" in err) == (1, True)


def test_limits_that_are_so_already_are_not_written(view: View) -> None:
    view.put(levers=[Levers(partner=HENGSHAN, in_flight=4)])
    code, _, err = view.run(app, "limit", HENGSHAN, "--in-flight", "4", *BY)
    assert code == 1
    assert "in flight 4, per second 0.0 (directory)" in err
    assert view.run(app, "limit", LAIBIN, "--reset", *BY)[0] == 1


def test_an_act_needs_the_ledger(view: View) -> None:
    with pytest.raises(Unreachable):
        view.run(app, "pause", HENGSHAN, *BY)


def test_the_operator_may_be_named_by_the_environment(view: View) -> None:
    with pytest.raises(Unreachable):  # and not wrong use
        view.run(app, "pause", HENGSHAN, "--reason", "x", env={"TONGBAN_OPERATOR": "张三"})


def test_a_view_that_is_not_there_is_wrong_use(view: View) -> None:
    view.config.write_text(view.config.read_text().replace("view.db", "other.db"))
    with pytest.raises(WrongUse):
        view.run(app, "status")


# parts


def test_a_limit_that_is_not_named_stays_as_it_was() -> None:
    named = Limits(in_flight=None, per_second=5.0, batch=None, queue_bytes=None)
    assert partner_levers.wanted_limits(named, reset=False) == named
    assert partner_levers.wanted_limits(NO_LIMITS, reset=True) is None
    before = Limits(in_flight=4, per_second=1.0, batch=None, queue_bytes=None)
    after = partner_levers._over(before, named)
    assert after == Limits(in_flight=4, per_second=5.0, batch=None, queue_bytes=None)


def test_a_probe_is_answered_when_it_flows_or_when_the_circuit_has_opened_anew() -> None:
    assert probed(a_line(), NOW)
    assert not probed(a_line(phase="half-open", since=NOW), NOW)
    assert not probed(a_line(phase="open", since=NOW - 1), NOW)
    assert probed(a_line(phase="open", since=NOW), NOW)


WRITTEN = Pulled(
    lever="paused",
    written=Written(id=MessageId("o-1"), position=Position("tongban.exchange", 3, 17)),
    written_s=0.021,
)
IN_VIEW = replace(WRITTEN, view_s=0.35, verdict=Verdict(at=NOW, code=None, detail=None))


@pytest.mark.parametrize(
    ("pulled", "wait", "code", "says"),
    [
        (WRITTEN, False, 0, "paused; on the ledger at tongban.exchange/3/17 after 0.021 s\n"),
        (WRITTEN, True, 1, "not in the view within 10 s: is the exchange running?"),
        (IN_VIEW, True, 0, "in the view after 0.35 s, no worker has spoken of it for a minute: it holds as soon"),
        (
            replace(IN_VIEW, workers_s=0.9, lines=(a_line(), a_line(worker="2")), following=2),
            True, 0, "followed by 2 workers after 0.90 s",
        ),
        (replace(IN_VIEW, lines=(a_line(), a_line(worker="2")), following=1), True, 1, "shown by 1 of 2 workers"),
        (
            replace(IN_VIEW, verdict=Verdict(at=NOW, code="partner-unknown", detail="gone")),
            True, 1, "refused: partner-unknown: gone",
        ),
    ],
)  # fmt: skip
def test_how_far_a_lever_has_come_is_one_line(
    pulled: Pulled, wait: bool, code: int, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    partner = read().directory.partners[HENGSHAN]
    found = 0
    try:
        report(pulled, partner, "paused", wait=wait, workers=True, as_json=False)
    except typer.Exit as ended:
        found = ended.exit_code
    out = capsys.readouterr().out
    assert found == code
    assert out.startswith("430423 衡山县: paused; ")
    assert out.count("\n") == 1
    assert says in out


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (-5, "0 s"),
        (59.9, "59 s"),
        (60, "1 min"),
        (7500, "2 h 5 min"),
        (7205, "2 h"),
        (90061, "1 d 1 h"),
    ],
)
def test_an_age_is_told_in_its_two_largest_units(seconds: float, text: str) -> None:
    assert age(seconds) == text


def test_times_are_shown_in_china() -> None:
    assert clock(1_795_338_000_000) == "2026-11-22 17:00:00"
    assert clock(None) == "–"


def test_a_moment_is_rfc_3339_or_an_age() -> None:
    at = parse_time("2026-11-22T17:00:00+08:00")
    assert moment("--since", "2026-11-22T16:00:00+08:00", at) == moment("--since", "1h", at)
    assert moment("--since", "60m", at) == moment("--since", "60min", at)
    for text in ("", "0h", "-1h", "1w", "2026-11-22T09:00:00", "2026-11-22"):
        with pytest.raises(WrongUse, match="--since: expected RFC 3339"):
            moment("--since", text, at)


def test_foreign_text_is_one_plain_line() -> None:
    assert plain("a\x1b[31mb\r\nc\u202ed") == "a\ufffd[31mb  c\ufffdd"


@pytest.mark.parametrize(
    "text",
    ["", "  ", "a\nb", "x" * 1001, "证件 11010519491231002X", "call 13812345678", "11010519491231002x."],
)
def test_a_reason_that_the_ledger_should_not_keep_is_refused(text: str) -> None:
    with pytest.raises(WrongUse):
        actor("desk retry", "张三", text)


def test_a_reason_may_name_cases_dates_and_codes() -> None:
    text = "451300/LB-20261122-000000001, 2026-11-22 17:00, 110105194912310021, 430423"
    assert words("desk retry", "--reason", f" {text} ") == text
