"""The city's clock: China's time, as its people write it."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

CHINA = timezone(timedelta(hours=8), "Asia/Shanghai")
"""One offset all year; no time zone database is needed."""


def now_text() -> str:
    """Now, RFC 3339 with milliseconds and ``+08:00``."""
    return datetime.now(CHINA).isoformat(timespec="milliseconds")
