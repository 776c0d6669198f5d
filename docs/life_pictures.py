"""Pictures and tables of a case's life, in both languages, drawn from the code's own tables and the demo's directory."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Final, NamedTuple

from broker.core import clock
from broker.core.calendar import STATUTORY
from broker.core.case.case_state import ENDS, Status
from broker.core.case.guards import EXTENSION_DAYS, GUARDS, JOINT_EXTENSION_DAYS
from broker.core.case.lifecycle_docs import fee_diagram, rating_diagram
from broker.core.case.transitions import BEFORE_DECISION, COMPLAINT, TRANSITIONS, Role, TypeRule
from broker.core.catalogue.directory import Item, Partner
from broker.core.clocks.limits import Kind

DIRECTORY: Final = Path(__file__).parents[1] / "deploy" / "demo" / "directory"

STATUS_ZH: Final[dict[Status, str]] = {
    Status.SUBMITTED: "已申办（收件）",
    Status.SUPPLEMENT_REQUESTED: "待补正",
    Status.SUPPLEMENTED: "已补正",
    Status.ACCEPTED: "已受理",
    Status.IN_REVIEW: "审批中",
    Status.PAUSED: "特别程序",
    Status.REFUSED: "不予受理",
    Status.DECIDED: "已办结",
    Status.ISSUED: "已出件",
    Status.DELIVERED: "已送达",
    Status.WITHDRAWN: "已撤回",
    Status.FILED: "已投诉",
    Status.ANSWERED: "已答复",
}
TYPE_EN: Final[dict[str, str]] = {
    "case.submitted": "application",
    "case.supplement-requested": "supplement asked for",
    "case.supplemented": "supplement",
    "case.accepted": "acceptance",
    "case.refused": "acceptance refused",
    "case.step-completed": "review step done",
    "case.paused": "special procedure begins",
    "case.resumed": "special procedure ends",
    "case.extended": "extension with approval",
    "case.decided": "decision: granted or denied",
    "case.result-issued": "result issued",
    "case.delivered": "delivered",
    "case.withdrawn": "withdrawn",
    "case.rated": "rating",
    "case.rectified": "correction",
    "case.rating-appealed": "appeal against a rating",
    "case.urged": "urged",
    "case.consulted": "question",
    "case.answered": "answer to a question",
    "fee.requested": "payment notice",
    "fee.paid": "payment",
    "complaint.filed": "complaint",
    "complaint.answered": "answer to a complaint",
}


class Limit(NamedTuple):
    """A limit as people know it."""

    zh: str
    en: str
    most_zh: str
    most_en: str
    late_zh: str
    late_en: str
    law_zh: str
    law_en: str


_ITEM: Final = Item(code="x", name="x", promised_days=0)
_ANSWER: Final = Partner.__dataclass_fields__["complaint_days"].default
LIMITS: Final[dict[Kind, Limit]] = {
    Kind.ACCEPTANCE: Limit(
        *("受理（或一次告知补正）", "acceptance, or asking once for a supplement"),
        *(f"{_ITEM.accept_days} 个工作日", f"{_ITEM.accept_days} working days"),
        *(
            "业务属地；红牌即视为自收到之日受理",
            "responsible; at the red card it counts as accepted since receipt",
        ),
        *("行政许可法第三十二条", "Administrative Licensing Law 32"),
    ),
    Kind.SUPPLEMENT: Limit(
        *("补正", "the supplement", "补正告知所定之日", "the day that the request names"),
        *("收件地", "opening", "行政许可法第三十二条", "Administrative Licensing Law 32"),
    ),
    Kind.DECISION: Limit(
        *(
            "办结（承诺时限）",
            "decision: the promise",
            "依事项；分类别的依类别，协议另定的依协议；受理时只可更短",
            "the item's; its class's where it has classes, the agreement's where it says; an acceptance may only promise less",
        ),
        *("业务属地", "responsible", "行政许可法第四十二条", "Administrative Licensing Law 42"),
    ),
    Kind.STEP: Limit(
        *("审批环节", "one review step", "按事项所定", "as the item says"),
        *("业务属地（全件未必超期）", "responsible (the case itself may be on time)"),
        *("各地承诺", "the place's own promise"),
    ),
    Kind.ISSUE: Limit(
        *("准予后出件", "the result after a grant"),
        *(f"{_ITEM.issue_days} 个工作日", f"{_ITEM.issue_days} working days"),
        *("业务属地", "responsible", "行政许可法第四十四条", "Administrative Licensing Law 44"),
    ),
    Kind.RECTIFICATION: Limit(
        *("差评整改", "putting a bad rating right"),
        *(f"{_ITEM.rectify_days} 个工作日", f"{_ITEM.rectify_days} working days"),
        *("业务属地", "responsible", "各地“好差评”办法（一地为 15 日）", "each place's rules (one city: 15)"),
    ),
    Kind.COMPLAINT: Limit(
        *("投诉答复", "answer to a complaint"),
        *(f"所填日期，未填则 {_ANSWER} 个工作日", f"the day it names, else {_ANSWER} working days"),
        *("业务属地", "responsible", "各地 12345 办法", "each place's 12345 rules"),
    ),
}


def case_zh() -> str:
    return _case(lambda status: STATUS_ZH[status], lambda rule: rule.zh, "办结之前")


def case_en() -> str:
    return _case(
        lambda status: status.value.replace("_", " "), lambda rule: TYPE_EN[rule.name], "before the decision"
    )


def _case(named: Callable[[Status], str], said: Callable[[TypeRule], str], early: str) -> str:
    """A case's statuses; what may be withdrawn stands in one box, so that one arrow leads out of it."""
    shown = [each for each in Status if each not in COMPLAINT]
    inner = [each for each in shown if each in BEFORE_DECISION]
    lines = ["```mermaid", "stateDiagram-v2"]
    lines += [f'    state "{named(each)}" as {each}' for each in shown if each not in inner]
    lines += [
        f'    state "{early}" as early {{',
        *(f'        state "{named(each)}" as {each}' for each in inner),
    ]
    moves = [(since, rule) for rule in TRANSITIONS if rule.to for since in shown if since in rule.since]
    lines += [f"        {a} --> {rule.to}: {said(rule)}" for a, rule in moves if rule.to in inner]
    lines.append("    }")
    for rule in TRANSITIONS:
        if rule.opens and rule.to in shown:
            lines.append(f"    [*] --> {rule.to}: {said(rule)}")
        if rule.since == BEFORE_DECISION and rule.to is not None:
            lines.append(f"    early --> {rule.to}: {said(rule)}")
    lines += [
        f"    {a} --> {rule.to}: {said(rule)}"
        for a, rule in moves
        if rule.to not in inner and rule.since != BEFORE_DECISION
    ]
    lines += [f"    {each} --> [*]" for each in shown if each in ENDS]
    return "\n".join((*lines, "```"))


