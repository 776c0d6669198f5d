"""The board: one live table of cases, partners and scenes. Chinese first, English beneath."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import TracebackType

import orjson
from rich.box import SIMPLE_HEAD
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from deploy.demo.cast import Player, Prepared
from deploy.demo.checks import Books, Check, Ledgers
from deploy.demo.forms import SHEETS
from deploy.demo.records import CaseRow, Sent
from deploy.demo.scenarios import FATHER, HENGSHAN, HENGYANG, LAIBIN, Scenario, courier_number_in

_MODES = {"collected": "代收代办", "online": "全程网办", "joint": "多地联办"}
_CASES_SHOWN = 12


class Scene:
    """A scenario on the board, and what its checks last said."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self.zh = scenario.zh
        self.state = "waiting"
        self._begun = False

    def begin(self) -> None:
        self.state = "playing"
        self._begun = True

    def end(self, ledgers: Ledgers) -> None:
        self.state = "held" if self.all_hold(ledgers) else "failed"

    def checks(self, ledgers: Ledgers) -> Sequence[Check]:
        """A scene that was never begun holds nothing: its one check says so."""
        if not self._begun:
            return [Check(zh="未上演", en="not played", holds=False, found="-")]
        return self.scenario.checks(ledgers)

    def all_hold(self, ledgers: Ledgers) -> bool:
        return all(check.holds for check in self.checks(ledgers))


class Board:
    """Live on a terminal; elsewhere (a log, a pipe) a line per scene and one table at the end."""

    def __init__(self, console: Console, prepared: Prepared, scenes: Sequence[Scene]) -> None:
        self.console = console
        self.lag: Mapping[str, int] = {}
        self._players = {player.id: player for player in prepared.players}
        self._scenes = scenes
        self._live = Live(console=console, auto_refresh=False)
        self._ledgers: Ledgers = {}

    def __enter__(self) -> Board:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()
        if not self.console.is_terminal:
            self.console.print()

    @property
    def a_case(self) -> str | None:
        """A case to try commands on: the first that was opened."""
        cases = [case for books in self._ledgers.values() for case in books.cases]
        return min(cases, key=lambda case: case.opened_at).case if cases else None

    def show(self, ledgers: Ledgers) -> None:
        """Draw the ledgers as they are."""
        self._ledgers = ledgers
        self._live.update(self._whole(ledgers), refresh=True)

    def scene_ended(self, scene: Scene) -> None:
        """Say how a scene ended, where nobody sees the live table."""
        if not self.console.is_terminal:
            mark = "[green]✓[/]" if scene.state == "held" else "[red]✗[/]"
            self.console.print(f"{mark} {scene.zh}\n  [dim]{scene.scenario.en}[/]", soft_wrap=True)

    def window_commands(self) -> list[tuple[str, str]]:
        """What a visitor may do at the windows, as a staff member would."""
        laibin, hengyang = self._players[LAIBIN].window_url, self._players[HENGYANG].window_url
        wish = {"to": HENGSHAN, "item": "xinshenger-ruhu", "mode": "collected", "applicant": FATHER.to_json()}
        return [
            ("来宾窗口再收一件新生儿入户", f"curl -d '{orjson.dumps(wish).decode()}' {laibin}/cases"),
            ("让衡阳停机 30 秒", f"curl -d '{{\"seconds\": 30}}' {hengyang}/faults/outage"),
        ]

    def _whole(self, ledgers: Ledgers) -> RenderableType:
        parts: list[RenderableType] = [
            self._cases(ledgers),
            self._partners(ledgers),
            self._checklist(ledgers),
        ]
        if self.lag:
            waiting = "  ".join(f"{name} {messages}" for name, messages in sorted(self.lag.items()))
            parts.append(Text(f"积压 lag: {waiting}", style="dim"))
        return Group(*parts)

    def _cases(self, ledgers: Ledgers) -> Table:
        table = _table("办件 Cases")
        table.add_column("办件\nCase", overflow="fold")
        table.add_column("两地状态码\nOwn codes")
        table.add_column("回执\nReceipts", justify="right")
        table.add_column("结果\nResult")
        opened = [case for books in ledgers.values() for case in books.cases if case.role == "opening"]
        for case in sorted(opened, key=lambda each: each.opened_at)[-_CASES_SHOWN:]:
            table.add_row(*self._case(ledgers, case))
        return table

    def _case(self, ledgers: Ledgers, case: CaseRow) -> tuple[str, ...]:
        opening = case.case.partition("/")[0]
        here, there = ledgers[opening], ledgers[case.counterpart]
        other = next((row for row in there.cases if row.case == case.case), None)
        said = [*here.said(case.case), *there.said(case.case)]
        refused = next((message for message in said if message.state == "refused"), None)
        route = f"{self._name(opening)}→{self._name(case.counterpart)}"
        lines = [case.case, f"{SHEETS[case.item].name} {_MODES[case.mode]} {route}"]
        if refused is not None:
            lines.append(f"[dim]{refused.code}: {escape(refused.detail or '')}[/]")
        return (
            "\n".join(lines),
            f"{case.code} / {other.code if other else '-'}",
            f"{sum(message.receipt is not None for message in said)}/{len(said)}",
            f"[yellow]被拒 {refused.status}[/]" if refused else _result(ledgers, opening, case),
        )

    def _partners(self, ledgers: Ledgers) -> Table:
        table = _table("伙伴 Partners")
        table.add_column("城市\nCity", no_wrap=True)
        table.add_column("接法\nVia", no_wrap=True)
        for heading in (
            "投递\nTried",
            "生效\nDone",
            "503",
            "重复\nAgain",
            "202",
            "被拒\nNo",
            "回执\nRcpts",
        ):
            table.add_column(heading, justify="right")
        for city, books in ledgers.items():
            table.add_row(*_partner(self._players[city], books))
        return table

    def _checklist(self, ledgers: Ledgers) -> Table:
        table = _table("核对：以各伙伴自己的账本为准 Judged by the partners' own ledgers")
        table.show_header = False
        table.add_column(width=2)
        table.add_column(overflow="fold")
        table.add_column(justify="right")
        for scene in self._scenes:
            checks = scene.checks(ledgers)
            holding = sum(check.holds for check in checks)
            mark = {"waiting": "·", "playing": "…", "held": "[green]✓[/]", "failed": "[red]✗[/]"}[scene.state]
            lines = [f"{scene.zh}\n[dim]{scene.scenario.en}[/]"]
            if scene.state == "failed":
                lines += [
                    f"[red]✗ {check.zh}[/]：{escape(check.found)}" for check in checks if not check.holds
                ]
            table.add_row(mark, "\n".join(lines), f"{holding}/{len(checks)}")
        return table

    def _name(self, city: str) -> str:
        return self._players[city].name


