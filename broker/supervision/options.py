"""Settings of what watches the road."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field

from broker.core.documents import FORBID_UNKNOWN


@dataclass(frozen=True, slots=True, kw_only=True)
class SupervisionOptions:
    """``[supervision]``. ``port`` serves health and metrics on a listener of their own (0: none).

    Beside intake they are also on the partner API's listener; a process without intake needs the port.
    ``lag_every_s`` is how often lag is measured for ``/metrics``. ``backlog``: with more ledger records than
    this not yet routed, intake asks its callers to wait. ``deadlines_every_s``: how often is looked for deadlines
    that have fallen. ``agreement_days``: so many days before an agreement ends it is told, once a day.
    """

    __pydantic_config__: ClassVar = FORBID_UNKNOWN
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 0
    lag_every_s: Annotated[float, Field(gt=0)] = 5.0
    backlog: Annotated[int, Field(ge=1)] = 20_000
    deadlines_every_s: Annotated[float, Field(gt=0, le=3600)] = 1.0
    agreement_days: Annotated[int, Field(ge=0, le=3660)] = 30
