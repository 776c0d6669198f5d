"""What of one partition is on the desk and holds its case back, in memory as table ``blocked`` has it.

A message that was redriven, returned or skipped is out at once here, so that what comes behind it on the
outbox passes. Its row goes before the commit that covers the record which released it: after a kill that
record is read again, even one that the commit's note calls finished, and releases again.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from broker.core.ids import CaseId, PartnerId
from broker.core.message import Message
from broker.core.operating.desk import is_control
from broker.store.delivering.blocked import BlockedMessage, Release


def releases_only(message: Message, partner: PartnerId) -> bool:
    """Whether a record of this partner's outbox is a control record: it releases a lane and is never sent.

    Such are the acts that returned or skipped a message of this partner's. (A returned message is told to its
    sender by the same act, on the sender's own outbox, where it is an ordinary message.)
    """
    return is_control(message, partner)


class Blocking:
    """The messages that hold lanes, by case, with the offset of the record that went to the desk."""

    __slots__ = ("_cases",)

    def __init__(self, messages: Iterable[BlockedMessage] = ()) -> None:
        self._cases: dict[CaseId, dict[str, int]] = {}
        for each in messages:
            self.add(each.case, each.name, each.outbox_offset)

    def __bool__(self) -> bool:
        return bool(self._cases)

    def __contains__(self, case: CaseId) -> bool:
        return case in self._cases

    @property
    def cases(self) -> int:
        return len(self._cases)

    def add(self, case: CaseId, name: str, offset: int) -> None:
        self._cases.setdefault(case, {})[name] = offset

    def on_desk(self, case: CaseId, name: str, offset: int) -> bool:
        """Whether this very record is on the desk already: it was read before."""
        return self._cases.get(case, _NOTHING).get(name) == offset

    def release(self, case: CaseId, name: str, partner: PartnerId, offset: int) -> Release | None:
        """The record at ``offset`` takes message ``name`` from the desk; None: it was not there before."""
        held = self._cases.get(case)
        if held is None or held.get(name, offset) >= offset:
            return None
        del held[name]
        if not held:
            del self._cases[case]
        return Release.of(partner, name, offset)


_NOTHING: Final[dict[str, int]] = {}
