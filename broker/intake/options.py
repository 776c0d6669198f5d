"""Options of the partner API, as ``tongban.toml`` holds them under ``[intake]``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field

from broker.core.documents import FORBID_UNKNOWN

_Bytes = Annotated[int, Field(ge=1024)]
_Seconds = Annotated[float, Field(gt=0)]
_Count = Annotated[int, Field(ge=1)]


@dataclass(frozen=True, slots=True, kw_only=True)
class IntakeOptions:
    """Where the partner API listens and what it takes at once. Times are seconds, sizes bytes.

    ``certificate`` and ``private_key`` (PEM files) make it speak TLS; ``client_authorities`` (PEM) lets
    partners prove themselves by a client certificate whose common name is their id. Behind a proxy that
    ends TLS, ``proxy_header`` names the header with that common name, believed from ``proxy_addresses`` only.
    ``in_flight`` and ``in_flight_bytes`` bound the requests and bodies in hand, of all callers together.
    ``gather_s``: how long the first of a few messages waits for company before they are checked and written
    together. ``view_wait_s``: how long a message that the view would refuse waits for the view to catch up.
    """

    __pydantic_config__: ClassVar = FORBID_UNKNOWN
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8100
    message_bytes: _Bytes = 1024 * 1024
    batch_messages: _Count = 1000
    batch_bytes: _Bytes = 8 * 1024 * 1024
    header_bytes: _Bytes = 8190
    header_count: _Count = 64
    header_deadline_s: _Seconds = 10.0
    body_deadline_s: _Seconds = 30.0
    idle_deadline_s: _Seconds = 75.0
    json_depth: Annotated[int, Field(ge=4, le=512)] = 64
    in_flight: _Count = 4096
    in_flight_bytes: _Bytes = 64 * 1024 * 1024
    in_flight_per_partner: _Count = 2048
    write_deadline_s: _Seconds = 15.0
    gather_s: Annotated[float, Field(ge=0, le=1)] = 0.001
    view_wait_s: Annotated[float, Field(ge=0, le=30)] = 1.0
    recent: Annotated[int, Field(ge=0)] = 20_000
    mailbox_wait_s: Annotated[float, Field(ge=0, le=300)] = 30.0
    mailbox_messages: _Count = 1000
    mailbox_bytes: _Bytes = 8 * 1024 * 1024
    lease_s: _Seconds = 60.0
    certificate: str | None = None
    private_key: str | None = None
    client_authorities: str | None = None
    proxy_header: str | None = None
    proxy_addresses: tuple[str, ...] = ()
