"""The exchange and its operators, by the rules of the plan: routing in log order, receipts, dossiers, redrives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final

from broker.core.ids import BROKER, CaseId, MessageId, PartnerId, Party, derived_id
from broker.core.message import Message, MessageClass, from_epoch_ms, from_record, to_headers
from broker.core.operating import desk
from broker.core.operating.desk import Act, Dossier, Name, Standing
from broker.core.operating.desk_lanes import Desk
from broker.core.problems import Refusal
from broker.core.receipts import TYPES, Outcome
from broker.core.records import Headers, NewRecord, Position, Record, TopicPartition
from broker.delivery.ending.receipts import Ending, receipt_record
from broker.log.admin.topics import DESK, LEDGER, outbox
from broker.log.schema.schemas import SchemaSet
from broker.log.values.codec import Codec
from broker.store.delivering import awaiting, frames
from connectors.base import Parcel
from tests.simulation.log import Log
from tests.simulation.plan import Mood
from tests.simulation.store import Database
from tests.simulation.world import World

SENDER: Final = Party("451300")
LEDGER_PARTITIONS: Final = 4
CODEC: Final = Codec(SchemaSet.load())
_OUTCOMES: Final = {f"{name}": outcome for outcome, name in TYPES.items()}
_FINE: Final = b"\0\0\0\0\1fine"


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """A record that the exchange has put on an outbox."""

    place: TopicPartition
    key: bytes
    value: bytes
    headers: Headers
    name: str
    case: str


def partition_of(record: NewRecord) -> int:
    """The ledger's partition of a record; the desk has one."""
    if record.topic != LEDGER:
        return 0
    return ledger_partition(record.key.decode())


def ledger_partition(case: str) -> int:
    return int(case.rpartition("/")[2]) % LEDGER_PARTITIONS


