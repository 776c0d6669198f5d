"""The scheduler of ONE partner: a lane per case, one delivery in flight per lane, fair between lanes.

Mutable but pure: no clock, no I/O; time is an argument, what to do next is returned. Every operation is
O(1) amortised; an open lane with one entry costs about 300 bytes beside the entry itself. Source: design,
promise 4; issue 4 measured that a lane should keep its slot until it is empty.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable
from typing import Final, Generic, TypeVar

from broker.core.lane.lane import Lane, Node, Stand
from broker.core.lane.rate import TokenBucket

K = TypeVar("K", bound=Hashable)
E = TypeVar("E")

_COMPACT_ABOVE: Final = 64


class Lanes(Generic[K, E]):
    """Lanes by key, with entries in the order of their offers.

    A lane is in one of these: *waiting* (its head may be handed out), *in flight* (its head was), *held*
    (its head failed and waits in memory for :meth:`release`), or *parked* (nothing of it is in memory; what
    is offered to it is turned away, for the caller to store behind what it has stored).

    A lane whose entry settles keeps its slot for the next one, until it is empty or has had ``run`` in a row
    while others wait: so the busiest case is never idle, and yet starves nobody. ``run`` None: four times
    ``in_flight``. ``per_second`` 0: no limit of rate.
    """

    def __init__(self, *, in_flight: int = 64, per_second: float = 0.0, run: int | None = None) -> None:
        self._lanes: dict[K, Lane[K, E]] = {}
        self._kept: deque[Lane[K, E]] = deque()
        self._fresh: deque[Lane[K, E]] = deque()
        self._parked: set[K] = set()
        self._fixed_run = run
        self._entries = 0
        self._bytes = 0
        self._in_flight = 0
        self._held = 0
        self._stale = 0
        self._bucket: TokenBucket | None = None
        self.limit(in_flight=in_flight, per_second=per_second)

    def limit(self, *, in_flight: int, per_second: float) -> None:
        """Set the partner's limits. What is in flight beyond a lower limit settles; nothing new starts."""
        if in_flight < 1 or per_second < 0 or (self._fixed_run is not None and self._fixed_run < 1):
            raise ValueError("in_flight and run are at least 1, per_second at least 0")
        self._max_in_flight = in_flight
        self._run = self._fixed_run or 4 * in_flight
        if per_second != (self._bucket.per_second if self._bucket else 0.0):
            self._bucket = TokenBucket(per_second) if per_second else None

    def offer(self, lane_key: K, entry: E, size_bytes: int) -> bool:
        """Put ``entry`` at the end of its lane. False, and nothing taken, when the lane is parked."""
        if lane_key in self._parked:
            return False
        node = Node(entry, size_bytes)
        self._entries += 1
        self._bytes += size_bytes
        lane = self._lanes.get(lane_key)
        if lane is None:
            lane = self._lanes[lane_key] = Lane(lane_key, node)
            self._fresh.append(lane)
        else:
            lane.tail.behind = node
            lane.tail = node
        return True

    def ready(self, now_s: float, limit: int, limit_bytes: int | None = None) -> list[E]:
        """Hand out up to ``limit`` heads of different lanes, within the limits of flight and rate.

        ``now_s`` is monotonic. ``limit_bytes`` bounds their sum, but for one entry that is larger alone.
        Each entry handed out is to be answered by :meth:`settled`, :meth:`hold` or :meth:`park` of its lane.
        """
        room = min(limit, self._max_in_flight - self._in_flight)
        bucket = self._bucket
        if bucket is not None and room > 0:
            room = min(room, bucket.available(now_s))
        handed: list[E] = []
        total_bytes = 0
        while len(handed) < room:
            queue = self._kept or self._fresh
            if not queue:
                break
            lane = queue.popleft()
            if lane.stand is not Stand.WAITING:
                self._stale -= 1
                continue
            head = lane.head
            total_bytes += head.size_bytes
            if limit_bytes is not None and handed and total_bytes > limit_bytes:
                queue.appendleft(lane)
                break
            lane.stand = Stand.IN_FLIGHT
            handed.append(head.entry)
        self._in_flight += len(handed)
        if bucket is not None:
            bucket.spend(len(handed))
        return handed

    def wait_s(self, now_s: float) -> float | None:
        """Seconds until the rate lets the next head go (0: now); None: only an offer, answer or release helps."""
        if self._in_flight >= self._max_in_flight or not self.waiting:
            return None
        return self._bucket.wait_s(now_s) if self._bucket is not None else 0.0

    def token_wait_s(self, now_s: float) -> float:
        """Seconds until the rate allows one more delivery of any kind; 0: now."""
        return self._bucket.wait_s(now_s) if self._bucket is not None else 0.0

    def enter(self, now_s: float) -> bool:
        """Take a slot, and one of the rate's tokens, for a delivery outside the lanes. False: none is free.

        Each slot taken is given back by :meth:`leave`.
        """
        if self._in_flight >= self._max_in_flight:
            return False
        if self._bucket is not None:
            if not self._bucket.available(now_s):
                return False
            self._bucket.spend(1)
        self._in_flight += 1
        return True

    def leave(self) -> None:
        """A delivery outside the lanes has ended."""
        self._in_flight -= 1

    def settled(self, lane_key: K) -> None:
        """The entry in flight has ended: it leaves, and the one behind it may go. Raises ValueError: none is."""
        lane = self._flying(lane_key)
        head = lane.head
        self._in_flight -= 1
        self._entries -= 1
        self._bytes -= head.size_bytes
        behind = head.behind
        if behind is None:
            del self._lanes[lane_key]
            return
        lane.head = behind
        lane.stand = Stand.WAITING
        lane.run += 1
        if lane.run < self._run:
            self._kept.append(lane)
        else:
            lane.run = 0
            self._fresh.append(lane)

    def settled_late(self, lane_key: K, entry: E) -> None:
        """As :meth:`settled`, for an entry whose lane was dropped while it was in flight.

        The lane may have been parked since, or begun anew: then nothing of it is touched.
        """
        lane = self._lanes.get(lane_key)
        if lane is not None and lane.stand is Stand.IN_FLIGHT and lane.head.entry is entry:
            self.settled(lane_key)

    def hold(self, lane_key: K) -> None:
        """The entry in flight has failed: it stays at the head of its lane, which gives up its slot.

        The lane hands out nothing until :meth:`release`. Raises ValueError when nothing of it is in flight.
        """
        lane = self._flying(lane_key)
        lane.stand = Stand.HELD
        lane.run = 0
        self._in_flight -= 1
        self._held += 1

    def park(self, lane_key: K) -> list[E]:
        """Empty the lane and turn away what is offered to it, until :meth:`release`.

        Returns the entries *behind* the one in flight or held, in order: that one is the caller's already.
        Of a lane that is waiting, all its entries. A lane that is unknown is parked too (a restart says so
        of each lane that it finds parked in the store).
        """
        self._parked.add(lane_key)
        lane = self._lanes.pop(lane_key, None)
        if lane is None:
            return []
        first: Node[E] | None = lane.head
        if lane.stand is not Stand.WAITING:
            first = self._forget(lane.head)
        if lane.stand is Stand.IN_FLIGHT:
            self._in_flight -= 1
        self._leave_queue(lane)
        return self._take(first)

    def release(self, lane_key: K) -> bool:
        """A held lane's head may be handed out again; a parked lane takes offers again. False: it was neither."""
        if lane_key in self._parked:
            self._parked.remove(lane_key)
            return True
        lane = self._lanes.get(lane_key)
        if lane is None or lane.stand is not Stand.HELD:
            return False
        self._held -= 1
        lane.stand = Stand.WAITING
        self._fresh.append(lane)
        return True

    def drop(self, lane_key: K) -> list[E]:
        """Forget the lane (its partition was revoked), parked or not; returns what of it was not in flight.

        An entry in flight keeps its lane until it is answered: should the case come back meanwhile, what is
        offered anew waits behind it. Answer it by :meth:`settled`, whatever came of it.
        """
        self._parked.discard(lane_key)
        lane = self._lanes.get(lane_key)
        if lane is None:
            return []
        if lane.stand is Stand.IN_FLIGHT:
            behind, lane.head.behind = lane.head.behind, None
            lane.tail = lane.head
            return self._take(behind)
        del self._lanes[lane_key]
        self._leave_queue(lane)
        return self._take(lane.head)

    @property
    def open_lanes(self) -> int:
        """Lanes with entries in memory: waiting, in flight or held."""
        return len(self._lanes)

    @property
    def entries(self) -> int:
        """Entries in memory, those in flight and held included."""
        return self._entries

    @property
    def size_bytes(self) -> int:
        """The sizes of all entries in memory together, as they were offered."""
        return self._bytes

    @property
    def in_flight(self) -> int:
        """Deliveries under way, those outside the lanes included."""
        return self._in_flight

    @property
    def held(self) -> int:
        """Lanes that wait in memory for :meth:`release`."""
        return self._held

    @property
    def parked(self) -> int:
        """Lanes that turn offers away."""
        return len(self._parked)

    def is_parked(self, lane_key: K) -> bool:
        return lane_key in self._parked

    @property
    def waiting(self) -> int:
        """Lanes whose head waits for a slot."""
        return len(self._kept) + len(self._fresh) - self._stale

    def _flying(self, lane_key: K) -> Lane[K, E]:
        lane = self._lanes.get(lane_key)
        if lane is None or lane.stand is not Stand.IN_FLIGHT:
            raise ValueError("nothing of this lane is in flight")
        return lane

    def _leave_queue(self, lane: Lane[K, E]) -> None:
        """The lane is no more: account for where it stood. Its place in a queue is passed over later."""
        stand, lane.stand = lane.stand, Stand.GONE
        if stand is Stand.HELD:
            self._held -= 1
        elif stand is Stand.WAITING:
            self._stale += 1
            if self._stale > _COMPACT_ABOVE and self._stale > self.waiting:
                self._kept = deque(each for each in self._kept if each.stand is Stand.WAITING)
                self._fresh = deque(each for each in self._fresh if each.stand is Stand.WAITING)
                self._stale = 0

    def _forget(self, node: Node[E]) -> Node[E] | None:
        self._entries -= 1
        self._bytes -= node.size_bytes
        return node.behind

    def _take(self, node: Node[E] | None) -> list[E]:
        taken: list[E] = []
        while node is not None:
            taken.append(node.entry)
            node = self._forget(node)
        return taken
