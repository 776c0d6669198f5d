"""``python -m tests.simulation --seeds N``: the delivery engine in N seeded worlds. Exit 1 on any anomaly."""

from __future__ import annotations

import os
import sys


def _with_one_hash() -> None:
    """Sets of texts have the same order in every run: start anew under a fixed hash seed."""
    if os.environ.get("PYTHONHASHSEED") != "0":
        os.environ["PYTHONHASHSEED"] = "0"
        os.execv(sys.executable, [sys.executable, "-m", "tests.simulation", *sys.argv[1:]])


if __name__ == "__main__":
    _with_one_hash()
    from tests.simulation.campaign import main

    sys.exit(main(sys.argv[1:]))
