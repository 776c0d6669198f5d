"""Lanes that are on the desk: which messages of a case hold back the later ones of it, per partner.

A row for each message that went to the desk with its lane, until it is redriven, returned or skipped. It is
durable before the message's offset is finished, and gone before the commit that covers its release. All
functions run inside one transaction of the store.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, and_, delete, func, or_, select

from broker.core.ids import CaseId, MessageId, PartnerId, Party
from broker.store.access.statements import insert_or_update, slices
from broker.store.tables import blocked


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockedMessage:
    """One message on the desk that holds its lane. The place is that of its outbox record put there last."""

    case: CaseId
    source: Party
    id: MessageId
    outbox_partition: int
    outbox_offset: int

    @property
    def name(self) -> str:
        return f"{self.source}/{self.id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """A record at ``outbox_offset`` has taken a message from the desk, if it was put there before that record."""

    partner: PartnerId
    source: Party
    id: MessageId
    outbox_offset: int

    @classmethod
    def of(cls, partner: PartnerId, name: str, outbox_offset: int) -> Release:
        """``name`` is ``<source>/<id>``."""
        source, _, identity = name.partition("/")
        return cls(partner=partner, source=Party(source), id=MessageId(identity), outbox_offset=outbox_offset)


def put(connection: Connection, partner: PartnerId, messages: Sequence[BlockedMessage]) -> None:
    """Keep lanes back behind these messages; one that failed a second time takes its later place."""
    insert_or_update(
        connection,
        blocked,
        [
            {
                "partner": partner,
                "source": message.source,
                "id": message.id,
                "case_id": message.case,
                "outbox_partition": message.outbox_partition,
                "outbox_offset": message.outbox_offset,
            }
            for message in messages
        ],
    )


def release(connection: Connection, releases: Collection[Release]) -> None:
    """Take messages out that were redriven, returned or skipped, unless they are back since."""
    for some in slices(list(releases)):
        gone = [
            and_(
                blocked.c.partner == each.partner,
                blocked.c.source == each.source,
                blocked.c.id == each.id,
                blocked.c.outbox_offset < each.outbox_offset,
            )
            for each in some
        ]
        connection.execute(delete(blocked).where(or_(*gone)))


def read(connection: Connection, partner: PartnerId, outbox_partition: int) -> list[BlockedMessage]:
    """What holds lanes of one partition of a partner's outbox."""
    chosen = (
        select(blocked)
        .where(blocked.c.partner == partner, blocked.c.outbox_partition == outbox_partition)
        .order_by(blocked.c.outbox_offset)
    )
    return [
        BlockedMessage(
            case=CaseId(row.case_id),
            source=Party(row.source),
            id=MessageId(row.id),
            outbox_partition=row.outbox_partition,
            outbox_offset=row.outbox_offset,
        )
        for row in connection.execute(chosen)
    ]


def counts(connection: Connection) -> dict[PartnerId, int]:
    """How many cases are held back by the desk, per partner."""
    cases = func.count(blocked.c.case_id.distinct())
    rows = connection.execute(select(blocked.c.partner, cases).group_by(blocked.c.partner))
    return {PartnerId(row[0]): int(row[1]) for row in rows}
