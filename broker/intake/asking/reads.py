"""What a partner may ask: its messages, its cases, and the directory as it concerns it.

What belongs to others and what does not exist get the same answer.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime
from typing import Final

from broker.core.bundle.bundles import PartState
from broker.core.case.lifecycle import CaseState, Role, allowed, role_of
from broker.core.case.terms import terms_of_case
from broker.core.catalogue.directory import Directory, Partner
from broker.core.clocks.outlook import outlook
from broker.core.ids import (
    BROKER,
    CaseId,
    InvalidId,
    Party,
    case_id,
    message_id,
    part_case,
    partner_id,
    party_path,
)
from broker.core.message import rfc3339
from broker.core.problems import CATALOGUE, Refusal
from broker.intake.asking.one_door import between, is_brought, withheld
from broker.intake.asking.status import accepted_only, message_facts, status_of
from broker.intake.http.answers import Answer, json_answer, problem_list, problem_page, refused
from broker.intake.http.routes import Call
from broker.intake.ports import DirectorySource, Name, View
from broker.intake.submitting.gather import Gatherer
from broker.store.rows import MessageRow

NOT_FOUND: Final = Refusal(code="not-found", detail="there is nothing here for this caller")


class Reads:
    """Handlers of everything that changes nothing."""

    def __init__(
        self,
        *,
        view: View,
        directory: DirectorySource,
        gatherer: Gatherer,
        clock: Callable[[], datetime],
        public_key: str | None,
    ) -> None:
        self._view = view
        self._directory = directory
        self._gatherer = gatherer
        self._clock = clock
        self._public_key = public_key

    async def message(self, call: Call) -> Answer:
        """Where one message is; to its sender and its recipient only."""
        name = _name(call)
        if name is None:
            return refused(NOT_FOUND)
        found = await self._view.whereabouts(name)
        if found is not None:
            theirs = _party(call) in {found.row.source, found.row.destination}
            if not theirs or await self._hidden(call, found.row):
                return refused(NOT_FOUND)
            return json_answer(200, status_of(found))
        recent = self._gatherer.recently(name)
        if recent is None or name[0] != _party(call):
            return refused(NOT_FOUND)
        return json_answer(200, accepted_only(name, *recent))

    async def case(self, call: Call) -> Answer:
        """The case as both sides see it."""
        state = await self._case(call)
        if state is None:
            return refused(NOT_FOUND)
        directory = await self._view.directory(state.directory) or self._directory.current()
        facts = _case_of(state, call.partner, directory, call.now)
        if await withheld(self._view, state, call.partner.id):
            facts |= {"responsible": party_path(BROKER), "item": ""}
        return json_answer(200, facts)

    async def timeline(self, call: Call) -> Answer:
        """Every message of the case in the ledger's order, with what became of it."""
        state = await self._case(call)
        if state is None:
            return refused(NOT_FOUND)
        rows = await self._view.timeline(state.case)
        if await withheld(self._view, state, call.partner.id):
            rows = between(rows, _party(call))
        return json_answer(200, {"case": state.case, "messages": [message_facts(row) for row in rows]})

    async def partners(self, call: Call) -> Answer:
        """Those whom the caller has an agreement with, and itself."""
        directory = self._directory.current()
        reachable = {call.partner.id} | {
            each for agreement in directory.agreements_of(call.partner.id) for each in agreement.partners
        }
        known = [directory.partners[each] for each in sorted(reachable) if each in directory.partners]
        return json_answer(200, {"partners": [{"id": each.id, "name": each.name} for each in known]})

    async def agreements(self, call: Call) -> Answer:
        """The caller's own agreements."""
        directory = self._directory.current()
        return json_answer(200, {"agreements": _agreements(directory, call.partner)})

    async def items(self, call: Call) -> Answer:
        """The items that the caller has agreed on with somebody."""
        del call
        items = sorted(self._directory.current().items.values(), key=lambda item: item.code)
        listed = [
            {
                "code": each.code,
                "name": each.name,
                "promised_days": each.promised_days,
                "instant": each.instant,
                "minutes": each.limit_minutes,
                "classes": {name: asdict(of) for name, of in each.classes.items()},
                "steps": [{"code": step.code, "name": step.name} for step in each.steps],
            }
            for each in items
        ]
        return json_answer(200, {"items": listed})

    async def keys(self, call: Call) -> Answer:
        """The public keys that the broker signs its deliveries with."""
        del call
        keys = [] if self._public_key is None else [{"key": self._public_key, "version": "v1a"}]
        return json_answer(200, {"keys": keys})

    async def problems(self, call: Call) -> Answer:
        del call
        return problem_list()

    async def problem(self, call: Call) -> Answer:
        kind = CATALOGUE.get(call.path["code"])
        return refused(NOT_FOUND) if kind is None else problem_page(kind)

    async def _hidden(self, call: Call, row: MessageRow) -> bool:
        """Whether it is a copy of which its sender is not to know yet where it went."""
        state = await self._view.case(row.case_id) if is_brought(row) else None
        return state is not None and await withheld(self._view, state, call.partner.id)

    async def _case(self, call: Call) -> CaseState | None:
        """The case that the path names, if the caller is a party to it."""
        try:
            case: CaseId = case_id(f"{call.path['partner']}/{call.path['number']}")
        except InvalidId:
            return None
        state = await self._view.case(case)
        if state is None or call.partner.id not in {state.opening, state.responsible}:
            return None
        return state


