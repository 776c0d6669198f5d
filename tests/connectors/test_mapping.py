from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.mapping import MappingConflict, MappingOptions, PartnerMapping, mapping_faults

DATA: dict[str, object] = {
    "status": "granted",
    "note": "x",
    "sealed": {
        "applicant": {"name": "甲", "phone": "1"},
        "documents": [{"name": "a", "media_type": "application/pdf"}, {"name": "b"}],
    },
}
RULE = MappingOptions(
    fields={
        "status": "JG",
        "sealed.applicant.name": "sqr.xm",
        "sealed.documents[].media_type": "sealed.documents[].lx",
    },
    codes={"status": {"granted": "1", "denied": "2"}, "sealed.documents[].name": {"a": "甲类"}},
)


def test_outward() -> None:
    assert PartnerMapping([RULE]).outward("case.decided", DATA) == {
        "JG": "1",
        "note": "x",
        "sqr": {"xm": "甲"},
        "sealed": {
            "applicant": {"phone": "1"},
            "documents": [{"name": "甲类", "lx": "application/pdf"}, {"name": "b"}],
        },
    }


def test_inward_is_the_inverse() -> None:
    mapping = PartnerMapping([RULE])
    assert mapping.inward("case.decided", mapping.outward("case.decided", DATA)) == DATA


def test_without_rules_data_passes_untouched() -> None:
    assert PartnerMapping([]).outward("case.decided", DATA) is DATA


def test_rules_can_be_for_some_types_only() -> None:
    mapping = PartnerMapping([MappingOptions(fields={"note": "bz"}, types=("case.urged",))])
    assert mapping.outward("case.decided", DATA) == DATA
    assert "bz" in mapping.outward("case.urged", DATA)


def test_two_fields_may_change_names() -> None:
    mapping = PartnerMapping([MappingOptions(fields={"a": "b", "b": "a"})])
    assert mapping.outward("t", {"a": 1, "b": 2}) == {"b": 1, "a": 2}


def test_nothing_is_overwritten() -> None:
    with pytest.raises(MappingConflict):
        PartnerMapping([MappingOptions(fields={"status": "note"})]).outward("t", DATA)
    with pytest.raises(MappingConflict):
        PartnerMapping([MappingOptions(fields={"status": "note.x"})]).outward("t", DATA)


def test_a_code_that_would_be_another_s_translation_is_a_conflict() -> None:
    mapping = PartnerMapping([MappingOptions(codes={"status": {"1": "2"}})])
    with pytest.raises(MappingConflict):
        mapping.outward("t", {"status": "2"})


def test_faults_of_a_mapping_are_named() -> None:
    rule = MappingOptions(fields={"a": "x", "b": "x", "c[].d": "e"}, codes={"s": {"1": "9", "2": "9"}})
    assert [fault.key for fault in mapping_faults([rule])] == [
        "mapping.0.fields.b",
        "mapping.0.fields.c[].d",
        "mapping.0.codes.s",
    ]


NAMES = st.sampled_from(["a", "b", "c", "d", "e"])


@given(
    st.dictionaries(NAMES, st.sampled_from(["v", "w", "x", "y"])),
    st.dictionaries(NAMES, st.sampled_from(["p", "q", "r.s", "r.t", "a", "b"]), max_size=4),
    st.dictionaries(st.sampled_from(["v", "w", "x"]), st.sampled_from(["1", "2", "w", "y"]), max_size=3),
)
def test_whatever_goes_out_comes_back(
    data: dict[str, object], fields: dict[str, str], codes: dict[str, str]
) -> None:
    rule = MappingOptions(fields=fields, codes={"a": codes})
    if list(mapping_faults([rule])):
        return
    mapping = PartnerMapping([rule])
    before = dict(data)
    try:
        outward = mapping.outward("t", data)
    except MappingConflict:
        return
    assert data == before
    assert mapping.inward("t", outward) == before
