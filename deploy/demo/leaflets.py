"""The leaflets (办事指南): what a hall says of an item, from its directory document and ``leaflets.toml``."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from deploy.demo import provincial
from deploy.demo.roster import HERE, item_documents


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """One leaflet. ``by_courier``: the result is a paper that is sent. ``fee_fen`` 0: no fee.

    ``promised_days`` are working days; ``classes`` the same by class of the item; ``steps`` its review steps,
    each ``(code, name)``.
    """

    name: str
    licence: str
    promised_days: int
    materials: tuple[str, ...]
    by_courier: bool = False
    classes: Mapping[str, int]
    steps: tuple[tuple[str, str], ...]
    fee_fen: int = 0
    fee_for: str = ""
    fee_basis: str = ""

    def days(self, item_class: str) -> int:
        """Working days promised for a class of the item."""
        return self.classes.get(item_class, self.promised_days)


_ONE_STEP = (("SPCL", "审核"),)


@cache
def sheet(item: str) -> Sheet:
    """The leaflet of an item. Raises ValueError for an item that has none."""
    own = (
        {"licence": "办理结果", "materials": ["申请表"]}
        if provincial.is_provincial(item)
        else _own().get(item)
    )
    document = item_documents().get(f"{item}.toml")
    if own is None or document is None:
        raise ValueError(f"item: expected one of {', '.join(sorted(_own()))}")
    table = tomllib.loads(document)
    steps = tuple((each["code"], each["name"]) for each in table.get("steps", ()))
    return Sheet(
        **{**own, "materials": tuple(own["materials"])},
        name=table["name"],
        promised_days=table["promised_days"],
        classes={name: each.get("promised_days", 0) for name, each in table.get("classes", {}).items()},
        steps=steps or _ONE_STEP,
    )


@cache
def _own() -> Mapping[str, Mapping[str, Any]]:
    return tomllib.loads((HERE / "leaflets.toml").read_text(encoding="utf-8"))
