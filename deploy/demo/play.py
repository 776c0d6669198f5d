"""The play: prepare the cast, start the broker (whoever knows how), perform, and judge by the partners' ledgers."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

import aiohttp
from rich.console import Console

from deploy.demo.board import Board, Scene, print_commands
from deploy.demo.cast import Prepared, perform, prepare
from deploy.demo.checks import Check, Ledgers
from deploy.demo.clock import CHINA
from deploy.demo.scenarios import Scenario, the_play
from deploy.demo.stage import Ask, NotReached, Stage

_LOOK_EVERY_S: Final = 0.25
_PACE_S: Final = 0.2
"""How long an office takes over a letter when people watch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerHandle:
    """The broker as whoever started it hands it over.

    ``base_url``: its partner API. ``keys``: its public keys in force (``whpk_…``), which partners are told
    when they join. ``lag``: messages not yet delivered, by stage or partner, for the table. ``command``: how
    a person calls ``tongban`` against it; ``options`` go behind the command, ``--config …``.
    """

    base_url: str
    keys: Sequence[str]
    lag: Callable[[], Awaitable[Mapping[str, int]]] | None = None
    command: str = "tongban"
    options: str = ""
    ask: Ask | None = None


StartBroker = Callable[[Path], Awaitable[BrokerHandle]]
"""Gets the folder with the directory's documents; returns once the broker takes messages for them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How the play went. ``first_effect_s``: seconds from ``play`` being called to the first effect at a partner."""

    scenes: tuple[tuple[str, tuple[Check, ...]], ...]
    first_effect_s: float | None
    took_s: float

    @property
    def ok(self) -> bool:
        """Whether every expected effect is in the partners' own ledgers."""
        return bool(self.scenes) and all(check.holds for _, checks in self.scenes for check in checks)

    @property
    def missing(self) -> list[str]:
        """What does not hold, one line each."""
        return [
            f"{scene}: {check.zh} / {check.en}: {check.found}"
            for scene, checks in self.scenes
            for check in checks
            if not check.holds
        ]


async def play(
    start_broker: StartBroker,
    folder: Path,
    *,
    once: bool,
    console: Console | None = None,
    scenarios: Sequence[Scenario] | None = None,
    patience_s: float = 90.0,
    stop: asyncio.Event | None = None,
) -> Outcome:
    """Play every scenario, then (``once`` False) stay up until ``stop`` or Ctrl-C.

    ``patience_s`` is for each scenario. Raises CityEnded when a city's process ends, and whatever
    ``start_broker`` raises; stopping the broker is its starter's own affair.
    """
    began, began_at = time.monotonic(), datetime.now(CHINA)
    played = the_play() if scenarios is None else scenarios
    prepared = prepare(folder, dict.fromkeys(hall for scenario in played for hall in scenario.cast))
    handle = await start_broker(prepared.directory)
    stop = stop or asyncio.Event()
    scenes = [Scene(scenario) for scenario in played]
    board = Board(console or Console(), prepared, scenes)
    async with (
        perform(
            prepared, exchange_url=handle.base_url, exchange_keys=handle.keys, pace_s=0 if once else _PACE_S
        ) as processes,
        aiohttp.ClientSession(trust_env=False) as session,
    ):
        stage = Stage(prepared, processes, session, stop, handle.ask)
        with _interrupts(stop, watched=not once), board:
            watching = asyncio.create_task(_watch(board, stage, handle))
            try:
                await _perform_all(stage, scenes, board, patience_s)
                took_s = time.monotonic() - began
                if not once:
                    print_commands(board, handle.command, handle.options, handle.base_url)
                    await stop.wait()
            finally:
                watching.cancel()
                with suppress(asyncio.CancelledError):
                    await watching
            ledgers = stage.ledgers()
            board.lag = await handle.lag() if handle.lag is not None else {}
            board.show(ledgers)
    outcome = Outcome(
        scenes=tuple((scene.zh, tuple(scene.checks(ledgers))) for scene in scenes),
        first_effect_s=_first_effect_s(ledgers, began_at),
        took_s=took_s,
    )
    if outcome.first_effect_s is not None:
        board.console.print(f"首件生效 first effect {outcome.first_effect_s:.1f} s，全程 all {took_s:.1f} s")
    return outcome


async def _perform_all(stage: Stage, scenes: Sequence[Scene], board: Board, patience_s: float) -> None:
    for scene in scenes:
        scene.begin()
        board.show(stage.ledgers())
        with suppress(NotReached):  # its checks tell what is missing
            await scene.scenario.act(stage)
        await stage.until(scene.all_hold, patience_s)
        scene.end(stage.ledgers())
        board.show(stage.ledgers())
        board.scene_ended(scene)
        if stage.stop.is_set():
            return


async def _watch(board: Board, stage: Stage, handle: BrokerHandle) -> None:
    while True:
        if handle.lag is not None:
            board.lag = await handle.lag()
        board.show(stage.ledgers())
        await asyncio.sleep(_LOOK_EVERY_S)


def _first_effect_s(ledgers: Ledgers, began_at: datetime) -> float | None:
    moments = [datetime.fromisoformat(books.effects[0].at) for books in ledgers.values() if books.effects]
    return (min(moments) - began_at).total_seconds() if moments else None


@contextmanager
def _interrupts(stop: asyncio.Event, *, watched: bool) -> Iterator[None]:
    """While people watch, Ctrl-C ends the play in good order; in a run that ends by itself it is a failure."""
    if not watched:
        yield
        return
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGINT, stop.set)
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGINT)


__all__ = ["BrokerHandle", "Outcome", "Prepared", "StartBroker", "play", "prepare"]
