"""``tongban desk``: what it lists and shows, which dossiers an act means, and what it refuses."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.commands.acting import Actor, Pen, Written, now_ms
from broker.commands.desk.desk import app
from broker.commands.desk.desk_acts import (
    CHUNK,
    DELIVERED,
    DONE_WITH,
    FAILED,
    REFUSED,
    UNDER_WAY,
    UNSEEN,
    Deed,
    Tally,
    follow,
    in_order,
    ledger_order,
    write,
)
from broker.core.ids import BROKER, CaseId, MessageId, Party
from broker.core.operating.desk import BEHIND_A_DOSSIER, Act, Dossier, Standing
from broker.core.records import NewRecord, Position
from broker.errors import NotDurable, Unreachable, WrongUse
from broker.log.schema.schemas import SchemaSet
from broker.log.values.codec import Codec
from broker.store.access.engine import Store
from broker.store.delivering import attempts as attempt_rows
from broker.store.rows import ActRow, AttemptRow, Name
from broker.store.tables import dossier_act
from tests.commands.desk_view import (
    CASE,
    HENGSHAN,
    HENGYANG,
    HOUR_MS,
    LAIBIN,
    View,
    a_dossier,
    act_row,
    put_dossiers,
    put_messages,
)
from tests.store import samples

OTHER = CaseId("451300/LB-2")
BY = ("--by", "张三", "--reason", "对方已修复")
LANE = [
    a_dossier(1),
    a_dossier(2, cause=BEHIND_A_DOSSIER),
    a_dossier(3, cause=BEHIND_A_DOSSIER),
]
REJECTED = a_dossier(4, case=OTHER, cause="422", detail="材料不全", blocks=False)


def names(found: list[dict[str, object]]) -> list[object]:
    return [each["message"] for each in found]


# list


def test_an_empty_desk_exits_0(view: View) -> None:
    assert view.run(app, "list") == (0, "nothing on the desk fits\n", "")
    assert view.json(app, "list") == (0, [])


def test_the_list_counts_by_cause_and_shows_what_is_due_first(view: View) -> None:
    late = replace(REJECTED, due_at_ms=now_ms() - 3 * HOUR_MS, owner="李四")
    view.put(dossiers=[*LANE, late])
    code, out, _ = view.run(app, "list")
    assert code == 1
    assert out.startswith("behind-a-dossier: 2 in 1 case. 同一办件")
    assert "422: 1 in 1 case. 对方系统拒收" in out
    assert "逾期" in out
    code, rows = view.json(app, "list")
    assert (code, names(rows)[0], rows[0]["overdue"]) == (1, "451300/m-4", True)
    assert [row["overdue"] for row in rows[1:]] == [False] * 3


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (("--cause", "422"), ["451300/m-4"]),
        (("--case", CASE), ["451300/m-1", "451300/m-2", "451300/m-3"]),
        (("--partner", HENGYANG), []),
        (("--overdue",), []),
        (("--mine", "李四"), ["451300/m-4"]),
        (("--standing", "redriven"), ["451300/m-9"]),
        (("--standing", "all", "--case", OTHER), ["451300/m-4", "451300/m-9"]),
    ],
)
def test_filters(view: View, words: tuple[str, ...], found: list[str]) -> None:
    under_way = a_dossier(9, case=OTHER, status=Standing.REDRIVEN)
    view.put(dossiers=[*LANE, replace(REJECTED, owner="李四"), under_way])
    code, rows = view.json(app, "list", *words)
    assert sorted(map(str, names(rows))) == found
    assert code == (1 if found else 0)


def test_only_so_many_rows_are_shown_and_the_rest_is_counted(view: View) -> None:
    view.put(dossiers=LANE)
    _, out, _ = view.run(app, "list", "--limit", "2")
    assert "and 1 more" in out


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("list", "--standing", "closed"), "expected open, redriven, delivered, returned, skipped or all"),
        (("list", "--partner", "43042"), "near: 430423 衡山县"),
        (("list", "--case", "LB-1"), "desk list: --case: not a case id"),
        (("show", "m-1"), "expected SOURCE/ID of a message, such as 451300/m-1"),
        (("retry", *BY), "desk retry: say which: SOURCE/ID, or --partner, --cause and --case"),
        (("retry", "451300/m-1", "--cause", "422", *BY), "not both"),
        (("retry", "451300/m 1", *BY), "expected SOURCE/ID"),
        (("skip", "451300/m-1", "--reason", "x"), "desk skip: --by: say who acts"),
        (("return", "451300/m-1", "--by", "张三"), "desk return: --reason: say why"),
        (("assign", "451300/m-1", *BY), "desk assign: --owner: expected 1 to 200"),
        (("assign", "451300/m-1", "--owner", "李四", "--due-on", "soon", *BY), "expected a day like"),
        (("assign", "451300/m-1", "--owner", "李四", "--due-on", "2026-01-01", *BY), "today or a later day"),
        (("note", "451300/m-1", *BY), "desk note: --note: expected 1 to 4000"),
    ],
)
def test_wrong_use_is_one_clear_line(view: View, words: tuple[str, ...], says: str) -> None:
    with pytest.raises(WrongUse) as fault:
        view.run(app, *words, env={"TONGBAN_OPERATOR": ""})
    assert says in str(fault.value)
    assert "\n" not in str(fault.value)


# show


def fill_page(view: View) -> None:
    row = samples.message(
        1, case_id=CASE, ledger_offset=1, outcome="undeliverable", answer="schedule-used-up"
    )
    behind = samples.message(2, case_id=CASE, ledger_offset=2, type="case.urged", outcome="undeliverable")
    owed = samples.message(3, case_id=CASE, ledger_offset=3, type="case.urged")
    to_others = samples.message(4, case_id=CASE, ledger_offset=4, destination=Party(HENGYANG))
    view.put(dossiers=LANE[:2])
    view.write(lambda connection: put_messages(connection, [row, behind, owed, to_others]))
    tries = [
        AttemptRow(
            partner=HENGSHAN, source=Party(LAIBIN), id=MessageId("m-1"), attempt=number, started_at=now_ms(),
            duration_ms=30_000, result="deferred", detail="timed out", redrive=redrive, next_at=None,
        )
        for redrive, number in ((0, 1), (0, 2), (1, 1))
    ]  # fmt: skip
    history = ActRow(
        ledger_partition=0, ledger_offset=7, source=Party(LAIBIN), id=MessageId("m-1"), act="assigned",
        by="张三", reason="轮值", detail="李四", at=now_ms(),
    )  # fmt: skip
    view.write(lambda connection: attempt_rows.put(connection, tries))
    view.write(
        lambda connection: connection.execute(
            dossier_act.insert().values({name: getattr(history, name) for name in history.__slots__})
        )  # type: ignore[arg-type]
    )


def test_show_says_why_what_to_do_every_attempt_and_act_and_what_waits_behind(view: View) -> None:
    fill_page(view)
    code, (page,) = view.json(app, "show", "451300/m-1")
    assert code == 0
    assert page["why"]["zh"].startswith("在整个重试期限内")  # type: ignore[index]
    assert "--lane" in page["to_do"]["en"]  # type: ignore[index]
    assert [(each["redrive"], each["attempt"]) for each in page["attempts"]] == [(0, 1), (0, 2), (1, 1)]  # type: ignore[attr-defined]
    assert [(each["act"], each["by"]) for each in page["history"]] == [("assigned", "张三")]  # type: ignore[attr-defined]
    assert (page["before"], page["behind"]) == ([], ["451300/m-2", "451300/m-3"])
    assert page["record"]["digest"] == "sha-256:1"  # type: ignore[index]
    assert page["position"] == "tongban.exchange/0/1"
    _, out, _ = view.run(app, "show", "451300/m-2")
    assert "before it in its lane: 451300/m-1" in out
    _, out, _ = view.run(app, "show", "451300/m-1")
    assert "behind it in its lane: 451300/m-3 case.urged, still owed" in out


def test_show_of_a_message_without_a_dossier_exits_1(view: View) -> None:
    code, out, err = view.run(app, "show", "451300/m-1")
    assert (code, out) == (1, "")
    assert "has no dossier on the desk" in err


def test_the_record_itself_needs_the_ledger(view: View) -> None:
    view.put(dossiers=LANE)
    with pytest.raises(Unreachable):
        view.run(app, "show", "451300/m-1", "--record")


def test_what_others_wrote_into_a_dossier_cannot_paint_the_screen(view: View) -> None:
    view.put(dossiers=[replace(REJECTED, cause="[/x]", detail="\x1b]0;gone\x07", owner="[bold]")])
    for words in (("show", "451300/m-4"), ("list",)):
        _, out, _ = view.run(app, *words)
        assert "\x1b" not in out
        assert "[/x]" in out


# which dossiers


def test_a_dry_run_lists_in_the_ledger_s_order_and_writes_nothing(view: View) -> None:
    view.put(dossiers=[REJECTED, *reversed(LANE)])
    code, out, _ = view.run(app, "retry", "--partner", HENGSHAN, "--dry-run")
    assert code == 0
    assert [line.split()[2] for line in out.splitlines()[:4]] == [f"451300/m-{each}" for each in (1, 2, 3, 4)]
    assert out.splitlines()[-1] == "a dry run: nothing was written"


def test_a_message_behind_another_is_left_with_the_sentence_that_says_what_to_do(view: View) -> None:
    view.put(dossiers=LANE)
    code, out, err = view.run(app, "retry", "451300/m-3", *BY)  # Kafka is away: a write would be Unreachable
    assert (code, out) == (1, "")
    assert (
        "451300/m-3 stands behind 451300/m-1 in the lane of case 451300/LB-1 to 430423: retry, return or skip that "
        "one first, or take the whole lane in order with --lane"
    ) in err
    assert "nothing was written" in err


def test_lane_takes_the_whole_lane_in_order(view: View) -> None:
    view.put(dossiers=[*LANE, REJECTED])
    code, (plan,) = view.json(app, "retry", "451300/m-3", "--lane", "--dry-run")
    assert code == 0
    assert names(plan["messages"]) == ["451300/m-1", "451300/m-2", "451300/m-3"]  # type: ignore[arg-type]


def test_a_cause_that_would_overtake_is_left_and_the_rest_is_done(view: View) -> None:
    free = a_dossier(8, case=OTHER, cause=BEHIND_A_DOSSIER)
    view.put(dossiers=[*LANE, free])
    code, (plan,) = view.json(app, "retry", "--cause", BEHIND_A_DOSSIER, "--dry-run")
    assert code == 1
    assert names(plan["messages"]) == ["451300/m-8"]  # type: ignore[arg-type]
    assert names(plan["left"]) == ["451300/m-2", "451300/m-3"]  # type: ignore[arg-type]


def test_what_lies_behind_a_chosen_one_goes_along_by_filters(view: View) -> None:
    other = a_dossier(8, case=OTHER, cause=BEHIND_A_DOSSIER)
    view.put(dossiers=[*LANE, other, REJECTED])
    code, (plan,) = view.json(app, "retry", "--cause", "schedule-used-up", "--dry-run")
    assert code == 0
    assert names(plan["messages"]) == ["451300/m-1", "451300/m-2", "451300/m-3"]  # type: ignore[arg-type]
    assert plan["behind"] == 0
    code, (plan,) = view.json(app, "retry", "451300/m-1", "--dry-run")
    assert (code, names(plan["messages"])) == (0, ["451300/m-1"])  # type: ignore[arg-type]
    assert plan["behind"] == 2


def test_skip_and_return_need_no_order(view: View) -> None:
    view.put(dossiers=LANE)
    for act in ("skip", "return"):
        code, (plan,) = view.json(app, act, "451300/m-3", "--dry-run")
        assert (code, names(plan["messages"])) == (0, ["451300/m-3"])  # type: ignore[arg-type]


def test_the_broker_s_own_word_has_nobody_to_go_back_to(view: View) -> None:
    view.put(dossiers=[replace(REJECTED, name=(BROKER, MessageId("n-1")))])
    code, _, err = view.run(app, "return", "tongban/n-1", *BY)
    assert code == 1
    assert "tongban/n-1 is the broker's own word, which has no sender to return it to: skip it" in err


@pytest.mark.parametrize(
    ("standing", "act", "code"),
    [
        (Standing.REDRIVEN, "retry", 1),
        (Standing.DELIVERED, "skip", 1),
        (Standing.RETURNED, "return", 1),
        (Standing.REDRIVEN, "note", 0),
        (Standing.OPEN, "assign", 0),
        (Standing.SKIPPED, "assign", 1),
    ],
)
def test_only_what_is_open_is_acted_on_and_notes_go_to_what_is_not_closed(
    view: View, standing: Standing, act: str, code: int
) -> None:
    closed_at = None if standing in (Standing.OPEN, Standing.REDRIVEN) else now_ms()
    view.put(dossiers=[a_dossier(1, status=standing, closed_at_ms=closed_at)])
    extra = {"note": ("--note", "等对方回电"), "assign": ("--owner", "李四")}.get(act, ())
    found, _, err = view.run(app, act, "451300/m-1", *extra, "--dry-run")
    assert found == code
    assert (f"is not open any more: {standing.value}" in err) == bool(code)


def test_names_that_nobody_knows_are_told(view: View) -> None:
    view.put(dossiers=LANE)
    code, out, err = view.run(app, "retry", "451300/m-1", "451300/gone", "--dry-run")
    assert code == 1
    assert "1. retry 451300/m-1" in out
    assert "451300/gone has no dossier on the desk" in err


def test_nothing_that_fits_writes_nothing(view: View) -> None:
    code, _, err = view.run(app, "retry", "--cause", "422", *BY)
    assert (code, err) == (1, "tongban: nothing to retry; nothing was written\n")


@st.composite
def desks(draw: st.DrawFn) -> tuple[list[Dossier], set[int]]:
    """Dossiers of up to three lanes, and which of them were chosen."""
    count = draw(st.integers(1, 12))
    dossiers = [
        a_dossier(
            number,
            case=CaseId(f"451300/LB-{draw(st.integers(1, 2))}"),
            partner=draw(st.sampled_from((HENGSHAN, HENGYANG))),
            blocks=draw(st.booleans()),
        )
        for number in range(count)
    ]
    return dossiers, draw(st.sets(st.integers(0, count - 1)))


@given(desks())
def test_in_order_never_overtakes_and_leaves_nothing_out(desk: tuple[list[Dossier], set[int]]) -> None:
    dossiers, numbers = desk
    wanted = [dossiers[number] for number in numbers]
    chosen = in_order(wanted, [each for each in dossiers if each.holds_its_lane])
    done = set(chosen.dossiers)
    assert list(chosen.dossiers) == sorted(done, key=ledger_order)
    assert done | {each.dossier for each in chosen.left} == set(wanted)
    assert len(chosen.dossiers) + len(chosen.left) == len(wanted)
    for each in dossiers:
        earlier = [
            other
            for other in dossiers
            if (other.partner, other.case) == (each.partner, each.case)
            and other.blocks
            and other.ledger_offset < each.ledger_offset
            and other not in done
        ]
        if each in wanted:
            # What is refused itself does not count as gone: so a chosen one has nothing before it that stays.
            assert (each in done) == (not [other for other in earlier if other not in wanted])


# writing them


class Ledger:
    """Takes records in memory; from the piece number ``fails`` on it is away."""

    def __init__(self, fails: int = 1000) -> None:
        self.records: list[NewRecord] = []
        self.pieces: list[int] = []
        self._fails = fails

    async def write(self, records: Sequence[NewRecord]) -> list[Position]:
        if len(self.pieces) >= self._fails:
            raise NotDurable
        self.pieces.append(len(records))
        self.records.extend(records)
        return [Position("tongban.exchange", each.partition or 0, 0) for each in records]


def written_by(ledger: Ledger, deed: Deed, count: int) -> dict[Name, Written]:
    dossiers = [a_dossier(number) for number in range(count)]
    written: dict[Name, Written] = {}
    pen = Pen(ledger, Codec(SchemaSet.load()), 8)
    with contextlib.suppress(NotDurable):
        asyncio.run(write(pen, dossiers, deed, Actor(by="张三", reason="演练"), written))
    return written


def test_acts_are_written_in_pieces_and_in_order() -> None:
    ledger = Ledger()
    written = written_by(ledger, Deed(act=Act.REDRIVEN), 2 * CHUNK + 1)
    assert ledger.pieces == [CHUNK, CHUNK, 1]
    about = [dict(each.headers)["ce_correlationid"].decode() for each in ledger.records]
    assert about == [f"451300/m-{number}" for number in range(2 * CHUNK + 1)]
    ids = [dict(each.headers)["ce_id"].decode() for each in ledger.records]
    assert [str(each.id) for each in written.values()] == ids
    assert len(set(ids)) == len(ids)
    assert len({each.partition for each in ledger.records}) == 1  # one case, one partition


def test_cut_short_it_knows_what_the_ledger_holds() -> None:
    written = written_by(Ledger(fails=1), Deed(act=Act.SKIPPED), 3 * CHUNK)
    assert list(written) == [(Party(LAIBIN), MessageId(f"m-{number}")) for number in range(CHUNK)]


# what became of them


def test_what_became_of_each_is_told_from_the_view(view: View) -> None:
    before = [a_dossier(number, case=CaseId(f"451300/F-{number}")) for number in range(6)]
    written = {
        each.name: Written(id=MessageId(f"o-{number}"), position=Position("tongban.exchange", 0, 50 + number))
        for number, each in enumerate(before)
    }
    refused = act_row(
        "o-3", ledger_offset=53, verdict="refused", code="desk-order", detail="retry 451300/m-0 first"
    )
    rows = [refused, *(act_row(f"o-{number}", ledger_offset=50 + number) for number in (0, 1, 2, 5))]
    view.write(lambda connection: put_messages(connection, rows))
    after = [
        replace(before[0], status=Standing.DELIVERED),
        replace(before[1], failures=2, cause="422", detail="材料不全"),
        replace(before[2], status=Standing.REDRIVEN),
        before[3],
        before[4],
        before[5],  # it was open before too: no second failure can be told from that
    ]
    view.write(lambda connection: put_dossiers(connection, after))

    async def told(delivers: bool) -> Tally:
        store = await Store.open(view.url)
        try:
            return await follow(store, before, written, 0.0, delivers=delivers)
        finally:
            await store.close()

    tally = asyncio.run(told(delivers=True))
    assert [tally.ended[each.name].word for each in before] == [
        DELIVERED, FAILED, UNDER_WAY, REFUSED, UNSEEN, UNDER_WAY,
    ]  # fmt: skip
    assert tally.ended[before[1].name].detail == "422: 材料不全"
    assert tally.ended[before[3].name].detail == "desk-order: retry 451300/m-0 first"
    assert tally.words() == {DELIVERED: 1, UNDER_WAY: 2, UNSEEN: 1, FAILED: 1, REFUSED: 1}
    assert [each.dossier.message for each in tally.troubled] == ["451300/m-1", "451300/m-3"]
    closed = asyncio.run(told(delivers=False))
    assert closed.words() == {DONE_WITH: 4, UNSEEN: 1, REFUSED: 1}
