"""How the lines stand, for people: rows of the store, at most one write a second, and gauges."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from broker.core.ids import PartnerId
from broker.core.lane.circuit import Phase as CircuitPhase
from broker.delivery.lines.held import Held
from broker.delivery.lines.line import PartnerLine
from broker.delivery.ports import Clock, Rows
from broker.errors import Unreachable
from broker.store.delivering import line_status
from broker.store.delivering.line_status import LineStatus, Phase
from broker.store.view import messages
from broker.telemetry import OLDEST

_AT_LEAST_MS: Final = 10_000
_PHASES: Final[dict[CircuitPhase, Phase]] = {
    CircuitPhase.CLOSED: "flowing",
    CircuitPhase.OPEN: "open",
    CircuitPhase.HALF_OPEN: "half-open",
}


class Reporting:
    """One worker's. While the store is away nothing is reported: readers see by the rows' age."""

    def __init__(self, held: Held, *, store: Rows, clock: Clock, worker: str) -> None:
        self._held = held
        self._store = store
        self._clock = clock
        self._worker = worker
        self._written: dict[PartnerId, LineStatus] = {}
        self._measured_ms = 0

    async def report(self) -> None:
        """Write what has changed since the last time, and everything every ten seconds."""
        now_ms = round(self._clock.now_s() * 1000)
        current = {partner: self._status(partner, now_ms) for partner in self._partners()}
        rows = [each for each in current.values() if self._is_news(each, now_ms)]
        gone = [partner for partner in self._written if partner not in current]
        try:
            if rows:
                await self._store.call(line_status.put, rows)
            if gone:
                await self._store.call(line_status.remove, self._worker, gone)
            await self._measure(now_ms)
        except Unreachable:
            return
        self._written = {partner: self._written[partner] for partner in current if partner in self._written}
        self._written.update((each.partner, each) for each in rows)

    async def close(self) -> None:
        """This worker has no lines any more."""
        try:
            await self._store.call(line_status.remove, self._worker)
        except Unreachable:
            return

    def _partners(self) -> set[PartnerId]:
        return {*self._held.lines, *self._held.faulty}

    def _is_news(self, status: LineStatus, now_ms: int) -> bool:
        before = self._written.get(status.partner)
        if before is None or now_ms - before.updated_at >= _AT_LEAST_MS:
            return True
        return replace(before, updated_at=now_ms) != status

    def _status(self, partner: PartnerId, now_ms: int) -> LineStatus:
        line = self._held.lines.get(partner)
        phase: Phase = "faulty" if line is None else _phase(line)
        before = self._written.get(partner)
        since = before.since if before is not None and before.phase == phase else now_ms
        if line is None:
            reason: str | None = self._held.faulty[partner][1]
            figures = (0, 0, 0, 0)
            probe_s = None
        else:
            reason = line.trouble
            figures = (line.lanes.in_flight, line.waiting, line.lanes.held, line.lanes.parked)
            probe_s = None if phase in {"flowing", "paused"} else self._probe_in_s(line)
        in_flight, waiting, held, parked = figures
        known = before.next_probe_at if before is not None else None
        probe_at = None if probe_s is None else now_ms + round(probe_s * 1000)
        if probe_at is not None and known is not None and abs(probe_at - known) < 1000:
            probe_at = known  # the same time, read off two clocks
        return LineStatus(
            partner=partner,
            worker=self._worker,
            phase=phase,
            reason=reason,
            in_flight=in_flight,
            waiting=waiting,
            held=held,
            parked=parked,
            next_probe_at=probe_at,
            since=since,
            updated_at=now_ms,
        )

    def _probe_in_s(self, line: PartnerLine) -> float | None:
        return line.health.probe_in_s(self._clock.monotonic_s())

    async def _measure(self, now_ms: int) -> None:
        if now_ms - self._measured_ms < _AT_LEAST_MS:
            return
        self._measured_ms = now_ms
        for backlog in await self._store.read(messages.backlogs):
            if backlog.partner in self._held.lines:
                oldest = backlog.oldest_at
                OLDEST.labels(partner=backlog.partner).set(
                    0 if oldest is None else max(0, now_ms - oldest) / 1000
                )


def _phase(line: PartnerLine) -> Phase:
    return "paused" if line.paused else _PHASES[line.health.phase]
