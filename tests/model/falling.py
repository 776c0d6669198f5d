"""When a naive case's limits end, day by day, and which cards may fall."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import cast

from tests.model.days import DAY, KNOWN_FROM, KNOWN_TO, after, begins_with, day_of, midnight
from tests.model.place import Thing
from tests.model.sheet import Sheet


@dataclass
class Falling(Sheet):
    """A case of which the cards are known."""

    def may_be_carded(self, kind: str, step: str, light: str, turn: int) -> bool:
        """Whether a card of this kind may fall now, or has fallen before."""
        if f"{kind}:{step}/{light}/{turn}" in self.cards:
            return True
        waiting = self.status in ("submitted", "supplemented")
        running = self.promise is not None and self.promise.paused_at is None
        running = running and (waiting or self.status in ("accepted", "in_review"))
        clock = running and self.promise is not None and turn == self.promise.turn
        if self.by_broker and kind in ("acceptance", "step", "issue"):
            return False  # the authorities of its parts owe that, nobody owes it on the whole
        if kind == "step":  # each light once each time that a step is begun, however often the clock is set
            return running and turn == self.begun_again and step == self.step != ""
        runs = {
            "acceptance": waiting and self.promise is None and turn == self.supplements,
            "supplement": self.status == "supplement_requested" and turn == self.supplements,
            "decision": clock,
            "issue": self.status == "decided" and bool(self.granted) and turn == 0,
            "rectification": self.rating in ("poor", "appealed") and turn == 0,
            "complaint": self.status == "filed" and turn == 0,
        }
        return step == "" and runs[kind]

    def carded(self, kind: str, step: str, light: str, turn: int, at: datetime) -> None:
        """The card falls. Who has not accepted in time has accepted since the day of receipt (行政许可法 32)."""
        key = f"{kind}:{step}/{light}/{turn}"
        if key in self.cards:
            return
        self.cards.append(key)
        if kind == "acceptance" and light == "red":
            self.deemed = True
            self.start(self.received_at, day_of(self.received_at), None)
            if self.step:
                self.step_since = at  # nobody could have begun it before

    def cards_to_come(self) -> set[tuple[str, datetime]]:
        """The keys of all cards that fall if nothing more is said, and when."""
        found: set[tuple[str, datetime]] = set()
        for kind, step, turn in self._running():
            for light in ("yellow", "red"):
                key = f"{kind}:{step}/{light}/{turn}"
                if key in self.cards or not self.may_be_carded(kind, step, light, turn):
                    continue
                at = self._falls(kind, light)
                if at is not None:
                    found.add((key, at))
        return found

    def _running(self) -> list[tuple[str, str, int]]:
        turn = self.promise.turn if self.promise else 0
        kinds = [("acceptance", self.supplements), ("supplement", self.supplements), ("decision", turn)]
        kinds += [("issue", 0), ("rectification", 0), ("complaint", 0)]
        return [(kind, "", each) for kind, each in kinds] + [("step", self.step, self.begun_again)]

    def _falls(self, kind: str, light: str) -> datetime | None:
        thing = self.thing or Thing(days=0)
        if kind in ("decision", "step"):
            return self._falls_in_review(kind, light, thing)
        if kind == "acceptance":
            since = self.received_at
            due = after(day_of(since), thing.accept, self.closed)
        elif kind == "supplement":
            since, due = self.asked_at or self.opened_at, cast("date", self.supplement_by)
        elif kind == "issue":
            since = cast("datetime", self.decided_at)
            due = after(day_of(since), thing.issue, self.closed)
        elif kind == "rectification":
            since = cast("datetime", self.rated_at)
            due = after(day_of(since), thing.rectify, self.closed)
        else:
            since, due = self.opened_at, cast("date", self.answer_by)
        return self._at_the_end(light, thing, since, due)

    def _falls_in_review(self, kind: str, light: str, thing: Thing) -> datetime | None:
        promise = self.promise
        assert promise is not None
        if kind == "decision":
            if promise.minutes is None:
                return self._at_the_end(light, thing, promise.started_at, promise.due_on(promise.started_at))
            until = promise.due_at(promise.started_at)
            return _in_minutes(light, thing, until, promise.minutes, promise.started_at)
        limit, since = dict(thing.steps).get(self.step, ""), cast("datetime", self.step_since)
        number, _, unit = limit.partition(" ")
        if unit == "minutes":
            until = since + timedelta(minutes=float(number))
            return _in_minutes(light, thing, until, float(number), since)
        if unit == "days":
            return self._at_the_end(light, thing, since, after(day_of(since), int(number), self.closed))
        return None

    def _at_the_end(self, light: str, thing: Thing, since: datetime, due: date) -> datetime | None:
        if not KNOWN_FROM <= due < KNOWN_TO:
            return None  # nobody knows the working days there
        red = midnight(due + DAY)
        if light == "red":
            return max(red, since)
        yellow = midnight(begins_with(due, thing.yellow_days, self.closed))
        if yellow <= since < red:  # it began with less than its yellow days left: a share of what there is
            return since + (red - since) * thing.yellow_share
        return max(yellow, since)


def _in_minutes(light: str, thing: Thing, until: datetime, minutes: float, since: datetime) -> datetime:
    if light == "red":
        return until
    return max(until - timedelta(minutes=minutes * (1 - thing.yellow_share)), since)
