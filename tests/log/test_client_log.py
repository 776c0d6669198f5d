"""The Kafka client's own log: as events, warnings only, once in a while, never a record's content."""

from __future__ import annotations

import asyncio
import logging

import structlog

from broker.log.client_log import _AsEvents, quieten
from broker.log.options import KafkaOptions
from broker.telemetry import get_log
from tests.log.support import fill, make_topic

CANARY = "canary-110101199003074477"


def fresh() -> logging.Logger:
    logger = logging.Logger("aiokafka.test")
    logger.addHandler(_AsEvents(get_log("log")))
    return logger


def test_one_event_per_kind_of_warning() -> None:
    with structlog.testing.capture_logs() as events:
        logger = fresh()
        for node in range(5):
            logger.warning("Unable to reach node %s", node)
        logger.error("Other trouble")
        logger.info("Chatter")
    assert [(each["event"], each["text"]) for each in events] == [
        ("kafka_client_warned", "Unable to reach node 0"),
        ("kafka_client_warned", "Other trouble"),
    ]


def test_an_exception_is_named_not_quoted() -> None:
    with structlog.testing.capture_logs() as events:
        logger = fresh()
        try:
            raise ValueError(CANARY)
        except ValueError:
            logger.exception("Unexpected error")
    (event,) = events
    assert event["fault"] == "ValueError"
    assert CANARY not in str(event)


async def test_no_payload_even_when_everything_is_logged(options: KafkaOptions, caplog: object) -> None:
    """A host program sets the root logger to debug: the client's debug lines hold keys and values."""
    root = logging.getLogger()
    lines: list[str] = []

    class Everything(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(record.getMessage())

    everything = Everything(logging.DEBUG)
    root.addHandler(everything)
    before = root.level
    root.setLevel(logging.DEBUG)
    try:
        topic = await make_topic(options)
        await fill(options, topic, [3])
        logging.getLogger("aiokafka.producer").warning(CANARY)
        await asyncio.sleep(0)
    finally:
        root.setLevel(before)
        root.removeHandler(everything)
    assert not [line for line in lines if "0-1" in line or CANARY in line]


def test_quieten_twice_is_once() -> None:
    quieten()
    quieten()
    logger = logging.getLogger("aiokafka")
    assert len([each for each in logger.handlers if isinstance(each, _AsEvents)]) == 1
    assert logger.getEffectiveLevel() == logging.WARNING