def who_zh() -> str:
    return _who("| 报文 | 名称 | 收件地 | 业务属地 | 国库 |", lambda rule: rule.zh)


def who_en() -> str:
    return _who(
        "| message | what it is | opening | responsible | treasury |", lambda rule: TYPE_EN[rule.name]
    )


def _who(head: str, named: Callable[[TypeRule], str]) -> str:
    lines = [head, "|---|---|---|---|---|"]
    for rule in TRANSITIONS:
        if rule.of_the_road:
            continue
        says = ["✓" if each in rule.says else "" for each in (Role.OPENING, Role.RESPONSIBLE, Role.TREASURY)]
        lines.append(f"| `{rule.name}` | {named(rule)} | {' | '.join(says)} |")
    return "\n".join(lines)


def limits_zh() -> str:
    rows = [f"| {each.zh} | {each.most_zh} | {each.late_zh} | {each.law_zh} |" for each in _limits()]
    return "\n".join(("| 时限 | 多长（默认值，可按事项设定） | 谁超期 | 依据 |", "|---|---|---|---|", *rows))


def limits_en() -> str:
    rows = [f"| {each.en} | {each.most_en} | {each.late_en} | {each.law_en} |" for each in _limits()]
    return "\n".join(
        ("| limit | how long (default; set per item) | who is late | rests on |", "|---|---|---|---|", *rows)
    )


def _limits() -> list[Limit]:
    return [LIMITS[kind] for kind in Kind]


def guards_zh() -> str:
    named = {rule.name: rule.zh for rule in TRANSITIONS}
    return "\n".join(
        f"- **{'、'.join(named[each] for each in rule.types)}**：{rule.demands_zh}。" for rule in GUARDS
    )


def guards_en() -> str:
    return "\n".join(
        f"- **{', '.join(TYPE_EN[each] for each in rule.types)}**: {rule.demands}." for rule in GUARDS
    )


def extension() -> str:
    """Working days by which a limit may be extended, ordinarily and jointly."""
    return f"{EXTENSION_DAYS}, {JOINT_EXTENSION_DAYS}"


