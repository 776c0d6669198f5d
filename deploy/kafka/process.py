"""Child processes that end when this process ends, however it ends."""

from __future__ import annotations

import concurrent.futures
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

# An exec wrapper, not a preexec_fn (unsafe with threads). PR_SET_PDEATHSIG is 1, SIGKILL is 9; execv keeps it.
_WRAPPER: Final = (
    "import ctypes, os, sys\n"
    "ctypes.CDLL(None).prctl(1, 9, 0, 0, 0)\n"
    "if os.getppid() != int(sys.argv[1]): os._exit(1)\n"  # the parent ended before prctl
    "os.execv(sys.argv[2], sys.argv[2:])\n"
)

# The signal comes when the *thread* that forked ends. This one lives as long as the process.
_SPAWNER: Final = concurrent.futures.ThreadPoolExecutor(1, "kafka-spawner")


def start_child(command: Sequence[str], *, output: Path, folder: Path) -> subprocess.Popen[bytes]:
    """Start ``command``; it is killed when this process ends. Its output is appended to the file ``output``.

    It has a session of its own, so that Ctrl-C in a terminal reaches this process only.
    """
    argv = list(command)
    if sys.platform == "linux":
        argv = [sys.executable, "-I", "-S", "-c", _WRAPPER, str(os.getpid()), *argv]

    def start() -> subprocess.Popen[bytes]:
        with output.open("ab") as out:
            return subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd=folder, start_new_session=True
            )

    return _SPAWNER.submit(start).result()
