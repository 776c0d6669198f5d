"""Memory bounded by bytes: partitions are paused one by one, with hysteresis, never all at once."""

from __future__ import annotations

from broker.delivery.assigned.tenure import Tenure
from broker.delivery.lines.held import Held
from broker.delivery.lines.line import PartnerLine
from broker.delivery.options import DeliveryOptions
from broker.delivery.ports import Reader


class Pressure:
    """Each partner may have an equal share of the memory in hand, spread over its partitions."""

    def __init__(self, options: DeliveryOptions, held: Held) -> None:
        self._options = options
        self._held = held

    def weigh(self, reader: Reader, line: PartnerLine, tenure: Tenure) -> None:
        """Pause a partition that has more in hand than it may."""
        if not tenure.paused and tenure.pending_bytes > self._quota(line):
            tenure.paused = True
            reader.pause([tenure.place])

    def lighten(self, reader: Reader) -> None:
        """Resume those whose load has halved."""
        paused = [tenure for tenure in self._held.tenures.values() if tenure.paused]
        if not paused:
            return
        for tenure in paused:
            line = self._held.line_of(tenure)
            if line is None or tenure.pending_bytes > self._quota(line) // 2:
                continue
            tenure.paused = False
            reader.resume([tenure.place])

    def _quota(self, line: PartnerLine) -> int:
        """Bytes of one partition in hand. While nothing goes out its backlog stays in Kafka."""
        floor = self._options.partner_floor_bytes
        share = floor
        if line.flows():
            share = max(floor, self._options.memory_bytes // max(1, len(self._held.lines)))
        return min(line.limits.queue_bytes, share) // max(1, self._held.partitions[line.partner.id])
