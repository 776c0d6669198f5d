"""Long runs: ``python -m tests.model --walks N --seed S``. Exit 1 at the first fault, with the smallest walk that shows it."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence

from tests.model.runs import of_seed, smallest


def main(arguments: Sequence[str]) -> int:
    """0 when no walk shows a fault."""
    parser = argparse.ArgumentParser(prog="python -m tests.model", description=__doc__)
    parser.add_argument("--walks", type=int, default=2000, help="how many (default 2000)")
    parser.add_argument("--seed", type=int, default=0, help="the first (default 0)")
    parser.add_argument("--keep-going", action="store_true", help="past a fault")
    options = parser.parse_args(arguments)
    began, steps, faults = time.monotonic(), 0, 0
    for seed in range(options.seed, options.seed + options.walks):
        done, _ = of_seed(seed)
        steps += len(done.steps)
        if done.fault:
            faults += 1
            print(f"seed {seed}: {smallest(done)}", flush=True)
            if not options.keep_going:
                return 1
    print(f"{options.walks} walks, {steps} steps, {faults} faults, {time.monotonic() - began:.1f} s")
    return int(faults > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
