"""``tongban audit``: what it lists and how it ends, and lists of cities on their way to the ledger."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import pytest
from sqlalchemy import Connection

from broker.archive.finding import MEANINGS, Kind
from broker.commands.acting import Actor, Pen
from broker.commands.evaluation.audit import app, write
from broker.core.codes import names_a_citizen
from broker.core.documents import DocumentInvalid
from broker.core.evaluation.reconciliation import Entry, ReconciliationList
from broker.core.ids import CaseId
from broker.core.records import NewRecord, Position
from broker.errors import NotDurable, Unreachable, WrongUse
from broker.exchange.reconciling import LINES
from broker.log.schema.schemas import SchemaSet
from broker.log.values.codec import Codec
from tests.archive.audit_world import World, a_case, at
from tests.commands.desk_view import HENGSHAN, LAIBIN, View

CASE = CaseId(f"{LAIBIN}/000001")
LIST = "number,item,decided_on,fee_fen\nHS-77,新生儿入户,2026-11-24,500\n"
BY = ("--by", "审计员 03", "--reason", "十一月对账")


def put(view: View) -> None:
    """Two findings: a decision before any acceptance, and a collector that decides."""
    world = World()
    world.case(a_case(1))
    world.refused("case.decided", CASE, HENGSHAN, at("11-04"), "transition-illegal")
    world.refused("case.decided", CASE, LAIBIN, at("11-05"), "collector-decides")

    def work(connection: Connection) -> None:
        # Another partition than the one of the directory.
        world.write(connection, partition=1)

    view.write(work)


NAMES_A_CITIZEN = (
    "holds what reads as a citizen's number, and a list names cases only: "
    "name the case by its other number (the one that it was opened with, or the responsible city's own)"
)
UNTOUCHED = "the list: no line of it was written; mend what is named above and hand the whole list in again"


def test_findings_are_told_with_their_proof_and_end_with_1(view: View) -> None:
    put(view)
    code, out, err = view.run(app, "findings")
    assert code == 1
    meaning = MEANINGS[Kind.DECIDED_BEFORE_ACCEPTED]
    assert meaning.zh in out
    assert meaning.forbids in out
    assert "tongban.exchange/0/1  case.decided  430423/m-1  2026-11-04 10:00:00" in out
    assert f"1 × {meaning.zh}" in err


def test_json_names_every_record(view: View) -> None:
    put(view)
    code, found = view.json(app, "findings", "--kind", "collected-and-decided")
    assert code == 1
    (finding,) = found
    assert (finding["kind"], finding["case"], finding["partner"]) == ("collected-and-decided", CASE, LAIBIN)
    records = cast("list[dict[str, object]]", finding["records"])
    assert [(each["topic"], each["partition"], each["offset"], each["type"]) for each in records] == [
        ("tongban.exchange", 0, 2, "case.decided"),
        ("tongban.exchange", 0, 0, "case.submitted"),
    ]
    assert finding["forbidden_by"] == MEANINGS[Kind.COLLECTED_AND_DECIDED].forbids


def test_nothing_found_ends_with_0(view: View) -> None:
    put(view)
    for words in (
        ("--kind", "queue-skipped"),
        ("--partner", "430400"),
        ("--since", "2026-11-06T00:00:00+08:00"),
        ("--until", "2026-11-04T00:00:00+08:00"),
    ):
        code, out, err = view.run(app, "findings", *words)
        assert (code, out) == (0, ""), words
        assert "nothing was found" in err


def test_findings_of_nobody_are_wrong_use(view: View) -> None:
    with pytest.raises(WrongUse, match="no partner 999999"):
        view.run(app, "findings", "--partner", "999999")
    with pytest.raises(WrongUse, match="--since"):
        view.run(app, "findings", "--since", "yesterday")


def test_a_list_with_faults_is_refused_whole_before_anything_is_opened(view: View, tmp_path: Path) -> None:
    file = tmp_path / "list.csv"
    file.write_text(f"{LIST}HS-1,,2026-13-01,x\n", encoding="utf-8")
    with pytest.raises(DocumentInvalid) as invalid:
        view.run(app, "reconcile", str(file), "--partner", HENGSHAN, *BY)
    assert str(invalid.value).splitlines() == [
        f"{file}: line 3, decided_on: expected a day, like 2026-11-22, or nothing",
        f"{file}: line 3, fee_fen: expected whole fen from 0 to 100000000000, or nothing",
        f"{file}: {UNTOUCHED}",
    ]


@pytest.mark.parametrize("number", ["11010519000101001X", "13900000000"])
def test_a_number_that_reads_as_a_citizen_s_is_told_with_its_line_and_what_to_do_and_no_line_is_written(
    view: View, tmp_path: Path, number: str
) -> None:
    """Of nobody: a birth in 1900, a mobile number that nobody has. The other lines are right, and wait for it."""
    if len(number) == 18:
        number = next(f"{number[:17]}{each}" for each in "0123456789X" if names_a_citizen(number[:17] + each))
    file = tmp_path / "list.csv"
    file.write_text(f"{LIST}{number},,2026-11-04,\nHS-9,,2026-11-05,\n", encoding="utf-8")
    before = view.run(app, "findings")
    with pytest.raises(DocumentInvalid) as invalid:  # before the cluster is asked for: none is there
        view.run(app, "reconcile", str(file), "--partner", HENGSHAN, *BY)
    assert str(invalid.value).splitlines() == [
        f"{file}: line 3, number: {NAMES_A_CITIZEN}",
        f"{file}: {UNTOUCHED}",
    ]
    assert number not in str(invalid.value)
    assert view.run(app, "findings") == before


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--partner", "999999", *BY), "no partner 999999"),
        (("--partner", "430423", "--by", "甲", "--reason", " "), "--reason"),
        (("--partner", "430423", "--reason", "对账"), "--by"),
        (("--partner", "430423", "--month", "2026-13", *BY), "--month: expected a month"),
    ],
)
def test_a_list_of_nobody_or_by_nobody_is_wrong_use(
    view: View, tmp_path: Path, words: Sequence[str], told: str
) -> None:
    file = tmp_path / "list.csv"
    file.write_text(LIST, encoding="utf-8")
    with pytest.raises(WrongUse, match=told):
        view.run(app, "reconcile", str(file), *words, env={"TONGBAN_OPERATOR": ""})


def test_a_list_that_is_not_there_is_wrong_use(view: View, tmp_path: Path) -> None:
    with pytest.raises(WrongUse, match="No such file"):
        view.run(app, "reconcile", str(tmp_path / "none.csv"), "--partner", HENGSHAN, *BY)


def test_without_the_cluster_nothing_is_said_to_be_written(view: View, tmp_path: Path) -> None:
    file = tmp_path / "list.csv"
    file.write_text(LIST, encoding="utf-8")
    with pytest.raises(Unreachable):
        view.run(app, "reconcile", str(file), "--partner", HENGSHAN, *BY)


class FakeLedger:
    """Takes records; ``fail_at``: which write is not acknowledged."""

    def __init__(self, fail_at: int | None = None) -> None:
        self.writes: list[list[NewRecord]] = []
        self._fail_at = fail_at

    async def write(self, records: Sequence[NewRecord]) -> list[Position]:
        if len(self.writes) == self._fail_at:
            raise NotDurable
        self.writes.append(list(records))
        return [Position("tongban.exchange", 3, number) for number, _ in enumerate(records)]


def a_list(lines: int) -> ReconciliationList:
    entries = [Entry(number=f"HS-{each}", item=None, decided_on=None, fee_fen=None) for each in range(lines)]
    return ReconciliationList(month="2026-11", entries=tuple(entries))


def pen(ledger: FakeLedger) -> Pen:
    return Pen(ledger, Codec(SchemaSet.load()), 12)


async def test_a_long_list_is_written_in_its_order_a_few_records_at_once() -> None:
    ledger = FakeLedger()
    by = Actor(by="审计员 03", reason="对账")
    written = await write(pen(ledger), HENGSHAN, a_list(25 * LINES), by)
    assert [len(each) for each in ledger.writes] == [20, 5]
    assert len({each.id for each in written}) == 25


async def test_a_write_that_is_not_acknowledged_is_told() -> None:
    by = Actor(by="审计员 03", reason="对账")
    with pytest.raises(NotDurable):
        await write(pen(FakeLedger(fail_at=1)), HENGSHAN, a_list(21 * LINES), by)


def test_the_page_s_commands_and_list_can_be_used_as_they_stand(
    view: View, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = (Path(__file__).parents[3] / "docs" / "how-to" / "find-the-forbidden.md").read_text(
        encoding="utf-8"
    )
    (listed,) = re.findall(r"^```csv\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    (tmp_path / "list.csv").write_text(listed, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    lines = re.findall(r"^tongban audit .*$", page, re.MULTILINE)
    assert {line.split()[2] for line in lines} == {"findings", "reconcile"}
    for line in lines:
        _, _, *words = shlex.split(line.replace("$PARTNER", HENGSHAN), comments=True)
        if words[0] == "reconcile":
            with pytest.raises(Unreachable):  # read and found right: it is the cluster that is missing
                view.run(app, *words)
        else:
            assert view.run(app, *words)[0] == 0
    for kind in Kind:
        assert f"| `{kind}` | {MEANINGS[kind].zh} |" in page
