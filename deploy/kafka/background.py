"""A Kafka that runs on after the command that started it: start, stop and look at it from any process.

The process that runs it (:mod:`deploy.kafka.supervisor`) holds the lock on the data folder while it lives. Folders are given as absolute paths.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from broker.errors import TongbanError, Unreachable, WrongUse
from deploy.kafka.ownership import owner_of
from deploy.kafka.readiness import check_ready
from deploy.kafka.state import State, clear_state, is_left_behind, read_state
from deploy.kafka.storage import identity_of

_POLL_S: Final = 0.03


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """What is known of the Kafka on a data folder. ``reason`` says why it is not ready."""

    folder: Path
    running: bool
    ready: bool
    reason: str
    pid: int | None
    bootstrap: str
    nodes: int
    ports: tuple[int, ...]
    cluster_id: str
    started_at: str
    data_bytes: int


async def status(folder: Path) -> Status:
    """Look at the Kafka on ``folder``, whoever runs it. Raises :class:`Corrupt` when the folder is damaged."""
    identity = identity_of(folder)
    owner, state = owner_of(folder), read_state(folder)
    reason = await _why_not_ready(folder, owner, state)
    return Status(
        folder=folder,
        running=owner is not None,
        ready=not reason,
        reason=reason,
        pid=owner,
        bootstrap=state.bootstrap if state else "",
        nodes=identity.nodes if identity else 0,
        ports=state.ports if state else (),
        cluster_id=identity.cluster_id if identity else "",
        started_at=state.started_at if state else "",
        data_bytes=await asyncio.to_thread(disk_use, folder),
    )


async def _why_not_ready(folder: Path, owner: int | None, state: State | None) -> str:
    if owner is None:
        if is_left_behind(folder):
            return "not running: the process that ran it ended without a word; its data is kept"
        return "not running"
    if state is None:
        return f"process {owner} is starting it"
    answer = await check_ready(dict(enumerate(state.ports, start=1)))
    return "" if answer is None else answer.reason


def disk_use(folder: Path) -> int:
    """Bytes on the disk; Kafka's index files are sparse, their length says nothing."""
    total = 0
    for root, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(FileNotFoundError):  # a segment that was deleted just now
                total += (Path(root) / name).stat().st_blocks * 512
    return total


async def up(folder: Path, *, nodes: int, base_port: int, timeout_s: float = 90.0) -> State:
    """Start a supervisor that outlives this process and wait until its Kafka is ready.

    Raises what the supervisor met: :class:`WrongUse` (a port or the folder is taken), :class:`Unreachable`.
    """
    arguments = ["--folder", str(folder), "--nodes", str(nodes), "--port", str(base_port)]
    process = await asyncio.to_thread(_detach, folder, arguments)
    try:
        return await asyncio.wait_for(asyncio.to_thread(_hear, process), timeout_s)
    except TimeoutError as fault:
        process.terminate()
        raise Unreachable(
            f"Kafka did not start within {timeout_s:.0f} s; see {folder}/supervisor.log"
        ) from fault
    except asyncio.CancelledError:  # Ctrl-C while it starts: do not leave it half started
        process.terminate()
        raise


def _detach(folder: Path, arguments: list[str]) -> subprocess.Popen[bytes]:
    folder.mkdir(parents=True, exist_ok=True)
    # -P: a `deploy` folder in the user's own project must not hide ours
    command = [sys.executable, "-P", "-m", "deploy.kafka.supervisor", *arguments]
    with (folder / "supervisor.log").open("ab") as log:
        return subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, start_new_session=True
        )


def _hear(process: subprocess.Popen[bytes]) -> State:
    """The supervisor's one line on standard output: its state, or its fault."""
    assert process.stdout is not None
    with process.stdout as pipe:
        line = pipe.readline()
    try:
        told = json.loads(line)
    except ValueError:
        raise TongbanError("Kafka's supervisor ended without a word; see supervisor.log") from None
    match told:
        case {"state": dict(state)}:
            return State.of(state)
        case {"wrong_use": str(reason)}:
            raise WrongUse(reason)
        case {"unreachable": str(reason)}:
            raise Unreachable(reason)
        case _:
            raise TongbanError(str(told.get("fault", "Kafka's supervisor failed; see supervisor.log")))


async def wait_ready(folder: Path, *, timeout_s: float = 90.0) -> State:
    """Wait for a Kafka that another process is starting on ``folder``."""
    deadline = time.monotonic() + timeout_s
    while (state := read_state(folder)) is None:
        if time.monotonic() > deadline or owner_of(folder) is None:
            raise Unreachable(f"the Kafka on {folder} did not become ready; see its supervisor.log")
        await asyncio.sleep(_POLL_S)
    return state


async def down(folder: Path, *, timeout_s: float = 30.0) -> bool:
    """Stop the Kafka on ``folder``, cleanly if it can be. Returns False when none ran.

    Raises :class:`WrongUse` when a program runs it for itself, or it is only starting.
    """
    owner, state = owner_of(folder), read_state(folder)
    if owner is None:
        clear_state(folder)
        return False
    if state is None:
        raise WrongUse(f"process {owner} is starting this Kafka; try again when it is ready")
    if not state.supervised:
        raise WrongUse(f"process {owner} runs this Kafka for itself; stop that process")
    deadline = time.monotonic() + timeout_s
    _signal(owner, signal.SIGTERM)
    while owner_of(folder) == owner:
        if time.monotonic() > deadline:
            _signal(owner, signal.SIGKILL)  # the nodes end with it; what was acknowledged is in their logs
        await asyncio.sleep(_POLL_S)
    clear_state(folder)
    return True


def _signal(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
