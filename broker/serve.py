"""The stages, wired: which parts each is given, how they start, and how they stop in the road's order."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Final

from broker.core.catalogue.directory import Partner
from broker.core.ids import PartnerId
from broker.core.signatures import sign_v1a
from broker.delivery.lines.papers import Papers
from broker.delivery.lines.place import MailboxPlace
from broker.delivery.ports import OnPartitions
from broker.delivery.stage import Delivery, SystemClock
from broker.errors import TongbanError
from broker.exchange.stage import Exchange
from broker.intake.adapters import StoreMailboxes, StoreView, VaultOpener
from broker.intake.http.answers import Answer
from broker.intake.http.auth import Auth
from broker.intake.http.routes import Call, Route
from broker.intake.intake import Intake
from broker.intake.intake import Parts as IntakeParts
from broker.log.admin import groups, topics
from broker.log.reading import scan
from broker.log.reading.reader import GroupReader
from broker.log.writing.writer import Writer
from broker.membership import Membership
from broker.settings import Settings
from broker.store.view import ledger_view
from broker.supervision.health import Check, Health
from broker.supervision.pages import Page, Pages, listen
from broker.supervision.pressure import Backlog
from broker.supervision.watching import Watching
from broker.telemetry import get_log
from broker.wiring import Parts, open_parts
from connectors import registry
from connectors.base import Connector, Parcel, Ports
from connectors.mapping import PartnerMapping

STAGES: Final = ("intake", "exchange", "delivery", "supervision")
GC_THRESHOLD: Final = 50_000
SWITCH_INTERVAL_S: Final = 0.0005
"""The event loop waits this long at most for a store's thread to let go of the interpreter; at Python's own 5 ms the p99 at 200/s was 90 ms, so 72."""
STOP_S: Final = 20.0
"""How long a stage may take to finish what it has in hand."""
PAGE_SUMMARIES: Final = {
    "/healthz": "Whether the process is alive",
    "/readyz": "Whether every dependency answers, with a sentence for each",
    "/metrics": "Prometheus metrics",
}
_log = get_log("serve")


class BrokerLinks:
    """Makes a partner's connector and mapping (``delivery.ports.Links``), with what connectors are given."""

    def __init__(self, ports: Ports) -> None:
        self._ports = ports

    def connector(self, partner: Partner) -> Connector:
        return registry.make_connector(partner, self._ports)

    def mapping(self, partner: Partner) -> PartnerMapping:
        return registry.make_mapping(partner)


class Placing:
    """The mailbox as a place, and the bell that wakes a long poll in this process."""

    def __init__(self, place: MailboxPlace, mailboxes: StoreMailboxes) -> None:
        self._place = place
        self._mailboxes = mailboxes

    async def __call__(self, partner: PartnerId, parcels: Sequence[Parcel]) -> None:
        await self._place(partner, parcels)
        self._mailboxes.placed(partner)


async def serve_stages(settings: Settings, stages: frozenset[str]) -> None:
    """Run the stages until SIGTERM or SIGINT. A stage that fails unexpectedly ends the process: never in silence."""
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    # Records in flight are many and live for milliseconds: full collections over them buy nothing.
    gc.freeze()
    gc.set_threshold(GC_THRESHOLD)
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    async with open_parts(settings) as parts, contextlib.AsyncExitStack() as opened:
        await topics.ensure_topics(settings.kafka, parts.directory.current().partners)
        writer = Writer(settings.kafka, client_id="tongban-serve")
        await writer.start()
        opened.push_async_callback(writer.close)
        membership = Membership(settings.serve.folder, stages)
        opened.callback(membership.release)
        await _run(_Stages(parts, writer, stages, membership.name), stopping)


class _Stages:
    """The stages of this process, made but not started."""

    def __init__(self, parts: Parts, writer: Writer, wanted: frozenset[str], member: str) -> None:
        settings = parts.settings
        self.settings = settings
        self.directory = parts.directory
        self.levers = parts.levers
        mailboxes = StoreMailboxes(parts.store)
        checks: dict[str, Check] = {"kafka": partial(_kafka, settings), "store": partial(_store, parts)}
        self.exchange: Exchange | None = None
        self.delivery: Delivery | None = None
        if "exchange" in wanted:
            self.exchange = _exchange(parts, writer, member)
            checks["exchange"] = partial(_sentence, self.exchange.health)
        if "delivery" in wanted:
            self.delivery = _delivery(parts, writer, mailboxes, member)
            checks["delivery"] = partial(_sentence, self.delivery.health)
        self.pages = Pages(Health(checks))
        self.backlog = Backlog(parts.store, partial(_ends, settings), most=settings.supervision.backlog)
        self.intake = _intake(parts, writer, mailboxes, self) if "intake" in wanted else None
        self.supervision = _supervision(parts, writer) if "supervision" in wanted else None


def _intake(parts: Parts, writer: Writer, mailboxes: StoreMailboxes, stages: _Stages) -> Intake:
    settings = parts.settings

    return Intake(
        settings.intake,
        IntakeParts(
            ledger=writer,
            view=StoreView(parts.store, partial(_ends, settings)),
            keys=parts.vault,
            directory=parts.directory,
            mailboxes=mailboxes,
            opener=VaultOpener(parts.vault, parts.codec),
            codec=parts.codec,
            partitions=settings.kafka.ledger_partitions,
            secrets=parts.keys.secrets,
            public_key=parts.keys.signing.verify_key.to_text(),
            pressure=stages.backlog.pressure,
        ),
        extra=[_route(path, page) for path, page in stages.pages.by_path().items()],
    )


