"""The terms of a case: what the directory in force when it was opened says of its item, promise, place and parts.

A case ends under the terms that it was opened under, whatever the directory says meanwhile.
"""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from broker.core.calendar import STATUTORY, Calendar, calendar
from broker.core.catalogue.directory import Bundle, Directory, Item
from broker.core.ids import BROKER, PartnerId, Party

if TYPE_CHECKING:
    from broker.core.case.case_state import CaseState


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What bears on one case. ``item`` None: the directory knows none, as for a complaint that names no item.

    ``promised_days`` are working days, ``minutes`` the limit where the promise is in minutes. ``calendar`` is
    that of the responsible place. ``treasury``: the sender takes in the responsible partner's fees.
    ``complaint_days``: working days for an answer to a complaint. ``partners``: those of the directory.
    """

    version: str = ""
    item: Item | None = None
    promised_days: int | None = None
    minutes: float | None = None
    bundle: Bundle | None = None
    calendar: Calendar = STATUTORY
    treasury: bool = False
    complaint_days: int = 15
    partners: Container[PartnerId] | None = None


NO_TERMS: Final = Terms()


def terms(
    directory: Directory,
    *,
    item: str,
    item_class: str = "",
    opening: PartnerId,
    responsible: PartnerId,
    sender: Party,
) -> Terms:
    """The terms of a case of ``item`` between two partners; the narrowest promise holds: class, agreement, item.

    Remembered for each directory: they are asked for with every message, and are as few as items and pairs.
    """
    kept = _KEPT.get(id(directory))
    if kept is None:
        if len(_KEPT) >= _MOST_DIRECTORIES:
            _KEPT.clear()
        kept = _KEPT[id(directory)] = (directory, {})
    asked = (item, item_class, opening, responsible, sender)
    found = kept[1].get(asked)
    if found is None:
        if len(kept[1]) >= _MOST_TERMS:
            kept[1].clear()
        found = kept[1][asked] = _terms(directory, item, item_class, opening, responsible, sender)
    return found


_MOST_DIRECTORIES: Final = 16
_MOST_TERMS: Final = 16_384
_KEPT: Final[dict[int, tuple[Directory, dict[tuple[str, ...], Terms]]]] = {}
"""By the directory's identity, which is its own for as long as it is kept here."""


def _terms(
    directory: Directory,
    item: str,
    item_class: str,
    opening: PartnerId,
    responsible: PartnerId,
    sender: Party,
) -> Terms:
    known = directory.items.get(item)
    partner = directory.partners.get(responsible)
    speaker = directory.partners.get(PartnerId(sender))
    days = minutes = None
    if known is not None:
        agreement = directory.agreement(opening, responsible)
        agreed = agreement.promised.get(item) if agreement else None
        of_class = known.classes.get(item_class)
        if of_class is not None:
            days, minutes = of_class.promised_days, of_class.minutes
        else:
            days, minutes = known.promised_days if agreed is None else agreed, known.limit_minutes
    return Terms(
        version=directory.version,
        item=known,
        promised_days=days,
        minutes=minutes,
        bundle=directory.bundles.get(item),
        calendar=calendar(frozenset(partner.closures)) if partner and partner.closures else STATUTORY,
        treasury=speaker is not None and responsible in speaker.treasury_for,
        complaint_days=partner.complaint_days if partner else 15,
        partners=directory.partners,
    )


def terms_of_case(state: CaseState, directory: Directory, sender: Party = BROKER) -> Terms:
    """The terms of a case that is there, by the directory of its opening."""
    return terms(
        directory,
        item=state.item,
        item_class=state.item_class,
        opening=state.opening,
        responsible=state.responsible,
        sender=sender,
    )
