"""What an HTTP partner's answers mean: the contract's table, row by row, and the results of a batch.

Source: contract, "What a partner receives".
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final, assert_never

import orjson

from broker.core.ids import party_path
from connectors.base import (
    Answer,
    Closed,
    Deferred,
    Delivered,
    Misconfigured,
    Parcel,
    Refused,
    Taken,
    make_delivered,
)
from connectors.http_client import Failure, Response

_DONE: Final = frozenset({200, 201, 204})
_LONG_NUMBER: Final = re.compile(r"[0-9]{7,}[Xx]?")


def read_answer(result: Response | Failure, within_s: float) -> Answer:
    """What one answer means: the contract's table, row by row."""
    match result:
        case Failure(blame="address" | "tls", reason=reason):
            return Misconfigured(reason=reason)
        case Failure(reason=reason):
            return Deferred(reason=reason)
        case Response():
            return _read_status(result.status, read_object(result.body), result, within_s)
        case _:
            assert_never(result)


def _read_status(status: int, body: Mapping[str, object], result: Response, within_s: float) -> Answer:
    code = str(status)
    answer: Answer
    match status:
        case 200 | 201 | 204 if result.body.lstrip()[:1] == b"<":
            answer = Misconfigured(
                reason=f"{code} with a web page: something stands before the partner's system"
            )
        case _ if status in _DONE:
            answer = Delivered(code=code, reference=_reference(body))
        case 202:
            answer = Taken(within_s=within_s)
        case 409 if body.get("code") == "message-id-reused":
            answer = Refused(code="message-id-reused", detail=_detail(body))
        case 409:
            answer = Delivered(code=code, reference=_reference(body), detail="delivered before")
        case 400 | 413 | 415 | 422:
            answer = Refused(code=_code(body) or code, detail=_detail(body))
        case 410:
            answer = Closed(reason=code)
        case 408 | 425 | 429:
            answer = Deferred(reason=code, retry_after_s=result.retry_after_s)
        case _ if status >= 500:
            answer = Deferred(reason=code, retry_after_s=result.retry_after_s)
        case _:
            answer = Misconfigured(reason=f"answered {code}")
    return answer


def read_results(parcels: Sequence[Parcel], body: Mapping[str, object], within_s: float) -> Sequence[Answer]:
    """The answers of a batch: each result by ``source`` and ``id``, or by ``id`` alone where that is unique."""
    results = body.get("results")
    found: dict[tuple[str | None, str], Mapping[str, object]] = {}
    for result in results if isinstance(results, list) else ():
        if isinstance(result, dict) and isinstance(result.get("id"), str):
            source = result.get("source")
            found[(source if isinstance(source, str) else None, result["id"])] = result
    ids = Counter(parcel.message.id for parcel in parcels)
    answers: list[Answer] = []
    for parcel in parcels:
        message = parcel.message
        mine = found.get((party_path(message.source), message.id))
        if mine is None and ids[message.id] == 1:
            mine = found.get((None, message.id))
        answers.append(_read_result(mine, within_s))
    return answers


def _read_result(result: Mapping[str, object] | None, within_s: float) -> Answer:
    status = result.get("status") if result is not None else None
    if result is None or not isinstance(status, int):
        return Deferred(reason="the batch's answer does not name this message")
    if status in _DONE:
        return make_delivered(code=str(status), reference=_reference(result))
    wait = result.get("retry_after")
    retry_after_s = float(wait) if isinstance(wait, int) and wait > 0 else None
    return _read_status(
        status, result, Response(status=status, body=b"", retry_after_s=retry_after_s), within_s
    )


def read_object(body: bytes) -> Mapping[str, object]:
    if not body:
        return {}
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    return parsed if isinstance(parsed, dict) else {}


def _reference(body: Mapping[str, object]) -> str | None:
    reference = body.get("reference")
    if isinstance(reference, int) and not isinstance(reference, bool):
        reference = str(reference)
    if isinstance(reference, str) and 0 < len(reference) <= 200 and reference.isprintable():
        return reference
    return None


def _code(body: Mapping[str, object]) -> str | None:
    code = body.get("code")
    return code if isinstance(code, str) and re.fullmatch(r"[A-Za-z0-9._-]{1,64}", code) else None


def _detail(body: Mapping[str, object]) -> str:
    """The partner's reason in one line of at most 500 characters; long numbers may be a person's and are masked."""
    for name in ("detail", "reason", "title", "message"):
        text = body.get(name)
        if isinstance(text, str) and text.strip():
            line = " ".join("".join(char if char.isprintable() else " " for char in text).split())
            return _LONG_NUMBER.sub("***", line)[:500]
    return ""
