"""Refusals that are more than a fault: somebody tried what is forbidden, and audit must be able to show it.

Source: issue 5, 10; domain.md (明进暗不进, 双轨运行, 体外循环, 两头办理、两头收费, 收受分离).
"""

from __future__ import annotations

from typing import Final

STRANGER: Final = ("case-unknown", "party-not-involved")
RESULTS: Final = ("case.decided", "case.result-issued")

SUSPECTS: Final[tuple[tuple[str | None, str], ...]] = (
    ("case.decided", "transition-illegal"),
    *((type_, code) for type_ in (*RESULTS, "fee.paid") for code in STRANGER),
    ("fee.paid", "transition-illegal"),
    ("fee.paid", "charged-twice"),
    ("fee.paid", "cash-refused"),
    ("fee.requested", "charged-twice"),
    (None, "collector-decides"),
)
"""Type and code of the refused messages that may be a finding; a type of None stands for all."""

_SUSPECTS: Final = frozenset(SUSPECTS)


def is_suspect(type_: str, code: str) -> bool:
    """Whether a message of this type that is refused with this code belongs on the ledger, with its signature."""
    return (type_, code) in _SUSPECTS or (None, code) in _SUSPECTS
