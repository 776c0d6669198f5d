"""What became of messages, and the counts per partner that follow from it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, Select, and_, select

from broker.core.ids import MessageId, Party
from broker.core.message import MessageClass
from broker.core.receipts import Outcome
from broker.store import names, prepared
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


class _Standing(NamedTuple):
    """What is to be known of a message whose outcome changes."""

    source: str
    id: str
    destination: str
    ledger_partition: int
    message_class: int
    verdict: str
    outcome: str | None


def settle(connection: Connection, outcomes: Sequence[OutcomeRow], tallies: Tallies) -> None:
    """Write outcomes to their messages' rows, later ones over earlier ones, but nothing over ``delivered``.

    One that is None (redriven from the desk) makes the message owed again.

    An outcome of a message that the view does not hold is left: there is no row to write it to.
    """
    if not outcomes:
        return
    dialect = connection.dialect.name
    wanted = names.pairs(dialect, {(row.source, row.id) for row in outcomes})
    found: dict[Name, _Standing] = {
        (Party(row[0]), MessageId(row[1])): row
        for row in map(_Standing._make, _STANDING.run(connection, wanted))
    }
    now: dict[Name, str | None] = {name: row.outcome for name, row in found.items()}
    final: dict[Name, OutcomeRow] = {}
    for outcome in outcomes:
        name = (outcome.source, outcome.id)
        if name not in found or now[name] == Outcome.DELIVERED:
            continue
        row = found[name]
        if row.verdict == "applied" and row.message_class != MessageClass.RECEIPT:
            tallies.settled(row.destination, row.ledger_partition, now[name], outcome.outcome)
        now[name] = outcome.outcome
        final[name] = outcome
    prepared.SETTLE_MESSAGE.run(connection, (_values(row) for row in final.values()))


def _values(row: OutcomeRow) -> tuple[object, ...]:
    return (
        row.outcome,
        row.outcome_at,
        row.attempts,
        row.reference,
        row.answer,
        row.receipt_id,
        row.source,
        row.id,
    )


def _standing(dialect: str) -> Select[Any]:
    named = names.paired(dialect)
    return select(
        message.c.source,
        message.c.id,
        message.c.destination,
        message.c.ledger_partition,
        message.c.message_class,
        message.c.verdict,
        message.c.outcome,
    ).join_from(named, message, and_(message.c.source == named.c.source, message.c.id == named.c.id))


_STANDING: Final = prepared.fetching(_standing)
