"""``tongban figures``: which months, which folder, and what it leaves alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import typer
from sqlalchemy import Connection

from broker.commands.evaluation.figures import figures
from broker.core.ids import CaseId
from broker.errors import WrongUse
from broker.store.rows import CaseRow
from broker.store.view import ledger_view
from broker.supervision.figures import FILES
from tests.commands.desk_view import View
from tests.core.figure_samples import LAIBIN, decided
from tests.store import samples

app = typer.Typer()
app.command()(figures)


def put(view: View, count: int) -> None:
    states = [replace(decided(), case=CaseId(f"{LAIBIN}/{number}")) for number in range(count)]

    def work(connection: Connection) -> None:
        rows = [CaseRow(state=each) for each in states]
        ledger_view.apply(connection, [samples.batch(0, 1, partition=1, cases=rows)])

    view.write(work)


def test_a_month_is_written_into_a_new_folder(view: View, tmp_path: Path) -> None:
    put(view, 12)
    code, out, _ = view.run(app, "--month", "2026-11", "--to", str(tmp_path / "a" / "b"))
    assert code == 0
    assert sorted(each.name for each in (tmp_path / "a" / "b").iterdir()) == sorted(FILES)
    assert out.startswith("3 rows of 1 months")
    (tmp_path / "c").mkdir()
    code, (told,) = view.json(app, "--since", "2026-10", "--until", "2026-12", "--to", str(tmp_path / "c"))
    assert (code, told["rows"], told["suppressed"]) == (0, 3, 0)


def test_small_groups_are_hidden_and_counted(view: View, tmp_path: Path) -> None:
    put(view, 9)
    code, (told,) = view.json(app, "--month", "2026-11", "--to", str(tmp_path / "new"))
    assert (code, told["rows"], told["suppressed"]) == (0, 3, 3)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ((), "say --month"),
        (("--month", "2026-11", "--since", "2026-10"), "say --month"),
        (("--month", "2026-11", "--until", "2026-12"), "say --month"),
        (("--month", "2026-11-01"), "--month: expected a month"),
        (("--since", "2026-11", "--until", "2026-10"), "not before --since"),
        (("--since", "2000-01", "--until", "2099-12"), "at most 120 months"),
    ],
)
def test_months_that_are_none_are_wrong_use(
    view: View, tmp_path: Path, words: Sequence[str], told: str
) -> None:
    with pytest.raises(WrongUse, match=told):
        view.run(app, *words, "--to", str(tmp_path / "new"))
    assert not (tmp_path / "new").exists()


def test_figures_that_are_there_are_not_written_over(view: View, tmp_path: Path) -> None:
    view.run(app, "--month", "2026-11", "--to", str(tmp_path / "new"))
    with pytest.raises(WrongUse, match=r"has figures\.csv"):
        view.run(app, "--month", "2026-11", "--to", str(tmp_path / "new"))
    (tmp_path / "file").write_text("")
    with pytest.raises(WrongUse, match="is no folder"):
        view.run(app, "--month", "2026-11", "--to", str(tmp_path / "file"))
