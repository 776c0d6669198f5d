"""What every fake stands on: the clock, the seeded draws, the history, armed faults, and processes that die."""

from __future__ import annotations

import asyncio
import contextvars
from collections import Counter, defaultdict, deque
from collections.abc import Callable
from random import Random
from typing import Final

from broker.core.records import TopicPartition
from tests.simulation.history import Event, What
from tests.simulation.loop import OWNER, Killed, Process, State, VirtualLoop
from tests.simulation.plan import Pace

EPOCH_S: Final = 1_800_000_000.0
"""The wall clock's start, Unix seconds: some day in 2027."""


class WorldClock:
    """The broker's clock: the wall may jump, the monotonic one only rises."""

    def __init__(self, world: World) -> None:
        self._world = world

    def now_s(self) -> float:
        return self._world.wall_s()

    def monotonic_s(self) -> float:
        return self._world.loop.now_s


class World:
    """Shared by all fakes of one run."""

    def __init__(self, loop: VirtualLoop, seed: int, pace: Pace) -> None:
        self.loop: Final = loop
        self.pace: Final = pace
        self.random: Final = Random(f"world {seed}")
        self.history: Final[list[Event]] = []
        self.seen: Final[Counter[str]] = Counter()
        """What a campaign has to see, counted."""
        self.armed: Final[dict[str, deque[str]]] = defaultdict(deque)
        self.jumped_s = 0.0
        self.healthy = False
        """From the healing on no fault happens any more."""
        self.outside: Final = contextvars.Context()
        """The context of everything that outlives a worker."""
        self.processes: Final[list[Process]] = []
        self.on_death: Callable[[Process, str], None] = lambda process, how: None
        self.on_thaw: Callable[[Process], None] = lambda process: None
        self.deliveries = 0

    # time

    def wall_s(self) -> float:
        return EPOCH_S + self.loop.now_s + self.jumped_s

    def now_ms(self) -> int:
        return round(self.wall_s() * 1000)

    def later(self, delay_s: float, callback: Callable[..., object], *args: object) -> asyncio.TimerHandle:
        """Call outside every process: what is on its way arrives, whoever sent it may be dead."""
        return self.loop.call_later(delay_s, callback, *args, context=self.outside)

    def latency_s(self, most_s: float = 0.01) -> float:
        """How long a network and a machine take for one thing."""
        return 0.0005 + self.random.random() * most_s

    # the history

    def record(
        self,
        what: What,
        who: str = "",
        *,
        name: str = "",
        partner: str = "",
        case: str = "",
        place: TopicPartition | None = None,
        offset: int = -1,
        number: int = 0,
        detail: str = "",
        proof: str = "",
    ) -> None:
        self.history.append(
            Event(
                self.loop.now_s, who or self.who(), what, name, partner, case, place, offset, number, detail, proof
            )
        )  # fmt: skip

    def saw(self, what: str) -> None:
        """Something that a campaign has to see."""
        self.seen[what] += 1

    def who(self) -> str:
        owner = OWNER.get()
        return "world" if owner is None else owner.name

    # faults

    def arm(self, detail: str, count: int) -> None:
        """The next ``count`` calls of a port fail in a way: ``store.read:away``."""
        op, _, kind = detail.partition(":")
        self.armed[op].extend([kind] * count)

    def fault(self, op: str) -> str | None:
        """The fault of this very call, if one is armed."""
        waiting = self.armed.get(op)
        if not waiting or self.healthy:
            return None
        kind = waiting.popleft()
        self.record("fault", detail=f"{op}:{kind}")
        self.saw(f"fault {op}:{kind}")
        return kind

    def next_fault(self, op: str) -> str | None:
        """The fault that :meth:`fault` would tell, left in place."""
        waiting = self.armed.get(op)
        return waiting[0] if waiting and not self.healthy else None

    # processes

    def process(self) -> Process:
        """The process that runs now. Raises Killed when it is dead: nothing of it has an effect any more."""
        owner = OWNER.get()
        assert owner is not None, "a port was used outside a process"
        if owner.dead:
            raise Killed
        return owner

    def kill(self, process: Process) -> None:
        """kill -9: everything in its memory is gone; what it has sent may still take effect."""
        if process.dead:
            return
        process.state = State.DEAD
        self.record("process", process.name, detail="killed")
        self.on_death(process, "killed")

    def kill_here(self) -> None:
        """Kill the process that runs now, at this very statement."""
        process = self.process()
        self.kill(process)
        raise Killed

    def freeze(self, process: Process, for_s: float) -> None:
        """SIGSTOP, and SIGCONT after a while."""
        if process.state is not State.RUNNING:
            return
        process.state = State.FROZEN
        self.record("process", process.name, detail="frozen")
        self.later(for_s, self.thaw, process)

    def thaw(self, process: Process) -> None:
        if process.state is State.FROZEN:
            self.record("process", process.name, detail="thawed")
            self.loop.thaw(process)
            self.on_thaw(process)
