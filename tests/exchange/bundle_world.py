"""A ledger, an exchange and two services of several parts, in memory: what is said is judged by the real parts."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta

from broker.core.bundle.bundles import BundleState
from broker.core.case.lifecycle import CaseState
from broker.core.catalogue.directory import Directory, read_directory
from broker.core.ids import BROKER, CaseId, MessageId, PartnerId, Party, part_case
from broker.core.message import (
    Message,
    MessageClass,
    Mode,
    epoch_ms,
    from_record,
    is_partner,
    to_headers,
    value_digest,
)
from broker.core.records import NewRecord, Position, Record
from broker.errors import Corrupt
from broker.exchange import batch, reading
from broker.exchange.originals import read_originals
from broker.log.admin import topics
from broker.store.rows import MessageRow, Name
from broker.store.view.ledger_view import Known, Loaded
from tests.exchange.fakes import CODEC

NOW = datetime(2026, 3, 2, 1, 0, tzinfo=UTC)
HALL, LEAD, ROADS = "430423", "430400-weijian", "430400-jiaotong"
BORN = CaseId(f"{HALL}/HS-2026-0001")
LOAD = CaseId(f"{HALL}/DJ-2026-0001")
ROUTE = [ROADS, "360300-jiaotong", "450300-jiaotong"]
PARTITION = 3

AUTHORITIES = {
    "chusheng": "430400-weijian",
    "jiezhong": "430400-jikong",
    "luohu": "430400-gongan",
    "canbao": "430400-yibao",
    "jiaofei": "430400-shuiwu",
    "shebaoka": "430400-renshe",
}
ITEMS = {
    "xinshenger-yijianshi": "新生儿出生一件事",
    "chusheng-yixue-zhengming": "出生医学证明",
    "yufang-jiezhong-zheng": "预防接种证",
    "xinshenger-luohu": "新生儿落户登记",
    "jumin-yibao-canbao": "城乡居民医保参保登记",
    "yibao-jiaofei": "医保缴费",
    "shebaoka-shenling": "社保卡申领",
    "dajian-yunshu": "大件运输一件事",
    "chaoxian-yunshu-xuke": "超限运输通行许可",
}
NEWBORN = """code="xinshenger-yijianshi"
name="新生儿出生一件事"
lead="430400-weijian"
answer="broker"
parts=[
 {name="chusheng", item="chusheng-yixue-zhengming", authority="430400-weijian"},
 {name="jiezhong", item="yufang-jiezhong-zheng", authority="430400-jikong", after=["chusheng"]},
 {name="luohu", item="xinshenger-luohu", authority="430400-gongan", after=["chusheng"]},
 {name="canbao", item="jumin-yibao-canbao", authority="430400-yibao", after=["luohu"]},
 {name="jiaofei", item="yibao-jiaofei", authority="430400-shuiwu", after=["canbao"]},
 {name="shebaoka", item="shebaoka-shenling", authority="430400-renshe", after=["luohu"]},
]
"""
TRANSPORT = """code="dajian-yunshu"
name="大件运输一件事"
lead="430400-jiaotong"
answer="lead"
route_item="chaoxian-yunshu-xuke"
"""


def _partner(code: str) -> str:
    return f'id="{code}"\nname="{code} 窗口"\ncontact="窗口"\n[connector]\nkind="mailbox"\n'


def _agreement(one: str, other: str, item: str, mode: str) -> tuple[str, str]:
    pair = sorted((one, other))
    text = f'partners={pair}\nitems=["{item}"]\nmodes=["{mode}"]\nsince=2026-01-01\n'.replace("'", '"')
    return f"agreements/{'--'.join(pair)}.toml", text


DOCUMENTS = {
    **{f"partners/{each}.toml": _partner(each) for each in {HALL, *AUTHORITIES.values(), *ROUTE}},
    **{f"items/{c}.toml": f'code="{c}"\nname="{name}"\npromised_days=7\n' for c, name in ITEMS.items()},
    "bundles/xinshenger-yijianshi.toml": NEWBORN,
    "bundles/dajian-yunshu.toml": TRANSPORT,
    **dict(
        [
            _agreement(HALL, LEAD, "xinshenger-yijianshi", "online"),
            _agreement(HALL, ROADS, "dajian-yunshu", "joint"),
            _agreement(ROADS, ROUTE[1], "chaoxian-yunshu-xuke", "joint"),
            _agreement(ROADS, ROUTE[2], "chaoxian-yunshu-xuke", "joint"),
        ]
    ),
}
DIRECTORY: Directory = read_directory(DOCUMENTS)

DATA: dict[str, dict[str, object]] = {
    "case.accepted": {"accepted_on": date(2026, 3, 2), "promised_days": 3},
    "case.refused": {"refused_at": NOW, "reason": "材料不属本机关", "legal_basis": "行政许可法第三十二条"},
    "case.supplement-requested": {
        "requested_at": NOW,
        "items": [{"code": "sfz", "name": "父母身份证", "reason": "缺反面"}],
        "deadline": date(2026, 3, 9),
    },
    "case.withdrawn": {"withdrawn_at": NOW, "reason": "申请人要求"},
    "case.urged": {"urged_at": NOW, "reason": "请尽快办理"},
}


@dataclass(kw_only=True)
class World:
    """``judge`` takes what is on the ledger, ``size`` records a batch, and puts what follows behind it."""

    size: int = 1000
    ledger: list[Record] = field(default_factory=list)
    cases: dict[CaseId, CaseState] = field(default_factory=dict)
    known: dict[Name, Known] = field(default_factory=dict)
    rows: list[MessageRow] = field(default_factory=list)
    outbox: dict[str, list[Message]] = field(default_factory=dict)
    outputs: list[NewRecord] = field(default_factory=list)
    lost: set[Position] = field(default_factory=set)
    twice: bool = False
    """Judge each batch twice, as a worker does that was killed between its outputs and the view."""
    at: int = 0
    said: int = 0

    def put(self, new: NewRecord) -> None:
        assert new.topic == topics.LEDGER
        assert new.partition in {PARTITION, None}
        position = Position(topics.LEDGER, PARTITION, len(self.ledger))
        self.ledger.append(
            Record(
                position=position,
                timestamp_ms=epoch_ms(NOW + timedelta(hours=position.offset)),
                key=new.key,
                value=new.value,
                headers=new.headers,
            )
        )

    def say(
        self,
        type_: str,
        source: str,
        to: str,
        case: CaseId,
        data: dict[str, object] | None = None,
        **more: str,
    ) -> Message:
        value = CODEC.encode(type_, DATA.get(type_, {}) if data is None else data)
        self.said += 1
        message = Message(
            id=MessageId(f"m-{self.said}"),
            source=Party(source),
            type=type_,
            case=case,
            destination=Party(to),
            time=NOW,
            message_class=MessageClass.RESPONSE,
            digest=value_digest(value),
            dataschema=CODEC.dataschema(type_),
            value=value,
            item=more.get("item"),
            mode=Mode(more["mode"]) if "mode" in more else None,
            signature="v1a,xyz",
            signed="id=1;timestamp=2;index=0;count=1",
        )
        self.put_message(message)
        return message

    def put_message(self, message: Message) -> None:
        headers = to_headers(message)
        key = topics.ledger_key(message.case)
        self.put(NewRecord(topic=topics.LEDGER, key=key, value=message.value, headers=headers))

    def judge(self) -> None:
        while self.at < len(self.ledger):
            asyncio.run(self._batch(self.ledger[self.at : self.at + self.size]))

    async def _batch(self, records: Sequence[Record]) -> None:
        reads = reading.read(records, CODEC)
        wanted = reading.wanted(reads)
        loaded = Loaded(
            cases={each: self.cases[each] for each in wanted.cases if each in self.cases},
            messages={each: self.known[each] for each in wanted.names if each in self.known},
        )
        for _ in range(2 if self.twice else 1):
            originals = await read_originals(self._read_at, reads, loaded.messages, loaded.cases)
            judged = batch.judge_batch(
                reads,
                loaded,
                DIRECTORY,
                originals,
                codec=CODEC,
                outbox_partitions=1,
                book={DIRECTORY.version: DIRECTORY},
            )
            self._written(judged.outputs)
        self.at += len(records)
        self.cases |= judged.cases
        for row in judged.messages:
            self.rows.append(row)
            if row.verdict != "refused" or row.code != "message-id-reused":
                self.known[row.source, row.id] = Known(
                    digest=row.digest,
                    ledger_partition=row.ledger_partition,
                    ledger_offset=row.ledger_offset,
                    verdict=row.verdict,
                    code=row.code,
                )

    async def _read_at(self, positions: Sequence[Position]) -> list[Record]:
        if self.lost.intersection(positions):
            raise Corrupt("the log has no such record")
        return [self.ledger[each.offset] for each in positions]

    def _written(self, outputs: Sequence[NewRecord]) -> None:
        for new in outputs:
            self.outputs.append(new)
            if new.topic == topics.LEDGER:
                self.put(new)
                continue
            partner = topics.partner_of(new.topic)
            assert partner is not None
            position = Position(new.topic, 0, 0)
            got = from_record(
                Record(
                    position=position,
                    timestamp_ms=epoch_ms(NOW),
                    key=new.key,
                    value=new.value,
                    headers=new.headers,
                )
            )
            inbox = self.outbox.setdefault(partner, [])
            if not any(each.name == got.name for each in inbox):  # what was seen is dropped there
                inbox.append(got)

    # What people do.

    def apply_newborn(self) -> Message:
        data: dict[str, object] = {
            "item_name": "新生儿出生一件事",
            "mode": "online",
            "title": "新生儿出生一件事",
            "submitted_at": NOW,
        }
        return self.say("case.submitted", HALL, LEAD, BORN, data, item="xinshenger-yijianshi", mode="online")

    def apply_transport(self, route: Sequence[str] = ROUTE) -> Message:
        data: dict[str, object] = {
            "item_name": "大件运输",
            "mode": "joint",
            "title": "大件运输通行许可",
            "submitted_at": NOW,
            "route": list(route),
            "item_class": "II",
        }
        return self.say("case.submitted", HALL, ROADS, LOAD, data, item="dajian-yunshu", mode="joint")

    def by(
        self, part: str, type_: str, *, of: CaseId = BORN, data: dict[str, object] | None = None
    ) -> Message:
        """The authority of a part speaks on it."""
        return self.say(type_, AUTHORITIES.get(part, part), HALL, part_case(of, part), data)

    def decide(self, part: str, outcome: str = "granted", *, of: CaseId = BORN) -> None:
        self.by(part, "case.accepted", of=of)
        self.by(part, "case.decided", of=of, data=decided(outcome))
        self.judge()

    def issue(
        self, part: str, *, of: CaseId = BORN, courier: str | None = None, licence: str | None = None
    ) -> None:
        document = {
            "title": f"{part} 文书",
            "media_type": "application/pdf",
            "sha256": "0" * 64,
            "size": 9,
        }
        data: dict[str, object] = {
            "issued_at": NOW,
            "documents": [document],
            "courier_company": "邮政" if courier else None,
            "courier_number": courier,
            "licence_name": licence,
            "licence_number": f"{part}-1" if licence else None,
        }
        self.by(part, "case.result-issued", of=of, data=data)
        self.judge()

    # What is seen of it.

    def bundle(self, of: CaseId = BORN) -> BundleState:
        found = self.cases[of].bundle
        assert found is not None
        return found

    def statuses(self, of: CaseId = BORN) -> dict[str, str]:
        return {each.name: each.status.value for each in self.bundle(of).parts}

    def part(self, name: str, of: CaseId = BORN) -> CaseState:
        return self.cases[part_case(of, name)]

    def got(self, partner: str) -> list[tuple[str, CaseId]]:
        return [(each.type, each.case) for each in self.outbox.get(partner, [])]

    def heard_by_the_hall(self, case: CaseId = BORN) -> list[str]:
        return [
            each.type for each in self.outbox.get(HALL, []) if each.case == case and each.source == BROKER
        ]

    def facts(self, type_: str, to: str = HALL) -> list[dict[str, object]]:
        found = [each for each in self.outbox.get(to, []) if each.type == type_ and each.source == BROKER]
        return [CODEC.decode(each.value).datum for each in found]

    def refusals(self) -> list[tuple[str, str | None]]:
        return [(row.type, row.code) for row in self.rows if row.verdict == "refused"]

    def to_partners(self) -> set[PartnerId]:
        return {PartnerId(each) for each in self.outbox if is_partner(Party(each))}


def decided(outcome: str = "granted", reason: str | None = None) -> dict[str, object]:
    why = reason or ("不符合条件" if outcome == "denied" else None)
    return {"outcome": outcome, "decided_at": NOW, "reason": why}
