"""What each step of the road costs by itself: the product's own functions in a loop, CPU microseconds per call.

``python -m bench.steps``. No Kafka, no sockets: what is left when these are subtracted from a stage's CPU is
what its plumbing costs (HTTP framing, Kafka's client, the loop, garbage collection).
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import orjson

from bench import letters
from bench.letters import Order
from broker.core.case import lifecycle
from broker.core.case.case_state import CaseState
from broker.core.catalogue.directory import Directory, read_directory
from broker.core.events import compartment_aad, structured_event
from broker.core.ids import CaseId, MessageId, PartnerId
from broker.core.message import Message, from_record, to_headers
from broker.core.receipts import Outcome
from broker.core.records import NewRecord, Position, Record
from broker.core.signatures import SigningKey, sign_v1a, verify
from broker.delivery.ending.receipts import Ending, receipt_record
from broker.exchange import batch, reading
from broker.exchange.outputs import outbox_record
from broker.intake.submitting.events import Origin, Submission, check
from broker.intake.submitting.strict_json import read
from broker.log.schema.schemas import SchemaSet
from broker.log.values.codec import Codec
from broker.log.values.compartment import open_value, seal_examined
from broker.store.view.ledger_view import Loaded

_KEY: Final = SigningKey.from_seed(b"k" * 32)
_DATA_KEY: Final = b"d" * 32
_NONCE: Final = b"n" * 12
_BATCH: Final = 200
_PARTNER: Final = PartnerId("430423")
Step = Callable[[], object]


def measure(step: Step, seconds: float, calls: int = 1) -> float:
    """CPU microseconds per call; ``calls`` is how many one ``step`` stands for."""
    step()
    gc.collect()
    done = 0
    began = time.process_time()
    while (used := time.process_time() - began) < seconds:
        for _ in range(20):
            step()
        done += 20 * calls
    return used * 1e6 / done


def measure_all(folder: Path, seconds: float = 0.15) -> dict[str, float]:
    """Every step, in the road's order."""
    return {name: measure(step, seconds, calls) for name, (step, calls) in _steps(folder).items()}


def _steps(folder: Path) -> Mapping[str, tuple[Step, int]]:
    codec = Codec(SchemaSet.load())
    request = _request(folder)
    body = letters.body_of(request)
    now = datetime.now(UTC)
    origin = Origin(PartnerId("451300"), "v1a," + "A" * 88, "id=x;timestamp=1;index=0;count=1")
    event = read(body)
    submission = check(event, origin, codec, now)
    assert isinstance(submission, Submission)
    message = submission.message
    aad = compartment_aad(message)
    value = seal_examined(submission.examined, body, key=_DATA_KEY, nonce=_NONCE, aad=aad)
    record = _record(
        NewRecord(topic="l", key=message.case.encode(), value=value, headers=to_headers(message))
    )
    routed = outbox_record(record, _PARTNER, 4, now)
    outbox = _record(routed)
    arrived = from_record(outbox)
    opened_value = open_value(codec, value, key=_DATA_KEY, aad=aad).value
    decoded = codec.decode(opened_value)
    data = codec.to_json(decoded.schema, decoded.datum)
    sent = orjson.dumps(structured_event(arrived, data))
    ending = Ending(outcome=Outcome.DELIVERED, attempt=1, at_s=time.time(), code="200", reference="R-1")
    receipt = _record(receipt_record(codec, arrived, outbox, _PARTNER, ending))
    directory, loaded = _directory(), _loaded(message, now)
    messages = [
        replace(each, message=replace(each.message, id=MessageId(f"m{n}")))
        for n, each in enumerate(reading.read([_at(record, n) for n in range(_BATCH)], codec))
    ]
    receipts = [
        replace(each, message=replace(each.message, correlation=f"451300/m{n}"))
        for n, each in enumerate(reading.read([_at(receipt, n) for n in range(_BATCH)], codec))
    ]

    def judged(reads: list[reading.Read]) -> Step:
        return lambda: batch.judge_batch(reads, loaded, directory, {}, codec=codec, outbox_partitions=4)

    signature = sign_v1a(_KEY, "451300_x", 1, body)
    keys = [_KEY.verify_key]

    def verified() -> object:
        return verify(signature, "451300_x", 1, body, now_s=1, public_keys=keys, secrets=[])

    def opened() -> object:
        return open_value(codec, value, key=_DATA_KEY, aad=aad)

    def sealed() -> object:
        return seal_examined(submission.examined, body, key=_DATA_KEY, nonce=_NONCE, aad=aad)

    return (
        {
            "intake: signature": (verified, 1),
            "intake: strict JSON": (lambda: read(body), 1),
            "intake: check of the event": (lambda: check(event, origin, codec, now), 1),
            "intake: life cycle": (lambda: lifecycle.advance(loaded.cases[message.case], message, now), 1),
            "intake: seal": (sealed, 1),
            "intake: headers": (lambda: to_headers(message), 1),
            "exchange: read a message": (lambda: reading.read([record], codec), 1),
            "exchange: judge a message": (judged(messages), _BATCH),
            "exchange: read a receipt": (lambda: reading.read([receipt], codec), 1),
            "exchange: judge a receipt": (judged(receipts), _BATCH),
            "delivery: read a record": (lambda: from_record(outbox), 1),
            "delivery: open": (opened, 1),
            "delivery: decode": (lambda: codec.decode(opened_value), 1),
            "delivery: to JSON": (lambda: codec.to_json(decoded.schema, decoded.datum), 1),
            "delivery: event": (lambda: orjson.dumps(structured_event(arrived, data)), 1),
            "delivery: sign": (lambda: sign_v1a(_KEY, "451300_x", 1, sent), 1),
            "delivery: receipt": (lambda: receipt_record(codec, arrived, outbox, _PARTNER, ending), 1),
        }
        if (opened_value := open_value(codec, value, key=_DATA_KEY, aad=aad).value)
        else {}
    )


def _request(folder: Path) -> bytes:
    order = Order(
        run="steps", cases_of="steps", sender="451300", destination=_PARTNER, messages=1, cases=1, opened=True
    )
    return letters.read_requests(letters.make(order, _KEY, folder / "steps.requests").path)[0]


def _record(new: NewRecord) -> Record:
    return Record(
        position=Position(new.topic, 0, 1),
        timestamp_ms=int(time.time() * 1000),
        key=new.key,
        value=new.value,
        headers=new.headers,
    )


def _at(record: Record, offset: int) -> Record:
    return replace(record, position=Position("tongban.exchange", 0, offset))


def _directory() -> Directory:
    def partner(identity: str, receipts: bool) -> str:
        told = "true" if receipts else "false"
        return f'id = "{identity}"\nname = "x"\ncontact = "x"\nreceipts = {told}\n[connector]\nkind = "mailbox"\n'

    return read_directory(
        {
            "partners/451300.toml": partner("451300", False),
            "partners/430423.toml": partner("430423", True),
        }
    )


def _loaded(message: Message, now: datetime) -> Loaded:
    opening = replace(message, type="case.submitted", item="0761-001")
    opened = lifecycle.advance(None, opening, now)
    assert isinstance(opened, lifecycle.Advanced)
    assert isinstance(opened.state, CaseState)
    return Loaded(cases={CaseId(message.case): opened.state}, messages={})
