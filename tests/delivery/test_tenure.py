from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from broker.core.ids import PartnerId
from broker.core.records import Position, Record, TopicPartition
from broker.delivery.tenure import Tenure

PLACE = TopicPartition("tongban.outbox.430423", 0)


def record(offset: int) -> Record:
    return Record(
        position=Position(PLACE.topic, PLACE.partition, offset),
        timestamp_ms=0,
        key=b"",
        value=b"",
        headers=(),
    )


def source(partition: int, offset: int) -> Position:
    return Position("tongban.exchange", partition, offset)


def tenure(start: int = 0, marks: dict[int, int] | None = None) -> Tenure:
    made = Tenure(PLACE, PartnerId("430423"), assigned_ms=0)
    made.prepare(start, marks or {})
    return made


def test_what_does_not_rise_is_a_repeat() -> None:
    one = tenure(marks={3: 10})
    assert not one.begin(record(0), source(3, 10))
    assert one.begin(record(1), source(3, 11))
    assert one.begin(record(2), source(4, 0))
    assert not one.begin(record(3), source(3, 11))
    assert one.begin(record(4), None)


def test_marks_cover_finished_records_only() -> None:
    one = tenure()
    for offset in range(4):
        one.begin(record(offset), source(0, 100 + offset))
    one.finish(0)
    one.finish(2)
    assert one.due_commit() == 1
    assert one.marks_below(1) == {0: 100}
    one.committed(1, marks=True)
    assert one.due_commit() is None
    one.finish(1)
    assert one.due_commit() == 3
    assert one.marks_below(3) == {0: 102}


def test_marks_that_were_not_stored_are_given_again() -> None:
    one = tenure()
    one.begin(record(0), source(0, 5))
    one.finish(0)
    assert one.marks_below(1) == {0: 5}
    assert one.marks_below(1) == {0: 5}  # the first could not be written
    one.committed(1, marks=True)
    assert one.marks_below(1) is None


@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 30)), max_size=40), st.randoms(use_true_random=False)
)
def test_after_a_crash_nothing_unfinished_looks_like_a_repeat(
    sources: list[tuple[int, int]], draw: random.Random
) -> None:
    one, fresh, done = tenure(), set[int](), set[int]()
    for offset, (partition, at) in enumerate(sources):
        if one.begin(record(offset), source(partition, at)):
            fresh.add(offset)
            if draw.random() < 0.7:
                one.finish(offset)
                done.add(offset)
        else:
            done.add(offset)
    commit = one.due_commit() or 0
    marks = dict(one.marks_below(commit) or {})
    after = tenure(commit, marks)
    again = {
        offset
        for offset, (partition, at) in enumerate(sources)
        if offset >= commit and after.begin(record(offset), source(partition, at))
    }
    assert fresh - done <= again
    assert all(offset in done for offset in range(commit))
