"""Our own delivery in the bench: the real stage on a real reader, with lanes, offsets, commits and http connector.

``--mode alone``: as the peers, without signature and receipt. The records are receipts themselves (class 2),
which are never receipted; the signature is an empty text. ``--mode signed``: every request signed ``v1a``, every
delivery receipted on the ledger. ``--mode batch``: the same in batches of 100. Off in all three: nothing is
sealed, so no vault is asked and nothing opened or decoded; there is no exchange that reads the receipts. On in
all three: the store with its marks, the check of what was settled before the start, circuit, schedule, metrics.

A request here carries the whole CloudEvent around the record's value (about 1.5 KB), the peers' only the value.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import signal
import sys
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Final

import uvloop

from broker.core.catalogue.directory import Directory, Limits, Partner
from broker.core.ids import CaseId, PartnerId
from broker.core.message import Message
from broker.core.signatures import SigningKey, sign_v1a
from broker.delivery.options import DeliveryOptions
from broker.delivery.ports import OnPartitions, Opened, Reader
from broker.delivery.stage import Delivery
from broker.log.options import KafkaOptions
from broker.log.reading.reader import GroupReader
from broker.log.schema.schemas import SchemaSet
from broker.log.values.codec import Codec
from broker.log.writing.writer import Writer
from broker.serve import GC_THRESHOLD, SWITCH_INTERVAL_S
from broker.store.access.engine import Store
from connectors import registry
from connectors.base import Connector, Features, Parcel, Ports
from connectors.mapping import PartnerMapping

BATCH: Final = 100
_KEY: Final = SigningKey.from_seed(b"k" * 32)
MODES: Final = ("alone", "signed", "batch")


class Unsealed:
    """Papers that are not sealed: the value's text is the data."""

    async def keys(self, cases: Collection[CaseId]) -> Mapping[CaseId, bytes]:
        del cases
        return {}

    def open(
        self, message: Message, key: bytes | None, features: Features, mapping: PartnerMapping
    ) -> Opened:
        del key, features, mapping
        return Opened(value=message.value, data={"text": message.value[5:].decode("ascii")})


class RegistryLinks:
    """Connectors as the product makes them."""

    def __init__(self, ports: Ports) -> None:
        self._ports = ports

    def connector(self, partner: Partner) -> Connector:
        return registry.make_connector(partner, self._ports)

    def mapping(self, partner: Partner) -> PartnerMapping:
        return registry.make_mapping(partner)


async def _no_place(partner: PartnerId, parcels: Sequence[Parcel]) -> None:
    raise AssertionError(f"{partner} has no mailbox for {len(parcels)}")


def _unsigned(webhook_id: str, timestamp: int, body: bytes) -> str:
    del webhook_id, timestamp, body
    return ""


def directory_of(arguments: argparse.Namespace) -> Directory:
    """Partners ``--partners``, the nth at ``<url>/p/<n>`` when there are several."""
    names: list[str] = arguments.partners
    partners: dict[PartnerId, Partner] = {}
    for number, name in enumerate(names):
        url = arguments.url if len(names) == 1 else f"{arguments.url}/p/{number}"
        identity = PartnerId(name)
        partners[identity] = Partner(
            id=identity,
            name="-",
            contact="-",
            connector={
                "kind": "http",
                "url": url,
                "allow": ["127.0.0.0/8"],
                "timeout_s": arguments.timeout_s,
            },
            limits=Limits(
                in_flight=arguments.in_flight,
                batch=BATCH if arguments.mode == "batch" else 1,
                queue_bytes=64 << 20,
            ),
        )
    return Directory(version="bench", partners=partners, items={}, agreements={})


async def work(arguments: argparse.Namespace) -> None:
    """Deliver until SIGTERM."""
    kafka = KafkaOptions(
        bootstrap=arguments.bootstrap, outbox_partitions=arguments.partitions, session_timeout_s=10.0
    )
    codec = Codec(SchemaSet.load())
    store = await Store.open(f"sqlite:///{arguments.folder}/{arguments.group}.db")
    writer = Writer(kafka, client_id="bench")
    await writer.start()
    ports = Ports(
        sign=_unsigned if arguments.mode == "alone" else partial(sign_v1a, _KEY),
        secrets={},
        now_s=time.time,
        place=_no_place,
    )
    directory = directory_of(arguments)

    def reader(topics: Iterable[str], *, assigned: OnPartitions, revoked: OnPartitions) -> Reader:
        return GroupReader(
            kafka,
            group=arguments.group,
            topics=topics,
            assigned=assigned,
            revoked=revoked,
            member=arguments.member,
        )

    stage = Delivery(
        DeliveryOptions(),
        reader=reader,
        ledger=writer,
        store=store,
        papers=Unsealed(),
        codec=codec,
        directory=lambda: directory,
        links=RegistryLinks(ports),
    )
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stage.stop)
    gc.freeze()
    gc.set_threshold(GC_THRESHOLD)
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    profile = _profiling(arguments.profile)
    try:
        await stage.run()
    finally:
        profile()
        await writer.close()
        await store.close()


def _profiling(out: Path | None):  # type: ignore[no-untyped-def] # cProfile knows no type for itself
    if out is None:
        return lambda: None
    import cProfile

    profile = cProfile.Profile()
    profile.enable()

    def end() -> None:
        profile.disable()
        profile.dump_stats(str(out))

    return end


def main() -> None:
    parser = argparse.ArgumentParser()
    for name in ("bootstrap", "group", "member", "url"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--partners", type=lambda text: text.split(","), required=True)
    parser.add_argument("--partitions", type=int, default=8)
    parser.add_argument("--in-flight", type=int, required=True)
    parser.add_argument("--timeout-s", type=float, default=20.0)
    parser.add_argument("--mode", choices=MODES, default="alone")
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--profile", type=Path, help="write a cProfile of the run here")
    uvloop.run(work(parser.parse_args()))


if __name__ == "__main__":
    main()
