"""Where the embedded Kafka keeps what can be fetched or made again, and how it says what it is doing."""

from __future__ import annotations

import contextlib
import os
import pwd
import sys
from collections.abc import Callable, Iterator
from importlib import resources
from pathlib import Path

from broker.errors import WrongUse

Say = Callable[[str], None]
"""Takes one line of progress."""


def say_on_stderr(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def cache_folder() -> Path:
    """``TONGBAN_CACHE``, else ``~/.cache/tongban``, else ``var/tongban`` of the Python environment.

    The last one serves accounts without a home of their own. Where none can be written, one that is there
    already: complete, it may be read-only. Raises :class:`WrongUse` when there is none.
    """
    chosen = os.environ.get("TONGBAN_CACHE")
    folders = [Path(chosen).absolute()] if chosen else list(_usual_folders())
    for folder in folders:
        with contextlib.suppress(OSError):
            folder.mkdir(parents=True, exist_ok=True)
        if os.access(folder, os.W_OK):
            return folder
    for folder in folders:
        if folder.is_dir():
            return folder
    raise WrongUse(f"no cache folder can be made at {folders[0]}; set TONGBAN_CACHE to a folder of yours")


def _usual_folders() -> Iterator[Path]:
    home = os.environ.get("HOME") or _home_of_account()
    if home and Path(home).is_dir():  # never make a home where there is none
        yield Path(home) / ".cache" / "tongban"
    yield Path(sys.prefix) / "var" / "tongban"


def _home_of_account() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_dir
    except KeyError:
        return ""


def shipped(name: str) -> bytes:
    """The content of a file that this package ships, from a checkout or an installed wheel."""
    return resources.files("deploy.kafka").joinpath(name).read_bytes()
