"""Stand-ins for the ports of the partner API, with faults, and a small world around one intake."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
import orjson

import schemas
from broker.core.case.lifecycle import CaseState
from broker.core.catalogue.directory import Directory, read_directory
from broker.core.ids import CaseId, MessageId, PartnerId, Party
from broker.core.message import Message, from_record
from broker.core.records import NewRecord, Position, Record
from broker.core.signatures import SigningKey, sign_v1, sign_v1a
from broker.errors import NotDurable, Unreachable
from broker.intake.intake import Intake, Parts
from broker.intake.options import IntakeOptions
from broker.intake.ports import Held, Name, Whereabouts
from broker.log.schema.schemas import SchemaSet
from broker.log.values.codec import Codec
from broker.store.rows import MessageRow
from broker.store.view.ledger_view import Known, Loaded

A, B, C = PartnerId("451300"), PartnerId("430423"), PartnerId("350200")
ITEM = "000109016000"
OTHER_ITEM = "000109017000"
KEYS = {partner: SigningKey.from_seed(hashlib.sha256(partner.encode()).digest()) for partner in (A, B, C)}
TOKENS = {partner: f"token-of-{partner}" for partner in (A, B, C)}
SECRETS = {"shared-with-c": hashlib.sha256(b"shared").digest()}
CODEC = Codec(SchemaSet.load())
START = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)


def documents() -> dict[str, str]:
    """A directory of three partners: A and B have an agreement, C has none and speaks over a trusted channel."""
    found: dict[str, str] = {}
    for partner in (A, B, C):
        token = hashlib.sha256(TOKENS[partner].encode()).hexdigest()
        more = 'secret = "shared-with-c"\n' if partner == C else ""
        found[f"partners/{partner}.toml"] = (
            f'id = "{partner}"\nname = "City {partner}"\ncontact = "hall"\n'
            f"trusted_channel = {'true' if partner == C else 'false'}\n"
            f'[connector]\nkind = "mailbox"\n[keys]\n{more}'
            f'verify = ["{KEYS[partner].verify_key.to_text()}"]\ntoken_sha256 = ["{token}"]\n'
        )
    for item in (ITEM, OTHER_ITEM):
        found[f"items/{item}.toml"] = f'code = "{item}"\nname = "Item {item}"\npromised_days = 7\n'
    found[f"agreements/{B}--{A}.toml"] = (
        f'partners = ["{A}", "{B}"]\nitems = ["{ITEM}"]\nmodes = ["collected", "online"]\nsince = 2020-01-01\n'
    )
    return found


class FakeLedger:
    """A ledger in memory. ``away`` raises that instead; ``held`` delays writes until it is set."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.writes: list[int] = []
        self.away: Exception | None = None
        self.held: asyncio.Event | None = None

    async def write(self, records: Sequence[NewRecord], *, deadline_s: float = 15.0) -> list[Position]:
        if self.held is not None:
            await self.held.wait()
        if self.away is not None:
            raise self.away
        self.writes.append(len(records))
        return [self._add(record) for record in records]

    def _add(self, new: NewRecord) -> Position:
        partition = new.partition or 0
        offset = sum(record.position.partition == partition for record in self.records)
        position = Position(new.topic, partition, offset)
        now_ms = int(START.timestamp() * 1000)
        self.records.append(
            Record(position=position, timestamp_ms=now_ms, key=new.key, value=new.value, headers=new.headers)
        )
        return position

    @property
    def messages(self) -> list[Message]:
        return [from_record(record) for record in self.records]


@dataclass
class FakeView:
    """A view that tests fill by hand. ``fresh`` False: it never catches up."""

    cases: dict[CaseId, CaseState] = field(default_factory=dict)
    known: dict[Name, Known] = field(default_factory=dict)
    rows: dict[Name, Whereabouts] = field(default_factory=dict)
    fresh: bool = True
    away: Exception | None = None
    loads: int = 0
    asked: asyncio.Event | None = None
    on_catching_up: Mapping[CaseId, CaseState] = field(default_factory=dict)
    directories: dict[str, Directory] = field(default_factory=dict)

    async def load(self, cases: Collection[CaseId], names: Collection[Name]) -> Loaded:
        await asyncio.sleep(0)
        if self.away is not None:
            raise self.away
        self.loads += 1
        return Loaded(
            cases={each: self.cases[each] for each in cases if each in self.cases},
            messages={each: self.known[each] for each in names if each in self.known},
        )

    async def caught_up(self, partition: int, within_s: float) -> bool:
        await (asyncio.sleep(0) if self.asked is None else self.asked.wait())
        self.cases.update(self.on_catching_up)
        return self.fresh

    async def whereabouts(self, name: Name) -> Whereabouts | None:
        if self.away is not None:
            raise self.away
        return self.rows.get(name)

    async def case(self, case: CaseId) -> CaseState | None:
        return self.cases.get(case)

    async def timeline(self, case: CaseId) -> Sequence[MessageRow]:
        return [found.row for found in self.rows.values() if found.row.case_id == case]

    async def directory(self, version: str) -> Directory | None:
        return self.directories.get(version)


