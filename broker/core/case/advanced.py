"""What an allowed message amounts to: the case's new state, and what the shell is to do."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from broker.core.case.case_state import CaseState
from broker.core.ids import CaseId, PartnerId
from broker.core.quick import quick


@dataclass(frozen=True, slots=True)
class Route:
    """Bring the message to this partner."""

    to: PartnerId


@dataclass(frozen=True, slots=True)
class Forward:
    """Bring the complaint to whoever is responsible for the case that it is about."""

    about: CaseId


Command = Route | Forward
"""What the shell is to do. What becomes of a bundle's parts follows from the states (``core/bundle/bundles.py``)."""


@dataclass(frozen=True, slots=True)
class Advanced:
    """The message stands. ``state`` is None only for the broker's word on a case that was never opened, and for
    a complaint that is yet to be forwarded."""

    state: CaseState | None
    commands: tuple[Command, ...]


@lru_cache(maxsize=4096)  # partners are few and cases many
def route(to: PartnerId) -> tuple[Command, ...]:
    """The one command that brings a message to a partner."""
    return (Route(to),)


advanced = quick(Advanced)
