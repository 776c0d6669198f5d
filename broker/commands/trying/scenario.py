"""``tongban scenario``: the founding scenarios, each run by name and judged by both partners' own ledgers."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from broker.commands.common import FOUND, console, notes, print_json, print_rows, run, say
from broker.commands.options import AsJson
from broker.commands.trying.demo_broker import demo_broker
from broker.errors import WrongUse
from deploy.demo.program import Ended, cast_of, run_scenarios
from deploy.demo.roster import name_of
from deploy.demo.scenarios import Scenario, scenarios

app = typer.Typer(
    help="The founding scenarios, with their real names and figures: run by name, judged by both sides' ledgers.",
    no_args_is_help=True,
)


@app.command("list")
def list_scenarios(as_json: AsJson = False) -> None:
    """List the scenarios."""
    rows = (
        {"name": each.name, "place": each.place, "zh": each.zh, "en": each.en}
        for each in scenarios().values()
    )
    print_rows(rows, ("name", "zh", "en"), as_json=as_json)


@app.command("run")
def run_named(
    names: Annotated[list[str], typer.Argument(metavar="NAME", help="one or more of the list, or all")],
    as_json: AsJson = False,
    folder: Annotated[
        Path | None, typer.Option(help="where the run keeps its files (default: a new one)")
    ] = None,
) -> None:
    """Run scenarios on a Kafka and a broker of their own, with the halls that they need.

    Prints each one's timeline. Exit 0 only if each ended in its expected state in both partners' own ledgers.
    """
    chosen = _chosen(names)
    home = folder or Path(".tongban") / "scenario" / datetime.now(UTC).strftime("%Y%m%dT%H%M%S")
    home.mkdir(parents=True, exist_ok=True)
    if any(home.iterdir()):
        raise WrongUse(f"scenario run: --folder: {home} holds something; expected a new or an empty folder")
    ended = run(_run(home.resolve(), chosen))
    for each in ended:
        _print(each, as_json=as_json)
    failed = [each for each in ended if not each.ok]
    for each in failed:
        for line in _failures(each):
            notes.print(
                f"tongban: {each.scenario.name}: {line}", markup=False, highlight=False, soft_wrap=True
            )
    if failed:
        notes.print(f"tongban: the run's files are in {home}", markup=False, soft_wrap=True)
        raise typer.Exit(FOUND)
    if folder is None:
        shutil.rmtree(home, ignore_errors=True)


async def _run(home: Path, chosen: Sequence[Scenario]) -> list[Ended]:
    halls = len(cast_of(chosen))
    progress = _Progress(len(chosen))
    async with demo_broker(home, what="scenario", cast=f"{halls} halls, {len(chosen)} scenarios") as start:
        return await run_scenarios(start, home, chosen, tell=progress.tell)


class _Progress:
    """A line on standard error for each scenario that has ended."""

    def __init__(self, of: int) -> None:
        self._of = of
        self._ended = 0

    def tell(self, ended: Ended) -> None:
        self._ended += 1
        holding = sum(check.holds for check in ended.checks)
        say(
            f"{'✓' if ended.ok else '✗'} {self._ended}/{self._of} {ended.scenario.name}"
            f" {holding}/{len(ended.checks)} ({ended.took_s:.1f} s)"
        )


def _chosen(names: Sequence[str]) -> list[Scenario]:
    known = scenarios()
    if list(names) == ["all"]:
        return list(known.values())
    for name in names:
        if name not in known:
            raise WrongUse(f"scenario run: {name}: expected all or one of {', '.join(known)}")
    return [known[name] for name in dict.fromkeys(names)]


def _print(ended: Ended, *, as_json: bool) -> None:
    scenario = ended.scenario
    if as_json:
        print_json(
            {
                "name": scenario.name,
                "ok": ended.ok,
                "took_s": round(ended.took_s, 3),
                "fault": ended.fault,
                "halls": [{"id": hall, "name": name_of(hall)} for hall in scenario.cast],
                "cases": list(scenario.cases),
                "checks": [
                    {"zh": each.zh, "en": each.en, "holds": each.holds, "found": each.found}
                    for each in ended.checks
                ],
                "timeline": [each.to_json() for each in ended.moments],
            }
        )
        return
    console.print(Text(f"\n{scenario.name}  {scenario.zh}", style="bold"))
    for each in ended.moments:
        line = f"{each.at[11:23]}  {each.case}  {each.who}  {each.said}  {each.state}"
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    for check in ended.checks:
        mark = "✓" if check.holds else "✗"
        console.print(f"{mark} {check.zh}：{check.found}", markup=False, highlight=False, soft_wrap=True)


def _failures(ended: Ended) -> list[str]:
    lines = [f"{check.zh} / {check.en}: {check.found}" for check in ended.checks if not check.holds]
    return [*([ended.fault] if ended.fault else []), *lines]
