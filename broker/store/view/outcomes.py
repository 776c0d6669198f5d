"""What became of messages, and the counts per partner that follow from it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any, Final

from sqlalchemy import Connection, Select, and_, select

from broker.core.ids import MessageId, Party
from broker.core.message import MessageClass
from broker.core.quick import evolver, quick
from broker.core.receipts import Outcome
from broker.store.access import names, prepared
from broker.store.rows import Name, OutcomeRow
from broker.store.tables import message

_ACCEPTED: Final = 0
_DELIVERED: Final = 1
_FAILED: Final = 2


@dataclass(slots=True)
class Tallies:
    """What a batch adds to the counts, per partner and ledger partition (``tables.tally``)."""

    added: dict[tuple[str, int], list[int]] = field(default_factory=dict)

    def accepted(self, partner: str, partition: int, message_class: int) -> None:
        """One more message that a partner is to get, unless nobody will ever receipt it."""
        if message_class != MessageClass.RECEIPT:
            self._of(partner, partition)[_ACCEPTED] += 1

    def settled(self, partner: str, partition: int, before: str | None, after: str | None) -> None:
        """A message's outcome changed; None: it has none, it is owed."""
        counts = self._of(partner, partition)
        if before is not None:
            counts[_column(before)] -= 1
        if after is not None:
            counts[_column(after)] += 1

    def rows(self) -> Iterator[tuple[object, ...]]:
        """The values for ``prepared.ADD_TALLY``, in one order everywhere."""
        for (partner, partition), counts in sorted(self.added.items()):
            yield (partner, partition, *counts)

    def _of(self, partner: str, partition: int) -> list[int]:
        return self.added.setdefault((partner, partition), [0, 0, 0])


def _column(outcome: str) -> int:
    return _DELIVERED if outcome == Outcome.DELIVERED else _FAILED


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What the view holds of a message (``routing.Seen``), and enough of its row to answer a repeat and to settle it.

    ``counted_for``: in whose counts it is; None: in nobody's (receipts, and what nobody is to get).
    """

    digest: str
    outcome: Outcome | None = None
    receipt: str | None = None
    ledger_partition: int
    ledger_offset: int
    verdict: str
    code: str | None
    counted_for: str | None = None


make_known: Final = quick(Known)
change_known: Final = evolver(Known)


def known_of(connection: Connection, of: Collection[Name]) -> dict[Name, Known]:
    """What the view holds of the messages of these names; one that it does not hold is left out."""
    return {
        (Party(row[0]), MessageId(row[1])): make_known(
            digest=row[2],
            outcome=None if row[3] is None else Outcome(row[3]),
            receipt=row[4],
            ledger_partition=row[5],
            ledger_offset=row[6],
            verdict=row[7],
            code=row[8],
            counted_for=counted_for(row[7], row[10], row[9]),
        )
        for row in _KNOWN.run(connection, names.pairs(connection.dialect.name, of))
    }


def counted_for(verdict: str, message_class: int, destination: str) -> str | None:
    """In whose counts a message of this verdict and class is: see :attr:`Known.counted_for`."""
    return destination if verdict == "applied" and message_class != MessageClass.RECEIPT else None


def settle(
    connection: Connection, outcomes: Sequence[OutcomeRow], known: Mapping[Name, Known], tallies: Tallies
) -> None:
    """Write outcomes to their messages' rows, later ones over earlier ones, but nothing over ``delivered``.

    One that is None (redriven from the desk) makes the message owed again. ``known``: rows as they stand, so that
    they need not be read; those of other messages are.

    An outcome of a message that the view does not hold is left: there is no row to write it to.
    """
    others = {name for row in outcomes if (name := (row.source, row.id)) not in known}
    read = known_of(connection, others) if others else {}
    final: dict[Name, OutcomeRow] = {}
    for outcome in outcomes:
        name = (outcome.source, outcome.id)
        row = known.get(name) or read.get(name)
        if row is None:
            continue
        before = final[name].outcome if name in final else row.outcome
        if before == Outcome.DELIVERED:
            continue
        if row.counted_for is not None:
            tallies.settled(row.counted_for, row.ledger_partition, before, outcome.outcome)
        final[name] = outcome
    prepared.SETTLE_MESSAGE.run(connection, map(_VALUES, final.values()))


def _known(dialect: str) -> Select[Any]:
    named = names.paired(dialect)
    return select(
        message.c.source,
        message.c.id,
        message.c.digest,
        message.c.outcome,
        message.c.receipt_id,
        message.c.ledger_partition,
        message.c.ledger_offset,
        message.c.verdict,
        message.c.code,
        message.c.destination,
        message.c.message_class,
    ).join_from(named, message, and_(message.c.source == named.c.source, message.c.id == named.c.id))


_KNOWN: Final = prepared.fetching(_known)
_VALUES: Final = attrgetter(
    "outcome", "outcome_at", "attempts", "reference", "answer", "receipt_id", "source", "id"
)
"""What ``prepared.SETTLE_MESSAGE`` takes of an outcome, in its order."""
