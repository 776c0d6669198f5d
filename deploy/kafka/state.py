"""What a running Kafka says of itself in its data folder, for other processes to find it."""

from __future__ import annotations

import contextlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from deploy.kafka.ownership import owner_of

_FILE: Final = "state.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """A Kafka that was ready once and still runs. ``ports`` are the nodes' for clients, in order."""

    pid: int
    supervised: bool
    """Started by ``tongban kafka up``, so that ``down`` may stop it; else some program runs it for itself."""
    bootstrap: str
    ports: tuple[int, ...]
    cluster_id: str
    started_at: str

    @classmethod
    def of(cls, content: dict[str, object]) -> State:
        """Read what :func:`write_state` wrote. Raises ValueError or TypeError when it is something else."""
        match content:
            case {"ports": [*ports], **others}:
                return cls(ports=tuple(int(str(port)) for port in ports), **others)  # type: ignore[arg-type]
            case _:
                raise ValueError("no state")


def write_state(folder: Path, state: State) -> None:
    fresh = folder / f"{_FILE}.{state.pid}"
    fresh.write_text(json.dumps(asdict(state), indent=2) + "\n")
    fresh.replace(folder / _FILE)


def clear_state(folder: Path) -> None:
    (folder / _FILE).unlink(missing_ok=True)


def is_left_behind(folder: Path) -> bool:
    """Whether a Kafka ran here whose process ended without a word."""
    return (folder / _FILE).exists() and owner_of(folder) is None


def read_state(folder: Path) -> State | None:
    """What the process that owns the folder now has written; None when none does, or it is not ready yet.

    A file alone proves nothing: one left by a process that was killed is known for stale.
    """
    with contextlib.suppress(OSError, ValueError, TypeError):
        state = State.of(json.loads((folder / _FILE).read_text()))
        if state.pid == owner_of(folder):
            return state
    return None
