"""Options of the delivery stage, as ``tongban.toml`` holds them under ``[delivery]``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field

from broker.core.documents import FORBID_UNKNOWN

_Seconds = Annotated[float, Field(gt=0, le=3600)]


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryOptions:
    """How the stage works. Times are seconds, sizes bytes.

    ``memory_bytes`` is shared by all partners' records in hand; each gets at least ``partner_floor_bytes``.
    ``gather_s``: how long the first of a few receipts waits for company before they are written, and a poll
    that found little for more. ``drain_s`` bounds how long a partition that goes to another worker is waited for. ``directory_s`` and
    ``parked_s``: how often the directory is looked at, and which parked lanes are due; ``levers_s``: how often
    the operators' levers are. ``status_s``: how old the lines' figures in the store may be while they change.
    ``stall_s``: after so long without progress, though messages wait and nothing holds them back, the stage is
    not ready, says so, and makes its reader anew. ``trust_foreign_notes``:
    believe what the commits of another consumer say is finished: only while taking over from a Confluent
    Parallel Consumer that has been closed; see docs/explanation/delivery.md.
    """

    __pydantic_config__: ClassVar = FORBID_UNKNOWN
    poll_records: Annotated[int, Field(ge=1, le=10_000)] = 500
    poll_wait_s: _Seconds = 0.2
    memory_bytes: Annotated[int, Field(ge=1 << 20)] = 64 << 20
    partner_floor_bytes: Annotated[int, Field(ge=1 << 14)] = 128 << 10
    commit_s: _Seconds = 0.05
    drain_s: _Seconds = 3.0
    directory_s: _Seconds = 1.0
    parked_s: _Seconds = 0.5
    levers_s: _Seconds = 0.25
    status_s: _Seconds = 1.0
    stall_s: _Seconds = 60.0
    gather_s: Annotated[float, Field(ge=0, le=1)] = 0.002
    write_deadline_s: _Seconds = 15.0
    trust_foreign_notes: bool = False
