"""What the nodes are told: a small footprint, a quick start, a fast fail-over, nothing that loses data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

HOST: Final = "127.0.0.1"
"""The listeners are on the loopback only: the embedded Kafka has neither passwords nor encryption."""


_RECORD_MAX_BYTES: Final = 11 * 1024 * 1024  # a record of 10 MiB with its headers and framing

_SMALL: Final[Mapping[str, object]] = {
    "num.network.threads": 2,
    "num.io.threads": 4,
    "background.threads": 2,
    "num.replica.fetchers": 1,
    "offsets.topic.num.partitions": 4,
    "transaction.state.log.num.partitions": 4,
    "share.coordinator.state.topic.num.partitions": 1,
    "log.cleaner.dedupe.buffer.size": 4 * 1024 * 1024,
    "log.segment.bytes": 64 * 1024 * 1024,
    "group.initial.rebalance.delay.ms": 0,
    "group.min.session.timeout.ms": 1000,
    "auto.create.topics.enable": "false",
}

# Measured with a leader killed under load: the longest stall is 1.9 s (9.2 s at Kafka's defaults). Shorter
# sessions and fetches make the loss of a controller worse, not better.
_FAIL_OVER: Final[Mapping[str, object]] = {
    "broker.heartbeat.interval.ms": 300,
    "broker.session.timeout.ms": 2000,
    "controller.quorum.fetch.timeout.ms": 1000,
    "controller.quorum.election.timeout.ms": 500,
    "controller.quorum.election.backoff.max.ms": 200,
    "controller.quorum.request.timeout.ms": 1000,
    "controlled.shutdown.retry.backoff.ms": 500,
    "replica.lag.time.max.ms": 4000,
    "replica.fetch.wait.max.ms": 100,
    "replica.fetch.backoff.ms": 100,
}

_LARGE_RECORDS: Final[Mapping[str, object]] = {
    "message.max.bytes": _RECORD_MAX_BYTES,
    "replica.fetch.max.bytes": _RECORD_MAX_BYTES,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """The ports of one node, both on the loopback."""

    client: int
    controller: int


def replication(nodes: int) -> Mapping[str, object]:
    """Three copies of which two must confirm, when there are three nodes."""
    copies, confirming = (3, 2) if nodes >= 3 else (1, 1)
    return {
        "default.replication.factor": copies,
        "min.insync.replicas": confirming,
        "offsets.topic.replication.factor": copies,
        "transaction.state.log.replication.factor": copies,
        "transaction.state.log.min.isr": confirming,
        "share.coordinator.state.topic.replication.factor": copies,
        "share.coordinator.state.topic.min.isr": confirming,
    }


def server_properties(
    node: int, ports: Sequence[Ports], folder: Path, overrides: Mapping[str, object]
) -> str:
    """The ``server.properties`` of node ``node`` (from 1) of a cluster with these ports."""
    own = ports[node - 1]
    voters = ",".join(f"{number}@{HOST}:{each.controller}" for number, each in enumerate(ports, start=1))
    settings: dict[str, object] = {
        "process.roles": "broker,controller",
        "node.id": node,
        "controller.quorum.voters": voters,
        "listeners": f"CLIENT://{HOST}:{own.client},CONTROLLER://{HOST}:{own.controller}",
        "advertised.listeners": f"CLIENT://{HOST}:{own.client}",
        "listener.security.protocol.map": "CLIENT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "controller.listener.names": "CONTROLLER",
        "inter.broker.listener.name": "CLIENT",
        "log.dirs": folder / "data",
        **_SMALL,
        **_FAIL_OVER,
        **_LARGE_RECORDS,
        **replication(len(ports)),
        **overrides,
    }
    return "".join(f"{key}={value}\n" for key, value in settings.items())