@dataclass
class Exchange:
    """Reads the ledger as it grows, a little later, in the order of each partition."""

    world: World
    log: Log
    database: Database
    receipts_home: bool
    desk: Desk = field(default_factory=Desk)
    dossiers: set[Name] = field(default_factory=set)
    outputs: dict[int, list[Output]] = field(default_factory=dict)
    on_desk: set[tuple[TopicPartition, int]] = field(default_factory=set)
    desk_names: set[str] = field(default_factory=set)
    owed: int = 0
    """Ledger records not yet handled."""
    _originals: dict[Name, Record] = field(default_factory=dict)
    _outcomes: dict[Name, tuple[Outcome | None, MessageId]] = field(default_factory=dict)
    _numbers: dict[tuple[str, str], int] = field(default_factory=dict)
    _ready_s: dict[int, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.log.listeners.append(self._appended)

    # what comes in

    def send(
        self, partner: str, case_number: int, *, expires: bool = False, corrupt: bool = False
    ) -> Message:
        """A partner submits a message and intake says yes."""
        case = f"{SENDER}/{case_number}"
        number = self._numbers[partner, case] = self._numbers.get((partner, case), 0) + 1
        now = from_epoch_ms(self.world.now_ms())
        message = Message(
            id=MessageId(f"{partner}-c{case_number}-{number}"),
            source=SENDER,
            type="case.urged",
            case=CaseId(case),
            destination=Party(partner),
            time=now,
            message_class=MessageClass.INITIAL,
            digest=f"sha-256:{partner}{case_number}-{number}",
            dataschema="/schemas/ids/1",
            value=_FINE + b"corrupt" if corrupt else _FINE,
            expires=now + timedelta(seconds=2 * self.world.pace.unit_s) if expires else None,
        )
        self.world.record(
            "accepted", "intake", name=message.name, partner=partner, case=case, number=number,
            proof=message.digest,
        )  # fmt: skip
        place = TopicPartition(LEDGER, ledger_partition(case))
        self.log.append(place, case.encode(), message.value, to_headers(message))
        return message

    def poison(self, partner: str, case_number: int) -> None:
        """A record on an outbox that is no message of ours."""
        place = self._outbox(partner, ledger_partition(f"x/{case_number}"))
        record = self.log.append(place, b"?", b"\1garbage", (("ce_specversion", b"0.3"),))
        self.world.record(
            "outbox", "exchange", partner=partner, place=place, offset=record.position.offset, detail="poison"
        )

    def repeat(self, count: int) -> None:
        """The exchange was killed before its own commit: what it wrote last, it writes again, in order."""
        for partition in sorted(self.outputs):
            for output in self.outputs[partition][-count:]:
                self._put(output, "repeat")

    def receipt_of_partner(self, parcel: Parcel, late_s: float) -> None:
        """The later receipt of a partner that answered 202 comes in by intake."""
        self.world.later(late_s, self._take_receipt, parcel)

    def taken(self, parcel: Parcel, mood: Mood, within_s: float) -> None:
        """A city has answered 202: when its receipts come."""
        match mood:
            case "taken":
                self.receipt_of_partner(parcel, within_s * 0.4)
            case "taken-late":
                self.receipt_of_partner(parcel, within_s * 2.5)
            case "taken-twice":
                self.receipt_of_partner(parcel, within_s * 0.3)
                self.receipt_of_partner(parcel, within_s * 0.5)
            case _:
                return

    def _take_receipt(self, parcel: Parcel) -> None:
        message, partner = parcel.message, PartnerId(parcel.message.destination)
        name = (message.source, message.id)
        found = self.database.transact(lambda connection: awaiting.find(connection, partner, [name]))
        if not found:
            self.world.saw("late receipt with nobody waiting")
            return
        record = frames.unpack(found[0].record)
        ending = Ending(outcome=Outcome.DELIVERED, attempt=1, at_s=self.world.wall_s(), code="receipt")
        made = receipt_record(CODEC, from_record(record), record, partner, ending)
        self.log.append(TopicPartition(LEDGER, partition_of(made)), made.key, made.value, made.headers)
        before = self.database.held()
        self.database.transact(lambda connection: awaiting.remove(connection, partner, [name]))
        for table, (owner, partition, offset) in sorted(before - self.database.held()):
            self.world.record(
                "unstored", "intake", partner=owner, number=partition, offset=offset, detail=table
            )
        self.world.saw("later receipt in time")

    # what operators do

    def act(self, kind: str, count: int) -> None:
        """Acts on open dossiers, in ledger order."""
        found = sorted(
            (
                each
                for name in self.dossiers
                if (each := self.desk.find(name)) is not None and each.status is Standing.OPEN
            ),
            key=lambda each: (each.ledger_partition, each.ledger_offset),
        )
        if kind == "retry-cause":
            chosen = [each for each in found if each.cause in desk.BLOCKING] or found
        elif kind == "retry-last":
            chosen = found[-count:]
        else:
            chosen = found[:count]
        act = {"skip": Act.SKIPPED, "return": Act.RETURNED}.get(kind, Act.REDRIVEN)
        for dossier in chosen:
            self._say(act, dossier)

    def _say(self, act: Act, dossier: Dossier) -> None:
        now_ms = self.world.now_ms()
        facts = {
            "message": dossier.message,
            "partner": dossier.partner,
            "by": "李明",
            "reason": "the city is back",
            "at": from_epoch_ms(now_ms),
        }
        value = CODEC.encode(act.type, facts)
        destination = dossier.name[0] if act is Act.RETURNED else Party(dossier.partner)
        said = Message(
            id=derived_id("o", act.type, dossier.message, str(self.world.loop.now_s)),
            source=BROKER,
            type=act.type,
            case=dossier.case,
            destination=destination,
            time=from_epoch_ms(now_ms),
            message_class=MessageClass.INITIAL,
            digest="sha-256:act",
            dataschema=CODEC.dataschema(act.type),
            value=value,
            correlation=dossier.message,
        )
        place = TopicPartition(LEDGER, ledger_partition(dossier.case))
        self.log.append(place, dossier.case.encode(), value, to_headers(said))

    # the ledger

    def _appended(self, record: Record) -> None:
        where = record.position
        if where.topic == DESK:
            self._tell_desk(record)
        if where.topic != LEDGER:
            return
        self.owed += 1
        if dict(record.headers)["ce_source"] == b"/tongban":
            message = from_record(record)
            self.world.record(
                "ledger",
                self.world.who(),
                name=message.correlation or "",
                partner=message.destination,
                case=message.case,
                number=message.redrive,
                detail=message.type,
                proof=message.id,
            )
        now_s = self.world.loop.now_s
        ready_s = max(self._ready_s.get(where.partition, 0.0) + 0.0001, now_s + self.world.latency_s(0.05))
        self._ready_s[where.partition] = ready_s
        self.world.later(ready_s - now_s, self._handle, record)

    def _handle(self, record: Record) -> None:
        self.owed -= 1
        message = from_record(record)
        self._originals[message.source, message.id] = record
        if message.source != BROKER:
            self._route(message, record, PartnerId(message.destination), "first")
        elif message.type in _OUTCOMES:
            self._settle(message, record)
        elif message.type in desk.ACTS:
            self._judge(desk.ACTS[message.type], message, record)

    def _settle(self, message: Message, record: Record) -> None:
        source, _, identity = (message.correlation or "").partition("/")
        name, outcome = (Party(source), MessageId(identity)), _OUTCOMES[message.type]
        known = self._outcomes.get(name)
        if known is not None and (known[0] is Outcome.DELIVERED or known[1] == message.id):
            self.world.saw("repeated receipt dropped")
            return
        dossier = self.desk.find(name)
        if (
            dossier is not None
            and outcome is not Outcome.DELIVERED
            and desk.is_stale(dossier, message.id, outcome)
        ):
            self.world.saw("stale failure dropped")
            return
        datum = CODEC.decode(message.value).datum
        assert isinstance(datum, dict)
        self._outcome(name, outcome, message.id, str(datum["digest"]))
        if outcome is Outcome.DELIVERED:
            if dossier is not None:
                self._keep(desk.delivered(dossier, at_ms=record.timestamp_ms), "delivered")
        else:
            self._fail(name, dossier, outcome, datum, message, record)
        if self.receipts_home and message.destination == SENDER:
            self._route(message, record, PartnerId(SENDER), "first")

    def _fail(
        self,
        name: Name,
        dossier: Dossier | None,
        outcome: Outcome,
        datum: Mapping[str, object],
        message: Message,
        record: Record,
    ) -> None:
        cause = str(datum.get("answer_code") or outcome.value)
        if dossier is None:
            at = self._originals[name].position
            opened = desk.opened(
                name,
                partner=PartnerId(str(datum["recipient"])),
                case=message.case,
                outcome=outcome,
                cause=cause,
                detail="-",
                place=(at.partition, at.offset),
                at_ms=record.timestamp_ms,
            )
            self._keep(opened, "opened")
            return
        if dossier.status is Standing.REDRIVEN:
            self.world.saw("second failure")
        again = desk.failed_again(
            dossier, outcome=outcome, cause=cause, detail="-", at_ms=record.timestamp_ms
        )
        self._keep(again, "reopened")

    def _judge(self, act: Act, message: Message, record: Record) -> None:
        source, _, identity = (message.correlation or "").partition("/")
        name = (Party(source), MessageId(identity))
        dossier = self.desk.find(name)
        assert dossier is not None
        first = self.desk.first(dossier.partner, dossier.case)
        after = desk.act(dossier, act, at_ms=record.timestamp_ms, first=first)
        if isinstance(after, Refusal):
            self.world.saw(f"act refused {after.code}")
            return
        self.world.saw(f"act {act.value}{' of a blocking dossier' if dossier.blocks else ''}")
        self._keep(after, act.value)
        self.world.record(
            "act", "operator", name=dossier.message, partner=dossier.partner, case=dossier.case,
            number=after.redrive, detail=act.value, proof="blocking" if dossier.blocks else "free",
        )  # fmt: skip
        partner = dossier.partner
        if act is Act.REDRIVEN:
            self._outcome(name, None, MessageId("-"))
            original = self._originals[name]
            self._route(from_record(original), record, partner, "redrive", redrive=after.redrive)
        elif dossier.blocks and act in {Act.RETURNED, Act.SKIPPED}:
            self._route(message, record, partner, "control")
        if act is Act.RETURNED and self.receipts_home:
            self._route(message, record, PartnerId(SENDER), "first")

    def _keep(self, dossier: Dossier, what: str) -> None:
        before = self.desk.find(dossier.name)
        self.desk.put(dossier)
        self.database.keep(dossier)
        self.dossiers.add(dossier.name)
        if before is None or before.status is not dossier.status:
            self.world.record(
                "dossier", "exchange", name=dossier.message, partner=dossier.partner, case=dossier.case,
                number=dossier.failures, detail=what, proof="blocking" if dossier.blocks else "free",
            )  # fmt: skip

    def _outcome(self, name: Name, outcome: Outcome | None, receipt: MessageId, digest: str = "") -> None:
        self._outcomes[name] = (outcome, receipt)
        self.database.settle(name[0], name[1], outcome.value if outcome is not None else None)
        self.world.record(
            "settled",
            "exchange",
            name="/".join(name),
            detail=outcome.value if outcome else "open again",
            proof=digest,
        )

    # outboxes

    def _route(
        self, message: Message, record: Record, partner: PartnerId, kind: str, *, redrive: int = 0
    ) -> None:
        accepted = message.accepted_at or from_epoch_ms(record.timestamp_ms)
        derived = self._derived(message, record.position, accepted, redrive)
        output = Output(
            place=self._outbox(partner, record.position.partition),
            key=message.case.encode(),
            value=message.value,
            headers=to_headers(derived),
            name=message.name,
            case=message.case,
        )
        self.outputs.setdefault(record.position.partition, []).append(output)
        self._put(output, kind)

    def _derived(self, message: Message, position: Position, accepted: datetime, redrive: int) -> Message:
        derived = message.derived_from(position, accepted)
        return replace(derived, redrive=redrive) if redrive else derived

    def _put(self, output: Output, kind: str) -> None:
        record = self.log.append(output.place, output.key, output.value, output.headers)
        redrive = dict(output.headers).get("tongban-redrive", b"0")
        self.world.record(
            "outbox",
            "exchange",
            name=output.name,
            partner=output.place.topic.rpartition(".")[2],
            case=output.case,
            place=output.place,
            offset=record.position.offset,
            number=int(redrive),
            detail=kind,
            proof=dict(output.headers)["tongban-source"].decode(),
        )

    def _outbox(self, partner: str, partition: int) -> TopicPartition:
        return TopicPartition(outbox(PartnerId(partner)), partition % self.log.partitions)

    def _tell_desk(self, record: Record) -> None:
        raw = dict(record.headers)
        place = TopicPartition(raw["__connect.errors.topic"].decode(), int(raw["__connect.errors.partition"]))
        offset = int(raw["__connect.errors.offset"])
        name = "-"
        if raw.get("ce_specversion") == b"1.0":
            name = from_record(record).name
            self.desk_names.add(name)
        self.on_desk.add((place, offset))
        self.world.record(
            "desk",
            self.world.who(),
            name=name,
            place=place,
            offset=offset,
            detail=raw["__connect.errors.exception.class.name"].decode(),
        )
