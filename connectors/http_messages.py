"""What an HTTP exchange is to its caller: a request that is under way, and how it ended."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Final, Literal

Blame = Literal["unreachable", "timeout", "tls", "address", "broken", "too_large", "closed"]
_RETRY_AFTER_MOST_S: Final = 6 * 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """A whole answer. ``retry_after_s`` is that of a ``Retry-After`` in seconds or as a date (at most 6 h)."""

    status: int
    body: bytes
    retry_after_s: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """No whole answer. ``status`` is set when an answer had begun."""

    blame: Blame
    reason: str
    status: int | None = None


Done = Callable[[Response | Failure], None]


class Exchange:
    """One request and who waits for its answer, until ``until_s`` of the loop's time."""

    __slots__ = ("done", "request", "until_s")

    def __init__(self, request: bytes, done: Done, until_s: float) -> None:
        self.request = request
        self.done = done
        self.until_s = until_s


def retry_after_s(value: bytes, now_s: float) -> float | None:
    """Seconds that a ``Retry-After`` asks for, at most 6 h; None when it asks for nothing that can be read.

    Both forms of RFC 9110 section 10.2.3: seconds, or an HTTP date (judged at ``now_s``, Unix seconds).
    """
    text = value.decode("latin-1").strip()
    if text.isascii() and text.isdigit():
        wait_s = float(text) if len(text) < 10 else _RETRY_AFTER_MOST_S
    else:
        try:
            at = parsedate_to_datetime(text)
            wait_s = (at if at.tzinfo is not None else at.replace(tzinfo=UTC)).timestamp() - now_s
        except (ValueError, TypeError, IndexError, OverflowError):
            return None
    return min(wait_s, _RETRY_AFTER_MOST_S) if wait_s > 0 else None
