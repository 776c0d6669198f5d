"""How commands show times, ages and foreign text to a person: times of China, ages in two units, nothing raw."""

from __future__ import annotations

import re
import unicodedata
from datetime import UTC, datetime, timedelta
from typing import Final

from broker.core.message import SHANGHAI, from_epoch_ms, parse_time, rfc3339
from broker.errors import WrongUse

_UNITS: Final = (("d", 86400), ("h", 3600), ("min", 60), ("s", 1))
_AGE: Final = re.compile(r"([1-9][0-9]{0,5})(s|m|min|h|d)")
_SECONDS: Final = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400}


def clock(at_ms: int | None) -> str:
    """A time of the store for a person: ``2026-11-22 17:00:05`` in Asia/Shanghai, ``–`` for none."""
    if at_ms is None:
        return "–"
    return from_epoch_ms(at_ms).astimezone(SHANGHAI).strftime("%Y-%m-%d %H:%M:%S")


def short(at_ms: int | None) -> str:
    """As :func:`clock`, for narrow columns: ``11-22 17:00``."""
    if at_ms is None:
        return "–"
    return from_epoch_ms(at_ms).astimezone(SHANGHAI).strftime("%m-%d %H:%M")


def stamp(at_ms: int | None) -> str | None:
    """A time of the store for a program: RFC 3339 in UTC."""
    return None if at_ms is None else rfc3339(from_epoch_ms(at_ms))


def age(seconds: float) -> str:
    """A length of time in its two largest units: ``2 h 5 min``. Never negative: clocks may differ a little."""
    left = max(0, int(seconds))
    if left < 1:
        return "0 s"
    parts: list[str] = []
    for unit, size in _UNITS:
        count, left = divmod(left, size)
        if count:
            parts.append(f"{count} {unit}")
        elif parts:
            break
    return " ".join(parts[:2])


def plain(text: object) -> str:
    """Text that others wrote, on one line: control characters cannot move the cursor or hide a word."""
    return "".join(
        " " if each in "\n\r\t" else "\ufffd" if unicodedata.category(each).startswith("C") else each
        for each in str(text)
    )


def moment(option: str, text: str, now: datetime) -> datetime:
    """``--since`` and its like: RFC 3339 with an offset, or an age before ``now`` (``90m``, ``4h``, ``2d``).

    Raises :class:`WrongUse`.
    """
    if (found := _AGE.fullmatch(text)) is not None:
        return now.astimezone(UTC) - timedelta(seconds=int(found[1]) * _SECONDS[found[2]])
    try:
        return parse_time(text)
    except ValueError:
        raise WrongUse(
            f"{option}: expected RFC 3339 with an offset, like 2026-11-22T09:00:00+08:00, or an age like 90m, 4h, 2d"
        ) from None
