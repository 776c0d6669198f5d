from __future__ import annotations

from collections import deque

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from broker.core.lane.lanes import Lanes

Entry = tuple[str, int]


def offered(
    *names: str, in_flight: int = 64, per_second: float = 0.0, run: int | None = None
) -> Lanes[str, Entry]:
    """Lanes with one entry for each name, numbered within its lane, of 100 bytes each."""
    lanes: Lanes[str, Entry] = Lanes(in_flight=in_flight, per_second=per_second, run=run)
    count: dict[str, int] = {}
    for name in names:
        count[name] = count.get(name, 0) + 1
        assert lanes.offer(name, (name, count[name]), 100)
    return lanes


def test_one_in_flight_per_lane_and_order_within_it() -> None:
    lanes = offered("a", "a", "b", "a")
    assert lanes.ready(0, 10) == [("a", 1), ("b", 1)]
    assert lanes.ready(0, 10) == []
    lanes.settled("a")
    assert lanes.ready(0, 10) == [("a", 2)]
    lanes.settled("a")
    lanes.settled("b")
    assert lanes.ready(0, 10) == [("a", 3)]
    lanes.settled("a")
    assert (lanes.open_lanes, lanes.entries, lanes.size_bytes, lanes.in_flight) == (0, 0, 0, 0)


def test_a_lane_keeps_its_slot_until_it_is_empty() -> None:
    lanes = offered("hot", "hot", "hot", "x", "y", in_flight=1)
    order = []
    while handed := lanes.ready(0, 1):
        order += handed
        lanes.settled(handed[0][0])
    assert order == [("hot", 1), ("hot", 2), ("hot", 3), ("x", 1), ("y", 1)]


def test_a_hot_lane_gives_way_after_its_run() -> None:
    lanes = offered(*["hot"] * 6, "x", "y", in_flight=1, run=2)
    order = []
    while handed := lanes.ready(0, 1):
        order.append("".join(map(str, handed[0])))
        lanes.settled(handed[0][0])
    assert order == ["hot1", "hot2", "x1", "y1", "hot3", "hot4", "hot5", "hot6"]


def test_deliveries_outside_the_lanes_take_slots_and_tokens_of_the_same_limits() -> None:
    lanes = offered("a", "b", "c", in_flight=2)
    assert lanes.enter(0)
    assert lanes.ready(0, 10) == [("a", 1)]
    assert not lanes.enter(0)
    assert lanes.ready(0, 10) == []
    lanes.leave()
    assert lanes.ready(0, 10) == [("b", 1)]
    slow = offered("a", in_flight=10, per_second=1.0)
    assert slow.enter(0)
    assert not slow.enter(0)
    assert slow.ready(0, 1) == []
    assert slow.token_wait_s(0) == pytest.approx(1.0)
    assert slow.ready(1, 1) == [("a", 1)]


def test_the_run_is_four_times_the_flight() -> None:
    lanes = offered(*["hot"] * 9, "x", in_flight=2)  # x has the second slot: nobody waits
    assert lanes.ready(0, 2) == [("hot", 1), ("x", 1)]
    lanes.offer("y", ("y", 1), 1)
    lanes.offer("z", ("z", 1), 1)
    lanes.settled("x")
    assert lanes.ready(0, 1) == [("y", 1)]  # z still waits
    for number in range(1, 8):
        lanes.settled("hot")
        assert lanes.ready(0, 1) == [("hot", number + 1)]
    lanes.settled("hot")  # the eighth: 4 x 2
    assert lanes.ready(0, 1) == [("z", 1)]


def test_limits_of_flight_and_of_a_batch() -> None:
    lanes = offered("a", "b", "c", "d", in_flight=3)
    assert len(lanes.ready(0, 2)) == 2
    assert len(lanes.ready(0, 9)) == 1
    lanes.limit(in_flight=1, per_second=0)
    lanes.settled("a")
    lanes.settled("b")
    assert lanes.ready(0, 9) == []  # one is in flight still
    lanes.settled("c")
    assert lanes.ready(0, 9) == [("d", 1)]


def test_a_limit_of_bytes_lets_one_larger_entry_go_alone() -> None:
    lanes: Lanes[str, int] = Lanes()
    for name, size in (("a", 500), ("b", 40), ("c", 60), ("d", 1)):
        lanes.offer(name, size, size)
    assert lanes.ready(0, 9, limit_bytes=100) == [500]
    assert lanes.ready(0, 9, limit_bytes=100) == [40, 60]  # 40 + 60 = 100; with 1 more it would be 101
    assert lanes.ready(0, 9, limit_bytes=100) == [1]


def test_a_limit_of_rate() -> None:
    lanes = offered(*"abcdefgh", per_second=2.0)
    assert len(lanes.ready(10.0, 9)) == 2  # one second's worth is saved up
    assert lanes.ready(10.0, 9) == []
    assert lanes.wait_s(10.0) == pytest.approx(0.5)
    assert len(lanes.ready(10.5, 9)) == 1
    assert len(lanes.ready(60.0, 9)) == 2  # and never more than that
    assert lanes.wait_s(60.25) == pytest.approx(0.25)


