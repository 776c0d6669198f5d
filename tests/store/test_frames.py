"""A frame gives its record back, and nothing else passes for one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.core.records import Position, Record
from broker.errors import Corrupt
from broker.store.delivering.frames import pack, unpack

_TEXTS = st.text(max_size=20)
_BYTES = st.binary(max_size=40)
_RECORDS = st.builds(
    Record,
    position=st.builds(
        Position,
        _TEXTS,
        st.integers(min_value=0, max_value=2**31 - 1),
        st.integers(min_value=0, max_value=2**63 - 1),
    ),
    timestamp_ms=st.integers(min_value=-1, max_value=2**63 - 1),
    key=_BYTES,
    value=_BYTES,
    headers=st.lists(st.tuples(_TEXTS, _BYTES), max_size=5).map(tuple),
)
_RECORD = Record(
    position=Position("tongban.outbox.430423", 3, 17),
    timestamp_ms=1772413200000,
    key=b"451300/1",
    value=b"\0\0\0\0\1value",
    headers=(("ce_id", b"m-1"), ("ce_id", b"twice")),
)


@given(record=_RECORDS)
def test_a_frame_gives_its_record_back(record: Record) -> None:
    assert unpack(pack(record)) == record


def test_the_bytes_of_a_frame_stay_as_they_are() -> None:
    """Frames of this release lie in databases: another layout needs another version."""
    assert pack(Record(position=Position("t", 1, 2), timestamp_ms=3, key=b"k", value=b"v", headers=(("h", b"x"),))) == (
        b"\x01" + (2).to_bytes(8, "big") + (3).to_bytes(8, "big") + (1).to_bytes(4, "big") + (1).to_bytes(4, "big")
        + b"\0\0\0\1t\0\0\0\1k\0\0\0\1v\0\0\0\1h\0\0\0\1x"
    )  # fmt: skip


def test_every_shortened_or_lengthened_frame_is_corrupt() -> None:
    frame = pack(_RECORD)
    for length in range(len(frame)):
        with pytest.raises(Corrupt):
            unpack(frame[:length])
    with pytest.raises(Corrupt):
        unpack(frame + b"\0")


@given(frame=st.binary(max_size=80))
def test_other_bytes_are_corrupt_and_nothing_worse(frame: bytes) -> None:
    try:
        record = unpack(frame)
    except Corrupt:
        return
    assert pack(record) == frame


def test_a_frame_of_a_later_version_is_told() -> None:
    with pytest.raises(Corrupt, match="version 2"):
        unpack(b"\2" + pack(_RECORD)[1:])


def test_a_header_name_that_is_no_text_is_corrupt() -> None:
    with pytest.raises(Corrupt):
        unpack(pack(_RECORD).replace(b"ce_id", b"ce_i\xff"))
