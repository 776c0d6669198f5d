"""What audit must be able to show is a closed list."""

from __future__ import annotations

from broker.core.case.forbidden import SUSPECTS, is_suspect
from broker.core.case.lifecycle import MESSAGE_TYPES
from broker.core.problems import CATALOGUE


def test_suspects_are_of_the_table_and_the_catalogue() -> None:
    assert {code for _, code in SUSPECTS} <= set(CATALOGUE)
    assert {type_ for type_, _ in SUSPECTS if type_} <= set(MESSAGE_TYPES)


def test_a_fault_is_not_a_suspect() -> None:
    assert is_suspect("case.decided", "transition-illegal")
    assert is_suspect("case.accepted", "collector-decides")
    assert not is_suspect("case.accepted", "transition-illegal")
    assert not is_suspect("case.decided", "schema-invalid")
