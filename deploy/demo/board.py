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

from deploy.demo.cast import LEAD, Player, Prepared
from deploy.demo.checks import Check, Ledgers
from deploy.demo.leaflets import sheet
from deploy.demo.procedures import PART
from deploy.demo.records import CaseRow, Sent
from deploy.demo.roster import name_of
from deploy.demo.scenarios.base import (
    FATHER,
    HENGSHAN,
    HENGYANG,
    LAIBIN,
    TONGBAN,
    Scenario,
    courier_number_in,
)

_MODES = {"": "投诉", "collected": "代收代办", "online": "全程网办", "joint": "多地联办"}
_CASES_SHOWN = 6
_LONGEST = 90
"""Characters of a proof on the board; all of it is in the ledgers."""
_LIGHTS = {"yellow": "[yellow]黄牌[/]", "red": "[red]红牌[/]"}


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
        self._latest: Scene | None = None

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
        self._latest = scene
        if not self.console.is_terminal:
            mark = "[green]✓[/]" if scene.state == "held" else "[red]✗[/]"
            self.console.print(f"{mark} {scene.zh}\n  [dim]{scene.scenario.en}[/]", soft_wrap=True)
            for line in _shown(scene.checks(self._ledgers)):
                self.console.print(f"    {line}", soft_wrap=True)

    def window_commands(self) -> list[tuple[str, str]]:
        """What a visitor may do at the windows, as a staff member would."""
        wish = {"to": HENGSHAN, "item": "xinshenger-ruhu", "mode": "collected", "applicant": FATHER.to_json()}
        lines = {
            LAIBIN: ("来宾窗口再收一件新生儿入户", orjson.dumps(wish).decode(), "/cases"),
            HENGYANG: ("让衡阳停机 30 秒", '{"seconds": 30}', "/faults/outage"),
        }
        return [
            (zh, f"curl -d '{data}' {self._players[hall].window_url}{path}")
            for hall, (zh, data, path) in lines.items()
            if hall in self._players
        ]

    def _whole(self, ledgers: Ledgers) -> RenderableType:
        parts: list[RenderableType] = [
            self._cases(ledgers),
            self._checklist(ledgers),
            self._partners(ledgers),
        ]
        if self.lag:
            waiting = "  ".join(f"{name} {count}" for name, count in sorted(self.lag.items()) if count)
            parts.append(Text(f"积压 lag: {waiting or 0}", style="dim"))
        return Group(*parts)

    def _cases(self, ledgers: Ledgers) -> Table:
        table = _table("办件 Cases")
        table.add_column("办件\nCase", overflow="fold")
        table.add_column("两地状态码\nOwn codes")
        table.add_column("回执\nReceipts", justify="right")
        table.add_column("结果\nResult")
        opened = [
            case
            for books in ledgers.values()
            for case in books.cases
            if case.role == "opening" and PART not in case.case
        ]
        for case in sorted(opened, key=lambda each: each.opened_at)[-_CASES_SHOWN:]:
            table.add_row(*self._case(ledgers, case))
        return table

    def _case(self, ledgers: Ledgers, case: CaseRow) -> tuple[str, ...]:
        opening = case.case.partition("/")[0]
        books = [ledgers[hall] for hall in (opening, case.counterpart) if hall in self._players]
        other = books[-1].row(case.case) if len(books) > 1 else None
        said = [message for each in books for message in each.said(case.case)]
        refused = next((message for message in said if message.state == "refused"), None)
        route = f"{name_of(opening)}→{name_of(case.counterpart)}"
        item = sheet(case.item).name if case.item else "投诉工单"
        lines = [case.case, f"{item} {_MODES[case.mode]} {route}"]
        if refused is not None:
            lines.append(f"[dim]{escape(_short(f'{refused.code}: {refused.detail}'))}[/]")
        unopened = refused is not None and refused.type == "case.submitted"
        return (
            "\n".join(lines),
            f"{case.code} / {other.code if other else '-'}",
            f"{sum(message.receipt is not None for message in said)}/{len(said)}",
            f"[yellow]被拒 {refused.status}[/]" if unopened and refused else _result(ledgers, opening, case),
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
        own = [player for player in self._players.values() if player.id in LEAD]
        for player in own:
            table.add_row(*_partner(ledgers, player.name, player))
        others = [player for player in self._players.values() if player.id not in LEAD]
        if others:
            table.add_row(*_partner(ledgers, f"其他 {len(others)} 厅", *others))
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
            elif scene is self._latest:
                lines += _shown(checks)
            table.add_row(mark, "\n".join(lines), f"{holding}/{len(checks)}")
        return table


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
    books = ledgers[opening]
    marks = [_LIGHTS[each] for part in _with_parts(ledgers, opening, case.case) for each in books.cards(part)]
    if books.data(case.case, "case.rectified"):
        marks.append("差评已整改")
    if books.data(case.case, "case.rating-appealed"):
        marks.append("评价申诉")
    if books.data(case.case, "fee.requested"):
        marks.append("已缴费" if case.stage == "closed" else "待缴费")
    courier = courier_number_in(ledgers, opening, case.case)
    end = courier or ("[green]办结[/]" if case.stage == "closed" else "")
    return "\n".join(each for each in (" ".join(marks), end) if each)


def _with_parts(ledgers: Ledgers, opening: str, case: str) -> list[str]:
    """A case and those of its parts that the broker has spoken of to its opening side."""
    parts = {
        each.case
        for each in ledgers[opening].effects
        if each.source == TONGBAN and each.case.startswith(case + PART)
    }
    return [case, *sorted(parts)]


def _shown(checks: Sequence[Check]) -> list[str]:
    """What a scene is about, with its proof; not what every case has."""
    return [
        f"[dim]· {check.zh}：{escape(_short(check.found))}[/]"
        for check in checks
        if not check.routine and check.holds
    ]


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def _partner(ledgers: Ledgers, name: str, *players: Player) -> tuple[str, ...]:
    books = [ledgers[player.id] for player in players]
    notes = [attempt.note for each in books for attempt in each.attempts]
    sent = [message for each in books for message in each.sent]
    return (
        f"{name} {players[0].id}" if len(players) == 1 else name,
        "信箱 pull" if players[0].inbox_port is None else "推送 push",
        str(len(notes)),
        str(sum(len(each.effects) for each in books)),
        str(notes.count("away")),
        str(notes.count("repeat")),
        str(_count(sent, "accepted")),
        str(_count(sent, "refused")),
        str(sum(message.receipt is not None for message in sent)),
    )


def _count(messages: Sequence[Sent], state: str) -> int:
    return sum(message.state == state for message in messages)
