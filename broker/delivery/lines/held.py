"""What this worker holds: a line per partner, a tenure per partition."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final

from broker.core.catalogue.directory import Partner
from broker.core.ids import PartnerId
from broker.core.records import TopicPartition
from broker.delivery.assigned.tenure import Tenure
from broker.delivery.lines.line import PartnerLine
from broker.log.admin.topics import partner_of


class Held:
    """Lines and tenures, looked up by everybody, changed by the stage only."""

    def __init__(self) -> None:
        self.lines: Final[dict[PartnerId, PartnerLine]] = {}
        self.tenures: Final[dict[TopicPartition, Tenure]] = {}
        self.partitions: Final[Counter[PartnerId]] = Counter()
        """How many partitions of each partner are held here."""
        self.faulty: Final[dict[PartnerId, tuple[Partner, str]]] = {}
        """Partners whose options do not read, and why: their backlog stays in Kafka."""

    def line_of(self, tenure: Tenure) -> PartnerLine | None:
        return self.lines.get(tenure.partner)

    def of(self, places: Iterable[TopicPartition]) -> list[Tenure]:
        """The tenures of these partitions, of those that are held."""
        return [self.tenures[place] for place in places if place in self.tenures]

    def is_current(self, tenure: Tenure) -> bool:
        """Whether this very assignment still holds: after every wait, before its reader is moved."""
        return self.tenures.get(tenure.place) is tenure

    def begin(self, place: TopicPartition, *, again: bool = False) -> None:
        """A tenure for a partition just assigned; not one of an outbox: nothing happens."""
        partner = partner_of(place.topic)
        if partner is None:
            return
        if place not in self.tenures:
            self.partitions[partner] += 1
        self.tenures[place] = Tenure(place, partner, again=again)

    def end(self, tenure: Tenure) -> None:
        tenure.alive = False
        if self.is_current(tenure):
            del self.tenures[tenure.place]
            self.partitions[tenure.partner] -= 1

    def restart(self, partner: PartnerId) -> None:
        """The partner has a new line: what the old one had in hand is read again."""
        for place, tenure in list(self.tenures.items()):
            if tenure.partner == partner:
                tenure.alive = False
                self.begin(place, again=True)

    def at_work(self) -> Mapping[TopicPartition, tuple[PartnerLine, Tenure]]:
        """The tenures that are prepared and whose partner has a line."""
        return {
            place: (line, tenure)
            for place, tenure in self.tenures.items()
            if tenure.prepared and (line := self.line_of(tenure)) is not None
        }

    def troubles(self) -> Mapping[PartnerId, str]:
        """Why nothing goes to some partners now."""
        found = {each: reason for each, (_, reason) in self.faulty.items()}
        found.update((each, line.trouble) for each, line in self.lines.items() if line.trouble is not None)
        return found
