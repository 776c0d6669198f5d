"""Take delivery's safeguards away one by one: ``python -m tests.simulation.mutants [NAME …]``.

Each mutant changes one place of the product in a copy of the tree; seeds are run on the copy until a promise
breaks. Exit 1 when one survives all seeds, 2 when its place is no longer there: then this table is out of date.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

from tests.mutants import HERE, copies
from tests.simulation.safeguards import MUTANTS, Mutant

_ANOMALY: Final = re.compile(r"^seed (\d+): (.*)$", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """How a mutant fared."""

    mutant: Mutant
    state: str
    took_s: float
    told: str


def judge(mutant: Mutant, folder: str, seeds: int) -> Verdict:
    """Run seeds on the changed copy until one fails."""
    began = time.monotonic()
    path = os.path.join(folder, mutant.file)  # noqa: PTH118 - a folder as text
    with open(path, encoding="utf-8") as file:  # noqa: PTH123
        text = file.read()
    if text.count(mutant.before) != 1:
        return Verdict(mutant=mutant, state="PLACE NOT FOUND", took_s=0.0, told="")
    with open(path, "w", encoding="utf-8") as file:  # noqa: PTH123
        file.write(text.replace(mutant.before, mutant.after))
    first = 0
    while first < seeds:
        ran = run_seeds(folder, first, seeds - first)
        found = _ANOMALY.search(ran.stdout)
        took_s = time.monotonic() - began
        if found is None and "anomalies in 0 seeds" in ran.stdout:
            break
        if found is None:
            return Verdict(mutant=mutant, state="DID NOT RUN", took_s=took_s, told=ran.stderr[-300:])
        first = int(found[1]) + 1
        if "anomalies in 0 seeds" in run_seeds(str(HERE), first - 1, 1).stdout:
            told = f"at seed {found[1]}: {found[2]}"
            return Verdict(mutant=mutant, state="caught", took_s=took_s, told=told)
        # The product itself fails at this seed: it says nothing of the mutant.
    return Verdict(mutant=mutant, state="SURVIVED", took_s=time.monotonic() - began, told=f"{seeds} seeds")


def run_seeds(folder: str, first: int, seeds: int) -> subprocess.CompletedProcess[str]:
    """The simulation of the tree in ``folder``, until a seed fails."""
    command = [sys.executable, "-m", "tests.simulation", "--quick-fail"]
    return subprocess.run(
        [*command, "--from", str(first), "--seeds", str(seeds)],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": folder, "PYTHONHASHSEED": "0"},
    )


def judged(mutants: Sequence[Mutant], seeds: int, jobs: int) -> Iterator[Verdict]:
    """The verdicts, in the mutants' order."""

    def one(mutant: Mutant) -> Verdict:
        folder = copies()
        try:
            return judge(mutant, str(next(folder)), seeds)
        finally:
            folder.close()  # type: ignore[attr-defined] # a generator, whose folder goes with it

    with ThreadPoolExecutor(jobs) as pool:
        yield from pool.map(one, mutants)


def main(arguments: Sequence[str]) -> int:
    """0 when every mutant was caught."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.mutants", description=__doc__)
    parser.add_argument("names", nargs="*", help="only these")
    parser.add_argument("--seeds", type=int, default=3000, help="at most so many for each (default 3000)")
    parser.add_argument("--jobs", type=int, default=1, help="mutants at once (default 1)")
    options = parser.parse_args(arguments)
    chosen = [each for each in MUTANTS if not options.names or each.name in options.names]
    states = set()
    for verdict in judged(chosen, options.seeds, options.jobs):
        states.add(verdict.state)
        line = (
            f"{verdict.state:16} {verdict.took_s:6.1f} s  {verdict.mutant.name}: {verdict.mutant.safeguard}"
        )
        print(f"{line}\n{'':26}{verdict.told[:150]}", flush=True)
    if "PLACE NOT FOUND" in states or "DID NOT RUN" in states:
        return 2
    return int("SURVIVED" in states)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
