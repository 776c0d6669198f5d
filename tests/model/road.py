"""The real exchange on a ledger in memory: what is said becomes records, and `judge_batch` judges them.

No database and no log: the view's rows that judging needs are kept in dictionaries.
"""

from __future__ import annotations

import hashlib
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, TypeVar, cast

from broker.core.case.lifecycle import CaseState
from broker.core.catalogue.directory import Directory
from broker.core.clocks.deadlines import Deadline
from broker.core.ids import CaseId, MessageId, Party
from broker.core.message import Message, MessageClass, Mode, epoch_ms, from_record, to_headers
from broker.core.records import NewRecord, Position, Record
from broker.exchange import batch, reading
from broker.exchange.originals import read_originals
from broker.log.admin import topics
from broker.log.schema.schemas import SchemaSet
from broker.log.values.codec import Codec
from broker.store.rows import MessageRow, Name
from broker.store.view.ledger_view import Known, Loaded
from broker.supervision.cards import card_records
from tests.model.place import EDITIONS
from tests.model.sheet import Word
from tests.schemas.examples import VALID

CODEC: Final = Codec(SchemaSet.load())
PARTITION: Final = 0
BOOK: Final = {each.version: each for each in EDITIONS}
ENVELOPE: Final = "case.urged"
"""Whose value a word of no type carries: the exchange judges it by its headers."""
OF_THE_ROAD: Final = {
    each.type: CODEC.from_json(schema, each.data)
    for each in VALID
    if each.type.partition(".")[0] not in {"case", "fee", "complaint"}
    and (schema := CODEC.schemas.latest(each.type)) is not None
}
"""What a partner says that no partner may say: the schemas' own examples."""
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Notice:
    """A refusal as its sender is told."""

    name: str
    code: str
    to: str


@dataclass(kw_only=True)
class Road:
    """``size`` records are judged together."""

    size: int = 1
    directory: Directory = EDITIONS[0]
    ledger: list[Record] = field(default_factory=list)
    cases: dict[CaseId, CaseState] = field(default_factory=dict)
    known: dict[Name, Known] = field(default_factory=dict)
    arrived: list[tuple[str, str, str, str]] = field(default_factory=list)
    """What partners got since :meth:`take` was last called: type, case, who said it, who got it."""
    notices: list[Notice] = field(default_factory=list)
    at: int = 0
    _now: datetime | None = None

    def take(self, words: Sequence[Word], now: datetime) -> None:
        """Judge these words and all that follows from them."""
        self._now = now
        self.arrived.clear()
        self.notices.clear()
        for word in words:
            self._put(record_of(message_of(word)))
        self._judge()

    def card(self, state: CaseState, deadline: Deadline, now: datetime) -> list[Message]:
        """Write a card as supervision does, one record to each side; what was written."""
        self._now = now
        self.arrived.clear()
        self.notices.clear()
        written = card_records(CODEC, state, deadline, ledger_partitions=1)
        began = len(self.ledger)
        for new in written:
            self._put(new)
        messages = [from_record(each) for each in self.ledger[began:]]
        self._judge()
        return messages

    def _put(self, new: NewRecord) -> None:
        assert self._now is not None
        self.ledger.append(
            Record(
                position=Position(topics.LEDGER, PARTITION, len(self.ledger)),
                timestamp_ms=epoch_ms(self._now),
                key=new.key,
                value=new.value,
                headers=new.headers,
            )
        )

    def _judge(self) -> None:
        while self.at < len(self.ledger):
            some = self.ledger[self.at : self.at + self.size]
            reads = reading.read(some, CODEC)
            wanted = reading.wanted(reads)
            loaded = Loaded(
                cases={each: self.cases[each] for each in wanted.cases if each in self.cases},
                messages={each: self.known[each] for each in wanted.names if each in self.known},
            )
            originals = at_once(read_originals(self._read_at, reads, loaded.messages, loaded.cases))
            judged = batch.judge_batch(
                reads, loaded, self.directory, originals, codec=CODEC, outbox_partitions=1, book=BOOK
            )
            self.at += len(some)
            self.cases |= judged.cases
            for row in judged.messages:
                self._remember(row)
            for new in judged.outputs:
                self._written(new)

    def _remember(self, row: MessageRow) -> None:
        self.known[row.source, row.id] = Known(
            digest=row.digest,
            ledger_partition=row.ledger_partition,
            ledger_offset=row.ledger_offset,
            verdict=row.verdict,
            code=row.code,
        )

    def _written(self, new: NewRecord) -> None:
        if new.topic == topics.LEDGER:
            self._put(new)
            message = from_record(self.ledger[-1])
            if message.type == "notice.refused":
                code = CODEC.decode(message.value).datum["code"]
                self.notices.append(
                    Notice(name=str(message.correlation), code=str(code), to=message.destination)
                )
            return
        position = Position(new.topic, 0, 0)
        message = from_record(
            Record(position=position, timestamp_ms=0, key=new.key, value=new.value, headers=new.headers)
        )
        if message.type != "notice.refused":
            to = str(topics.partner_of(new.topic))
            self.arrived.append((message.type, message.case, message.source, to))

    async def _read_at(self, positions: Sequence[Position]) -> list[Record]:
        return [self.ledger[each.offset] for each in positions]


def at_once(coroutine: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine that waits for nothing."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        found: T = done.value
        return found
    raise AssertionError("it waits for something")


def message_of(word: Word) -> Message:
    """The word as a message, its value made by the codec from the schema of its type."""
    kind = ENVELOPE if word.type == "case.invented" else word.type
    value = CODEC.encode(kind, cast("dict[str, object]", OF_THE_ROAD.get(kind, word.facts)))
    return Message(
        id=MessageId(word.id),
        source=Party(word.source),
        type=word.type,
        case=CaseId(word.case),
        destination=Party(word.to),
        time=word.at,
        message_class=MessageClass.RESPONSE,
        digest=f"sha-256:{hashlib.sha256(word.content.encode()).hexdigest()}",
        dataschema=CODEC.dataschema(kind),
        value=value,
        item=word.item,
        mode=None if word.mode is None else Mode(word.mode),
        correlation=word.answers,
        expires=word.expires,
        signature="v1a,xyz",
        signed="id=1;timestamp=2;index=0;count=1",
    )


def record_of(message: Message) -> NewRecord:
    """The message as intake writes it."""
    return NewRecord(
        topic=topics.LEDGER,
        key=topics.ledger_key(message.case),
        value=message.value,
        headers=to_headers(message),
    )
