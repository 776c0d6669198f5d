"""Names that operators see: log events, metrics, and the named steps of the road. The lists are closed.

No label, event or field ever holds a case id, a name or anything else of a person in metrics; log events
may hold message and case ids (opaque numbers), never payload.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from typing import Final, Literal, Protocol

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

Step = Literal[
    "intake.checked",
    "intake.sealed",
    "intake.written",
    "exchange.polled",
    "exchange.decided",
    "exchange.written",
    "exchange.committed_store",
    "exchange.committed_group",
    "delivery.polled",
    "delivery.opened",
    "delivery.effected",
    "delivery.receipted",
    "delivery.committed_store",
    "delivery.committed_group",
]
"""The steps of the road, in its order: between any two of them a kill must lose nothing."""


def _ignore(step: Step) -> None:
    del step


class _Road:
    """The one hook that fault-injecting tests hang on; in production it is a call that does nothing."""

    on_step: Callable[[Step], None] = staticmethod(_ignore)


ROAD: Final = _Road()

Event = Literal[
    "stage_started",
    "stage_stopped",
    "stage_failed",
    "chore_failed",
    "partition_assigned",
    "partition_revoked",
    "message_accepted",
    "message_refused",
    "message_routed",
    "message_repeated",
    "delivery_attempted",
    "delivery_receipted",
    "offset_map_ignored",
    "lane_parked",
    "line_paused",
    "line_resumed",
    "line_limited",
    "delivery_stalled",
    "delivery_moved",
    "lane_released",
    "circuit_opened",
    "circuit_closed",
    "dossier_opened",
    "dossier_changed",
    "act_refused",
    "lever_pulled",
    "deadlines_fallen",
    "agreement_expiring",
    "directory_applied",
    "parts_not_opened",
    "record_unreadable",
    "value_unreadable",
    "dependency_lost",
    "dependency_found",
    "rebuild_progressed",
    "request_failed",
    "kafka_started",
    "kafka_stopped",
    "kafka_client_warned",
    "topic_created",
    "topic_differs",
    "writer_replaced",
    "reader_replaced",
]


class Log(Protocol):
    """What a room needs of a logger: constant event names and facts as fields."""

    def info(self, event: Event, /, **facts: object) -> None: ...
    def warning(self, event: Event, /, **facts: object) -> None: ...
    def error(self, event: Event, /, **facts: object) -> None: ...


def get_log(room: str) -> Log:
    log: Log = structlog.get_logger(room=room)
    return log


def configure_logging(*, level: str = "info", as_json: bool = True) -> None:
    """Send events to standard error, one JSON object a line (or aligned text for a person)."""
    renderer: structlog.typing.Processor
    if as_json:
        renderer = structlog.processors.JSONRenderer(ensure_ascii=False)
    else:
        renderer = structlog.dev.ConsoleRenderer(
            exception_formatter=structlog.dev.RichTracebackFormatter(show_locals=False)
        )
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info if as_json else _pass,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(stream=sys.stderr, level=logging.ERROR)


def _pass(logger: object, name: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    del logger, name
    return event


METRICS: Final = CollectorRegistry()
"""Our own registry: nothing that a library registers globally leaks into ``/metrics``."""

# The names that dashboards of lag exporters know (kafka-lag-exporter).
GROUP_LAG = Gauge(
    "kafka_consumergroup_group_lag",
    "Messages behind, per partition.",
    ["group", "topic", "partition"],
    registry=METRICS,
)
GROUP_LAG_SECONDS = Gauge(
    "kafka_consumergroup_group_lag_seconds",
    "Exact age of the oldest record not yet committed, per partition.",
    ["group", "topic", "partition"],
    registry=METRICS,
)
GROUP_MAX_LAG = Gauge(
    "kafka_consumergroup_group_max_lag", "Largest lag of the group.", ["group"], registry=METRICS
)
GROUP_MAX_LAG_SECONDS = Gauge(
    "kafka_consumergroup_group_max_lag_seconds",
    "Largest lag of the group in seconds.",
    ["group"],
    registry=METRICS,
)
LATEST_OFFSET = Gauge(
    "kafka_partition_latest_offset", "End offset of the partition.", ["topic", "partition"], registry=METRICS
)

ACCEPTED = Counter("tongban_accepted", "Messages answered 202.", ["partner"], registry=METRICS)
REFUSED = Counter("tongban_refused", "Messages refused, by code.", ["partner", "code"], registry=METRICS)
ROUTED = Counter("tongban_routed", "Messages put on an outbox.", ["partner"], registry=METRICS)
REPEATED = Counter("tongban_repeated", "Repeats dropped, by stage.", ["stage"], registry=METRICS)
UNREADABLE = Counter(
    "tongban_unreadable", "Records that are no messages of ours, by stage.", ["stage"], registry=METRICS
)
DELIVERIES = Counter(
    "tongban_deliveries", "Attempts at delivery, by result.", ["partner", "result"], registry=METRICS
)
DELIVERY_SECONDS = Histogram(
    "tongban_delivery_duration_seconds",
    "From acceptance to the partner's answer.",
    ["partner"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600),
    registry=METRICS,
)
RETRIES = Counter(
    "tongban_delivery_retries", "Attempts at delivery after the first one.", ["partner"], registry=METRICS
)
PAUSED = Gauge(
    "tongban_partner_paused", "1 while an operator has paused a partner.", ["partner"], registry=METRICS
)
STALLED = Gauge(
    "tongban_delivery_stalled",
    "1 while delivery makes no progress although messages wait and nothing holds them back.",
    registry=METRICS,
)
READERS_RENEWED = Counter(
    "tongban_delivery_readers_renewed",
    "How often delivery gave up a reader that had gone silent.",
    registry=METRICS,
)
CIRCUIT = Gauge("tongban_circuit_open", "1 while a partner's circuit is open.", ["partner"], registry=METRICS)
PARKED = Gauge("tongban_parked_cases", "Cases parked, per partner.", ["partner"], registry=METRICS)
OLDEST = Gauge(
    "tongban_oldest_undelivered_seconds",
    "Age of the oldest message not yet delivered.",
    ["partner"],
    registry=METRICS,
)
DOSSIERS = Counter(
    "tongban_dossiers", "Dossiers opened on the desk, by cause.", ["partner", "cause"], registry=METRICS
)
DESK_ACTS = Counter(
    "tongban_desk_acts",
    "Acts of persons on the desk, by what was done; result: done or refused.",
    ["act", "result"],
    registry=METRICS,
)
CARDS = Counter(
    "tongban_cards",
    "Yellow and red cards issued, by the partner at whose side it is.",
    ["late", "kind", "light"],
    registry=METRICS,
)
DEADLINE_DELAY = Gauge(
    "tongban_deadline_delay_seconds",
    "How long after they had fallen the deadlines found last were written as cards.",
    registry=METRICS,
)
AGREEMENT_DAYS_LEFT = Gauge(
    "tongban_agreement_days_left",
    "Days until an agreement ends; negative once it has; none for one without an end.",
    ["agreement"],
    registry=METRICS,
)
OFFSET_MAP_BYTES = Gauge(
    "tongban_offset_map_bytes",
    "Largest note that a partner's commits bear here; Kafka takes 4096.",
    ["partner"],
    registry=METRICS,
)
OFFSET_MAP_LEFT_OUT = Gauge(
    "tongban_offset_map_left_out",
    "Finished messages that the notes had no room for: delivered again after a restart, unless the store knows them.",
    ["partner"],
    registry=METRICS,
)
OFFSET_MAPS_IGNORED = Counter(
    "tongban_offset_maps_ignored",
    "Notes of commits that were not believed: foreign, torn or corrupt.",
    registry=METRICS,
)
DEPENDENCY_UP = Gauge(
    "tongban_dependency_up", "1 while a dependency answers.", ["dependency"], registry=METRICS
)
