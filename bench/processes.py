"""Processes: the bench's own, and those that it starts; they end with it, however it ends."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

import orjson

from deploy.kafka.process import start_child

ROOT: Final = Path(__file__).resolve().parent.parent
OUT: Final = ROOT / "bench" / ".out"
"""What the runs leave."""
_POLL_S: Final = 0.02
Found = TypeVar("Found")


class BenchFailed(Exception):
    """The run is worth nothing: the message says what went wrong."""


def measured(name: str, measuring: Coroutine[Any, Any, Found]) -> Found:
    """What the bench finds. A run that fails, or is interrupted before it has a figure, ends the process and says why."""
    for setting in [each for each in os.environ if each.startswith("TONGBAN_") and each != "TONGBAN_CACHE"]:
        del os.environ[setting]  # no setting of this shell's reaches the broker of a bench
    os.environ["PYTHONPATH"] = str(ROOT)
    try:
        return asyncio.run(measuring)
    except BenchFailed as failed:
        tell(name, f"failed: {failed}")
        sys.exit(1)
    except KeyboardInterrupt:
        tell(name, "interrupted before there was a figure")
        sys.exit(130)


def tell(name: str, line: str) -> None:
    """A line of progress."""
    print(f"{name}: {line}", file=sys.stderr, flush=True)


class Child:
    """One child process; ``name`` also names its log file."""

    def __init__(self, name: str, module: str, arguments: Sequence[str], folder: Path) -> None:
        self.name = name
        self._log = folder / f"{name}.log"
        self._out = folder / f"{name}.out.json"
        self._out.unlink(missing_ok=True)
        command = [sys.executable, "-m", module, *arguments]
        self._process: subprocess.Popen[bytes] = start_child(command, output=self._log, folder=folder)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def check(self) -> None:
        """Raises :class:`BenchFailed` with its last words when it has ended."""
        if not self.alive:
            raise BenchFailed(f"{self.name} ended with {self._process.returncode}\n{self.last_words()}")

    def last_words(self) -> str:
        return self._log.read_text(errors="replace")[-3000:] if self._log.exists() else ""

    async def wait(self, within_s: float) -> None:
        """Wait for its good end."""
        async with asyncio.timeout(within_s):
            while self.alive:
                await asyncio.sleep(_POLL_S)
        if self._process.returncode != 0:
            raise BenchFailed(f"{self.name} ended with {self._process.returncode}\n{self.last_words()}")

    async def stop(self, within_s: float = 30.0) -> None:
        """SIGTERM, and SIGKILL for one that takes too long."""
        if self.alive:
            self._process.send_signal(signal.SIGTERM)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                while self.alive:
                    await asyncio.sleep(_POLL_S)
        self.kill()

    def kill(self) -> None:
        """SIGKILL."""
        if self.alive:
            self._process.kill()
        self._process.wait()

    def told(self) -> dict[str, Any]:
        """What it wrote at its end (``--out``)."""
        if not self._out.exists():
            raise BenchFailed(f"{self.name} left no result\n{self.last_words()}")
        found: dict[str, Any] = orjson.loads(self._out.read_bytes())
        return found


def out_of(name: str, folder: Path) -> list[str]:
    """The arguments that tell a child where to write its result."""
    return ["--out", str(folder / f"{name}.out.json")]
