"""China's code numbers, checked to their last digit. The text checked is never repeated: it may be a person's.

Source: GB 32100-2015 (统一社会信用代码), GB 11643-1999 (公民身份号码), GB/T 2260 (行政区划代码), 事项实施编码.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from typing import Final, NewType

from stdnum.cn import ric
from stdnum.cn import uscc as credit_code

from broker.core.ids import InvalidId

Uscc = NewType("Uscc", str)
"""统一社会信用代码: 18 characters, the last one a check."""

ResidentNumber = NewType("ResidentNumber", str)
"""公民身份号码: 18 characters, the last one a check. Personal data: never in logs, errors or metrics."""

Division = NewType("Division", str)
"""行政区划代码: 6 digits."""

# Not stdnum's own form: it wants a digit first, but farmers' collectives (N) and others (A, Y) have letters.
_USCC: Final = re.compile(r"[0-9A-HJ-NPQRTUWXY]{2}[0-9]{6}[0-9A-HJ-NPQRTUWXY]{10}")
_RESIDENT: Final = re.compile(r"[1-9][0-9]{16}[0-9X]")
# Between digits or letters a run of 18 is part of another code; a letter before it hides nobody's number.
_RESIDENT_WITHIN: Final = re.compile(r"(?<![0-9])[1-9][0-9]{16}[0-9Xx](?![0-9A-Za-z])")
_MOBILE_WITHIN: Final = re.compile(r"(?<![0-9A-Za-z])1[3-9][0-9]{9}(?![0-9A-Za-z])")
_DIVISION: Final = re.compile(r"([1-9][0-9]{5})(?:000000)?")
_IMPLEMENTATION: Final = re.compile(r"([0-9A-Z]{18})([0-9])([0-9A-Z]{12})([0-9]{2})?")


@dataclass(frozen=True, slots=True, kw_only=True)
class ImplementationCode:
    """事项实施编码: an authority, the level at which it acts, the item's base code, perhaps one 业务办理项."""

    authority: Uscc
    level: str
    base: str
    business: str | None = None

    def __str__(self) -> str:
        return f"{self.authority}{self.level}{self.base}{self.business or ''}"


def uscc(text: str) -> Uscc:
    """Check a 统一社会信用代码. Raises :class:`InvalidId`."""
    expected = "18 of 0-9 and A-Z without I O S V Z, the last one its check character"
    if not _USCC.fullmatch(text) or credit_code.calc_check_digit(text[:17]) != text[17]:
        raise InvalidId("统一社会信用代码", expected)
    return Uscc(text)


def resident_number(text: str) -> ResidentNumber:
    """Check a 公民身份号码: form, date of birth, check digit. Raises :class:`InvalidId`.

    The region prefix is not looked up: numbers keep the code of a county that has since been abolished.
    """
    expected = "17 digits with a date of birth, and a check digit or a capital X"
    if not _RESIDENT.fullmatch(text) or ric.calc_check_digit(text) != text[17]:
        raise InvalidId("公民身份号码", expected)
    try:
        date(int(text[6:10]), int(text[10:12]), int(text[12:14]))
    except ValueError:
        raise InvalidId("公民身份号码", expected) from None
    return ResidentNumber(text)


def names_a_citizen(text: str) -> bool:
    """Whether a text holds what reads as a 公民身份号码 or a mobile number: it is not for ledger, list or log."""
    return bool(_MOBILE_WITHIN.search(text)) or any(map(_is_resident, _RESIDENT_WITHIN.findall(text)))


def _is_resident(text: str) -> bool:
    try:
        resident_number(text.upper())
    except InvalidId:
        return False
    return True


def division(text: str) -> Division:
    """Check a 行政区划代码 and give its 6 digits; portals pad it to 12 with zeros. Raises :class:`InvalidId`."""
    found = _DIVISION.fullmatch(text)
    if found is None:
        raise InvalidId("行政区划代码", "6 digits, or 12 of which the last 6 are zero")
    return Division(found[1])


def implementation_code(text: str) -> ImplementationCode:
    """Take a 事项实施编码 apart: 31 characters, or 33 with a 业务办理项. Raises :class:`InvalidId`."""
    found = _IMPLEMENTATION.fullmatch(text)
    if found is None:
        raise InvalidId(
            "事项实施编码", "18 of an authority, 1 digit of level, 12 of the item, perhaps 2 digits"
        )
    return ImplementationCode(authority=uscc(found[1]), level=found[2], base=found[3], business=found[4])
