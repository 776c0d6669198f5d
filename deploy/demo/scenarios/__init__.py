"""The scenarios: one module each. Each acts at the windows and then says what the halls' own ledgers must hold.

To add one: a module with a class of :class:`~deploy.demo.scenarios.base.Scenario`'s form, and a place below.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from deploy.demo.scenarios.agreements import Agreements
from deploy.demo.scenarios.base import Scenario
from deploy.demo.scenarios.complaints import Complaints
from deploy.demo.scenarios.fees import FeesAndFindings
from deploy.demo.scenarios.helper_agent import HelperAgent
from deploy.demo.scenarios.huli import Huli
from deploy.demo.scenarios.instant import Instant
from deploy.demo.scenarios.newborn_bundle import NewbornBundle
from deploy.demo.scenarios.newborn_hukou import NewbornHukou
from deploy.demo.scenarios.one_window import OneWindow
from deploy.demo.scenarios.outage import Outage
from deploy.demo.scenarios.oversize import OversizeTransport
from deploy.demo.scenarios.provincial_hall import ProvincialHall
from deploy.demo.scenarios.repeated import Repeated
from deploy.demo.scenarios.stuck_desk import StuckDesk

_ALL: Final[tuple[Callable[..., Scenario], ...]] = (
    Agreements,
    NewbornHukou,
    NewbornBundle,
    OversizeTransport,
    StuckDesk,
    Complaints,
    ProvincialHall,
    OneWindow,
    HelperAgent,
    Huli,
    FeesAndFindings,
    Instant,
    Outage,
    Repeated,
)
_PLAY: Final = (
    "newborn-hukou", "newborn-bundle", "instant", "agreements", "oversize-transport", "huli",
    "fees-and-findings", "outage", "repeated",
)  # fmt: skip


_ASKING: Final = (
    Agreements, OversizeTransport, StuckDesk, Complaints, OneWindow, Huli, FeesAndFindings,
)  # fmt: skip
"""Those that also ask the broker's operators, by their commands."""


def scenarios(*, operators: bool = True) -> Mapping[str, Scenario]:
    """Every scenario by its name, each new. ``operators`` False: those of a road whose operators cannot be asked."""
    made = (make(operators=operators) if make in _ASKING else make() for make in _ALL)
    return {each.name: each for each in made}


def the_play(*, operators: bool = True) -> list[Scenario]:
    """What ``tongban demo`` plays, in its order."""
    known = scenarios(operators=operators)
    return [known[name] for name in _PLAY]


__all__ = ["Scenario", "scenarios", "the_play"]