def fee() -> str:
    return f"```mermaid\n{fee_diagram().strip()}\n```"


def rating() -> str:
    return f"```mermaid\n{rating_diagram().strip()}\n```"


def newborn() -> str:
    """The newborn's six items, as the demo's directory has them: which opens after which, and at whom."""
    bundle = tomllib.loads((DIRECTORY / "bundles" / "xinshenger-yijianshi.toml").read_text(encoding="utf-8"))
    lines = ["```mermaid", "flowchart LR", f'    submitted(["{bundle["name"]}：一次申办"])']
    for part in bundle["parts"]:
        item = tomllib.loads((DIRECTORY / "items" / f"{part['item']}.toml").read_text(encoding="utf-8"))
        lines.append(f'    {part["name"]}["{item["name"]}"]')
    for part in bundle["parts"]:
        lines += [f"    {each} --> {part['name']}" for each in part.get("after", ["submitted"])]
    last = {part["name"] for part in bundle["parts"]} - {
        a for part in bundle["parts"] for a in part.get("after", [])
    }
    lines.append('    answer(["一个结果，一次送达"])')
    lines += [f"    {part['name']} --> answer" for part in bundle["parts"] if part["name"] in last]
    return "\n".join((*lines, "```"))


# The worked example of the clock: seven working days over Mid-Autumn and National Day, with an expert's opinion.

ACCEPTED: Final = date(2026, 9, 23)
PROMISED: Final = 7
PAUSED: Final = (date(2026, 9, 29), date(2026, 10, 9))
EXTENDED: Final = 5
_WEEK: Final = "一二三四五六日"
_WEEK_EN: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


def at(day: date) -> datetime:
    """Ten in the morning of that day, in China."""
    return datetime(day.year, day.month, day.day, 2, tzinfo=UTC)


class Example(NamedTuple):
    """The last days of the promise: as it is; with the special procedure; and extended besides."""

    due: date
    paused_due: date
    extended_due: date


def example() -> Example:
    """Computed by the product's own clock."""
    running = clock.start(at(ACCEPTED), ACCEPTED, days=PROMISED, minutes=None)
    paused = clock.resume(clock.pause(running, at(PAUSED[0])), at(PAUSED[1]), STATUTORY)
    return Example(
        due=clock.due_on(running, STATUTORY),
        paused_due=clock.due_on(paused, STATUTORY),
        extended_due=clock.due_on(clock.extend(paused, EXTENDED), STATUTORY),
    )


def clock_zh() -> str:
    rows = ["| 日期 | 星期 | 大厅 | 第几日 | 若 9 月 29 日至 10 月 9 日鉴定 |", "|---|---|---|---|---|"]
    for day, works, number, other in _days():
        hall = "上班（调休）" if works and day.weekday() > 4 else "上班" if works else "休息"
        told = {-1: "受理当日，不计", 0: "", -2: "中止"}
        first, second = (told.get(each, f"第 {each} 日") for each in (number, other))
        rows.append(f"| {day.month} 月 {day.day} 日 | {_WEEK[day.weekday()]} | {hall} | {first} | {second} |")
    return "\n".join(rows)


def clock_en() -> str:
    rows = [
        "| day | | hall | counted | with an expert's opinion from 09-29 to 10-09 |",
        "|---|---|---|---|---|",
    ]
    for day, works, number, other in _days():
        hall = "open (make-up day)" if works and day.weekday() > 4 else "open" if works else "closed"
        told = {-1: "day of acceptance: not counted", 0: "", -2: "stands still"}
        first, second = (told.get(each, str(each)) for each in (number, other))
        rows.append(f"| {day.isoformat()} | {_WEEK_EN[day.weekday()]} | {hall} | {first} | {second} |")
    return "\n".join(rows)


def _days() -> list[tuple[date, bool, int, int]]:
    """Each day until the promise with the special procedure has run out: what it counts without and with it."""
    found, number, other, day = [], 0, 0, ACCEPTED
    due = example()
    while day <= due.paused_due:
        works = STATUTORY.is_working(day)
        still = PAUSED[0] <= day < PAUSED[1]
        counts = works and day > ACCEPTED
        number += counts and day <= due.due
        other += counts and not still
        first = -1 if day == ACCEPTED else number if counts and day <= due.due else 0
        second = -1 if day == ACCEPTED else -2 if still and works else other if counts else 0
        found.append((day, works, first, second))
        day += timedelta(days=1)
    return found
