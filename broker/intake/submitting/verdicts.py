"""What became of a submission: on the ledger, or a refusal; and the submission while that is open."""

from __future__ import annotations

import asyncio
from typing import Final, NamedTuple

from broker.core.message import Message
from broker.core.problems import Refusal
from broker.core.records import Position
from broker.intake.ports import Name
from broker.intake.submitting.events import Submission

NOT_DURABLE: Final = Refusal(
    code="not-durable", detail="the ledger has not acknowledged the message; send it again unchanged"
)
UNAVAILABLE: Final = Refusal(code="unavailable", detail="a part of the broker is away; nothing was taken")
INTERNAL: Final = Refusal(code="internal", detail="a fault of the broker; the message was not taken")
DESTROYED: Final = Refusal(code="case-unknown", detail="the case was erased; nothing can be added to it")


class Accepted(NamedTuple):
    """On the ledger. ``duplicate``: it was there before, with the same content."""

    position: Position
    duplicate: bool


Verdict = Accepted | Refusal


class Pending:
    """One submission in hand: its verdict is awaited by ``future``, by as many requests as repeat it."""

    __slots__ = ("future", "judged", "name", "refusal", "submission", "verbatim")

    def __init__(self, submission: Submission, verbatim: bytes, future: asyncio.Future[Verdict]) -> None:
        self.submission = submission
        self.verbatim = verbatim
        self.future = future
        message = submission.message
        self.name: Name = (message.source, message.id)
        self.judged = False
        """True once the view has had its say, or could not: the exchange judges it then."""
        self.refusal: Refusal | None = None
        """Why it is refused although it is written: an attempt that is kept as evidence (``core/case/forbidden.py``)."""

    @property
    def message(self) -> Message:
        return self.submission.message

    def answer(self, verdict: Verdict) -> None:
        if not self.future.done():
            self.future.set_result(verdict)


def following(twin: Pending) -> asyncio.Future[Verdict]:
    """The verdict of a submission in hand, as its repeat is to be told it."""
    following: asyncio.Future[Verdict] = asyncio.get_running_loop().create_future()

    def told(first: asyncio.Future[Verdict]) -> None:
        if following.done():
            return
        verdict = NOT_DURABLE if first.cancelled() else first.result()
        if isinstance(verdict, Accepted):
            verdict = Accepted(verdict.position, duplicate=True)
        following.set_result(verdict)

    twin.future.add_done_callback(told)
    return following
