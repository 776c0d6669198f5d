"""The safeguards of delivery, each with the change that takes it away."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """``before`` in ``file`` becomes ``after``; then ``safeguard`` is gone."""

    name: str
    safeguard: str
    file: str
    before: str
    after: str


_D: Final = "broker/delivery/"

_FOUND: Final = (
    "    found = {at for at, each in old.items() if not each.redrive and (each.source, each.id) in known}\n"
)

MUTANTS: Final = (
    Mutant(
        name="finish-before-delivery",
        safeguard="an offset is finished once its message is delivered, not when it is read",
        file=_D + "joining/reading.py",
        before="            tenure.enter(entry)\n",
        after="            tenure.enter(entry)\n            tenure.finish(offset)\n",
    ),
    Mutant(
        name="safe-offset",
        safeguard="nothing above the lowest unfinished offset is committed",
        file="broker/core/lane/offsets.py",
        before="        return self._started[self._front] if self._pending else self._next",
        after="        return self._next",
    ),
    Mutant(
        name="one-in-flight",
        safeguard="one delivery in flight for each case",
        file="broker/core/lane/lanes.py",
        before="            lane.stand = Stand.IN_FLIGHT\n            handed.append(head.entry)\n",
        after=(
            "            lane.stand = Stand.IN_FLIGHT\n            handed.append(head.entry)\n"
            "            if head.behind is not None and len(handed) < room:\n"
            "                handed.append(head.behind.entry)\n"
        ),
    ),
    Mutant(
        name="fair-order",
        safeguard="a lane hands its messages out in the order of the outbox",
        file="broker/core/lane/lanes.py",
        before="            lane.tail.behind = node\n            lane.tail = node\n",
        after="            node.behind, lane.head.behind = lane.head.behind, node\n",
    ),
    Mutant(
        name="source-positions",
        safeguard="what does not rise above its source position is a repeat",
        file=_D + "assigned/tenure.py",
        before="            if self._seen.get(source.partition, -1) >= source.offset:",
        after="            if self._seen.get(source.partition, -1) > source.offset + 10**9:",
    ),
    Mutant(
        name="guest-of-an-ended-assignment",
        safeguard="a parked message that waited for its turn is not sent for an assignment that has ended",
        file=_D + "lines/guests.py",
        before="            if not self._flows() or entry.tenure.closing or not entry.tenure.alive:",
        after="            if not self._flows():",
    ),
    Mutant(
        name="receipt-before-offset",
        safeguard="the receipt is durable before the offset is finished",
        file=_D + "lines/answers.py",
        before="        self._settlement.delivered(ended, self._partner, finish)\n",
        after=(
            "        self._settlement.delivered(ended, self._partner, lambda entry: None)\n"
            "        for entry, _ in ended:\n"
            "            finish(entry)\n"
        ),
    ),
    Mutant(
        name="dossier-before-successors",
        safeguard="a refused message is on the desk before the next one of its case is sent",
        file=_D + "lines/answers.py",
        before="        gone = partial(self._lanes.settled_late, case, entry)\n",
        after=(
            "        self._lanes.settled(case)\n"
            "        self._settlement.end(entry, self._partner, kind, ending, partial(finish, entry))\n"
            "        return\n"
            "        gone = partial(self._lanes.settled_late, case, entry)\n"
        ),
    ),
    Mutant(
        name="parked-before-offset",
        safeguard="a parked lane is durable before its offsets are finished",
        file=_D + "parked/parking.py",
        before=(
            "        self._settlement.store(tenure, work, partial(self._is_parked, line, tenure, place, entries))\n"
        ),
        after=(
            "        self._settlement.store(tenure, work, lambda: None)\n"
            "        self._is_parked(line, tenure, place, entries)\n"
        ),
    ),
    Mutant(
        name="behind-a-parked-lane",
        safeguard="what comes later waits behind its parked lane",
        file="broker/core/lane/lanes.py",
        before="        if lane_key in self._parked:\n            return False\n        node",
        after="        node",
    ),
    Mutant(
        name="parked-lanes-loaded",
        safeguard="a new assignment takes up the lanes that are parked",
        file=_D + "parked/parking.py",
        before="            line.lanes.park(lane.case)\n",
        after="            continue\n",
    ),
    Mutant(
        name="parked-receipt-first",
        safeguard="a parked message's row stays until its receipt is durable",
        file=_D + "parked/retrying.py",
        before=(
            "                ending = line.sender.ending(entry, answer)\n"
            "                await self._settlement.ended(entry, tenure.partner, line.sender.kind, ending)\n"
        ),
        after=(
            "                ending = line.sender.ending(entry, answer)\n"
            "                done = (lambda: None)\n"
            "                self._settlement.end(entry, tenure.partner, line.sender.kind, ending, done)\n"
        ),
    ),
    Mutant(
        name="blocked-lane",
        safeguard="behind a blocking dossier nothing overtakes",
        file=_D + "joining/reading.py",
        before="        if message.case not in tenure.blocked:\n            return False\n",
        after="        return False\n",
    ),
    Mutant(
        name="blocked-rows-stored",
        safeguard="what blocks a lane outlives the worker",
        file=_D + "parked/desk.py",
        before=(
            "        await self._settlement.stored(\n"
            "            tenure, lambda connection: blocked.put(connection, tenure.partner, rows)\n        )\n"
        ),
        after="",
    ),
    Mutant(
        name="control-records",
        safeguard="an act that returns or skips is never sent to the partner",
        file=_D + "joining/reading.py",
        before="            if releases_only(message, tenure.partner):\n                tenure.finish(offset)\n",
        after="            if False:\n                tenure.finish(offset)\n",
    ),
    Mutant(
        name="redrives-are-owed",
        safeguard="a redriven message is not taken for settled by its old outcome",
        file=_D + "joining/before.py",
        before=_FOUND,
        after=(
            "    known = messages.settled(connection, [(e.source, e.id) for e in old.values()])\n"
            "    found = {at for at, each in old.items() if (each.source, each.id) in known}\n"
        ),
    ),
    Mutant(
        name="repeats-in-a-batch",
        safeguard="a settled message is known again beside its own repeat",
        file=_D + "joining/before.py",
        before=_FOUND,
        after=(
            "    last = {(e.source, e.id): at for at, e in old.items() if not e.redrive}\n"
            "    found = {last[name] for name in known}\n"
        ),
    ),
    Mutant(
        name="circuit-keeps-the-backlog",
        safeguard="while the circuit is open nothing is counted or parked",
        file=_D + "lines/answers.py",
        before="        if entry.tenure.closing or not self._line.flows():\n",
        after="        if entry.tenure.closing:\n",
    ),
    Mutant(
        name="note-digest",
        safeguard="a note that delivery did not write is not believed",
        file=_D + "joining/recall.py",
        before="        if text and mark not in believed and not self._trust_foreign:\n",
        after="        if text and not mark:\n",
    ),
    Mutant(
        name="note-of-one-moment",
        safeguard="a note never calls an unfinished record finished",
        file=_D + "assigned/tenure.py",
        before="        note = encode(window.unfinished, window.end) if window is not None else NOTHING\n",
        after="        note = encode(window.unfinished[:1], window.end) if window is not None else NOTHING\n",
    ),
    Mutant(
        name="marks-of-the-commit",
        safeguard="a mark never covers a record above the commit",
        file=_D + "assigned/tenure.py",
        before="            marks=self._marks_below(offset),\n",
        after="            marks=dict(self._seen),\n",
    ),
    Mutant(
        name="fence-on-thaw",
        safeguard="a worker that was frozen past its session sends nothing",
        file=_D + "assigned/lease.py",
        before="        if now_s < self._until_s:\n            return True\n        if self.heard",
        after="        return True\n        if self.heard",
    ),
    Mutant(
        name="writes-repeated",
        safeguard="what could not be written is written again",
        file=_D + "ending/gatherer.py",
        before="                await self._retrying(self._write, items)\n",
        after="                pass\n",
    ),
    Mutant(
        name="reading-goes-back",
        safeguard="a line that begins anew reads again what the old one had in hand",
        file=_D + "joining/reading.py",
        before="            if found.committed or tenure.again:\n",
        after="            if False:\n",
    ),
    Mutant(
        name="records-read-again",
        safeguard="what was polled while the store was away is read again",
        file=_D + "joining/reading.py",
        before="                self._go_back(reader, tenure, polled)\n            raise\n",
        after="                pass\n            raise\n",
    ),
    Mutant(
        name="pause-lifted",
        safeguard="a partition paused for its bytes is resumed",
        file=_D + "joining/membership.py",
        before="            self._pressure.lighten(self.reader)\n",
        after="",
    ),
    Mutant(
        name="operator-pause",
        safeguard="nothing goes to a partner that an operator has paused",
        file=_D + "lines/line.py",
        before="        if self.paused:\n            self.guests.send_away()\n",
        after="        if False:\n            self.guests.send_away()\n",
    ),
    Mutant(
        name="asked-again",
        safeguard="who answered 202 and sends no receipt is asked again",
        file=_D + "stage.py",
        before="        await self._asking.tick(self._held.at_work())\n",
        after="        await asyncio.sleep(0)\n",
    ),
    Mutant(
        name="one-webhook-id",
        safeguard="the webhook id is the same over attempts and redrives",
        file="broker/core/message.py",
        before='        return f"{self.source}_{self.id}"\n',
        after='        return f"{self.source}_{self.id}{self.redrive or str()}"\n',
    ),
)
