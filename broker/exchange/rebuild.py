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
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from broker.core.ids import PartnerId
from broker.core.message import SOURCE_POSITION_HEADER, BadRecord, Message, MessageClass, from_record
from broker.core.operating.desk import Dossier, is_control
from broker.core.records import Commit, Position, Record, TopicPartition
from broker.errors import WrongUse
from broker.exchange import rebuild_workers
from broker.exchange.rejudging import BATCH, chunks, judge_partition
from broker.log import group_admin, groups, scan, topics
from broker.log.codec import Codec
from broker.log.options import KafkaOptions
from broker.store import blocked, desk, ledger_view, marks, messages
from broker.store.blocked import BlockedMessage
from broker.store.engine import Store
from broker.store.rows import Name

_SESSION_MARGIN_S: Final = 3.0
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rebuilt:
    """What a rebuild did: ledger records judged, outbox partitions set back, records to be looked at again there."""

    records: int
    set_back: int
    again: int


async def rebuild(
    kafka: KafkaOptions, store: Store, codec: Codec, *, progress: Progress, processes: int | None = None
) -> Rebuilt:
    """Drop the view and make it again. Raises :class:`WrongUse` while a stage is at work on this cluster.

    Interrupted, it is simply run again: it starts by dropping what is there. ``progress`` is told records
    done and to do. ``processes`` judge it; None: one for each core where there is enough to do.
    """
    await _stages_have_stopped(kafka)
    await store.call(ledger_view.clear_view)
    begins = {
        partition: begin for partition, (begin, _) in (await scan.offsets(kafka, topics.LEDGER)).items()
    }
    routed = await _routed_until(kafka)
    total = sum(routed[partition] - begins[partition] for partition in routed)
    wanted = {partition: until for partition, until in routed.items() if until > begins[partition]}
    count = processes or rebuild_workers.processes(total, len(wanted))
    if count > 1:
        url = store.database.url.render_as_string(hide_password=False)
        done = await rebuild_workers.judge_all(
            kafka, url, wanted, total=total, count=count, progress=progress
        )
    else:
        done = await _judge_here(kafka, store, codec, wanted, lambda done: progress(done, total))
    await _hold_lanes(kafka, store)
    set_back, again = await _set_delivery_back(kafka, store)
    return Rebuilt(records=done, set_back=set_back, again=again)


async def _judge_here(
    kafka: KafkaOptions,
    store: Store,
    codec: Codec,
    wanted: Mapping[int, int],
    progress: Callable[[int], None],
) -> int:
    """One partition after the other, in this process."""
    done = 0

    def told(records: int) -> None:
        nonlocal done
        done += records
        progress(done)

    for partition, until in sorted(wanted.items()):
        await judge_partition(kafka, store, codec, partition, until, told=told)
    return done


async def _stages_have_stopped(kafka: KafkaOptions) -> None:
    """Wait out the sessions of workers that have just stopped; one that is alive outlasts that."""
    end = time.monotonic() + kafka.session_timeout_s + _SESSION_MARGIN_S
    for group in groups.STAGES:
        while await group_admin.members(kafka, group):
            if time.monotonic() > end:
                raise WrongUse(f"rebuild: group {group} has members; stop `tongban serve` everywhere first")
            await asyncio.sleep(0.5)


async def _routed_until(kafka: KafkaOptions) -> dict[int, int]:
    """Per ledger partition, the offset up to which records were routed, as outboxes and the group tell it.

    The group's offset follows the store's, so it never says too much; should it have expired, the outboxes
    themselves say how far routing had come. Judging a record again with its outputs is harmless: what an
    outbox has seen is dropped there.
    """
    until: dict[int, int] = dict.fromkeys(await scan.offsets(kafka, topics.LEDGER), 0)
    for place, commit in (await group_admin.committed(kafka, groups.EXCHANGE)).items():
        until[place.partition] = max(until[place.partition], commit.offset)
    for topic in await topics.outboxes(kafka):
        async for record in scan.scan(kafka, topic):
            source = _source(record)
            if source is not None:
                until[source.partition] = max(until[source.partition], source.offset + 1)
    return until


async def _hold_lanes(kafka: KafkaOptions, store: Store) -> None:
    """Lanes that wait for the desk wait again: each open blocking dossier holds its lane from its last record on."""
    held: dict[PartnerId, dict[tuple[Name, int], Dossier]] = defaultdict(dict)
    last: Dossier | None = None
    while page := await store.read(desk.dossiers, after=last, limit=BATCH):
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
        message = _message(record)
        if message is None or is_control(message, partner):
            continue
        name = (message.source, message.id)
        if (name, message.redrive) in dossiers:
            found[name] = BlockedMessage(
                case=message.case,
                source=message.source,
                id=message.id,
                outbox_partition=record.position.partition,
                outbox_offset=record.position.offset,
            )
    return list(found.values())


async def _set_delivery_back(kafka: KafkaOptions, store: Store) -> tuple[int, int]:
    back: dict[TopicPartition, Commit] = {}
    high: dict[TopicPartition, dict[int, int]] = {}
    committed = await group_admin.committed(kafka, groups.DELIVERY)
    for place, commit in sorted(committed.items()):
        first, seen = await _first_unsettled(kafka, store, place, commit.offset)
        high[place] = seen
        if first < commit.offset:
            back[place] = Commit(first)
    await store.call(marks.write, high)
    if back:
        await group_admin.set_committed(kafka, groups.DELIVERY, back)
    return len(back), sum(committed[place].offset - commit.offset for place, commit in back.items())


async def _first_unsettled(
    kafka: KafkaOptions, store: Store, place: TopicPartition, until: int
) -> tuple[int, dict[int, int]]:
    """The offset of the first record without an outcome below ``until``, and the marks as of that offset."""
    seen: dict[int, int] = {}
    records = scan.scan(kafka, place.topic, partitions=[place.partition], end={place.partition: until})
    async for chunk in chunks(records):
        found = [(record, message) for record in chunk if (message := _message(record)) is not None]
        ended = await _ended(store, [message for _, message in found], topics.partner_of(place.topic))
        for record, message in found:
            if (_name(message), message.redrive) not in ended:
                return record.position.offset, seen
            source = message.source_position
            if source is not None:
                seen[source.partition] = max(seen.get(source.partition, -1), source.offset)
    return until, seen


async def _ended(store: Store, found: Sequence[Message], partner: PartnerId | None) -> set[tuple[Name, int]]:
    """Those of these records, by name and redrive, that nobody need be brought: settled, receipts, control."""
    names = {_name(message) for message in found if not message.redrive}
    ended = {(name, 0) for name in await store.read(messages.settled, names)}
    redriven = {(_name(message), message.redrive) for message in found if message.redrive}
    ended |= await store.read(desk.settled, redriven)
    for message in found:
        receipt = message.message_class is MessageClass.RECEIPT
        if receipt or (partner is not None and is_control(message, partner)):
            ended.add((_name(message), message.redrive))
    return ended


def _name(message: Message) -> Name:
    return message.source, message.id


def _message(record: Record) -> Message | None:
    try:
        return from_record(record)
    except BadRecord:
        return None


def _source(record: Record) -> Position | None:
    raw = dict(record.headers).get(SOURCE_POSITION_HEADER)
    try:
        return Position.parse(raw.decode()) if raw is not None else None
    except ValueError:
        return None
