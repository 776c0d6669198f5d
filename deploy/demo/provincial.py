"""湖南省政务服务大厅 as figures: 32 window units, 1,707 items, and which unit decides which item.

The items' names are numbers: the scenario is about volume, and what each of the 1,707 is called would add
nothing to it. Figures: the founding documents' (2.7 million cases in two years, 4,000 a day).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

HALL: Final = "430000"
UNITS: Final = 32
ITEMS: Final = 1707
CASES: Final = 2_700_000
"""In two years."""
CASES_A_DAY: Final = 4000
_PREFIX: Final = "hunan-"


def unit_id(key: str) -> str:
    """A unit's partner id."""
    return f"{HALL}-{key}"


def item_code(number: int) -> str:
    """The code of item ``number``, from 0."""
    return f"{_PREFIX}{number + 1:04d}"


def item_name(code: str) -> str:
    """An item's name, from its code."""
    return f"省级事项第 {int(code.removeprefix(_PREFIX))} 项"


def is_provincial(item: str) -> bool:
    """Whether an item is one of the 1,707."""
    return item.startswith(_PREFIX)


def unit_of(number: int) -> int:
    """The number of the unit that decides item ``number``."""
    return number % UNITS


def procedures(unit: int) -> dict[str, str]:
    """What a unit handles, and how: quickly, as a hall with 4,000 cases a day must."""
    return {item_code(number): "instant" for number in range(ITEMS) if unit_of(number) == unit}


def item_documents() -> dict[str, str]:
    """The items' documents, by file name."""
    codes = (item_code(number) for number in range(ITEMS))
    return {
        f"{code}.toml": f'code = "{code}"\nname = "{item_name(code)}"\npromised_days = 1\n' for code in codes
    }


def agreement_documents(units: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """The hall's standing arrangement with each of its units, by file name."""
    for number, (key, name) in enumerate(units.items()):
        items = ", ".join(f'"{item}"' for item in procedures(number))
        unit = unit_id(key)
        text = (
            f'# 省厅窗口 ↔ {name}\npartners = ["{HALL}", "{unit}"]\nitems = [{items}]\n'
            f'modes = ["online", "collected"]\nsince = 2024-01-01\n\n'
            f'[contacts]\n{HALL} = "综合窗口"\n{unit} = "首席代表"\n'
        )
        yield f"{HALL}--{unit}.toml", text
