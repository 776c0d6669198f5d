"""Write the scenarios' pages from their own data: ``python docs/scenario_pages.py [--check]``.

With ``--check`` nothing is written; exit 1 when a page is not what the scenarios say.
"""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path

from deploy.demo.checks import UNWRITTEN, Check
from deploy.demo.procedures import Procedure
from deploy.demo.roster import HallRole, documents, halls, item_documents
from deploy.demo.scenarios import Scenario, scenarios

HERE = Path(__file__).parent / "scenarios"
MADE = "<!-- Made by docs/scenario_pages.py from the scenarios themselves; change those. -->"
MODES = {"online": "全程网办", "collected": "异地代收代办", "joint": "多地联办"}
HANDLES = {
    Procedure.SUPPLEMENT: "补正一次后审批",
    Procedure.REVIEW: "审批",
    Procedure.INSTANT: "秒批",
    Procedure.FEE: "审批、收费、出件",
    Procedure.REFUSE: "不予受理",
    Procedure.DENY: "不予",
    Procedure.BY_HAND: "由工作人员逐步办理",
}
SOME_DAY = date(2026, 1, 1)
"""The expiring agreement ends three weeks after the day of the run; pages say so instead of a date."""
_MANY = 12
"""So many halls, agreements or items are listed; of more, the first."""


def pages() -> dict[str, str]:
    """Every page by its file name."""
    known = list(scenarios().values())
    return {"README.md": _index(known), **{f"{each.name}.md": _page(each) for each in known}}


def _index(known: Sequence[Scenario]) -> str:
    rows = "\n".join(f"| [{each.name}]({each.name}.md) | {each.place} | {each.zh} |" for each in known)
    return f"""# 场景 Scenarios

{MADE}

创始文件所载的每一件实事，都是一个能跑起来的场景：真实的地名与数字，自带 Kafka、通办与各厅，以两边自己的账本核对，核对无误才退出 0。

Every row of the founding documents is a scenario that runs on a Kafka, a broker and halls of its own, and is judged by both partners' own ledgers: exit 0 only then.

```sh
tongban scenario list            # 有哪些
tongban scenario run all         # 全部，一次跑完
tongban scenario run huli --json # 一个，输出给程序
```

| 名称 | 地点 | 内容 |
|---|---|---|
{rows}

演示中的人都不存在（1900 年 1 月 1 日出生的号码）。`deploy/demo/roster.toml` 列出各厅，`deploy/demo/directory/` 是名录，`deploy/demo/scenarios/` 每个场景一个模块。
"""


def _page(scenario: Scenario) -> str:
    return f"""# {scenario.zh}

{MADE}

> **{scenario.en}.** {scenario.summary}

```sh
tongban scenario run {scenario.name}
```

| | |
|---|---|
| 地点 | {scenario.place} |
| 实事 | {scenario.happened} |
| 通办怎么办 | {scenario.shows} |

## 参与各方 Halls

| 编号 | 名称 | 办理 |
|---|---|---|
{_halls(scenario)}
{_directory(scenario)}
## 以两边自己的账本核对 Checked in the ledgers of both sides

{_checks(scenario.checks(UNWRITTEN))}
"""


def _halls(scenario: Scenario) -> str:
    roles = [halls()[hall] for hall in scenario.cast]
    rows = [f"| {role.id} | {role.name} | {_handles(role)} |" for role in roles[:_MANY]]
    if len(roles) > _MANY:
        rows.append(f"| … | 共 {len(roles)} 家 | |")
    return "\n".join(rows)


def _handles(role: HallRole) -> str:
    if len(role.procedures) > _MANY:
        return f"{len(role.procedures)} 个事项"
    names = {item: table["name"] for item, table in _items(role.procedures).items()}
    return (
        "；".join(f"{names[item]}（{HANDLES[Procedure(how)]}）" for item, how in role.procedures.items())
        or "–"
    )


