"""The columns of the figures, once: the CSV, the Parquet schema, the data dictionary and the docs all read them here."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Unit(StrEnum):
    """What a column's values are."""

    TEXT = "text"
    FLAG = "true or false"
    COUNT = "count"
    SECONDS = "s"
    DAYS = "working days"
    SHARE = "share, 0 to 1"
    SCORE = "score, 1 to 5"


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column. ``counted``: a number that adds up over rows."""

    name: str
    unit: Unit
    zh: str
    en: str

    @property
    def counted(self) -> bool:
        return self.unit is Unit.COUNT


def _column(name: str, unit: Unit, zh: str, en: str) -> Column:
    return Column(name=name, unit=unit, zh=zh, en=en)


def _count(name: str, zh: str, en: str) -> Column:
    return _column(name, Unit.COUNT, zh, en)


COLUMNS: Final[tuple[Column, ...]] = (
    _column(
        "month",
        Unit.TEXT,
        "月份",
        "YYYY-MM, days being days in China. Each number is of the month in which what it counts happened.",
    ),
    _column(
        "level",
        Unit.TEXT,
        "层级",
        "pair: one responsible partner, opening partner and item. partner: total of a responsible partner. "
        "item: total of an item.",
    ),
    _column("responsible", Unit.TEXT, "业务属地", "Partner that decides. Blank in totals of items."),
    _column("opening", Unit.TEXT, "收件地", "Partner that opened the cases. Blank in totals."),
    _column(
        "item",
        Unit.TEXT,
        "事项",
        "Item code of the directory. Blank in totals of partners, and for complaints that name no item. "
        "A bundle counts under its own item, each of its parts under theirs.",
    ),
    _column(
        "suppressed", Unit.FLAG, "是否隐去", "The row's numbers are left blank to protect a small group."
    ),
    _count("cases", "办件数", "Cases and complaints that anything in this row happened to, each once."),
    _count("opened", "申办", "Cases submitted."),
    _count("accepted", "受理", "Cases accepted, or that count as accepted since receipt (行政许可法 32)."),
    _count("refused", "不予受理", "Cases not accepted, with a reason."),
    _count("withdrawn", "撤回", "Cases withdrawn before the decision."),
    _count("decided", "办结", "Cases decided."),
    _count("granted", "准予", "Of the decided: granted."),
    _count("denied", "不予", "Of the decided: denied."),
    _count("delivered", "送达", "Cases whose result reached the applicant."),
    _column(
        "seconds_median",
        Unit.SECONDS,
        "办理用时中位数",
        "Of the decided: time from acceptance to decision on the ledger, pauses included; exact median by "
        "nearest rank. Blank for fewer decisions than the smallest group shown.",
    ),
    _column("seconds_p95", Unit.SECONDS, "办理用时95分位", "The same, 95th percentile by nearest rank."),
    _column(
        "working_days_median",
        Unit.DAYS,
        "办理工作日中位数",
        "Of the decided: working days of the responsible place after the day of acceptance, pauses taken out; "
        "exact median by nearest rank. Blank as above.",
    ),
    _column("working_days_p95", Unit.DAYS, "办理工作日95分位", "The same, 95th percentile by nearest rank."),
    _count(
        "on_time", "按时办结", "Of the decided: within what was promised, pauses and extensions allowed for."
    ),
    _count("late", "超时办结", "Of the decided: later than that."),
    _column("on_time_rate", Unit.SHARE, "按时办结率", "on_time / (on_time + late), to 4 places."),
    _count("supplements", "补正", "Of the decided: a supplement had been asked for."),
    _count("extended", "延期", "Of the decided: the limit had been extended with approval."),
    _count("paused", "特别程序", "Of the decided: the clock had stood still."),
    _count("yellow_cards", "黄牌", "Yellow cards that fell due, of any deadline or step, of open cases too."),
    _count("red_cards", "红牌", "Red cards, the same."),
    _count("rated", "评价", "Cases rated."),
    _count("rated_5", "非常满意", "Of the rated: 5."),
    _count("rated_4", "满意", "Of the rated: 4."),
    _count("rated_3", "基本满意", "Of the rated: 3."),
    _count("rated_2", "不满意", "Of the rated: 2."),
    _count("rated_1", "非常不满意", "Of the rated: 1."),
    _column("rating_mean", Unit.SCORE, "平均评价", "Mean of the ratings, to 4 places."),
    _count("corrected", "已整改", "Of the rated: a bad rating that has been put right since."),
    _count("complaints", "投诉", "Complaints filed."),
    _count("complaints_answered", "投诉答复", "Complaints answered."),
    _count("complaints_on_time", "按时答复", "Of the answered: by the day that was due."),
)

COUNTED: Final = tuple(column.name for column in COLUMNS if column.counted)


def dictionary_table() -> str:
    """The data dictionary as a Markdown table."""
    rows = "".join(f"| `{each.name}` | {each.zh} | {each.unit} | {each.en} |\n" for each in COLUMNS)
    return f"| column | 名称 | unit | what it says |\n|---|---|---|---|\n{rows}"
