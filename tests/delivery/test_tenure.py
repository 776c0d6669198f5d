from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from broker.core.ids import MessageId, PartnerId, Party
from broker.core.lane.offset_map import OffsetMap, decode, digest
from broker.core.records import Position, Record, TopicPartition
from broker.delivery.assigned.tenure import Due, Tenure
from broker.store.delivering.blocked import Release

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


def tenure(start: int = 0, marks: dict[int, int] | None = None, known: OffsetMap | None = None) -> Tenure:
    made = Tenure(PLACE, PartnerId("430423"))
    made.prepare(start, marks or {}, known, "d" * 32 if known is not None else "")
    return made


def due(one: Tenure, now_s: float = 100.0) -> Due:
    found = one.due(now_s)
    assert found is not None
    return found


def said(found: Due) -> list[int]:
    """The offsets that a note calls finished."""
    if not found.note.text:
        return []
    read = decode(found.note.text, base=found.offset, log_end=10**6)
    return [offset for each in read.finished for offset in each]


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
    first = due(one)
    assert (first.offset, first.marks, said(first)) == (1, {0: 100}, [2])
    one.committed(first, 100)
    assert one.due(1000) is None
    one.finish(1)
    second = due(one)
    assert (second.offset, second.marks, said(second)) == (3, {0: 102}, [])


def test_marks_that_were_not_stored_are_given_again() -> None:
    one = tenure()
    one.begin(record(0), source(0, 5))
    one.finish(0)
    assert due(one).marks == {0: 5}
    again = due(one)  # the first could not be written
    assert again.marks == {0: 5}
    one.committed(again, 100)
    one.begin(record(1), None)
    one.finish(1)
    assert due(one).marks is None


def test_a_commit_counts_once_it_is_acknowledged_and_not_when_it_is_sent() -> None:
    """Parallel Consumer marked a partition clean when it sent the commit: what ended meanwhile was never committed."""
    one = tenure()
    for offset in range(40):
        one.begin(record(offset), None)
    one.finish(0)
    sent = due(one)
    for offset in range(10, 30):
        one.finish(offset)  # ends while the commit is on its way
    lost = due(one)  # the first was never acknowledged: all of it is still to be committed
    assert (lost.offset, said(lost)) == (1, list(range(10, 30)))
    one.committed(sent, 100)
    after = due(one, 100.6)
    assert (after.offset, said(after)) == (1, list(range(10, 30)))
    one.committed(after, 100.6)
    assert one.due(200) is None


def test_a_note_alone_is_committed_now_and_then_but_at_once_when_the_tenure_ends() -> None:
    one = tenure()
    for offset in range(100):
        one.begin(record(offset), None)
    for offset in range(20, 36):
        one.finish(offset)
    one.committed(due(one, 10), 10)
    for offset in range(40, 55):
        one.finish(offset)
    assert one.due(10.6) is None  # 15 are not worth it yet
    assert one.due(11.1) is not None
    one.finish(55)
    assert one.due(10.05) is None
    assert one.due(10.15) is not None
    one.closing = True
    assert said(due(one, 10.1)) == [*range(20, 36), *range(40, 56)]


def test_a_note_that_had_to_be_cut_is_not_made_anew_every_time() -> None:
    one = tenure()
    for offset in range(40_000):
        one.begin(record(offset), None)
    one.finish(0)
    draw = random.Random(2)
    for offset in range(5, 40_000):
        if draw.random() < 0.5:
            one.finish(offset)
    one.finish(1)
    found = due(one, 10)
    assert found.note.left_out > 0
    assert (found.note.covered, len(found.note.text) <= 4096) == (len(said(found)), True)
    one.committed(found, 10)
    one.finish(2)
    assert one.due(10.05) is None
    assert due(one, 10.5).offset == 3


def test_a_digest_names_the_note_and_the_one_acknowledged_before() -> None:
    one = tenure(known=OffsetMap(base=0, end=3, finished=(range(2, 3),)))
    for offset in range(6):
        one.begin(record(offset), None)
    one.finish(5)
    first = due(one)
    assert first.digests == (digest(0, first.note.text), "d" * 32)
    again = due(one)  # not acknowledged: what the group has is still the one before
    assert again.digests[1] == "d" * 32
    one.committed(again, 100)
    one.finish(3)
    assert due(one, 200).digests[1:] == again.digests[:1]


