"""Attempts at what the law forbids: refused at the door as ever, and on the ledger nevertheless."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from broker.core.case.case_state import Fee, Status
from broker.core.events import event_digest
from broker.core.ids import MessageId, Party
from tests.intake.fakes import A, B, event, example, known, world
from tests.intake.test_submissions import CASE, state


def said(message_type: str, source: str, to: str, **changes: object) -> dict[str, Any]:
    return event(
        id="e-1",
        type=f"cn.tongban.{message_type}",
        source=f"/partners/{source}",
        destination=f"/partners/{to}",
        subject=CASE,
        data=example(message_type),
        **changes,
    )


@pytest.mark.parametrize(
    ("message_type", "source", "to", "code", "facts"),
    [
        ("case.decided", B, A, "transition-illegal", {}),
        ("case.decided", A, B, "collector-decides", {"status": Status.ACCEPTED}),
        ("fee.requested", B, A, "charged-twice", {"fee": Fee.PAID}),
        ("fee.paid", A, B, "transition-illegal", {}),
    ],
)
async def test_an_attempt_at_what_is_forbidden_is_refused_and_stands_on_the_ledger(
    message_type: str, source: str, to: str, code: str, facts: dict[str, object]
) -> None:
    async with world() as here:
        here.view.cases[CASE] = replace(state(), **facts)  # type: ignore[arg-type]
        sent = said(message_type, source, to)
        reply = await here.post(sent, caller=source)
        assert (reply.status, reply.json["code"]) == (409, code)
        (message,) = here.ledger.messages
        assert (message.type, message.digest) == (message_type, event_digest(sent))
        assert message.signature is not None, "what was tried can be shown to have been signed"


async def test_without_the_log_such_an_attempt_is_not_answered_as_if_it_were_kept() -> None:
    async with world() as here:
        here.view.cases[CASE] = state()
        here.ledger.away = ConnectionError()
        reply = await here.post(said("case.decided", B, A), caller=B)
        assert reply.status >= 500


async def test_the_same_attempt_again_is_refused_again_and_kept_once() -> None:
    async with world() as here:
        here.view.cases[CASE] = state()
        sent = said("case.decided", B, A)
        here.view.known[Party(B), MessageId("e-1")] = replace(
            known(event_digest(sent)), verdict="refused", code="transition-illegal"
        )
        reply = await here.post(sent, caller=B)
        assert (reply.status, reply.json["code"]) == (409, "transition-illegal")
        assert here.ledger.records == []


async def test_what_is_merely_wrong_leaves_no_record() -> None:
    async with world() as here:
        here.view.cases[CASE] = state()
        reply = await here.post(said("case.result-issued", B, A), caller=B)
        assert (reply.status, reply.json["code"]) == (409, "transition-illegal")
        assert here.ledger.records == []
