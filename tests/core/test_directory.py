from __future__ import annotations

from collections.abc import Mapping
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.core.catalogue.directory import EMPTY, Directory, read_directory, version_of
from broker.core.documents import DocumentInvalid
from broker.core.ids import PartnerId
from broker.core.message import Mode


def partner(code: str, more: str = "") -> str:
    return f'id = "{code}"\nname = "名"\ncontact = "窗口"\n{more}\n[connector]\nkind = "mailbox"\n'


DOCUMENTS = {
    "partners/451300.toml": partner("451300"),
    "partners/430423.toml": partner("430423"),
    "items/newborn-hukou.toml": 'code = "newborn-hukou"\nname = "新生儿入户"\npromised_days = 3\n',
    "agreements/430423--451300.toml": (
        'partners = ["451300", "430423"]\nitems = ["newborn-hukou"]\nmodes = ["collected"]\nsince = 2026-01-01\n'
    ),
}


def faults_of(changes: Mapping[str, str | None]) -> list[str]:
    documents = {path: text for path, text in {**DOCUMENTS, **changes}.items() if text is not None}
    with pytest.raises(DocumentInvalid) as caught:
        read_directory(documents)
    return [str(fault) for fault in caught.value.faults]


def test_a_directory_as_documents() -> None:
    directory = read_directory(DOCUMENTS)
    laibin, hengshan = PartnerId("451300"), PartnerId("430423")
    agreement = directory.agreement(hengshan, laibin)
    assert agreement is not None
    assert directory.agreement(laibin, hengshan) is agreement
    assert agreement.modes == (Mode.COLLECTED,)
    assert directory.agreements_of(laibin) == [agreement]
    assert directory.agreements_of(PartnerId("350200")) == []
    assert directory.partners[laibin].limits.in_flight == 64
    assert directory.version == version_of(DOCUMENTS)
    assert Directory(version="", partners={}, items={}, agreements={}) == EMPTY


@pytest.mark.parametrize(
    ("until", "day", "in_force"),
    [
        ("", date(2025, 12, 31), False),
        ("", date(2026, 1, 1), True),
        ("", date(2999, 1, 1), True),
        ("until = 2026-06-30\n", date(2026, 6, 30), True),
        ("until = 2026-06-30\n", date(2026, 7, 1), False),
    ],
)
def test_agreements_are_in_force_with_both_their_days(until: str, day: date, in_force: bool) -> None:
    path = "agreements/430423--451300.toml"
    directory = read_directory(DOCUMENTS | {path: DOCUMENTS[path] + until})
    agreement = directory.agreement(PartnerId("451300"), PartnerId("430423"))
    assert agreement is not None
    assert agreement.in_force(day) is in_force


def test_faults_of_all_documents_are_told_at_once() -> None:
    faults = faults_of(
        {
            "partners/451300.toml": partner("451300", "reciepts = true\ntrusted_channel = 7"),
            "items/newborn-hukou.toml": 'code = "newborn-hukou"\nname = "x"\npromised_days = -1\n',
            "parcels/x.toml": "",
            "partners/430423.toml": "id = ",
        }
    )
    assert [fault.split(":")[0] for fault in faults] == [
        "items/newborn-hukou.toml",
        "parcels/x.toml",
        "partners/430423.toml",
        "partners/451300.toml",
        "partners/451300.toml",
    ]
    assert any("reciepts: unknown key, did you mean receipts" in fault for fault in faults)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"partners/451301.toml": partner("451300")}, "expected the file to be 451300.toml"),
        ({"partners/45130.toml": partner("45130")}, "6-digit 行政区划代码"),
        ({"items/other.toml": DOCUMENTS["items/newborn-hukou.toml"]}, "expected the file to be newborn-hukou.toml"),
        (
            {"agreements/451300--430423.toml": DOCUMENTS["agreements/430423--451300.toml"]},
            "expected the file to be 430423--451300.toml",
        ),
        ({"partners/430423.toml": None}, "expected partners/430423.toml to exist"),
        ({"items/newborn-hukou.toml": None}, "expected items/newborn-hukou.toml to exist"),
        ({"readme.md": "x"}, "readme.md"),
        ({"partners/451300.toml": partner("451300", "[limits]\nin_flight = 0")}, "limits.in_flight"),
        ({"partners/451300.toml": partner("451300", "[limits]\nin_fligth = 1")}, "did you mean in_flight"),
        ({"partners/451300.toml": partner("451300", '[keys]\nverify = ["whsk_x"]')}, "keys.verify.0"),
        ({"partners/451300.toml": partner("451300", 'retry_after_s = [0]')}, "retry_after_s.0"),
    ],
)  # fmt: skip
def test_a_fault_says_file_key_and_expectation(changes: dict[str, str | None], words: str) -> None:
    assert words in "\n".join(faults_of(changes))