class FakeKeys:
    """The same key for every case: what is sealed with it is none of these tests' matter."""

    def __init__(self) -> None:
        self.away: Exception | None = None

    async def keys(self, case_ids: Collection[CaseId]) -> Mapping[CaseId, bytes]:
        if self.away is not None:
            raise self.away
        return {case: hashlib.sha256(case.encode()).digest() for case in case_ids}


class FakeDirectory:
    def __init__(self) -> None:
        self.directory: Directory = read_directory(documents())

    def current(self) -> Directory:
        return self.directory


class FakeMailboxes:
    """Mailboxes in memory; a lease hides a message until it is settled."""

    def __init__(self) -> None:
        self.lying: dict[PartnerId, list[Held]] = {}
        self.leased: set[tuple[PartnerId, str]] = set()
        self.news = asyncio.Event()
        self.settled: list[Name] = []

    def place(self, partner: PartnerId, message: Message) -> None:
        self.lying.setdefault(partner, []).append(Held(message=message, attempts=1, placed_at=START))
        self.news.set()

    async def lease(
        self,
        partner: PartnerId,
        *,
        lease: str,
        max_messages: int,
        max_bytes: int,
        now: datetime,
        until: datetime,
    ) -> Sequence[Held]:
        free = [
            each for each in self.lying.get(partner, []) if (partner, each.message.name) not in self.leased
        ]
        self.leased.update((partner, each.message.name) for each in free[:max_messages])
        return free[:max_messages]

    async def changed(self, partner: PartnerId, within_s: float) -> None:
        self.news.clear()
        try:
            await asyncio.wait_for(
                self.news.wait(), min(within_s, 0.3)
            )  # the real one looks again by itself too
        except TimeoutError:
            return

    async def owed(self, partner: PartnerId, names: Collection[Name]) -> Mapping[Name, Held]:
        mine = {(each.message.source, each.message.id): each for each in self.lying.get(partner, [])}
        return {name: mine[name] for name in names if name in mine}

    async def settle(self, partner: PartnerId, names: Collection[Name]) -> None:
        self.settled.extend(names)
        self.lying[partner] = [
            each
            for each in self.lying.get(partner, [])
            if (each.message.source, each.message.id) not in names
        ]


class FakeOpener:
    async def open(self, messages: Sequence[Message]) -> Sequence[Mapping[str, object] | None]:
        return [{"opened": message.name} for message in messages]


class Clock:
    """A clock that tests set."""

    def __init__(self, now: datetime | None = None) -> None:
        self.offset = timedelta()
        self._fixed = now

    def __call__(self) -> datetime:
        return (self._fixed or datetime.now(UTC)) + self.offset


