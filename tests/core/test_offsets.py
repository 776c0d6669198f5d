from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from broker.core.lane.offsets import OffsetTracker, Window


def started(start: int, *offsets: int) -> OffsetTracker:
    tracker = OffsetTracker(start)
    for offset in offsets:
        tracker.started(offset, 10)
    return tracker


@pytest.mark.parametrize(
    ("offsets", "finished", "safe", "above"),
    [
        ((), (), 5, 0),  # nothing read: where reading begins
        ((5, 6, 7), (), 5, 0),
        ((5, 6, 7), (6,), 5, 1),
        ((5, 6, 7), (6, 7), 5, 2),
        ((5, 6, 7), (5,), 6, 0),
        ((5, 6, 7), (6, 5), 7, 0),
        ((5, 6, 7), (7, 5, 6), 8, 0),
        ((5, 9, 20), (5,), 9, 0),  # gaps (compaction, transactions) are nobody's
        ((5, 9, 20), (5, 20), 9, 1),
        ((5, 9, 20), (5, 9, 20), 21, 0),
        ((1000,), (), 1000, 0),  # the first offset may lie above the start: retention
    ],
)
def test_safe_is_the_lowest_unfinished(
    offsets: tuple[int, ...], finished: tuple[int, ...], safe: int, above: int
) -> None:
    tracker = started(5, *offsets)
    for offset in finished:
        assert tracker.finished(offset)
    assert tracker.safe == safe
    assert tracker.finished_above_safe() == above
    assert list(tracker.unfinished()) == [each for each in offsets if each not in finished]


@pytest.mark.parametrize(
    ("offsets", "finished", "window"),
    [
        ((), (), None),
        ((5, 6, 7), (), None),
        ((5, 6, 7), (5,), None),
        ((5, 6, 7), (5, 6, 7), None),
        ((5, 6, 7), (6,), Window(5, [5], 7)),
        ((5, 6, 7, 8), (5, 7), Window(6, [6], 8)),
        ((5, 6, 7, 8, 9), (6, 8), Window(5, [5, 7], 9)),
        ((5, 9, 20), (20,), Window(5, [5, 9], 21)),
        ((5, 9, 20), (9,), Window(5, [5], 10)),
    ],
)
def test_the_window_above_the_commit(
    offsets: tuple[int, ...], finished: tuple[int, ...], window: Window | None
) -> None:
    tracker = started(5, *offsets)
    for offset in finished:
        tracker.finished(offset)
    assert tracker.window() == window
    assert tracker.changes == len(finished)


def test_bytes_and_counts() -> None:
    tracker = started(0, 0, 1, 2)
    assert (tracker.pending, tracker.pending_bytes, tracker.next) == (3, 30, 3)
    tracker.finished(1)
    assert (tracker.pending, tracker.pending_bytes) == (2, 20)


def test_finishing_twice_or_what_never_started_changes_nothing() -> None:
    tracker = started(0, 0, 1)
    assert tracker.finished(1)
    assert not tracker.finished(1)
    assert not tracker.finished(99)
    assert (tracker.safe, tracker.pending, tracker.pending_bytes) == (0, 1, 10)


@pytest.mark.parametrize("offset", [4, 5, 6])
def test_an_offset_that_does_not_rise_is_refused(offset: int) -> None:
    tracker = started(5, 5, 6)
    tracker.finished(6)
    with pytest.raises(ValueError, match="does not rise"):
        tracker.started(offset, 10)


def test_no_negative_start() -> None:
    with pytest.raises(ValueError, match="from 0"):
        OffsetTracker(-1)


def test_a_long_finished_run_leaves_nothing_behind() -> None:
    tracker = OffsetTracker(0)
    for offset in range(100_000):
        tracker.started(offset, 1)
        if offset:  # always one unfinished, so that the window is never empty
            tracker.finished(offset - 1)
    assert tracker.safe == 99_999
    assert len(tracker._started) <= 2 * 4096 + 2  # trimmed once 4,096 finished ones are half of it


class OffsetMachine(RuleBasedStateMachine):
    """Any order of endings: ``safe`` is never above the lowest unfinished offset, and never falls."""

    @initialize(start=st.integers(0, 50))
    def begin(self, start: int) -> None:
        self.tracker = OffsetTracker(start)
        self.next = start
        self.pending: dict[int, int] = {}
        self.read: list[int] = []
        self.safe_before = start

    @rule(gap=st.sampled_from([0, 0, 0, 1, 7, 5000]), size=st.integers(0, 9), count=st.integers(1, 20))
    def read_on(self, gap: int, size: int, count: int) -> None:
        self.next += gap
        for _ in range(count):
            self.tracker.started(self.next, size)
            self.pending[self.next] = size
            self.read.append(self.next)
            self.next += 1

    @precondition(lambda self: self.pending)
    @rule(data=st.data(), count=st.integers(1, 30))
    def finish_some(self, data: st.DataObject, count: int) -> None:
        for offset in data.draw(st.permutations(sorted(self.pending)))[:count]:
            del self.pending[offset]
            assert self.tracker.finished(offset)

    @rule(offset=st.integers(0, 300))
    def finish_anything(self, offset: int) -> None:
        assert self.tracker.finished(offset) is (self.pending.pop(offset, None) is not None)

    @invariant()
    def agrees_with_the_plain_model(self) -> None:
        tracker = self.tracker
        lowest = min(self.pending, default=self.next if self.read else tracker.safe)
        assert tracker.safe == (
            lowest if self.pending else (self.read[-1] + 1 if self.read else self.safe_before)
        )
        assert tracker.safe >= self.safe_before or not self.read
        self.safe_before = tracker.safe
        assert tracker.pending == len(self.pending)
        assert tracker.pending_bytes == sum(self.pending.values())
        assert list(tracker.unfinished()) == sorted(self.pending)
        done_above = [each for each in self.read if each > tracker.safe and each not in self.pending]
        assert tracker.finished_above_safe() == len(done_above)
        window = tracker.window()
        assert (window is None) == (not done_above)
        if window is not None:
            assert (window.safe, window.end) == (tracker.safe, max(done_above) + 1)
            assert window.unfinished == [each for each in sorted(self.pending) if each < window.end]


TestOffsets = OffsetMachine.TestCase
TestOffsets.settings = settings(max_examples=80, stateful_step_count=40, deadline=None)
