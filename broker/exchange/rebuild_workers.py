"""A rebuild's work, done by this process and, where there is enough of it, by one more for each further core.

The work is a list of pieces that depend on none of the others, as the ledger's partitions do: they share no case,
and each batch moves its own partition's position in the transaction that holds what it stands for, as the exchange's
workers do. Each piece is done wholly by one process, and whoever does it, the view is the same.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Final, Protocol, Self, TypeVar

import uvloop

from broker.core.catalogue.directory import Directory
from broker.log.options import KafkaOptions
from broker.log.registry.registry import open_codec
from broker.log.values.codec import Codec
from broker.store.access.engine import Store

if TYPE_CHECKING:
    from multiprocessing.process import BaseProcess
    from multiprocessing.sharedctypes import Synchronized

WORTH: Final = 20_000
"""Records below which a second process costs more than it saves."""
_LOOK_S: Final = 0.25
_PATIENCE_S: Final = 60.0
_DEADLINE_S: Final = 600.0
"""Nobody waits for a single batch here, but each waits while another's is written."""

_GC_THRESHOLD: Final = 50_000

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """What a process works with. ``told`` hears how many ledger records are done; ``parsed`` are the directories
    that it has read, by version.
    """

    kafka: KafkaOptions
    store: Store
    codec: Codec
    told: Callable[[int], None]
    parsed: dict[str, Directory] = field(default_factory=dict)


class Piece(Protocol[T_co]):
    """A piece of the work, which another process can be given."""

    async def do(self, tools: Tools) -> T_co: ...


def processes(records: int, partitions: int) -> int:
    """How many processes a rebuild of so much is worth; 1: none but this one."""
    return 1 if records < WORTH else min(len(os.sched_getaffinity(0)), partitions)


class Crew:
    """``async with Crew(…) as crew``: this process and its helpers, ``count`` in all.

    The helpers start at once: what they import, they import while this process does something else.
    """

    def __init__(self, kafka: KafkaOptions, url: str, *, count: int, progress: Callable[[int], None]) -> None:
        """``url``: of the store. ``progress`` is told the ledger records done so far, by all of them together."""
        self._kafka, self._url = kafka, url
        self._progress = progress
        self._helpers = count - 1
        context = multiprocessing.get_context("spawn")  # an event loop and threads do not survive a fork
        self._turns = _Turns(next=context.Value("q", 0), done=context.Value("q", 0))
        self._pool = ProcessPoolExecutor(
            max(1, self._helpers),
            mp_context=context,
            initializer=_begin,
            initargs=(kafka, url, self._turns),
        )

    async def __aenter__(self) -> Self:
        for _ in range(self._helpers):
            self._pool.submit(_share, ())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._turns.end()
        await asyncio.to_thread(self._pool.shutdown, wait=True, cancel_futures=True)

    async def do(self, pieces: Sequence[Piece[T]]) -> list[T]:
        """Do them all, taken in this order; what came of each, in this order.

        Raises what a piece has raised, once the pieces in hand elsewhere are done; the others are left.
        """
        self._turns.begin()
        loop = asyncio.get_running_loop()
        shares = [loop.run_in_executor(self._pool, _share, pieces) for _ in range(self._helpers)]
        own = asyncio.create_task(_taking(self._kafka, self._url, self._turns, pieces, self._told))
        working: set[asyncio.Future[dict[int, T]]] = {own, *shares}
        try:
            while working:
                _, working = await asyncio.wait(working, timeout=_LOOK_S)
                self._progress(self._turns.done.value)
        finally:
            own.cancel()  # nothing to a share that is done; else this rebuild itself was cancelled
        found = {number: each for share in (own, *shares) for number, each in share.result().items()}
        return [found[number] for number in range(len(pieces))]

    def _told(self) -> None:
        self._progress(self._turns.done.value)


_NOBODYS_TURN: Final = 1 << 62


@dataclass(frozen=True, slots=True, kw_only=True)
class _Turns:
    """What the processes share: the number of the piece to be taken next, and how many records are done."""

    next: Synchronized[int]
    done: Synchronized[int]

    def begin(self) -> None:
        self.next.value = 0

    def end(self) -> None:
        """Nobody takes another piece."""
        self.next.value = _NOBODYS_TURN

    def take(self) -> int:
        with self.next.get_lock():
            self.next.value += 1
            return self.next.value - 1

    def tell(self, records: int) -> None:
        with self.done.get_lock():
            self.done.value += records


async def _taking(
    kafka: KafkaOptions, url: str, turns: _Turns, pieces: Sequence[Piece[T]], told: Callable[[], None]
) -> dict[int, T]:
    """Take pieces and do them, until there are no more or one has failed; what came of them, by number."""

    def tell(records: int) -> None:
        turns.tell(records)
        told()

    found: dict[int, T] = {}
    try:
        store = await Store.open(url, create=False, patience_s=_PATIENCE_S, deadline_s=_DEADLINE_S)
        try:
            tools = Tools(kafka=kafka, store=store, codec=await open_codec(kafka), told=tell)
            with _rarely_collected():
                while (number := turns.take()) < len(pieces):
                    found[number] = await pieces[number].do(tools)
        finally:
            await store.close()
    except BaseException:
        turns.end()
        raise
    return found


@contextlib.contextmanager
def _rarely_collected() -> Iterator[None]:
    """Thousands of records are in hand at a time and then let go: looking for cycles among them takes a fourth of all
    the time, and there are none.
    """
    before = gc.get_threshold()
    gc.set_threshold(_GC_THRESHOLD, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)


@dataclass(frozen=True, slots=True)
class _Helper:
    """In a helper: where it works, and its part in the turns."""

    kafka: KafkaOptions
    url: str
    turns: _Turns


_helper: _Helper | None = None


def _begin(kafka: KafkaOptions, url: str, turns: _Turns) -> None:
    # However the process that it helps ends: a killed one's helpers would go on writing, or wait for ever.
    threading.Thread(target=_end_with, args=(multiprocessing.parent_process(),), daemon=True).start()
    global _helper  # noqa: PLW0603 - a pool's initializer has no other way to hand anything on
    _helper = _Helper(kafka, url, turns)


def _end_with(helped: BaseProcess | None) -> None:
    if helped is not None:
        helped.join()
        os._exit(1)


def _share(pieces: Sequence[Piece[T]]) -> dict[int, T]:
    """In a helper: its share of the pieces."""
    assert _helper is not None, "a helper has begun"
    if not pieces:
        return {}
    return uvloop.run(_taking(_helper.kafka, _helper.url, _helper.turns, pieces, _nobody_looks))


def _nobody_looks() -> None:
    """A helper shows no progress: who it helps does."""
