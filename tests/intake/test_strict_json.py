from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.intake.submitting.strict_json import MAX_DEPTH, NotStrict, read, read_array

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text('ab中😀"\\:,[]', max_size=3), inner, max_size=4)
    ),
    max_leaves=20,
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"", "UTF-8 JSON"),
        (b"{", "UTF-8 JSON"),
        (b"[1,]", "UTF-8 JSON"),
        (b"01", "UTF-8 JSON"),
        (b"1 2", "UTF-8 JSON"),
        (b"NaN", "UTF-8 JSON"),
        (b"[Infinity]", "UTF-8 JSON"),
        (b"1e999", ""),
        (b'"\xff"', "UTF-8 JSON"),
        (b'"\\ud800"', "UTF-8 JSON"),
        (b"\xef\xbb\xbf1", "UTF-8 JSON"),
        (b'{"a":1,"a":1}', "each key once"),
        (b'{"a":{"b":1,"\\u0062":2}}', "each key once"),
        (b"18446744073709551616", ""),
        (b"-9223372036854775809", ""),
        (b"9" * 5000, ""),
        (b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1), "levels"),
        (b'{"a":' * 100 + b"1" + b"}" * 100, "levels"),
        (b"[" * 100_000, ""),
    ],
)
def test_refuses(text: bytes, expected: str) -> None:
    with pytest.raises(NotStrict) as caught:
        read(text)
    assert expected in caught.value.error.expected


def test_takes_what_is_at_the_limits() -> None:
    assert read(b"18446744073709551615") == 2**64 - 1
    assert read(b"-9223372036854775808") == -(2**63)
    assert read(b"[" * MAX_DEPTH + b"]" * MAX_DEPTH) is not None
    assert read(b'["[[[[{{{{"]', depth=1) == ["[[[[{{{{"]


@given(VALUES, st.booleans())
def test_reads_what_json_reads(value: object, ascii_only: bool) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only).encode()
    assert read(text) == value


@given(st.lists(VALUES, max_size=5), st.sampled_from(["", " ", "\n\t "]), st.booleans())
def test_an_array_gives_each_elements_own_bytes(values: list[object], space: str, ascii_only: bool) -> None:
    parts = [json.dumps(value, ensure_ascii=ascii_only).encode() for value in values]
    gap = space.encode()
    body = gap + b"[" + gap + (gap + b"," + gap).join(parts) + gap + b"]" + gap
    found = read_array(body)
    assert [value for value, _, _ in found] == values
    assert [body[start:end] for _, start, end in found] == parts


@pytest.mark.parametrize("text", [b"{}", b'"[]"', b"1"])
def test_an_array_must_be_one(text: bytes) -> None:
    with pytest.raises(NotStrict):
        read_array(text)


def test_a_key_twice_within_an_element_is_refused() -> None:
    with pytest.raises(NotStrict):
        read_array(b'[{"a":1},{"a":1,"a":2}]')


FLAT = st.dictionaries(
    st.text('ab{}[]",:\\ 中', max_size=4),
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text('ab{}[]",:\\ 中', max_size=6),
    max_size=4,
)


@given(st.lists(FLAT, max_size=6), st.sampled_from([",", " ,\n"]), st.booleans())
def test_flat_objects_are_cut_at_their_own_braces(
    objects: list[object], between: str, ascii_only: bool
) -> None:
    parts = [json.dumps(each, ensure_ascii=ascii_only) for each in objects]
    body = f"[{between.join(parts)}]".encode()
    found = read_array(body)
    assert [body[start:end].decode() for _, start, end in found] == parts
    assert [value for value, _, _ in found] == objects


@pytest.mark.parametrize(
    "text",
    [
        '[{"a":1,"a":1},{"b":2}]',
        '[{"a":1},{"b":"x","b":"y"}]',
        '[{"a":{},"a":1}]',
        '[{"a":{"k":"v"},"a":1,"b":2}]',
        '[{"a":[{},{"x":1}],"a":1},{"b":2}]',
        '[{"a":"{","a":"}"}]',
        '[{"a":"}","a":"{"},{"a":"}"}]',
        '[{"a":[],"a":[]}]',
        '[{"a":1},{"b":18446744073709551616}]',
    ],
)
def test_no_element_hides_a_member_that_the_reader_dropped(text: str) -> None:
    with pytest.raises(NotStrict):
        read_array(text.encode())


def test_an_array_is_held_to_its_depth() -> None:
    assert len(read_array(b'[{"a":1}]', depth=2)) == 1
    with pytest.raises(NotStrict, match="levels"):
        read_array(b'[{"a":1}]', depth=1)
    with pytest.raises(NotStrict, match="levels"):
        read_array(b'[{"a":[1]}]', depth=2)
