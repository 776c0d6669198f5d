"""The catalogue of refusals, for RFC 9457 problems, ``notice.refused`` codes and the docs' pages; and one refusal.

Source: contract, "Partner API".
"""

from __future__ import annotations

from dataclasses import dataclass

from broker.core.case_problem_kinds import CASES
from broker.core.problem_kinds import ASKING, READING, ProblemKind

__all__ = ["CATALOGUE", "FieldError", "ProblemKind", "Refusal"]

CATALOGUE: dict[str, ProblemKind] = {kind.code: kind for kind in (*READING, *CASES, *ASKING)}
"""By code, in the order of the docs' page."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldError:
    """One fault of a field: JSON pointer (RFC 6901), what was expected, what came (never personal data)."""

    pointer: str
    expected: str
    got: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """A refusal as a value: which kind, a sentence for this occurrence, and the facts that help to mend it.

    ``facts`` become extension members of the problem (RFC 9457, 3.2): ``state``, ``role``, ``allowed``.
    """

    code: str
    detail: str
    errors: tuple[FieldError, ...] = ()
    facts: tuple[tuple[str, str | tuple[str, ...]], ...] = ()

    @property
    def kind(self) -> ProblemKind:
        return CATALOGUE[self.code]
