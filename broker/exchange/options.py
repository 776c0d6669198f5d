"""The exchange's own settings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field

from broker.core.documents import FORBID_UNKNOWN


@dataclass(frozen=True, slots=True, kw_only=True)
class ExchangeOptions:
    """``[exchange]``. Up to ``batch`` records are judged and committed together.

    ``gather_s``: after a small batch the next one is left to gather for so long, because a transaction and a
    write cost as much for one record as for fifty. ``wait_s``: how long a poll waits for the first record.
    ``group_commit_s``: how often the group's offsets follow the store's, for the eyes of lag tools.
    """

    __pydantic_config__: ClassVar = FORBID_UNKNOWN
    batch: Annotated[int, Field(ge=1, le=10_000)] = 1000
    wait_s: Annotated[float, Field(gt=0, le=5)] = 0.5
    gather_s: Annotated[float, Field(ge=0, le=1)] = 0.003
    group_commit_s: Annotated[float, Field(ge=0, le=10)] = 0.2
    write_deadline_s: Annotated[float, Field(gt=0)] = 15.0