def _exchange(parts: Parts, writer: Writer, member: str) -> Exchange:
    kafka = parts.settings.kafka

    def reader(*, assigned: OnPartitions, revoked: OnPartitions) -> GroupReader:
        return GroupReader(
            kafka,
            group=groups.EXCHANGE,
            topics=[topics.LEDGER],
            assigned=assigned,
            revoked=revoked,
            member=member,
        )

    return Exchange(
        parts.settings.exchange,
        reader=reader,
        writer=writer,
        store=parts.store,
        codec=parts.codec,
        outbox_partitions=kafka.outbox_partitions,
        make_topics=partial(topics.ensure_topics, kafka),
        read_at=partial(scan.read_at, kafka),
    )


def _delivery(parts: Parts, writer: Writer, mailboxes: StoreMailboxes, member: str) -> Delivery:
    settings = parts.settings
    ports = Ports(
        sign=partial(sign_v1a, parts.keys.signing),
        secrets=parts.keys.secrets,
        now_s=time.time,
        place=Placing(MailboxPlace(parts.store, SystemClock()), mailboxes),
    )

    def reader(topics: Iterable[str], *, assigned: OnPartitions, revoked: OnPartitions) -> GroupReader:
        return GroupReader(
            settings.kafka,
            group=groups.DELIVERY,
            topics=topics,
            assigned=assigned,
            revoked=revoked,
            member=member,
        )

    return Delivery(
        settings.delivery,
        reader=reader,
        ledger=writer,
        store=parts.store,
        papers=Papers(parts.codec, parts.vault),
        codec=parts.codec,
        directory=parts.directory.current,
        links=BrokerLinks(ports),
        levers=parts.levers.current,
        worker=member,
        session_s=settings.kafka.session_timeout_s,
    )


def _supervision(parts: Parts, writer: Writer) -> Watching:
    return Watching(
        options=parts.settings.supervision,
        kafka=parts.settings.kafka,
        directory=parts.directory.current,
        store=parts.store,
        writer=writer,
        codec=parts.codec,
    )


def _route(path: str, page: Callable[[], Awaitable[Page]]) -> Route:
    async def handler(call: Call) -> Answer:
        del call
        made = await page()
        return Answer(made.status, made.body, made.media_type)

    return Route(
        method="GET",
        path=path,
        auth=Auth.PUBLIC,
        handler=handler,
        summary=PAGE_SUMMARIES[path],
        response={"type": "string"} if path == "/metrics" else {"type": "object"},
        media_type="text/plain" if path == "/metrics" else "application/json",
    )


async def _ends(settings: Settings) -> Mapping[int, int]:
    offsets = await scan.offsets(settings.kafka, topics.LEDGER)
    return {partition: end for partition, (_, end) in offsets.items()}


async def _sentence(health: Callable[[], str | None]) -> str | None:
    return health()


async def _kafka(settings: Settings) -> str | None:
    try:
        await scan.offsets(settings.kafka, topics.LEDGER)
    except TongbanError as fault:
        return str(fault)
    return None


async def _store(parts: Parts) -> str | None:
    try:
        await parts.store.read(ledger_view.positions, [0])
    except TongbanError as fault:
        return str(fault)
    return None


async def _run(stages: _Stages, stopping: asyncio.Event) -> None:
    """Start downstream first, so that what intake takes has somewhere to go; stop in the road's order."""
    settings = stages.settings
    works: list[asyncio.Task[None]] = [asyncio.create_task(stages.directory.run(), name="directory")]
    if stages.delivery is not None:
        works.append(asyncio.create_task(stages.levers.run(), name="levers"))
    if stages.supervision is not None:
        works.extend(stages.supervision.begin())
    if stages.intake is not None:
        works.append(asyncio.create_task(stages.backlog.run(), name="back-pressure"))
    road = [
        (each, asyncio.create_task(each.run()))
        for each in (stages.exchange, stages.delivery)
        if each is not None
    ]
    runner = await listen(settings.supervision, stages.pages) if settings.supervision.port else None
    try:
        if stages.intake is not None:
            await stages.intake.start()
        waiting = asyncio.create_task(stopping.wait())
        await asyncio.wait(
            [waiting, *works, *(task for _, task in road)], return_when=asyncio.FIRST_COMPLETED
        )
        waiting.cancel()
    finally:
        if stages.intake is not None:
            await stages.intake.close()
        for stage, task in road:
            stage.stop()
            if not task.done():
                await asyncio.wait([task], timeout=STOP_S)
            task.cancel()  # one that does not end in time is as good as killed: nothing is lost by that
        for task in works:
            task.cancel()
        if runner is not None:
            await runner.cleanup()
        results = await asyncio.gather(*(task for _, task in road), *works, return_exceptions=True)
    for result in results:
        if isinstance(result, Exception):
            _log.error("stage_failed", reason=str(result), kind=type(result).__name__)
            raise result
