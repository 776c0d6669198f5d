"""The receiving side over real HTTP: signatures, repeats, outages, and the contract's answers."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp.test_utils import TestClient, TestServer
from aiohttp.web import Application, Request
from nacl.signing import SigningKey

from deploy.demo import keys
from deploy.demo.faults import Faults
from deploy.demo.inbox import BODY_BYTES, Inbox
from deploy.demo.ledger import read_attempts, read_effects
from tests.demo.doubles import a_hall, a_ledger, an_event_body

BROKER = SigningKey.generate()
NEXT = SigningKey.generate()
Client = TestClient[Request, Application]


@asynccontextmanager
async def an_inbox(
    folder: Path, *, on_repeat: int = 409, faults: Faults | None = None
) -> AsyncIterator[Client]:
    ledger = a_ledger(folder)
    verify = [BROKER.verify_key, NEXT.verify_key]
    inbox = Inbox(a_hall(ledger), ledger, faults or Faults(), verify=verify, on_repeat=on_repeat)
    application = Application(client_max_size=BODY_BYTES)
    application.add_routes(inbox.routes())
    async with TestClient(TestServer(application)) as client:
        yield client
    ledger.close()


async def deliver(
    client: Client,
    body: bytes,
    *,
    key: SigningKey = BROKER,
    webhook_id: str = "451300_LB1-0001-submitted",
    timestamp: int | None = None,
    attempt: int = 1,
    **headers: str,
) -> tuple[int, dict[str, str]]:
    at = int(time.time()) if timestamp is None else timestamp
    sent = {
        "content-type": "application/cloudevents+json",
        "webhook-id": webhook_id,
        "webhook-timestamp": str(at),
        "webhook-signature": keys.sign(key, webhook_id, at, body),
        "tongban-attempt": str(attempt),
        **{name.replace("_", "-"): text for name, text in headers.items()},
    }
    async with client.post("/inbox", data=body, headers=sent) as response:
        answer: dict[str, str] = await response.json(content_type=None)
        return response.status, answer


@pytest.mark.parametrize("key", [BROKER, NEXT], ids=["key in force", "next key"])
async def test_a_delivery_has_its_effect_and_gets_our_number(tmp_path: Path, key: SigningKey) -> None:
    async with an_inbox(tmp_path) as client:
        assert await deliver(client, an_event_body(), key=key) == (200, {"reference": "HS1-0001"})
    assert [effect.id for effect in read_effects(tmp_path / "ledger.db")] == ["LB1-0001-submitted"]


@pytest.mark.parametrize("on_repeat", [200, 409])
async def test_a_repeat_is_answered_without_a_second_effect(tmp_path: Path, on_repeat: int) -> None:
    async with an_inbox(tmp_path, on_repeat=on_repeat) as client:
        await deliver(client, an_event_body())
        assert await deliver(client, an_event_body(), attempt=2) == (on_repeat, {"reference": "HS1-0001"})
    assert [(e.webhook_id, e.attempt) for e in read_effects(tmp_path / "ledger.db")] == [
        ("451300_LB1-0001-submitted", 1)
    ]
    notes = [(each.attempt, each.answer, each.note) for each in read_attempts(tmp_path / "ledger.db")]
    assert notes == [(1, 200, "effect"), (2, on_repeat, "repeat")]


@pytest.mark.parametrize("offset_s", [-400, 400])
async def test_an_old_or_early_signature_is_refused(tmp_path: Path, offset_s: int) -> None:
    async with an_inbox(tmp_path) as client:
        status, answer = await deliver(client, an_event_body(), timestamp=int(time.time()) + offset_s)
    assert (status, answer["code"]) == (401, "signature-invalid")
    assert read_effects(tmp_path / "ledger.db") == []
    assert [each.answer for each in read_attempts(tmp_path / "ledger.db")] == [401]


@pytest.mark.parametrize(
    "headers",
    [
        {"webhook_signature": ""},
        {"webhook_timestamp": "soon"},
        {"webhook_timestamp": "-1"},
        {"webhook_id": "451300_another"},
        {"webhook_signature": "v1,AAAA"},
    ],
    ids=str,
)
async def test_what_is_not_the_brokers_word_is_refused(tmp_path: Path, headers: dict[str, str]) -> None:
    async with an_inbox(tmp_path) as client:
        body, at = an_event_body(), int(time.time())
        good = {
            "content-type": "application/cloudevents+json",
            "webhook-id": "451300_LB1-0001-submitted",
            "webhook-timestamp": str(at),
            "webhook-signature": keys.sign(BROKER, "451300_LB1-0001-submitted", at, body),
        }
        changed = {name.replace("_", "-"): text for name, text in headers.items()}
        async with client.post("/inbox", data=body, headers={**good, **changed}) as response:
            assert response.status == 401
        async with client.post("/inbox", data=body, headers=good) as response:
            assert response.status == 200
    assert len(read_effects(tmp_path / "ledger.db")) == 1


async def test_a_strangers_key_is_refused(tmp_path: Path) -> None:
    async with an_inbox(tmp_path) as client:
        assert (await deliver(client, an_event_body(), key=SigningKey.generate()))[0] == 401


async def test_a_changed_body_is_refused(tmp_path: Path) -> None:
    async with an_inbox(tmp_path) as client:
        at, body = int(time.time()), an_event_body()
        signature = keys.sign(BROKER, "451300_m", at, body)
        status, _ = await deliver(
            client, body + b" ", webhook_id="451300_m", timestamp=at, webhook_signature=signature
        )
    assert status == 401


@pytest.mark.parametrize(
    ("body", "media_type", "expected"),
    [
        (b"not json", "application/cloudevents+json", (400, "event-invalid")),
        (an_event_body(subject=None), "application/cloudevents+json", (400, "event-invalid")),
        (an_event_body(), "text/plain", (415, "media-type-unsupported")),
        (an_event_body("case.supplemented"), "application/cloudevents+json", (422, "case-not-here")),
    ],
)
async def test_refusals_name_their_cause(
    tmp_path: Path, body: bytes, media_type: str, expected: tuple[int, str]
) -> None:
    async with an_inbox(tmp_path) as client:
        status, answer = await deliver(client, body, content_type=media_type)
    assert (status, answer["code"]) == expected
    assert answer["detail"]
    assert read_effects(tmp_path / "ledger.db") == []


async def test_an_outage_answers_503_and_has_no_effect(tmp_path: Path) -> None:
    faults = Faults()
    async with an_inbox(tmp_path, faults=faults) as client:
        faults.go_away(60)
        assert (await deliver(client, an_event_body()))[0] == 503
        faults.go_away(0)
        assert (await deliver(client, an_event_body(), attempt=2))[0] == 200
    assert [effect.attempt for effect in read_effects(tmp_path / "ledger.db")] == [2]
    assert [each.note for each in read_attempts(tmp_path / "ledger.db")] == ["away", "effect"]


async def test_the_first_requests_can_meet_an_outage(tmp_path: Path) -> None:
    async with an_inbox(tmp_path, faults=Faults(first_requests_away=2)) as client:
        answers = [(await deliver(client, an_event_body()))[0] for _ in range(4)]
    assert answers == [503, 503, 200, 409]


async def test_a_lost_answer_leaves_one_effect(tmp_path: Path) -> None:
    faults = Faults()
    faults.lose_answers(1)
    async with an_inbox(tmp_path, faults=faults) as client:
        answers = [(await deliver(client, an_event_body(), attempt=each))[0] for each in (1, 2)]
    assert answers == [503, 409]
    assert [each.note for each in read_attempts(tmp_path / "ledger.db")] == ["answer-lost", "repeat"]
    assert len(read_effects(tmp_path / "ledger.db")) == 1
