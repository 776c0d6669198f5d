"""Items and bundles: what may be applied for, how long it may take, of which parts a service consists.

Source: contract, "Directory"; 行政许可法 (2019) 32, 42, 44; 国发〔2024〕3号 (一件事); 国办发〔2020〕35号 (多地联办).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Final, Literal

from pydantic import AfterValidator, Field

from broker.core.codes import implementation_code
from broker.core.documents import FORBID_UNKNOWN
from broker.core.ids import PartnerId, partner_id

_PartnerId = Annotated[PartnerId, AfterValidator(partner_id)]
ItemCode = Annotated[str, Field(pattern=r"^[0-9A-Za-z][0-9A-Za-z-]{0,63}$")]
Days = Annotated[int, Field(ge=0, le=1000)]
"""Working days."""
Minutes = Annotated[float, Field(gt=0, le=7 * 24 * 60)]
PartName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,23}$")]


def _implementation(text: str) -> str:
    return str(implementation_code(text))


INSTANT_MINUTES: Final = 30.0
"""How long an instant item (秒批) may take where the directory does not say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemClass:
    """A class within an item (大件运输 I, II, III) with a promise of its own; ``minutes``: the same day, in minutes."""

    __pydantic_config__: ClassVar = FORBID_UNKNOWN
    promised_days: Days = 0
    minutes: Minutes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One review step (审批环节) with a limit of its own, in working days or minutes; neither: none."""

    __pydantic_config__: ClassVar = FORBID_UNKNOWN
    code: Annotated[str, Field(pattern=r"^[0-9A-Za-z][0-9A-Za-z_.-]{0,63}$")]
    name: str
    days: Days | None = None
    minutes: Minutes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One 事项. ``promised_days`` are working days; ``instant`` items (秒批) answer within ``minutes``.

    ``class`` groups items, so that a partner's schedule can name them together; ``classes`` are those within
    this item. Working days: ``accept_days`` to accept or to ask for a supplement (行政许可法 32), ``issue_days``
    from a grant to its result (44), ``rectify_days`` to put a bad rating right (好差评). A card is yellow when
    ``yellow_days`` working days are left, or ``yellow_share`` of the minutes have gone. ``implementation`` is
    its 事项实施编码, checked to the last digit.
    """

    __pydantic_config__: ClassVar = FORBID_UNKNOWN
    code: ItemCode
    name: str
    item_class: Annotated[ItemCode | None, Field(alias="class")] = None
    promised_days: Days
    instant: bool = False
    minutes: Minutes | None = None
    accept_days: Days = 5
    issue_days: Days = 10
    rectify_days: Days = 15
    yellow_days: Days = 1
    yellow_share: Annotated[float, Field(gt=0, lt=1)] = 0.5
    classes: Mapping[str, ItemClass] = field(default_factory=dict)
    steps: tuple[Step, ...] = ()
    implementation: Annotated[str, AfterValidator(_implementation)] | None = None

    @property
    def limit_minutes(self) -> float | None:
        """The limit of an item whose promise is in minutes; None: it is in working days."""
        return self.minutes or (INSTANT_MINUTES if self.instant else None)

    def step_after(self, code: str) -> Step | None:
        """The step that follows the step ``code``; the first one after ``""`` or a step that is not listed."""
        found = False
        for step in self.steps:
            if found:
                return step
            found = step.code == code
        return self.steps[0] if self.steps and not found else None

    def step(self, code: str) -> Step | None:
        """The step of this code."""
        for each in self.steps:
            if each.code == code:
                return each
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class BundlePart:
    """One part of a bundle: an item at an authority, opened when the parts ``after`` which it comes are granted."""

    __pydantic_config__: ClassVar = FORBID_UNKNOWN
    name: PartName
    item: ItemCode
    authority: _PartnerId
    after: tuple[PartName, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """A service of several parts under one case (一件事), or a joint case along a route (多地联办).

    ``code`` is also the code of the item that is applied for. ``answer``: the broker joins the parts' answers,
    or the ``lead`` accepts, waits for the parts and decides. ``route_item`` instead of ``parts``: one part for
    each authority that the submission names in ``route``.
    """

    __pydantic_config__: ClassVar = FORBID_UNKNOWN
    code: ItemCode
    name: str
    lead: _PartnerId
    answer: Literal["broker", "lead"] = "broker"
    parts: tuple[BundlePart, ...] = ()
    route_item: ItemCode | None = None