def _party(call: Call) -> Party:
    return Party(call.partner.id)


def _name(call: Call) -> Name | None:
    try:
        return Party(partner_id(call.path["partner"])), message_id(call.path["id"])
    except InvalidId:
        return None


_WHERE_SAID: Final = (
    "number",
    "item_class",
    "agent",
    "granted",
    "courier",
    "fee_notice",
    "score",
    "about",
    "cards",
)
"""What a case says of itself where it was said at all."""


def _case_of(state: CaseState, caller: Partner, directory: Directory, now: datetime) -> dict[str, object]:
    role = role_of(state, Party(caller.id)) or Role.BROKER
    facts: dict[str, object] = {
        "case": state.case,
        "opening": party_path(state.opening),
        "responsible": party_path(state.responsible),
        "item": state.item,
        "mode": state.mode,
        "status": state.status.value,
        "fee": state.fee.value,
        "rating": state.rating.value,
        "revision": state.revision,
        "supplements": state.supplements,
        "role": role.value,
        "allowed": list(allowed(state, role)),
        "links": {"timeline": f"/v1/cases/{state.case}/timeline"},
    }
    times = {
        "opened_at": state.opened_at,
        "updated_at": state.updated_at,
        "accepted_at": state.accepted_at,
        "decided_at": state.decided_at,
        "ended_at": state.ended_at,
    }
    facts.update((name, rfc3339(moment)) for name, moment in times.items() if moment is not None)
    more = {name: getattr(state, name) for name in _WHERE_SAID}
    facts.update((name, value) for name, value in more.items() if value not in (None, "", ()))
    standing = outlook(state, terms_of_case(state, directory), now)
    if standing is not None:
        facts["clock"] = standing.to_facts()
    if state.part_of is not None:
        facts["parent"] = state.part_of
    if state.bundle is not None:
        facts["parts"] = [_part_of(state.case, each) for each in state.bundle.parts]
    return facts


def _part_of(parent: CaseId, part: PartState) -> dict[str, object]:
    return {
        "name": part.name,
        "item": part.item,
        "authority": party_path(part.authority),
        "after": list(part.after),
        "status": part.status.value,
        "case": part_case(parent, part.name),
    }


def _agreements(directory: Directory, caller: Partner) -> list[dict[str, object]]:
    own = sorted(directory.agreements_of(caller.id), key=lambda agreement: sorted(agreement.partners))
    return [
        {
            "partners": sorted(each.partners),
            "items": list(each.items),
            "modes": [mode.value for mode in each.modes],
            "since": each.since.isoformat(),
            "until": None if each.until is None else each.until.isoformat(),
        }
        for each in own
    ]