def test_a_secret_in_the_wrong_place_is_not_repeated() -> None:
    changes: dict[str, str | None] = {
        "partners/451300.toml": partner(
            "451300", '[keys]\nverify = ["whsk_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"]'
        )
    }
    assert "MfKQ9" not in "\n".join(faults_of(changes))


@given(st.permutations(sorted(DOCUMENTS)))
def test_the_version_is_of_the_documents_not_of_their_order(order: list[str]) -> None:
    assert version_of({path: DOCUMENTS[path] for path in order}) == version_of(DOCUMENTS)


@given(st.sampled_from(sorted(DOCUMENTS)), st.text(min_size=1, max_size=5))
def test_any_change_changes_the_version(path: str, more: str) -> None:
    assert version_of(DOCUMENTS | {path: DOCUMENTS[path] + more}) != version_of(DOCUMENTS)


@pytest.mark.parametrize(
    ("code", "holds"),
    [
        ("11450000007565194H2000115015005", True),
        ("11450000007565194H200011501500504", True),
        ("11450000007565194J2000115015005", False),
        ("11450000007565194H20001150150", False),
    ],
)
def test_an_implementation_code_is_checked_to_its_last_digit(code: str, holds: bool) -> None:
    path = "items/newborn-hukou.toml"
    documents = DOCUMENTS | {path: DOCUMENTS[path] + f'implementation = "{code}"\n'}
    if holds:
        assert read_directory(documents).items["newborn-hukou"].implementation == code
    else:
        (fault,) = faults_of(documents)
        assert f"{path}: implementation" in fault


def test_a_partners_credit_code_is_checked_to_its_last_digit() -> None:
    path = "partners/451300.toml"
    whole = DOCUMENTS | {path: partner("451300", 'credit_code = "11320000MB151840XJ"')}
    assert read_directory(whole).partners[PartnerId("451300")].credit_code == "11320000MB151840XJ"
    (fault,) = faults_of({path: partner("451300", 'credit_code = "11320000MB151840XK"')})
    assert f"{path}: credit_code" in fault


def bundle(lines: str = "", *, parts: str = "") -> dict[str, str | None]:
    """The samples' item as a bundle with the parts of ``parts``."""
    text = f'code = "newborn-hukou"\nname = "新生儿出生一件事"\nlead = "430423"\n{lines}\n{parts}'
    return {"bundles/newborn-hukou.toml": text}


PART = '[[parts]]\nname = "{name}"\nitem = "newborn-hukou"\nauthority = "430423"\nafter = [{after}]\n'


@pytest.mark.parametrize(
    ("lines", "parts", "words"),
    [
        ("", "", "expected either parts or route_item"),
        ('route_item = "newborn-hukou"', "", "answer: expected lead"),
        ("", PART.format(name="a", after='"b"') + PART.format(name="b", after=""), "parts.a.after"),
        ("", PART.format(name="a", after="") * 2, "expected each name once"),
        ("", PART.format(name="a", after="").replace('"430423"', '"999999"'), "partners/999999.toml"),
        ("", PART.format(name="a", after="").replace('item = "newborn-hukou"', 'item = "x"'), "items/x.toml"),
    ],
)
def test_a_bundle_whose_parts_could_never_all_open_is_refused(lines: str, parts: str, words: str) -> None:
    assert any(words in fault for fault in faults_of(bundle(lines, parts=parts)))


def test_a_bundle_is_read_with_its_parts_in_order() -> None:
    parts = PART.format(name="chusheng", after="") + PART.format(name="luohu", after='"chusheng"')
    documents = {
        **DOCUMENTS,
        **{path: text for path, text in bundle(parts=parts).items() if text is not None},
    }
    read = read_directory(documents).bundles["newborn-hukou"]
    assert [(part.name, part.after) for part in read.parts] == [("chusheng", ()), ("luohu", ("chusheng",))]
    assert read.answer == "broker"
