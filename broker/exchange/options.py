"""The exchange's own settings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field

from broker.core.documents import FORBID_UNKNOWN


@dataclass(frozen=True, slots=True, kw_only=True)
class ExchangeOptions:
    """``[exchange]``. ``batch`` records are judged and committed together; ``wait_s`` gathers them."""

    __pydantic_config__: ClassVar = FORBID_UNKNOWN
    batch: Annotated[int, Field(ge=1, le=10_000)] = 1000
    wait_s: Annotated[float, Field(gt=0, le=5)] = 0.5
    write_deadline_s: Annotated[float, Field(gt=0)] = 15.0