def test_what_was_taken_from_the_desk_is_stored_before_the_commit_that_covers_it() -> None:
    one = tenure()
    for offset in range(4):
        one.begin(record(offset), None)
    first, second = (
        Release(partner=PartnerId("430423"), source=Party("451300"), id=MessageId(str(at)), outbox_offset=at)
        for at in (1, 2)
    )
    one.unblocked.extend((first, second))
    one.finish(0)
    one.finish(2)
    assert due(one).releases == ()  # finished above the commit is not enough: what is before it was not
    one.finish(1)
    one.begin(record(4), None)
    found = due(one)
    assert found.releases == (first, second)
    assert due(one).releases == (first, second)
    one.committed(found, 100)
    assert not one.unblocked


def test_what_the_note_calls_finished_is_passed_over_in_its_order() -> None:
    known = OffsetMap(base=10, end=15, finished=(range(12, 13), range(14, 15)))
    one = tenure(10, {0: 100}, known)
    passed = []
    for offset in range(10, 17):
        assert one.begin(record(offset), source(0, 101 + offset))  # its source is seen all the same
        if one.was_finished(offset):
            one.finish(offset)
            passed.append(offset)
    assert passed == [12, 14]
    assert not one.begin(record(17), source(0, 115))  # a repeat of what was passed over
    one.finish(10)
    assert due(one).marks == {0: 111}  # of the record below the commit only
    assert (due(one).offset, said(due(one))) == (11, [12, 14, 17])


def test_what_is_known_of_records_not_read_yet_is_in_the_next_note() -> None:
    known = OffsetMap(base=10, end=30, finished=(range(12, 14), range(20, 30)))
    one = tenure(10, {}, known)
    for offset in (10, 11, 12):
        one.begin(record(offset), None)
    one.finish(12)
    one.finish(10)
    found = due(one)
    assert (found.offset, said(found)) == (11, [12, 13, *range(20, 30)])
    one.committed(found, 100)
    one.finish(11)  # nothing is unfinished of what was read, and the next one is known to be finished
    found = due(one)
    assert (found.offset, said(found)) == (13, [*range(20, 30)])


def test_a_stale_note_holds_no_offset_for_good() -> None:
    """Parallel Consumer dropped records after a rebalance because an old entry stood at their offset."""
    one = tenure(5, {}, OffsetMap(base=5, end=8, finished=(range(6, 8),)))
    for offset in (5, 6, 7, 8):
        one.begin(record(offset), None)
    assert not one.was_finished(8)
    assert not one.was_finished(6)  # it has been passed: nothing of it is kept


def test_results_of_an_old_assignment_do_not_touch_the_note_of_the_new_one() -> None:
    old, new = tenure(), tenure()
    for each in (old, new):
        for offset in range(3):
            each.begin(record(offset), None)
    old.alive = False
    old.finish(2)
    assert new.due(100) is None
    assert (old.pending, new.pending) == (2, 3)


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
    found = one.due(100)
    commit = found.offset if found is not None else 0
    text = found.note.text if found is not None else ""
    known = decode(text, base=commit, log_end=len(sources)) if text else None
    after = tenure(commit, dict((found.marks if found is not None else None) or {}), known)
    again = {
        offset
        for offset, (partition, at) in enumerate(sources)
        if offset >= commit
        and after.begin(record(offset), source(partition, at))
        and not after.was_finished(offset)
    }
    assert again == fresh - done
    assert all(offset in done for offset in range(commit))


@given(st.data())
def test_over_any_number_of_restarts_the_note_claims_what_has_ended_and_only_that(
    data: st.DataObject,
) -> None:
    """Counters that drift, stale maps, carried claims: the model is a plain set of ended offsets."""
    size = data.draw(st.integers(1, 60))
    ended: set[int] = set()
    one, committed, now_s = tenure(), 0, 0.0
    for _ in range(data.draw(st.integers(1, 6))):
        read = data.draw(st.integers(0, size))
        while one.next < read:
            offset = one.next
            one.begin(record(offset), source(0, offset))
            if one.was_finished(offset):
                assert offset in ended
                one.finish(offset)
        for offset in data.draw(st.lists(st.integers(committed, max(committed, one.next - 1)), max_size=20)):
            if offset < one.next:
                one.finish(offset)
                ended.add(offset)
        now_s += data.draw(st.sampled_from([0.0, 1.0, 10.0]))
        found = one.due(now_s)
        if found is None:
            continue
        assert found.offset >= committed
        claimed = set(range(found.offset)) | set(said(found))
        assert claimed <= ended
        assert ended - claimed <= {found.offset}  # but for the next record, known to be finished and not read
        committed = found.offset
        one.committed(found, now_s)
        if data.draw(st.booleans()):
            known = decode(found.note.text, base=committed, log_end=size) if found.note.text else None
            one = tenure(committed, {}, known)