def print_commands(board: Board, command: str, options: str, base_url: str) -> None:
    """What a visitor may try while it is up."""
    case = board.a_case or "CASE"
    rest = f" {options}" if options else ""
    tries = (
        ("一件办件的全程", f"{command} case timeline {case}{rest}"),
        ("各伙伴的积压", f"{command} lag --watch{rest}"),
        ("从总账重放一件", f"{command} replay --case {case}{rest}"),
        ("本平台的接口", f"curl {base_url}/openapi.json"),
        *board.window_commands(),
    )
    board.console.print("\n可以一试 Try:", style="bold")
    for zh, line in tries:
        board.console.print(f"  [dim]# {zh}[/]\n  {line}", soft_wrap=True, highlight=False)
    board.console.print("Ctrl-C 结束 ends.\n")


def _table(title: str) -> Table:
    return Table(title=title, title_justify="left", title_style="bold", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))


def _result(ledgers: Ledgers, opening: str, case: CaseRow) -> str:
    courier = courier_number_in(ledgers, opening, case.case)
    return courier or ("[green]办结[/]" if case.stage == "closed" else "")


def _partner(player: Player, books: Books) -> tuple[str, ...]:
    notes = [attempt.note for attempt in books.attempts]
    return (
        f"{player.name} {player.id}",
        "信箱 pull" if player.inbox_port is None else "推送 push",
        str(len(notes)),
        str(len(books.effects)),
        str(notes.count("away")),
        str(notes.count("repeat")),
        str(_count(books.sent, "accepted")),
        str(_count(books.sent, "refused")),
        str(sum(message.receipt is not None for message in books.sent)),
    )


def _count(messages: Sequence[Sent], state: str) -> int:
    return sum(message.state == state for message in messages)
