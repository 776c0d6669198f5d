from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.core.codes import (
    ImplementationCode,
    Uscc,
    division,
    implementation_code,
    names_a_citizen,
    resident_number,
    uscc,
)
from broker.core.ids import InvalidId

USCC_ALPHABET = "0123456789ABCDEFGHJKLMNPQRTUWXY"


@pytest.mark.parametrize("text", ["91350100M000100Y43", "11320000MB151840XJ", "11450000007565194H"])
def test_credit_codes_of_the_standard(text: str) -> None:
    assert uscc(text) == text


def test_a_credit_codes_check_by_hand() -> None:
    # weights 3^(i-1) mod 31; 1 0^16: sum = 1, check = (31 - 1) mod 31 = 30 = 'Y'
    assert uscc("1" + "0" * 16 + "Y")
    # N (farmers' collectives) begins with a letter: N = 22; 31 - 22 = 9
    assert uscc("N" + "0" * 16 + "9")


def test_a_resident_numbers_check_by_hand() -> None:
    # 11010519491231002: 1*7+1*9+0*10+1*5+0*8+5*4+1*2+9*1+4*6+9*3+1*7+2*9+3*10+1*5+0*8+0*4+2*2 = 167
    # 167 mod 11 = 2; the map 10X98765432 has X at place 2
    assert resident_number("11010519491231002X")


def with_check(digits: str) -> str:
    weights = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
    return digits + "10X98765432"[sum(int(d) * w for d, w in zip(digits, weights, strict=True)) % 11]


def test_an_abolished_region_is_no_fault() -> None:
    assert resident_number(with_check("99999919491231002"))


@pytest.mark.parametrize(
    "text",
    [
        "110105194912310020",
        "11010519491231002x",
        "110105194912310021X",
        "1101051949123100",
        with_check("11010519490231002"),  # 31 February
        with_check("11010519491331002"),  # month 13
        with_check("11010500000000002"),
        "１１０１０５１９４９１２３１００２Ｘ",
        " 11010519491231002X",
        "",
    ],
)
def test_resident_numbers_refused(text: str) -> None:
    with pytest.raises(InvalidId) as caught:
        resident_number(text)
    assert not text.strip() or text.strip() not in str(caught.value)  # personal data is never repeated


@pytest.mark.parametrize(
    "text",
    ["91350100M000100Y44", "91350100m000100y43", "91 350100M000100Y43", "I" * 18, "91350100M000100Y4", ""],
)
def test_credit_codes_refused(text: str) -> None:
    with pytest.raises(InvalidId, match="统一社会信用代码"):
        uscc(text)


@given(
    st.sampled_from(["91350100M000100Y43", "11320000MB151840XJ"]),
    st.integers(0, 17),
    st.sampled_from(USCC_ALPHABET),
)
def test_one_wrong_character_of_a_credit_code_is_always_seen(text: str, at: int, other: str) -> None:
    changed = text[:at] + other + text[at + 1 :]
    if changed != text:
        with pytest.raises(InvalidId):
            uscc(changed)


@given(st.integers(0, 16), st.sampled_from("0123456789"))
def test_one_wrong_digit_of_a_resident_number_is_always_seen(at: int, other: str) -> None:
    text = "11010519491231002X"
    changed = text[:at] + other + text[at + 1 :]
    if changed != text:
        with pytest.raises(InvalidId):
            resident_number(changed)


def test_divisions() -> None:
    assert division("511602000000") == "511602"
    assert division("451300") == "451300"


def test_an_implementation_code_comes_apart() -> None:
    code = implementation_code("11450000007565194H200011501500504")
    assert code == ImplementationCode(
        authority=Uscc("11450000007565194H"), level="2", base="000115015005", business="04"
    )
    assert str(code) == "11450000007565194H200011501500504"
    assert implementation_code("11450000007565194H2000115015005").business is None


@pytest.mark.parametrize(
    ("check", "text"),
    [
        (division, "51160"),
        (division, "511602000001"),
        (division, "011602"),
        (division, "51160200000"),
        (implementation_code, "11450000007565194J2000115015005"),
        (implementation_code, "11450000007565194H20001150150050"),
        (implementation_code, "11450000007565194HX000115015005"),
    ],
)
def test_other_codes_refused(check: Callable[[str], object], text: str) -> None:
    with pytest.raises(InvalidId):
        check(text)


@pytest.mark.parametrize("around", ["{}", "甲{}乙", "No.{}, X", "X{}"])
def test_a_citizen_s_number_is_seen_within_a_text(around: str) -> None:
    assert names_a_citizen(around.format("11010519491231002X"))
    assert names_a_citizen(around.format("11010519491231002x"))
    assert names_a_citizen(around.format("13000000000")) is (around != "X{}")


@pytest.mark.parametrize(
    "text", ["", "1", "110105194912310021", "9110105194912310021X", "11010519491231002X7", "213000000000"]
)
def test_other_runs_of_digits_are_no_citizen(text: str) -> None:
    assert not names_a_citizen(text)
