"""The delivery bench's records: the same 1 KB for every contender, cases drawn by Zipf's law."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import accumulate
from typing import Final

from broker.core.ids import CaseId, MessageId, PartnerId, Party
from broker.core.message import Message, MessageClass, to_headers
from broker.core.records import NewRecord, Position
from broker.log.admin.topics import LEDGER, ensure_topics, ledger_partition, outbox, outbox_partition
from broker.log.options import KafkaOptions
from broker.log.writing.writer import Writer

CASES: Final = 10_000
PARTITIONS: Final = 8
VALUE_BYTES: Final = 1024
_SENDER: Final = Party("451300")
_AT_ONCE: Final = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """One outbox full of records. ``hottest``: how many of them belong to the busiest case."""

    partner: PartnerId
    records: int
    hottest: int

    @property
    def topic(self) -> str:
        return outbox(self.partner)

    def bound(self, delay_s: float) -> float | None:
        """The most records per second that order per case allows, with a partner that takes ``delay_s``."""
        return self.records / (self.hottest * delay_s) if delay_s else None


def draw(records: int, exponent: float, *, cases: int = CASES, seed: int = 7) -> list[int]:
    """Cases 1 to ``cases``, case k as often as ``k ** -exponent`` says."""
    weights = list(accumulate(each**-exponent for each in range(1, cases + 1)))
    return random.Random(seed).choices(range(1, cases + 1), cum_weights=weights, k=records)


def enough(most: int, exponent: float, delay_s: float, bound_s: float) -> int:
    """How many records to draw, at most ``most``, so that order per case alone takes about ``bound_s``."""
    if not delay_s:
        return most
    share: float = 1 / sum(each**-exponent for each in range(1, CASES + 1))
    return min(most, max(200, round(bound_s / delay_s / share)))


class Maker:
    """Makes the records of outboxes as the exchange would put them there, on a ledger that only rises."""

    def __init__(self, partitions: int = PARTITIONS, *, ledger_partitions: int = 8) -> None:
        self._partitions = partitions
        self._ledger_partitions = ledger_partitions
        self._offsets: Counter[int] = Counter()
        self._numbers: Counter[tuple[str, int]] = Counter()

    def start_at(self, offset: int) -> None:
        """Let the ledger go on at ``offset`` in all its partitions."""
        for home in range(self._ledger_partitions):
            self._offsets[home] = offset

    def record(
        self, partner: PartnerId, case: int, message_class: MessageClass, prefix: str = "z"
    ) -> NewRecord:
        """The next record of a case: its name is ``<prefix><case>-<number>``."""
        self._numbers[prefix, case] += 1
        name = f"{prefix}{case}-{self._numbers[prefix, case]}"
        case_id = CaseId(f"{_SENDER}/{prefix}{case}")
        home = ledger_partition(case_id, self._ledger_partitions)
        offset = self._offsets[home]
        self._offsets[home] += 1
        value = b"\0\0\0\0\1" + f"{name} ".encode().ljust(VALUE_BYTES - 5, b"x")
        now = datetime.now(UTC)
        message = Message(
            id=MessageId(name),
            source=_SENDER,
            type="case.urged",
            case=case_id,
            destination=Party(partner),
            time=now,
            message_class=message_class,
            digest="sha-256:" + "0" * 64,
            dataschema="/schemas/ids/1",
            value=value,
            accepted_at=now,
            source_position=Position(LEDGER, home, offset),
        )
        return NewRecord(
            topic=outbox(partner),
            key=case_id.encode(),
            value=value,
            headers=to_headers(message),
            partition=outbox_partition(home, self._partitions),
        )


async def fill(
    bootstrap: str, wanted: Mapping[PartnerId, tuple[int, float, MessageClass]], partitions: int = PARTITIONS
) -> dict[PartnerId, Load]:
    """Fill outboxes: records, exponent and class for each partner."""
    options = KafkaOptions(bootstrap=bootstrap, outbox_partitions=partitions)
    await ensure_topics(options, list(wanted))
    writer = Writer(options, client_id="bench-fill")
    await writer.start()
    loads: dict[PartnerId, Load] = {}
    try:
        for partner, (records, exponent, message_class) in wanted.items():
            maker, cases = Maker(partitions), draw(records, exponent)
            for start in range(0, records, _AT_ONCE):
                some = cases[start : start + _AT_ONCE]
                await writer.write([maker.record(partner, case, message_class) for case in some])
            hottest = Counter(cases).most_common(1)[0][1]
            loads[partner] = Load(partner=partner, records=records, hottest=hottest)
    finally:
        await writer.close()
    return loads


async def spread(bootstrap: str, partners: Sequence[PartnerId], records: int, partitions: int) -> None:
    """Fill the outboxes of many partners with ``records`` altogether, cases of their own each."""
    options = KafkaOptions(bootstrap=bootstrap, outbox_partitions=partitions)
    await ensure_topics(options, list(partners))
    writer = Writer(options, client_id="bench-fill")
    await writer.start()
    maker, cases = Maker(partitions), draw(records, 0.6)
    try:
        for start in range(0, records, _AT_ONCE):
            some = range(start, min(records, start + _AT_ONCE))
            made = [
                maker.record(
                    partners[n % len(partners)], cases[n], MessageClass.RECEIPT, f"p{n % len(partners)}x"
                )
                for n in some
            ]
            await writer.write(made, deadline_s=120.0)  # the first write makes the files of every partition
    finally:
        await writer.close()
