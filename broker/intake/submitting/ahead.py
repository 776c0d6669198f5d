"""Where cases stand ahead of the view: what this process has let pass and the exchange has not taken in yet.

A partner that answers within the view's lag would otherwise wait for it, one case at a time. What is kept here
may let a message pass; it never refuses one: refusals are the view's, and the last word is the exchange's.
"""

from __future__ import annotations

from collections import OrderedDict

from broker.core.case.lifecycle import CaseState
from broker.core.ids import CaseId


class Ahead:
    """The last ``most`` cases that messages have moved here. Older ones are in the view."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._states: OrderedDict[CaseId, CaseState] = OrderedDict()

    def put(self, state: CaseState | None) -> None:
        """The case will stand like this once the view has what was let pass. None: there is nothing to keep."""
        if state is None:
            return
        self._states[state.case] = state
        self._states.move_to_end(state.case)
        if len(self._states) > self._most:
            self._states.popitem(last=False)

    def of(self, case: CaseId, seen: CaseState | None) -> CaseState | None:
        """How the case will stand; None when ``seen``, the view's own, is not behind that."""
        state = self._states.get(case)
        if state is None:
            return None
        if seen is not None and seen.updated_at >= state.updated_at:
            del self._states[case]
            return None
        return state
