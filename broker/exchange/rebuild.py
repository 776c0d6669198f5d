"""The view, rebuilt from the ledger alone: same judging, same transactions, no outputs.

Only records that were routed are judged here; what lies beyond is left to the exchange, which routes it.
Delivery is set back to the first message of each outbox partition that has no receipt, so that what it
held (parked lanes, mailboxes) is taken up again; what has a receipt is skipped there. Lanes that wait for the
desk are held again.
Source: design, "The road" 1 and 5.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from broker.core.ids import PartnerId
from broker.core.message import SOURCE_POSITION_HEADER
from broker.core.operating.desk import Dossier, is_control
from broker.core.records import Commit, Position, Record, TopicPartition
from broker.errors import WrongUse
from broker.exchange import rebuild_workers
from broker.exchange.rebuild_workers import Crew
from broker.exchange.rejudging import Judge
from broker.exchange.retaking import Retake, message_of, name_of
from broker.log.admin import group_admin, groups, topics
from broker.log.options import KafkaOptions
from broker.log.reading import scan
from broker.store.access.engine import Store
from broker.store.delivering import blocked, marks
from broker.store.delivering.blocked import BlockedMessage
from broker.store.rows import Name
from broker.store.view import desk, ledger_view

_SESSION_MARGIN_S: Final = 3.0
_SKEW_MS: Final = 60_000
"""By how much the clocks of Kafka's nodes may differ: each gives the records that it leads their time."""
_PAGE: Final = 2000
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rebuilt:
    """What a rebuild did: ledger records judged, outbox partitions set back, records to be looked at again there."""

    records: int
    set_back: int
    again: int


async def rebuild(
    kafka: KafkaOptions, store: Store, *, progress: Progress, processes: int | None = None
) -> Rebuilt:
    """Drop the view and make it again. Raises :class:`WrongUse` while a stage is at work on this cluster.

    Interrupted, it is simply run again: it starts by dropping what is there. ``progress`` is told records
    done and to do. ``processes`` work at it; None: one for each core where there is enough to do.
    """
    await _stages_have_stopped(kafka)
    bounds = await scan.offsets(kafka, topics.LEDGER)
    routed = await _routed_until(kafka, bounds)
    begins = {partition: begin for partition, (begin, _) in bounds.items()}
    wanted = {partition: until for partition, until in routed.items() if until > begins[partition]}
    total = sum(until - begins[partition] for partition, until in wanted.items())
    count = processes or rebuild_workers.processes(total, len(wanted))
    url = store.database.url.render_as_string(hide_password=False)
    async with Crew(kafka, url, count=count, progress=lambda done: progress(done, total)) as crew:
        await store.call(ledger_view.clear_view)
        largest_first = sorted(wanted, key=lambda partition: wanted[partition], reverse=True)
        done = await crew.do([Judge(partition=each, until=wanted[each]) for each in largest_first])
        await _hold_lanes(kafka, store)
        set_back, again = await _set_delivery_back(kafka, store, crew)
    return Rebuilt(records=sum(done), set_back=set_back, again=again)


async def _stages_have_stopped(kafka: KafkaOptions) -> None:
    """Wait out the sessions of workers that have just stopped; one that is alive outlasts that."""
    end = time.monotonic() + kafka.session_timeout_s + _SESSION_MARGIN_S
    for group in groups.STAGES:
        while await group_admin.members(kafka, group):
            if time.monotonic() > end:
                raise WrongUse(f"rebuild: group {group} has members; stop `tongban serve` everywhere first")
            await asyncio.sleep(0.5)


async def _routed_until(kafka: KafkaOptions, bounds: Mapping[int, tuple[int, int]]) -> dict[int, int]:
    """Per ledger partition, the offset up to which records were routed, as the group and the outboxes tell it.

    The group's offset follows the store's, so it never says too much; where the ledger goes on beyond it, or it has
    expired, the outboxes say how far routing had come. What came of a record is younger than the record: of the
    outboxes only that is read. Judging a record again with its outputs is harmless: what an outbox has seen is
    dropped there.
    """
    until = {partition: begin for partition, (begin, _) in bounds.items()}
    for place, commit in (await group_admin.committed(kafka, groups.EXCHANGE)).items():
        until[place.partition] = max(until.get(place.partition, 0), commit.offset)
    beyond = [
        Position(topics.LEDGER, partition, until[partition])
        for partition, (_, end) in bounds.items()
        if until[partition] < end
    ]
    if not beyond:
        return until
    oldest_ms = min(record.timestamp_ms for record in await scan.read_at(kafka, beyond))
    for topic in await topics.outboxes(kafka):
        async for record in scan.scan(kafka, topic, from_ms=oldest_ms - _SKEW_MS):
            source = _source(record)
            if source is not None:
                until[source.partition] = max(until[source.partition], source.offset + 1)
    return until


async def _hold_lanes(kafka: KafkaOptions, store: Store) -> None:
    """Lanes that wait for the desk wait again: each open blocking dossier holds its lane from its last record on."""
    held: dict[PartnerId, dict[tuple[Name, int], Dossier]] = defaultdict(dict)
    last: Dossier | None = None
    while page := await store.read(desk.dossiers, after=last, limit=_PAGE):
        last = page[-1]
        for each in page:
            if each.holds_its_lane:
                held[each.partner][each.name, each.redrive] = each
    for partner, dossiers in held.items():
        await store.call(blocked.put, partner, await _on_the_outbox(kafka, partner, dossiers))


async def _on_the_outbox(
    kafka: KafkaOptions, partner: PartnerId, dossiers: Mapping[tuple[Name, int], Dossier]
) -> list[BlockedMessage]:
    """The records that went to the desk last, found on the partner's outbox by name and redrive."""
    found: dict[Name, BlockedMessage] = {}
    async for record in scan.scan(kafka, topics.outbox(partner)):
        message = message_of(record)
        if message is None or is_control(message, partner):
            continue
        name = name_of(message)
        if (name, message.redrive) in dossiers:
            found[name] = BlockedMessage(
                case=message.case,
                source=message.source,
                id=message.id,
                outbox_partition=record.position.partition,
                outbox_offset=record.position.offset,
            )
    return list(found.values())


async def _set_delivery_back(kafka: KafkaOptions, store: Store, crew: Crew) -> tuple[int, int]:
    committed = sorted((await group_admin.committed(kafka, groups.DELIVERY)).items())
    retaken = await crew.do([Retake(place=place, until=commit.offset) for place, commit in committed])
    back: dict[TopicPartition, Commit] = {}
    again = 0
    for (place, commit), found in zip(committed, retaken, strict=True):
        if found.first < commit.offset:
            back[place] = Commit(found.first)
            again += commit.offset - found.first
    marked = {place: found.marks for (place, _), found in zip(committed, retaken, strict=True)}
    await store.call(marks.write, marked)
    if back:
        await group_admin.set_committed(kafka, groups.DELIVERY, back)
    return len(back), again


def _source(record: Record) -> Position | None:
    raw = dict(record.headers).get(SOURCE_POSITION_HEADER)
    try:
        return Position.parse(raw.decode()) if raw is not None else None
    except ValueError:
        return None
