"""What the scenarios share: people who do not exist, halls by name, and the form of a scenario."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final, Protocol

from deploy.demo.checks import Check, Flow, Ledgers
from deploy.demo.clock import CHINA
from deploy.demo.forms import Applicant, courier_number
from deploy.demo.stage import Stage

LAIBIN: Final = "451300"
HENGYANG: Final = "430400"
HENGSHAN: Final = "430423"
XIAMEN: Final = "350200"
YANBIAN: Final = "222400"
GUILIN: Final = "450300"
PINGXIANG: Final = "360300"
NINGBO: Final = "330200"
SHIYAN: Final = "420300"
WULANCHABU: Final = "150900"
WULING: Final = "430702"
WULING_MARKET: Final = "430702-shichang"
HULI: Final = "350206"
FUZHOU: Final = "350100"
HOTLINE: Final = "430400-12345"
COMPLAINTS: Final = "430400-tousu"
TREASURY: Final = "430423-caizheng"
HOUSING_FUND: Final = "430400-gongjijin"
ROAD_HUNAN: Final = "430000-jiaotong"
ROAD_PINGXIANG: Final = "360300-jiaotong"
ROAD_SHIYAN: Final = "420300-jiaotong"
TONGBAN: Final = "tongban"

# Nobody's: born on 1 January 1900, with correct check digits; the telephone number is not in use.
FATHER: Final = Applicant(name="李建国", id_number="430423190001010013", phone="13000000000")
PATIENT: Final = Applicant(name="周秀英", id_number="430400190001010027", phone="13000000000")
RESIDENT: Final = Applicant(name="韦志强", id_number="451300190001010034", phone="13000000000")

REVIEWED: Final = ("case.accepted", "case.step-completed", "case.decided", "case.result-issued")
INSTANT: Final = ("case.accepted", "case.decided", "case.result-issued")
ENDING: Final = ("case.delivered", "case.rated")


class Scenario(Protocol):
    """One scenario: ``act`` does it once; ``checks`` asks the ledgers, any number of times, also before ``act``.

    ``name`` is what it is called on the command line; ``place`` where it happened, ``happened`` what, ``shows``
    what the exchange does about it (all for the page in the docs; ``summary`` says it in English). ``cast``: the
    halls that it needs; ``cases``: those that it has opened, for their timeline. ``disturbs``: it makes a hall
    fail that others use, and so runs after them.
    """

    name: str
    zh: str
    en: str
    place: str
    happened: str
    shows: str
    summary: str
    disturbs: bool

    @property
    def cast(self) -> tuple[str, ...]: ...

    @property
    def cases(self) -> Sequence[str]: ...

    async def act(self, stage: Stage) -> None: ...

    def checks(self, ledgers: Ledgers) -> Sequence[Check]: ...


def courier_number_in(ledgers: Ledgers, hall: str, case: str) -> str:
    """The courier number of a result that reached a hall, or nothing."""
    issued = (e for e in ledgers[hall].effects if e.case == case and e.type == "case.result-issued")
    return next((number for effect in issued if (number := courier_number(effect.event))), "")


def supplemented(case: str, opening: str = LAIBIN, responsible: str = HENGSHAN) -> Flow:
    """A case that was supplemented once and then went its whole way."""
    return Flow(
        case=case,
        opening=opening,
        responsible=responsible,
        opening_says=("case.submitted", "case.supplemented", *ENDING),
        responsible_says=("case.supplement-requested", *REVIEWED),
    )


def sent_by_courier(ledgers: Ledgers, hall: str, case: str, zh: str, en: str) -> Check:
    """The result's courier number in the opening hall's own ledger."""
    courier = courier_number_in(ledgers, hall, case)
    return Check(zh=zh, en=en, holds=bool(courier), found=courier or "-")


async def figures(stage: Stage, folder: str) -> Sequence[Mapping[str, str]]:
    """This month's figures as `tongban figures` exports them, row by row."""
    to = stage.prepared.folder / folder
    month = datetime.now(CHINA).strftime("%Y-%m")
    await stage.tongban("figures", "--month", month, "--to", str(to))
    file = to / "figures.csv"
    if not file.exists():
        return []
    return list(csv.DictReader(io.StringIO(file.read_text(encoding="utf-8-sig"))))
