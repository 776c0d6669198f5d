"""Which dossiers a command of the desk means: named ones, or all that fit its filters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from broker.commands.desk.desk_acts import Left
from broker.commands.finding import directory_of, find_partner, read_case, read_name
from broker.core.ids import CaseId, PartnerId
from broker.core.operating.desk import Dossier, Standing
from broker.errors import WrongUse
from broker.store.access.engine import Store
from broker.store.rows import Name
from broker.store.view import desk
from broker.store.view.desk import Order

_PAGE: Final = 1000
NOT_CLOSED: Final = frozenset({Standing.OPEN, Standing.REDRIVEN})
ANY: Final = frozenset(Standing)


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """What was typed: names (``SOURCE/ID``), or filters of which all must fit. The window is of ``opened_at``."""

    names: tuple[str, ...] = ()
    partner: str | None = None
    cause: str | None = None
    case: str | None = None
    owner: str | None = None
    overdue: bool = False
    opened_from: int | None = None
    opened_before: int | None = None

    @property
    def filters(self) -> bool:
        given = (self.partner, self.cause, self.case, self.owner, self.opened_from, self.opened_before)
        return self.overdue or any(each is not None for each in given)


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """A selection's filters, checked."""

    partner: PartnerId | None
    cause: str | None
    case: CaseId | None
    owner: str | None
    overdue: bool
    opened_from: int | None
    opened_before: int | None


def check(command: str, selection: Selection) -> tuple[Name, ...]:
    """The names typed, without repeats. Raises :class:`WrongUse` unless there are names or filters, not both."""
    if bool(selection.names) == selection.filters:
        raise WrongUse(f"{command}: say which: SOURCE/ID, or --partner, --cause and --case, not both")
    return tuple(dict.fromkeys(read_name(command, each) for each in selection.names))


async def read_filters(store: Store, command: str, selection: Selection) -> Filters:
    """Raises :class:`WrongUse` for a case that is none and a partner that nobody knows, naming near ones."""
    partner: PartnerId | None = None
    if selection.partner is not None:
        partner = PartnerId(selection.partner)
        if not await store.read(desk.dossiers, partner=partner, standing=None, limit=1):
            partner = find_partner(command, await directory_of(store), selection.partner).id
    return Filters(
        partner=partner,
        cause=selection.cause,
        case=read_case(command, selection.case) if selection.case is not None else None,
        owner=selection.owner,
        overdue=selection.overdue,
        opened_from=selection.opened_from,
        opened_before=selection.opened_before,
    )


async def find(
    store: Store,
    filters: Filters,
    standings: frozenset[Standing],
    now_ms: int,
    *,
    order: Order = "ledger",
) -> list[Dossier]:
    """All dossiers that fit. Raises :class:`broker.errors.Unreachable`."""
    found: list[Dossier] = []
    after: Dossier | None = None
    one = next(iter(standings)) if len(standings) == 1 else None
    while True:
        page = await store.read(
            desk.dossiers,
            partner=filters.partner,
            cause=filters.cause,
            case=filters.case,
            standing=one,
            opened_from_ms=filters.opened_from,
            opened_to_ms=filters.opened_before,
            after=after,
            limit=_PAGE,
            order=order,
        )
        found.extend(
            each
            for each in page
            if each.status in standings
            and (filters.owner is None or each.owner == filters.owner)
            and (not filters.overdue or is_overdue(each, now_ms))
        )
        if len(page) < _PAGE:
            return found
        after = page[-1]


async def named(
    store: Store, names: tuple[Name, ...], standings: frozenset[Standing]
) -> tuple[list[Dossier], list[Left], list[str]]:
    """The dossiers of these names; those that stand elsewhere, with why; and the names that have none."""
    found = {each.name: each for each in await store.read(desk.of_names, names)}
    fit = [each for each in found.values() if each.status in standings]
    left = [
        Left(dossier=each, why=f"is not open any more: {each.status.value}")
        for each in found.values()
        if each.status not in standings
    ]
    missing = [f"{source}/{identity}" for source, identity in names if (source, identity) not in found]
    return fit, left, missing


def is_overdue(dossier: Dossier, now_ms: int) -> bool:
    """Whether somebody should have seen to it by now."""
    return not dossier.closed and dossier.due_at_ms < now_ms
