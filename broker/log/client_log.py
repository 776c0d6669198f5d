"""What the Kafka client says of itself, as our own events: warnings only, never a record's content."""

from __future__ import annotations

import logging
import time
from typing import Final

from broker.telemetry import Log, get_log

_CLIENT: Final = "aiokafka"
_SILENCE_S: Final = 10.0
_TEXT_CHARACTERS: Final = 300


class _AsEvents(logging.Handler):
    """One event per kind of warning and 10 s: a cluster that is away is said once, not at every attempt."""

    def __init__(self, log: Log) -> None:
        super().__init__(logging.WARNING)
        self._log = log
        self._said: dict[str, float] = {}

    def emit(self, record: logging.LogRecord) -> None:
        now = time.monotonic()
        template = str(record.msg)
        if now - self._said.get(template, -_SILENCE_S) < _SILENCE_S:
            return
        self._said[template] = now
        self._log.warning(
            "kafka_client_warned",
            part=record.name.removeprefix(f"{_CLIENT}."),
            # A traceback's text could quote a record; the class of the fault says enough.
            fault=record.exc_info[0].__name__ if record.exc_info and record.exc_info[0] else None,
            text=record.getMessage()[:_TEXT_CHARACTERS],
        )


def quieten() -> None:
    """Take over the client's logger, once: its debug lines would hold keys and values."""
    logger = logging.getLogger(_CLIENT)
    if any(isinstance(handler, _AsEvents) for handler in logger.handlers):
        return
    logger.setLevel(logging.WARNING)
    logger.propagate = False
    logger.addHandler(_AsEvents(get_log("log")))