def test_what_to_wait_for() -> None:
    lanes = offered("a", "a", in_flight=1)
    assert lanes.wait_s(0) == 0.0
    lanes.ready(0, 1)
    assert lanes.wait_s(0) is None  # only an answer helps
    lanes.settled("a")
    assert lanes.wait_s(0) == 0.0
    assert Lanes[str, int]().wait_s(0) is None


def test_a_held_lane_gives_up_its_slot_and_comes_back_in_order() -> None:
    lanes = offered("a", "a", "b", in_flight=1)
    assert lanes.ready(0, 1) == [("a", 1)]
    lanes.hold("a")
    assert (lanes.held, lanes.in_flight) == (1, 0)
    assert lanes.ready(0, 9) == [("b", 1)]
    lanes.settled("b")
    assert lanes.ready(0, 9) == []
    assert lanes.release("a")
    assert not lanes.release("a")
    assert lanes.ready(0, 9) == [("a", 1)]
    lanes.settled("a")
    assert lanes.ready(0, 9) == [("a", 2)]


def test_parking_returns_what_waited_behind_and_turns_the_rest_away() -> None:
    lanes = offered("a", "a", "a", "b")
    lanes.ready(0, 1)
    assert lanes.park("a") == [("a", 2), ("a", 3)]  # a1 was in flight: the caller has it
    assert not lanes.offer("a", ("a", 4), 100)
    assert (lanes.parked, lanes.is_parked("a"), lanes.in_flight, lanes.entries) == (1, True, 0, 1)
    assert lanes.release("a")
    assert lanes.offer("a", ("a", 1), 100)
    assert lanes.ready(0, 9) == [("b", 1), ("a", 1)]


def test_parking_a_held_a_waiting_and_an_unknown_lane() -> None:
    lanes = offered("a", "a", "b", "b")
    lanes.ready(0, 1)
    lanes.hold("a")
    assert lanes.park("a") == [("a", 2)]
    assert lanes.park("b") == [("b", 1), ("b", 2)]
    assert lanes.park("c") == []
    assert (lanes.parked, lanes.held, lanes.open_lanes, lanes.size_bytes) == (3, 0, 0, 0)
    assert lanes.ready(0, 9) == []
    assert lanes.wait_s(0) is None


def test_a_dropped_lane_in_flight_stays_until_it_is_answered() -> None:
    lanes = offered("a", "a", "b", "b")
    lanes.ready(0, 1)
    assert lanes.drop("a") == [("a", 2)]
    assert lanes.drop("b") == [("b", 1), ("b", 2)]
    assert lanes.drop("z") == []
    assert lanes.offer("a", ("a", 9), 100)  # the partition came back while a1 is still under way
    assert lanes.ready(0, 9) == []
    lanes.settled("a")
    assert lanes.ready(0, 9) == [("a", 9)]


@pytest.mark.parametrize("key", ["a", "unknown"])
def test_answers_to_nothing_are_refused(key: str) -> None:
    lanes = offered("a")
    with pytest.raises(ValueError, match="in flight"):
        lanes.settled(key)
    with pytest.raises(ValueError, match="in flight"):
        lanes.hold(key)


@pytest.mark.parametrize(("in_flight", "per_second", "run"), [(0, 0, 1), (1, -1, 1), (1, 0, 0)])
def test_limits_out_of_range(in_flight: int, per_second: float, run: int) -> None:
    with pytest.raises(ValueError, match="at least"):
        Lanes[str, int](in_flight=in_flight, per_second=per_second, run=run)


def test_places_of_dropped_lanes_do_not_pile_up() -> None:
    lanes: Lanes[int, int] = Lanes()
    for number in range(10_000):
        lanes.offer(number, number, 1)
        lanes.drop(number)
    assert len(lanes._fresh) <= 130  # twice the 64 from which on queues are compacted, and the ones in hand


def test_a_hundred_hot_lanes_starve_no_cold_one() -> None:
    lanes: Lanes[str, str] = Lanes(in_flight=10)
    flying: deque[str] = deque()
    for lane in range(100):
        lanes.offer(f"hot{lane}", f"hot{lane}", 1)
        lanes.offer(f"hot{lane}", f"hot{lane}", 1)
    lanes.offer("cold", "cold", 1)
    for _ in range(100 * 40 + 1):  # every hot lane may have one run of 4 x 10 before it
        flying.extend(lanes.ready(0, 10))
        if "cold" in flying:
            break
        name = flying.popleft()
        lanes.offer(name, name, 1)  # hot lanes never run empty
        lanes.settled(name)
    assert "cold" in flying