@dataclass
class World:
    """One intake with everything around it under the test's hand."""

    intake: Intake
    ledger: FakeLedger
    view: FakeView
    keys: FakeKeys
    directory: FakeDirectory
    mailboxes: FakeMailboxes
    clock: Clock
    session: aiohttp.ClientSession

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.intake.port}"

    async def post(
        self,
        event: object,
        *,
        caller: str = A,
        path: str = "/v1/messages",
        media_type: str = "application/cloudevents+json",
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """Post an event (or bytes as they are), signed with the caller's key."""
        body = event if isinstance(event, bytes) else orjson.dumps(event)
        sent = signed(body, caller, self.clock()) | {"Content-Type": media_type} | dict(headers or {})
        return await self.send("POST", path, body=body, headers=sent)

    async def get(self, path: str, *, caller: str | None = A) -> Reply:
        return await self.send("GET", path, headers=token(caller) if caller else {})

    async def send(
        self, method: str, path: str, *, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Reply:
        kept = {name: text for name, text in (headers or {}).items() if text != ""}
        async with self.session.request(method, self.url + path, data=body, headers=kept) as response:
            content = await response.read()
            return Reply(status=response.status, headers=dict(response.headers), content=content)


@dataclass(frozen=True)
class Reply:
    status: int
    headers: Mapping[str, str]
    content: bytes

    @property
    def json(self) -> dict[str, object]:
        loaded: dict[str, object] = json.loads(self.content)
        return loaded

    @property
    def code(self) -> object:
        return self.json["code"]

    @property
    def pointers(self) -> list[str]:
        errors = self.json.get("errors", [])
        assert isinstance(errors, list)
        return [error["pointer"] for error in errors]


def signed(body: bytes, caller: str, now: datetime, *, webhook_id: str = "w1") -> dict[str, str]:
    stamp = int(now.timestamp())
    key = KEYS.get(PartnerId(caller), KEYS[A])
    return {
        "tongban-partner": caller,
        "webhook-id": webhook_id,
        "webhook-timestamp": str(stamp),
        "webhook-signature": sign_v1a(key, webhook_id, stamp, body),
    }


def signed_v1(body: bytes, now: datetime) -> dict[str, str]:
    stamp = int(now.timestamp())
    signature = sign_v1(SECRETS["shared-with-c"], "w1", stamp, body)
    return {
        "tongban-partner": C,
        "webhook-id": "w1",
        "webhook-timestamp": str(stamp),
        "webhook-signature": signature,
    }


def token(caller: str) -> dict[str, str]:
    return {"tongban-partner": caller, "Authorization": f"Bearer {TOKENS.get(PartnerId(caller), 'none')}"}


def example(message_type: str) -> dict[str, object]:
    """The first valid example of a type, as JSON data."""
    folder = Path(schemas.__file__).parent / "examples" / message_type
    found: dict[str, object] = json.loads(min(folder.glob("valid-*.json")).read_text(encoding="utf-8"))
    return found


def event(**changes: object) -> dict[str, object]:
    """A good ``case.submitted`` from A to B with JSON data; ``changes`` None leave an attribute out."""
    made: dict[str, object] = {
        "specversion": "1.0",
        "id": "m-1",
        "source": f"/partners/{A}",
        "type": "cn.tongban.case.submitted",
        "time": "2026-11-22T16:00:00+08:00",
        "subject": f"{A}/2026-0001",
        "destination": f"/partners/{B}",
        "item": ITEM,
        "mode": "collected",
    }
    if "data" not in changes and "data_base64" not in changes:
        made["data"] = example("case.submitted")
    made.update({name.rstrip("_"): value for name, value in changes.items()})
    return {name: value for name, value in made.items() if value is not ...}


def avro(message_type: str = "case.submitted") -> tuple[int, bytes]:
    """Schema id and raw Avro of the example of a type."""
    schema = CODEC.schemas.latest(message_type)
    assert schema is not None
    datum = CODEC.from_json(schema, example(message_type))
    assert isinstance(datum, dict)
    return schema.id, CODEC.encode(message_type, datum)[5:]


def base64_of(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


@asynccontextmanager
async def world(options: IntakeOptions | None = None, **parts: object) -> AsyncIterator[World]:
    """An intake listening on a free port, with fakes behind it."""
    ledger, view, keys = FakeLedger(), FakeView(), FakeKeys()
    directory, mailboxes, clock = FakeDirectory(), FakeMailboxes(), Clock()
    made = Parts(
        ledger=ledger,
        view=view,
        keys=keys,
        directory=directory,
        mailboxes=mailboxes,
        opener=FakeOpener(),
        codec=CODEC,
        partitions=8,
        secrets=SECRETS,
        public_key=KEYS[A].verify_key.to_text(),
        clock=clock,
    )
    intake = Intake(replace(options or IntakeOptions(), port=0), replace(made, **parts))  # type: ignore[arg-type]
    await intake.start()
    try:
        async with aiohttp.ClientSession(auto_decompress=True) as session:
            yield World(
                intake=intake,
                ledger=ledger,
                view=view,
                keys=keys,
                directory=directory,
                mailboxes=mailboxes,
                clock=clock,
                session=session,
            )
    finally:
        await intake.close(within_s=1.0)


def known(digest: str, *, partition: int = 3, offset: int = 7) -> Known:
    return Known(
        digest=digest, ledger_partition=partition, ledger_offset=offset, verdict="applied", code=None
    )


AWAY = (NotDurable(), Unreachable())

__all__ = [
    "A",
    "B",
    "C",
    "CaseId",
    "MessageId",
    "Party",
    "World",
    "avro",
    "event",
    "example",
    "world",
]
