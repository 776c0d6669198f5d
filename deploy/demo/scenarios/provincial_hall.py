"""湖南省政务服务大厅: a small exact share of two years' cases over 1,707 items and 32 units, and the projection."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from deploy.demo import provincial
from deploy.demo.checks import Check, Ledgers
from deploy.demo.forms import Applicant
from deploy.demo.hall import Wish
from deploy.demo.roster import halls
from deploy.demo.scenarios.base import INSTANT, PATIENT
from deploy.demo.stage import Stage

CASES: Final = 192
"""Six for each unit. 2.7 million in two years are 14,063 times as many."""
_AT_ONCE: Final = 8
_UNITS_APART: Final = provincial.UNITS * 8
"""How far apart the items of one unit are taken from the 1,707."""
_UNITS: Final = tuple(hall for hall in halls() if hall.startswith(f"{provincial.HALL}-"))


class ProvincialHall:
    """Volume: every case to its unit and back, none lost, none doubled."""

    name = "provincial-hall"
    zh = f"湖南省政务服务大厅：{CASES} 件，取自 1,707 个事项、32 个窗口单位，逐件往返，无一遗漏；推算两年 270 万件"
    en = f"the provincial hall: {CASES} cases over 1,707 items and 32 units, and what two years would take"
    place = "湖南省政务服务大厅 430000 与 32 个窗口单位"
    happened = "两年办件 270 万件，日均 4,000 件，1,707 个事项，32 个窗口单位，满意率 99.9% 以上。"
    shows = (
        "按比例取一小份：综合窗口收件，按事项分到各单位，受理、办结、出件逐件返回，双方账目相符；"
        "并按本次速度推算两年之量。完整的两年由 bench/hall.py 实测。"
    )
    summary = (
        f"{CASES} of the hall's 2.7 million cases (two years, 4,000 a day, 1,707 items, 32 units) are relayed one by "
        "one and accounted for on both sides; the time for all of them is projected. The whole run is bench/hall.py."
    )
    disturbs = False
    cast = (provincial.HALL, *_UNITS)

    def __init__(self) -> None:
        self._opened: list[str] = []

    @property
    def cases(self) -> Sequence[str]:
        return self._opened[:1]

    async def act(self, stage: Stage) -> None:
        person: Applicant = PATIENT
        items = [
            _UNITS_APART * (number // provincial.UNITS) + number % provincial.UNITS for number in range(CASES)
        ]
        wishes = [
            Wish(
                to=_UNITS[provincial.unit_of(item)],
                item=provincial.item_code(item),
                mode="online",
                applicant=person,
                manner="by-hand",
            )
            for item in items
        ]
        for first in range(0, CASES, _AT_ONCE):
            opened = (stage.open_case(provincial.HALL, wish) for wish in wishes[first : first + _AT_ONCE])
            self._opened.extend(await asyncio.gather(*opened))

    def checks(self, ledgers: Ledgers) -> Sequence[Check]:
        hall = ledgers[provincial.HALL]
        came_back = Counter(each.case for each in hall.effects if each.type in INSTANT)
        took_in = Counter(
            each.case
            for unit in _UNITS
            for each in ledgers[unit].effects
            if each.type == "case.submitted" and each.source == provincial.HALL
        )
        items = {row.item for row in hall.cases}
        complete = [case for case in self._opened if came_back[case] == len(INSTANT) and took_in[case] == 1]
        receipts = sum(each.receipt == "delivered" for each in hall.sent)
        return [
            Check(
                zh=f"{CASES} 件逐件到了应办单位一次，受理、办结、出件各返回一次",
                en=f"each of {CASES} cases reached its unit once and came back accepted, decided, issued",
                holds=len(complete) == CASES,
                found=f"{len(complete)}/{CASES}",
            ),
            Check(
                zh="两边账上件数相符，无多无少",
                en="both sides count the same cases",
                holds=sum(took_in.values()) == len(hall.cases) == CASES,
                found=f"{sum(took_in.values())} / {len(hall.cases)}",
            ),
            Check(
                zh="每件申办都有送达回执",
                en="a receipt for every submission",
                holds=receipts == CASES,
                found=f"{receipts}/{CASES}",
            ),
            Check(
                zh="32 个单位都有件，事项各不相同；按本次速度推算两年 270 万件",
                en="all 32 units had cases, each of another item; two years projected from this run's pace",
                holds=len({row.counterpart for row in hall.cases}) == provincial.UNITS
                and len(items) == CASES,
                found=_projected(ledgers),
            ),
        ]


def _projected(ledgers: Ledgers) -> str:
    """How long two years' cases would take at this run's pace, the demo's one-by-one halls included."""
    hall = ledgers[provincial.HALL]
    issued = [each.at for each in hall.effects if each.type == "case.result-issued"]
    if not issued:
        return "-"
    began = min(each.queued_at for each in hall.sent)
    took_s = max((datetime.fromisoformat(max(issued)) - datetime.fromisoformat(began)).total_seconds(), 0.001)
    hours = took_s / len(issued) * provincial.CASES / 3600
    return (
        f"{len(issued)} 件 {took_s:.1f} s，{len(issued) / took_s:.0f} 件/秒，两年 270 万件约 {hours:.1f} 小时"
    )
