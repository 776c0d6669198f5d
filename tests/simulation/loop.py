"""A deterministic event loop: virtual time, a seeded order of what is ready, processes that die and freeze.

No input or output, no threads, no real clock. Time jumps to the next timer when nothing is ready, so that days
pass in milliseconds. Nothing ready and no timer left is a deadlock, and an error.
"""

from __future__ import annotations

import asyncio
import contextvars
import heapq
from collections import deque
from collections.abc import Callable, Coroutine
from enum import Enum
from random import Random
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

T = TypeVar("T")


class Deadlock(RuntimeError):
    """Nothing is ready, no timer runs, and the simulation has not ended."""


class Livelock(RuntimeError):
    """More steps than any honest run takes: something turns in a circle."""


class Killed(BaseException):
    """Thrown into a process at the step where it is killed: no ``except Exception`` of its own sees it."""


class State(Enum):
    RUNNING = "running"
    FROZEN = "frozen"
    DEAD = "dead"


class Process:
    """A process of the virtual world: whatever is started in its context is its own, and dies with it."""

    def __init__(self, name: str) -> None:
        self.name: Final = name
        self.state = State.RUNNING
        self.aside: deque[_Handle] = deque()
        self.tasks: list[asyncio.Task[Any]] = []
        self.decided = 0
        """The loop's step at which it last made a message ready to be sent."""
        self.thawed = -1
        """The step at which it last went on after it was frozen."""

    @property
    def dead(self) -> bool:
        return self.state is State.DEAD


OWNER: Final[contextvars.ContextVar[Process | None]] = contextvars.ContextVar("owner", default=None)


class _Task(asyncio.Task[T]):
    """A task whose place in a set does not depend on its address."""

    def __init__(self, coroutine: Coroutine[Any, Any, T], *, number: int, **options: Any) -> None:
        self._number = number
        super().__init__(coroutine, **options)

    def __hash__(self) -> int:
        return self._number


class _Handle(asyncio.Handle):
    """asyncio's handle with what this loop needs of it, made in a third of the time."""

    __slots__ = ()

    def __init__(
        self, callback: Callable[..., object], args: tuple[Any, ...], context: contextvars.Context | None
    ) -> None:
        self._callback: Callable[..., object] | None = callback
        self._args = args
        self._context = contextvars.copy_context() if context is None else context
        self._cancelled = False

    def cancel(self) -> None:
        self._cancelled = True
        self._callback = None
        self._args = ()


class _Timer(_Handle):
    __slots__ = ("_at_s",)
    _at_s: float

    def when(self) -> float:
        return self._at_s


if TYPE_CHECKING:  # to the type checker a loop whose forty other methods exist
    from asyncio import BaseEventLoop as Loop
else:
    from asyncio import AbstractEventLoop as Loop


class VirtualLoop(Loop):
    """``disorder``: how often the next ready callback is drawn instead of the oldest one (0: never)."""

    def __init__(self, random: Random, *, disorder: float = 0.0, most_steps: int = 3_000_000) -> None:
        self.now_s = 0.0
        self.steps = 0
        self.faults: list[dict[str, Any]] = []
        """What nobody caught, as asyncio tells it."""
        self._random = random
        self._disorder = disorder
        self._most_steps = most_steps
        self._ready: deque[_Handle] = deque()
        self._timers: list[tuple[float, int, _Timer]] = []
        self._number = 0
        self.rushing = False
        """Everything's end: timers fire at once and the dead may clear up."""

    def time(self) -> float:
        return self.now_s

    def call_soon(  # type: ignore[override] # typeshed's is generic in the arguments
        self, callback: Callable[..., object], *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.Handle:
        handle = _Handle(callback, args, context)
        self._ready.append(handle)
        return handle

    def call_later(  # type: ignore[override] # as above
        self,
        delay: float,
        callback: Callable[..., object],
        *args: Any,
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        at_s = self.now_s + delay if delay > 0 else self.now_s
        return self.call_at(at_s, callback, *args, context=context)

    def call_at(  # type: ignore[override] # as above
        self,
        when: float,
        callback: Callable[..., object],
        *args: Any,
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        timer = _Timer(callback, args, context)
        timer._at_s = when
        self._number += 1
        heapq.heappush(self._timers, (when, self._number, timer))
        return cast("asyncio.TimerHandle", timer)

    def create_task(  # type: ignore[override] # a name is a text here
        self,
        coro: Any,
        *,
        name: str | None = None,
        context: contextvars.Context | None = None,
    ) -> asyncio.Task[Any]:
        self._number += 1
        task: asyncio.Task[Any] = _Task(
            coro, number=self._number, loop=self, name=name or f"t{self._number}", context=context
        )
        owner = context.get(OWNER) if context is not None else OWNER.get()
        if owner is not None:
            owner.tasks.append(task)
        return task

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)

    def run(self, main: Coroutine[Any, Any, T]) -> T:
        """Run ``main`` to its end."""
        asyncio.events._set_running_loop(self)
        try:
            task = self.create_task(main)
            while not task.done():
                self._step()
            result: T = task.result()
            return result
        finally:
            asyncio.events._set_running_loop(None)

    def clear_up(self, processes: list[Process]) -> None:
        """End every task there is, quickly, so that none is destroyed at work later."""
        self.rushing = True
        self._disorder = 0.0
        self.steps = 0
        asyncio.events._set_running_loop(self)
        try:
            for process in processes:
                process.state = State.RUNNING
                self._ready.extend(process.aside)
                process.aside.clear()
            for _ in range(20):
                pending = [task for each in processes for task in each.tasks if not task.done()]
                if not pending:
                    break
                for task in pending:
                    task.cancel()
                for _ in range(400):
                    if not (self._ready or self._timers):
                        break
                    self._step()
        finally:
            asyncio.events._set_running_loop(None)

    def thaw(self, process: Process) -> None:
        """The frozen process goes on: all that came due meanwhile is ready at once."""
        process.state = State.RUNNING
        process.thawed = self.steps
        self._ready.extend(process.aside)
        process.aside.clear()

    def _step(self) -> None:
        ready, timers = self._ready, self._timers
        if not ready:
            if not timers:
                raise Deadlock("nothing is ready and no timer runs")
            self.now_s = max(self.now_s, timers[0][0])
        while timers and (timers[0][0] <= self.now_s or self.rushing):
            timer = heapq.heappop(timers)[2]
            if not timer._cancelled:
                ready.append(timer)
        if not ready:
            return
        if self._disorder and len(ready) > 1 and self._random.random() < self._disorder:
            ready.rotate(-self._random.randrange(min(len(ready), 8)))
        handle = ready.popleft()
        if handle._cancelled:
            return
        owner = handle._context.get(OWNER)
        if owner is not None and owner.state is not State.RUNNING:
            owner.aside.append(handle)  # of a dead one too: its tasks are ended in the end
            return
        self.steps += 1
        if self.steps > self._most_steps:
            raise Livelock(f"{self.steps} steps, {self.now_s:.0f} s of virtual time")
        assert handle._callback is not None
        try:
            handle._context.run(handle._callback, *handle._args)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as fault:
            self.call_exception_handler({"message": "a callback failed", "exception": fault})

    # what asyncio asks of a loop besides

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return True

    def is_closed(self) -> bool:
        return False

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        if not self.rushing and not isinstance(context.get("exception"), Killed):
            self.faults.append(context)

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """A cancelled timer is passed over when its time comes."""
