"""Whose a data folder is: a lock held as long as the owner lives, however it ends."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import Final

from broker.errors import WrongUse

_FILE: Final = "owner"
_TEMPORARY: Final = "tongban-kafka-"
_BEING_MADE_S: Final = 60.0
_TRIES: Final = 5
_BETWEEN_TRIES_S: Final = 0.02


class Ownership:
    """The lock on a data folder; the JVMs do not inherit it. Raises :class:`WrongUse` when it is taken."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._file = (folder / _FILE).open("a+")
        if not _locked(self._file.fileno()):
            self._file.close()
            raise WrongUse(f"a Kafka already runs on {folder} (process {owner_of(folder)})")
        self._file.truncate(0)
        self._file.write(str(os.getpid()))
        self._file.flush()

    def release(self) -> None:
        self._file.close()


def _locked(file: int) -> bool:
    """Try for a moment: another process that only asks who the owner is holds the lock for microseconds."""
    for _ in range(_TRIES):
        with contextlib.suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        time.sleep(_BETWEEN_TRIES_S)
    return False


def owner_of(folder: Path) -> int | None:
    """The process that runs a Kafka on this folder, or None when none does (whatever files say)."""
    try:
        with (folder / _FILE).open() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except OSError:
                written = file.read().strip()
                return int(written) if written.isdigit() else None
    except FileNotFoundError:
        pass
    return None


def temporary_folder() -> Path:
    """A new folder whose data nobody keeps; removes those whose owners were killed."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_TEMPORARY}*"):
        with contextlib.suppress(OSError):
            young = time.time() - folder.stat().st_mtime < _BEING_MADE_S
            if not young and owner_of(folder) is None:
                shutil.rmtree(folder, ignore_errors=True)
    return Path(tempfile.mkdtemp(prefix=_TEMPORARY))
