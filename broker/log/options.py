"""How the broker speaks to Kafka: the ``[kafka]`` table of ``tongban.toml``.

Only what an operator has reason to choose is here. What would lose data when chosen wrongly (acks, idempotence,
offset reset, isolation, automatic commits) is fixed in :mod:`broker.log.clients` and cannot be configured.
"""

from __future__ import annotations

import os
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar, Final, Literal

from pydantic import Field

from broker.core.documents import FORBID_UNKNOWN
from broker.errors import WrongUse

_Count = Annotated[int, Field(ge=1)]
_Seconds = Annotated[float, Field(gt=0)]
_Url = Annotated[str, Field(pattern=r"^https?://\S+$")]

SecurityProtocol = Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]
SaslMechanism = Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]
Compression = Literal["none", "gzip", "snappy", "lz4", "zstd"]

BATCH_OVERHEAD_BYTES: Final = 64 * 1024
"""Room that a topic grants above the largest record, for the batch around it and its headers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KafkaOptions:
    """One Kafka cluster and how the broker uses it.

    ``ledger_partitions`` is fixed for life (ADR 0003): another number than the ledger has is refused.
    ``min_insync`` is how many replicas must hold a record before it counts as durable: 2 of 3 in production.
    A password is never written here: ``sasl_password_file`` or ``sasl_password_env`` says where it is, and it
    is read again for every connection, so that it can be rotated.
    """

    __pydantic_config__: ClassVar = FORBID_UNKNOWN

    bootstrap: Annotated[str, Field(pattern=r"^[^\s,:]+:[0-9]+(,[^\s,:]+:[0-9]+)*$")] = "127.0.0.1:9092"
    security_protocol: SecurityProtocol = "PLAINTEXT"
    sasl_mechanism: SaslMechanism = "SCRAM-SHA-512"
    sasl_username: str | None = None
    sasl_password_file: str | None = None
    sasl_password_env: str | None = None
    ssl_cafile: str | None = None
    ssl_certfile: str | None = None
    ssl_keyfile: str | None = None

    ledger_partitions: _Count = 8
    outbox_partitions: _Count = 4
    desk_partitions: _Count = 1
    replication_factor: Annotated[int, Field(ge=1, le=32767)] = 1
    min_insync: _Count = 1
    outbox_retention_days: _Count = 30
    """How long an outbox keeps what a partner was to get: longer than the retry schedule, in days."""

    compression: Compression = "none"
    """'none' costs the least CPU. Sealed papers do not shrink, headers and clear fields do: 'zstd' saves disk and
    network for 4 to 6 µs a record in small batches and next to nothing in large ones; lz4 costs 9 µs in all."""
    max_record_bytes: Annotated[int, Field(ge=64 * 1024, le=64 * 1024 * 1024)] = 8 * 1024 * 1024
    batch_bytes: Annotated[int, Field(ge=1024, le=8 * 1024 * 1024)] = 256 * 1024
    linger_ms: Annotated[int, Field(ge=0, le=1000)] = 0

    request_timeout_s: _Seconds = 15.0
    """After this long one request counts as lost, and a partition without a leader as broken."""
    start_timeout_s: _Seconds = 60.0
    """How long a start waits for the cluster before it gives up."""
    session_timeout_s: _Seconds = 10.0
    """A worker that is silent this long loses its partitions to another."""
    rebalance_timeout_s: _Seconds = 30.0
    """How long the group waits for its members to hand over; a drain must end before."""
    drain_timeout_s: _Seconds = 15.0
    """How long a worker may finish what is in hand when its partitions are taken away."""
    max_poll_interval_s: _Seconds = 300.0
    """A worker that has not polled for this long leaves the group."""

    registry_url: _Url | None = None

    def __post_init__(self) -> None:
        if self.min_insync > self.replication_factor:
            raise ValueError("min_insync must not exceed replication_factor")
        if self.drain_timeout_s >= self.rebalance_timeout_s:
            raise ValueError("drain_timeout_s must be less than rebalance_timeout_s")
        if self.session_timeout_s > self.rebalance_timeout_s:
            raise ValueError("session_timeout_s must not exceed rebalance_timeout_s")
        if self.sasl_password_file is not None and self.sasl_password_env is not None:
            raise ValueError("give sasl_password_file or sasl_password_env, not both")
        if self.uses_sasl and (self.sasl_username is None or not self._names_password):
            raise ValueError(
                f"{self.security_protocol} needs sasl_username and sasl_password_file or sasl_password_env"
            )
        if self.ssl_keyfile is not None and self.ssl_certfile is None:
            raise ValueError("ssl_keyfile needs ssl_certfile")

    @property
    def uses_sasl(self) -> bool:
        return self.security_protocol.startswith("SASL")

    @property
    def uses_tls(self) -> bool:
        return self.security_protocol.endswith("SSL")

    @property
    def _names_password(self) -> bool:
        return self.sasl_password_file is not None or self.sasl_password_env is not None

    @property
    def max_batch_bytes(self) -> int:
        """The topic setting ``max.message.bytes``: the largest batch that may hold one record or many."""
        return max(self.max_record_bytes, self.batch_bytes) + BATCH_OVERHEAD_BYTES

    def password(self) -> str | None:
        """The password, read now from where the options say. Raises :class:`WrongUse` if it is not there."""
        if self.sasl_password_file is not None:
            try:
                return Path(self.sasl_password_file).read_text(encoding="utf-8").strip()
            except (OSError, UnicodeDecodeError) as fault:
                raise WrongUse(f"kafka.sasl_password_file cannot be read: {type(fault).__name__}") from None
        if self.sasl_password_env is not None:
            try:
                return os.environ[self.sasl_password_env]
            except KeyError:
                raise WrongUse("kafka.sasl_password_env names a variable that is not set") from None
        return None

    def tls(self) -> ssl.SSLContext | None:
        """The TLS context, or None without TLS. Raises :class:`WrongUse` if a certificate cannot be read."""
        if not self.uses_tls:
            return None
        try:
            context = ssl.create_default_context(cafile=self.ssl_cafile)
            if self.ssl_certfile is not None:
                context.load_cert_chain(self.ssl_certfile, self.ssl_keyfile)
        except OSError as fault:
            raise WrongUse(f"a TLS file of kafka.ssl_* cannot be read: {type(fault).__name__}") from None
        return context
