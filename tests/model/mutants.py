"""Break the life cycle in one place, and watch the walks notice: ``python -m tests.model.mutants [NAME …]``.

Each mutant changes one place of the product in a copy of the tree; the suite's quick walks are run on it. Exit 1 when
one survives, 2 when its place is no longer there (then this table is out of date) or the walks show a fault anyway.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

from tests.model.runs import QUICK
from tests.mutants import HERE, Mutant, copies, mutate

_SHOWN: Final = re.compile(r"^  => (.*)$", re.MULTILINE)
TEST: Final = "tests/model/test_model.py"


def _mutant(name: str, promise: str, file: str, before: str, after: str) -> Mutant:
    return Mutant(name=name, promise=promise, file=f"broker/{file}", before=before, after=after, test=TEST)


MUTANTS: Final[tuple[Mutant, ...]] = (
    _mutant(
        "other-status",
        "a case that is paused goes on in review",
        "core/case/transitions.py",
        "        since=frozenset({Status.PAUSED}),\n        to=Status.IN_REVIEW,",
        "        since=frozenset({Status.PAUSED}),\n        to=Status.ACCEPTED,",
    ),
    _mutant(
        "supplement-twice",
        "a supplement is asked once, everything at once (行政许可法 32)",
        "core/case/transitions.py",
        "        since=frozenset({Status.SUBMITTED}),  # not from supplemented",
        "        since=frozenset({Status.SUBMITTED, Status.SUPPLEMENTED}),  # not from supplemented",
    ),
    _mutant(
        "withdrawn-after-decision",
        "a case is withdrawn before its decision only",
        "core/case/transitions.py",
        "BEFORE_DECISION: Final[Statuses] = ANY_OF_A_CASE - AFTER_DECISION - ENDS",
        "BEFORE_DECISION: Final[Statuses] = ANY_OF_A_CASE - ENDS",
    ),
    _mutant(
        "rated-twice",
        "a case is rated once",
        "core/case/transitions.py",
        "        rating_since=frozenset({Rating.NONE}),",
        "        rating_since=frozenset({Rating.NONE, Rating.RATED}),",
    ),
    _mutant(
        "charged-twice",
        "a case is charged once (两头收费)",
        "core/case/transitions.py",
        "        fee_since=frozenset({Fee.NONE}),",
        "        fee_since=frozenset({Fee.NONE, Fee.PAID}),",
    ),
    _mutant(
        "collector-decides",
        "who collects never decides (收受分离)",
        "core/case/transitions.py",
        '        zh="办结",\n        says=RESPONSIBLE,',
        '        zh="办结",\n        says=EITHER,',
    ),
    _mutant(
        "unpaid-result",
        "a result goes out after the fee that was requested",
        "core/case/guards.py",
        "    if state.fee is Fee.REQUESTED:\n",
        "    if state.fee is Fee.PAID:\n",
    ),
    _mutant(
        "long-extension",
        "an extension is ten working days in all, not each time",
        "core/case/guards.py",
        "0 < extra <= most - before",
        "0 < extra <= most",
    ),
    _mutant(
        "open-parts",
        "the lead of a joint case decides when all its parts have ended",
        "core/case/guards.py",
        '        types=("case.decided",),\n        demands="of a joint case',
        '        types=("case.delivered",),\n        demands="of a joint case',
    ),
    _mutant(
        "lead-for-the-broker",
        "where the broker joins the answers, the lead does not answer",
        "core/case/guards.py",
        '    if state.bundle is not None and state.bundle.answer == "broker":',
        '    if state.bundle is not None and state.bundle.answer == "nobody":',
    ),
    _mutant(
        "answers-kept-back",
        "what an authority decides and issues on its part reaches the hall, with what it sealed",
        "core/case/transitions.py",
        'TOLD_BY_STEPS: Final = frozenset({"case.accepted", "case.step-completed"})',
        'TOLD_BY_STEPS: Final = frozenset({"case.accepted", "case.step-completed", "case.result-issued"})',
    ),
    _mutant(
        "allowed-and-refused",
        "what a refusal lists as allowed would not be refused at once",
        "core/case/refusals.py",
        "        if not guards.bars(each, state)\n",
        "",
    ),
    _mutant(
        "no-such-case",
        "who is no party to a case is not told by a complaint whether there is one",
        "exchange/complaints.py",
        "return place if place in partners and message.source != Party(place) else None",
        "return None",
    ),
    _mutant(
        "not-deemed",
        "who is silent has accepted since the day of receipt (行政许可法 32)",
        "core/clocks/cards.py",
        '{"deemed": True, **effects.started(since',
        "{**effects.started(since",
    ),
    _mutant(
        "deemed-since-today",
        "the clock of a case that counts as accepted starts on the day of receipt",
        "core/clocks/cards.py",
        "        since = received_at(state)\n",
        "        since = now\n",
    ),
    _mutant(
        "card-twice",
        "a card that was settled meanwhile is void",
        "core/clocks/deadlines.py",
        "    return is_open(state, kind, step, turn)\n",
        "    return True\n",
    ),
    _mutant(
        "step-once-for-all",
        "a step that is begun again has its own cards",
        "core/case/effects.py",
        '"step_turn": said.state.step_turn + 1}',
        '"step_turn": said.state.step_turn}',
    ),
    _mutant(
        "lead-for-the-parts",
        "nobody is carded for what the authorities of the parts owe",
        "core/clocks/limits.py",
        'state.bundle.answer == "broker"',
        'state.bundle.answer == "nobody"',
    ),
    _mutant(
        "whole-never-deemed",
        "a bundle counts as accepted when its first part does",
        "core/clocks/cards.py",
        "not waits or not is_joined(whole)",
        "not waits or is_joined(whole)",
    ),
    _mutant(
        "first-day",
        "the day of acceptance is not counted",
        "core/clock.py",
        "    return calendar.add(clock.started_on, clock.days + clock.extended + paused_days)",
        "    return calendar.add(clock.started_on - _DAY, clock.days + clock.extended + paused_days)",
    ),
    _mutant(
        "pause-counts",
        "the days of a special procedure are not counted (行政许可法 45)",
        "core/clock.py",
        "        paused_days=clock.paused_days + days,",
        "        paused_days=clock.paused_days,",
    ),
    _mutant(
        "late-pause",
        "a pause that begins too late takes nothing out",
        "core/clock.py",
        "    elif paused_on > _due_on(clock, calendar, clock.paused_days):\n",
        "    elif paused_on > _due_on(clock, calendar, clock.paused_days + 999):\n",
    ),
    _mutant(
        "first-promise",
        "an acceptance cannot promise more than the agreement does",
        "core/case/effects.py",
        "(days is None or stated < days)",
        "(days is None or stated != days)",
    ),
    _mutant(
        "tomorrow",
        "nobody accepts on a day to come",
        "core/case/effects.py",
        "        if stated is not None and stated < on:",
        "        if stated is not None:",
    ),
    _mutant(
        "held-for-ever",
        "a part opens when what it comes after was granted",
        "core/bundle/bundles.py",
        "each.status is PartStatus.HELD and granted.issuperset(each.after)",
        "each.status is PartStatus.HELD and not each.after",
    ),
    _mutant(
        "never-void",
        "a part that can never open does not hold up the whole",
        "core/bundle/bundles.py",
        "return _voided(changed) if after.ended and",
        "return changed if after.ended and",
    ),
    _mutant(
        "denied-for-ever",
        "who is denied everything has an answer that is delivered",
        "core/bundle/bundle_answer.py",
        "    return all(each.issued for each in bundle.parts if each.status is PartStatus.GRANTED)",
        "    return bool([1 for each in bundle.parts if each.issued])",
    ),
    _mutant(
        "todays-directory",
        "a part ends under the directory that the whole was opened under",
        "exchange/judging.py",
        "        opened = state if state is not None else parts.whole_of(self._states, message)\n",
        "        opened = state\n",
    ),
    _mutant(
        "forgotten-id",
        "an id stands for one content for ever",
        "core/case/routing.py",
        "        if known.digest == message.digest or",
        "        if known.digest or",
    ),
)


def told_by(folder: Path) -> str:
    """What the walks say of the changed copy; empty: nothing. Raises RuntimeError when they do not even run."""
    environment = {**os.environ, "PYTHONPATH": str(folder), "PYTHONHASHSEED": "0"}
    walks = subprocess.run(
        [sys.executable, "-m", "tests.model", "--walks", str(QUICK)],
        cwd=folder, capture_output=True, text=True, check=False, env=environment,
    )  # fmt: skip
    found = _SHOWN.search(walks.stdout)
    if found is None and walks.returncode != 0:
        raise RuntimeError(walks.stderr[-400:])
    return found[1] if found else ""


def main(names: list[str]) -> int:
    """Run the named mutants, or all; 0 when every one was caught."""
    chosen = [each for each in MUTANTS if not names or each.name in names]
    told = told_by(HERE)
    if told:
        print(f"without any change: {told}")
        return 2
    states = set()
    for mutant, folder in zip(chosen, copies(), strict=False):
        began, told = time.monotonic(), ""
        if not mutate(mutant, folder):
            state = "PLACE NOT FOUND"
        else:
            try:
                told = told_by(folder)
                state = "caught" if told else "SURVIVED"
            except RuntimeError as fault:
                state, told = "DID NOT RUN", str(fault)
        states.add(state)
        print(f"{state:16} {time.monotonic() - began:5.1f} s  {mutant.name}: {mutant.promise}", flush=True)
        print(f"{'':26}{told[:160]}", flush=True)
    if states & {"PLACE NOT FOUND", "DID NOT RUN"}:
        return 2
    return int("SURVIVED" in states)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