class LanesMachine(RuleBasedStateMachine):
    """A model of plain lists beside the scheduler: order, one in flight, nothing lost, limits kept."""

    names = st.sampled_from("abcdefgh")

    @initialize(
        in_flight=st.integers(1, 5),
        per_second=st.sampled_from([0.0, 0.7, 3.0]),
        run=st.none() | st.integers(1, 3),
    )
    def start(self, in_flight: int, per_second: float, run: int | None) -> None:
        self.lanes: Lanes[str, tuple[str, int]] = Lanes(in_flight=in_flight, per_second=per_second, run=run)
        self.max_in_flight = in_flight
        self.per_second = per_second
        self.now = 0.0
        self.handed_total = 0
        self.next = 0
        self.model: dict[str, deque[tuple[str, int]]] = {}
        self.flying: dict[str, tuple[str, int]] = {}
        self.held: set[str] = set()
        self.parked: set[str] = set()

    @rule(name=names)
    def offer(self, name: str) -> None:
        self.next += 1
        entry = (name, self.next)
        taken = self.lanes.offer(name, entry, self.next)
        assert taken is (name not in self.parked)
        if taken:
            self.model.setdefault(name, deque()).append(entry)

    @rule(
        limit=st.integers(0, 6),
        elapsed_s=st.sampled_from([0.0, 0.1, 1.0, 9.0]),
        bound=st.none() | st.integers(1, 60),
    )
    def hand_out(self, limit: int, elapsed_s: float, bound: int | None) -> None:
        self.now += elapsed_s
        could = [name for name in self.model if name not in self.flying and name not in self.held]
        wait_s = self.lanes.wait_s(self.now)
        handed = self.lanes.ready(self.now, limit, bound)
        assert len(handed) <= limit
        assert bound is None or len(handed) <= 1 or sum(entry[1] for entry in handed) <= bound
        for entry in handed:
            assert entry[0] in could
            assert entry[0] not in self.flying
            assert entry == self.model[entry[0]][0], "the oldest of its lane"
            self.flying[entry[0]] = entry
        self.handed_total += len(handed)
        if self.per_second:
            assert self.handed_total <= max(1.0, self.per_second) + self.now * self.per_second + 1e-4
        if limit and could and wait_s == 0.0:
            assert handed, "work, room and a token: something must go"
        if not handed and limit and could and len(self.flying) < self.max_in_flight:
            assert wait_s is not None
            assert wait_s > 0

    @precondition(lambda self: self.flying)
    @rule(data=st.data())
    def settle(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.flying)))
        self.lanes.settled(name)
        assert self.model[name].popleft() == self.flying.pop(name)
        self._forget_if_empty(name)

    @precondition(lambda self: self.flying)
    @rule(data=st.data())
    def fail(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.flying)))
        self.lanes.hold(name)
        del self.flying[name]
        self.held.add(name)

    @rule(name=names)
    def park(self, name: str) -> None:
        waiting = list(self.model.pop(name, ()))
        if name in self.flying or name in self.held:
            waiting = waiting[1:]
        self.flying.pop(name, None)
        self.held.discard(name)
        self.parked.add(name)
        assert self.lanes.park(name) == waiting

    @rule(name=names)
    def release(self, name: str) -> None:
        assert self.lanes.release(name) is (name in self.held or name in self.parked)
        self.held.discard(name)
        self.parked.discard(name)

    @rule(name=names)
    def drop(self, name: str) -> None:
        waiting = list(self.model.pop(name, ()))
        if name in self.flying:
            self.model[name] = deque(waiting[:1])
            waiting = waiting[1:]
        self.held.discard(name)
        self.parked.discard(name)
        assert self.lanes.drop(name) == waiting

    @rule(in_flight=st.integers(1, 5))
    def change_limit(self, in_flight: int) -> None:
        self.max_in_flight = in_flight
        self.lanes.limit(in_flight=in_flight, per_second=self.per_second)

    def _forget_if_empty(self, name: str) -> None:
        if not self.model[name]:
            del self.model[name]

    @invariant()
    def counts_agree(self) -> None:
        entries = [entry for lane in self.model.values() for entry in lane]
        assert self.lanes.entries == len(entries)
        assert self.lanes.size_bytes == sum(entry[1] for entry in entries)
        assert self.lanes.open_lanes == len(self.model)
        assert self.lanes.in_flight == len(self.flying)
        assert self.lanes.held == len(self.held)
        assert self.lanes.parked == len(self.parked)

    def teardown(self) -> None:
        """Everything still there comes out, in order: nothing is lost and nothing is stuck."""
        if not hasattr(self, "lanes"):
            return
        for name in [*self.held]:
            self.release(name)
        while self.model:
            for name in [*self.flying]:
                self.lanes.settled(name)
                assert self.model[name].popleft() == self.flying.pop(name)
                self._forget_if_empty(name)
            self.hand_out(6, 9.0, None)
            assert self.flying or not self.model


TestLanes = LanesMachine.TestCase
TestLanes.settings = settings(max_examples=150, stateful_step_count=60, deadline=None)
