"""The partners and message names that a person types: found in the directory in force, or told what is near."""

from __future__ import annotations

import difflib
from typing import Final

from broker.commands.showing import plain
from broker.core.catalogue.directory import Directory, Partner
from broker.core.ids import BROKER, CaseId, InvalidId, PartnerId, Party, case_id, message_id, partner_id
from broker.errors import WrongUse
from broker.store.access.engine import Store
from broker.store.rows import Name
from broker.wiring import DirectoryWatch

_NEAR: Final = 3


def find_partner(command: str, directory: Directory, text: str) -> Partner:
    """The partner of this id. Raises :class:`WrongUse`, with the nearest ids and names."""
    partner = directory.partners.get(PartnerId(text))
    if partner is not None:
        return partner
    if not directory.partners:
        raise WrongUse(f"{command}: no directory has been applied yet; see tongban directory apply --help")
    called: dict[str, Partner] = {}
    for each in directory.partners.values():
        called |= {each.id: each, each.name: each}
    near = dict.fromkeys(
        called[each].id for each in difflib.get_close_matches(text, called, n=_NEAR, cutoff=0.5)
    )
    hint = ", ".join(f"{each} {directory.partners[each].name}" for each in near)
    raise WrongUse(
        f"{command}: no partner {plain(text)} in the directory in force"
        + (f"; near: {hint}" if hint else "; tongban directory show lists them")
    )


async def directory_of(store: Store) -> Directory:
    """The directory in force."""
    watch = DirectoryWatch(store)
    await watch.refresh()
    return watch.current()


def read_name(command: str, text: str) -> Name:
    """``SOURCE/ID`` of a message. Raises :class:`WrongUse`."""
    source, _, identity = text.partition("/")
    try:
        party = BROKER if source == BROKER else Party(partner_id(source))
        return party, message_id(identity)
    except InvalidId:
        raise WrongUse(
            f"{command}: {plain(text)}: expected SOURCE/ID of a message, such as 451300/m-1"
        ) from None


def read_case(command: str, text: str) -> CaseId:
    """A case as ``--case`` names it. Raises :class:`WrongUse`."""
    try:
        return case_id(text)
    except InvalidId as fault:
        raise WrongUse(f"{command}: --case: {fault}") from None
