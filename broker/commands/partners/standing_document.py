"""One partner's standing for a program. What is not known is null."""

from __future__ import annotations

from broker.commands.partners.standing import Standing, pulled_limits, sentence
from broker.commands.showing import stamp
from broker.store.delivering.line_status import STALE_MS, LineStatus


def document(standing: Standing, now_ms: int) -> dict[str, object]:
    """One partner for a program. What is not known is null."""
    lag, limits, parked, known = standing.lag, standing.limits, standing.parked, bool(standing.heard)
    return {
        "partner": standing.id,
        "name": standing.name if standing.partner is not None else None,
        "connector": standing.partner.connector.get("kind") if standing.partner is not None else None,
        "phase": standing.phase.value,
        "why": standing.why,
        "since": stamp(standing.since),
        "needs_person": standing.needs_person,
        "sentence": sentence(standing, now_ms),
        "in_flight": standing.in_flight if known else None,
        "waiting": standing.waiting if known else None,
        "held": standing.held if known else None,
        "parked": parked.cases if parked else 0,
        "parked_next_at": stamp(parked.next_at) if parked else None,
        "desk": {
            "open": standing.desk.open,
            "overdue": standing.desk.overdue,
            "redriven": standing.desk.redriven,
        },
        "owed": standing.owed,
        "oldest_owed_at": stamp(standing.oldest_at),
        "oldest_owed_s": None if standing.oldest_at is None else (now_ms - standing.oldest_at) / 1000,
        "lag": {
            "messages": None if lag is None else lag.messages,
            "seconds": None if lag is None else lag.seconds,
            "exactness": "unknown" if lag is None else lag.exactness.value,
        },
        "next_probe_at": stamp(standing.next_probe_at),
        "limits": None if limits is None else {
            "in_flight": limits.in_flight,
            "per_second": limits.per_second,
            "batch": limits.batch,
            "queue_bytes": limits.queue_bytes,
            "by_lever": pulled_limits(standing),
        },
        "workers": [_worker(each, now_ms) for each in (*standing.heard, *standing.silent)],
    }  # fmt: skip


def _worker(line: LineStatus, now_ms: int) -> dict[str, object]:
    silent_ms = now_ms - line.updated_at
    return {
        "worker": line.worker,
        "phase": line.phase if silent_ms <= STALE_MS else None,
        "reason": line.reason,
        "since": stamp(line.since),
        "updated_at": stamp(line.updated_at),
        "silent_s": max(0.0, silent_ms / 1000),
        "heard": silent_ms <= STALE_MS,
        "in_flight": line.in_flight,
        "waiting": line.waiting,
        "held": line.held,
        "parked": line.parked,
        "next_probe_at": stamp(line.next_probe_at),
    }
