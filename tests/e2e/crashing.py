"""``tongban`` with a kill at a chosen step of the road: ``python -m tests.e2e.crashing STEP:N -- serve …``.

The process kills itself (SIGKILL: no handler, no flush) the Nth time it comes to the step.
"""

from __future__ import annotations

import os
import signal
import sys

from broker import cli, telemetry


def main() -> None:
    where, dashes, *arguments = sys.argv[1:]
    assert dashes == "--"
    step, _, count = where.partition(":")
    left = int(count)

    def kill_there(reached: telemetry.Step) -> None:
        nonlocal left
        if reached == step:
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    telemetry.ROAD.on_step = kill_there
    sys.argv = ["tongban", *arguments]
    cli.main()


if __name__ == "__main__":
    main()