def _directory(scenario: Scenario) -> str:
    found = documents(scenario.cast, SOME_DAY)
    agreements = [
        tomllib.loads(text) for path, text in sorted(found.items()) if path.startswith("agreements/")
    ]
    handled = {item for hall in scenario.cast for item in halls()[hall].procedures}
    known = [tomllib.loads(text) for path, text in sorted(found.items()) if path.startswith("bundles/")]
    bundles = [each for each in known if each.get("route_item", each["code"]) in handled]
    rows = [_agreement(each) for each in agreements[:_MANY]]
    if len(agreements) > _MANY:
        rows.append(f"| … | 共 {len(agreements)} 份协议 | | | |")
    table = "\n".join(rows)
    return f"""
## 协议 Agreements

| 双方 | 事项（承诺工作日） | 模式 | 有效期 | 联系人 |
|---|---|---|---|---|
{table}
{"".join(_bundle(each) for each in bundles)}"""


def _agreement(table: Mapping[str, object]) -> str:
    partners, listed, modes = (_texts(table[key]) for key in ("partners", "items", "modes"))
    promised, contacts = table.get("promised", {}), table["contacts"]
    assert isinstance(promised, dict)
    assert isinstance(contacts, dict)
    items = _items(listed[:_MANY])
    said = [f"{each['name']}（{_days(each, promised.get(code))}）" for code, each in items.items()]
    if len(listed) > _MANY:
        said = [f"{len(listed)} 个事项"]
    until = "长期" if "until" not in table else str(table["until"])
    if "$" not in until and str(table.get("until", "")) > str(SOME_DAY):
        until = "自运行之日起三周"
    between = " ↔ ".join(f"{halls()[each].short} {each}" for each in partners)
    people = "，".join(f"{halls()[of].short}：{who}" for of, who in contacts.items())
    return (
        f"| {between} | {'；'.join(said)} | {'、'.join(MODES[each] for each in modes)} | {until} | {people} |"
    )


def _days(item: Mapping[str, object], promised: object) -> str:
    if item.get("instant"):
        return "秒批"
    classes = item.get("classes")
    if isinstance(classes, dict):
        return "，".join(f"{name} 类 {each.get('promised_days') or '当日'}" for name, each in classes.items())
    return str(item["promised_days"] if promised is None else promised)


def _bundle(table: Mapping[str, object]) -> str:
    lead = halls()[str(table["lead"])]
    parts = table.get("parts", [])
    assert isinstance(parts, list)
    if not parts:
        return (
            f"\n## 一件事 Bundle\n\n{table['name']}：{lead.name}牵头受理，按申请所报路线分派沿线部门，"
            "各部分办结后由牵头作出决定。\n"
        )
    names = {part["name"]: _items([part["item"]])[part["item"]]["name"] for part in parts}
    rows = "\n".join(
        f"| {names[part['name']]} | {halls()[part['authority']].name} | "
        f"{'、'.join(str(names[each]) for each in part.get('after', [])) or '–'} |"
        for part in parts
    )
    return (
        f"\n## 一件事 Bundle\n\n{table['name']}：{lead.name}牵头，通办汇总为一个结果。\n\n"
        f"| 事项 | 部门 | 在此之后 |\n|---|---|---|\n{rows}\n"
    )


def _checks(checks: Sequence[Check]) -> str:
    """Each expectation once, however often it is asked."""
    return "\n".join(dict.fromkeys(f"- {check.zh}\n  <br>{check.en}" for check in checks))


def _items(codes: Sequence[str] | Mapping[str, str]) -> dict[str, dict[str, object]]:
    return {code: tomllib.loads(item_documents()[f"{code}.toml"]) for code in codes}


def _texts(value: object) -> list[str]:
    assert isinstance(value, list)
    return [str(each) for each in value]


def main() -> int:
    """Write the pages, or with ``--check`` name those that differ."""
    made = pages()
    stale = [name for name, text in made.items() if not _same(HERE / name, text)]
    gone = [path.name for path in HERE.glob("*.md") if path.name not in made]
    if "--check" in sys.argv[1:]:
        for name in (*stale, *gone):
            print(f"docs/scenarios/{name} is not what the scenarios say; run: python docs/scenario_pages.py")
        return 1 if stale or gone else 0
    HERE.mkdir(exist_ok=True)
    for name in gone:
        (HERE / name).unlink()
    for name in stale:
        (HERE / name).write_text(made[name], encoding="utf-8")
        print(f"wrote docs/scenarios/{name}")
    return 0


def _same(path: Path, text: str) -> bool:
    return path.exists() and path.read_text(encoding="utf-8") == text


if __name__ == "__main__":
    sys.exit(main())
