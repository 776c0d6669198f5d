"""A name that a process keeps over its restarts, and shares with no other process that is alive.

With a static name in its consumer groups, a worker that was killed and comes back at once gets its partitions
back at once, instead of waiting out the session of its dead self. Source: KIP-345.
"""

from __future__ import annotations

import fcntl
import hashlib
import socket
from collections.abc import Collection
from io import TextIOWrapper
from pathlib import Path
from typing import Final

from broker.errors import Unreachable

MOST: Final = 256


class Membership:
    """The first free name of this machine and folder, held by a file lock until the process ends, however it ends."""

    def __init__(self, folder: Path, stages: Collection[str]) -> None:
        """Processes of other stages have names of their own, whichever of them starts first."""
        folder.mkdir(parents=True, exist_ok=True)
        role = "-".join(sorted(stages))
        house = hashlib.sha256(f"{socket.gethostname()}:{folder.resolve()}".encode()).hexdigest()[:12]
        slot, self._file = _first_free(folder, role)
        self.name: Final = f"tongban-{house}-{role}-{slot}"

    def release(self) -> None:
        self._file.close()


def _first_free(folder: Path, role: str) -> tuple[int, TextIOWrapper]:
    for slot in range(MOST):
        file = (folder / f"member-{role}-{slot}").open("a")
        if _locked(file):
            return slot, file
        file.close()
    raise Unreachable(f"{folder}: {MOST} processes of the broker run here already")


def _locked(file: TextIOWrapper) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
