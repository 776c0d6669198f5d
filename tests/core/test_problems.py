from __future__ import annotations

import re

import pytest

from broker.core.problems import CATALOGUE, ProblemKind, Refusal


@pytest.mark.parametrize("kind", CATALOGUE.values(), ids=lambda kind: kind.code)
def test_every_kind_says_what_and_what_to_do_in_both_languages(kind: ProblemKind) -> None:
    assert re.fullmatch(r"[a-z]+(-[a-z]+)*", kind.code)
    assert 400 <= kind.status <= 599
    assert kind.title
    assert kind.mend.endswith(".")
    assert re.search(r"[\u4e00-\u9fff]", kind.title_zh)
    assert kind.mend_zh.endswith("。")


@pytest.mark.parametrize(
    "code",
    ["schema-invalid", "agreement-missing", "item-unknown", "partner-unknown", "transition-illegal",
     "message-id-reused", "signature-invalid", "expired", "too-large", "not-durable"],
)  # fmt: skip
def test_the_contracts_codes_are_there(code: str) -> None:
    assert Refusal(code=code, detail="").kind.code == code


def test_codes_are_unique() -> None:
    assert all(code == kind.code for code, kind in CATALOGUE.items())


def test_an_unknown_code_is_a_fault_of_ours() -> None:
    with pytest.raises(KeyError):
        _ = Refusal(code="invented", detail="").kind
