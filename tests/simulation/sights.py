"""What a campaign has to have seen: one that never met a fault proves nothing about it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Final

from broker.core.lane.offset_map import decode
from broker.core.records import TopicPartition
from tests.simulation.books import Owners
from tests.simulation.history import Event, History
from tests.simulation.plan import AT_STEP, FAULTS, LEVERS, MOODS, ROAD_STEPS

CAMPAIGN: Final = 2_000
"""Seeds from which on everything has to be seen; fewer are a sample."""

CORE: Final = (
    "redelivery",
    "dedupe hit",
    "fence rejection",
    "rebalance during a delivery",
    "member put out",
    "event lane_parked",
    "event lane_released",
    "event circuit_opened",
    "event circuit_closed",
    "health probe",
    "desk schedule-used-up",
    "desk record-unreadable",
    "desk 422",
    "outbox redrive",
    "outbox repeat",
    "repeated receipt dropped",
    "process killed",
    "process frozen",
    "process thawed",
    "process stopped",
    "later receipt in time",
)
"""Seen by any sample of some hundred seeds."""

ALL: Final = (
    *CORE,
    *(f"fault {op}:{kind}" for op, kinds in FAULTS.items() for kind in kinds),
    *(f"at {step}:{kind}" for step in ROAD_STEPS for kind in AT_STEP),
    *(f"answer {mood}" for mood in ("fine", *MOODS)),
    *(f"lever {lever}" for lever in LEVERS),
    "zombie attempt",
    "static member back",
    "desk behind-a-dossier",
    "desk expired",
    "second failure",
    "late receipt with nobody waiting",
    "act redriven",
    "act redriven of a blocking dossier",
    "act skipped of a blocking dossier",
    "act returned of a blocking dossier",
    "act refused desk-order",
    "outbox control",
    "pause by bytes",
    "offset map committed",
    "offset map at restart",
    "finished above safe skipped at restart",
)


def missing(seen: Mapping[str, int], seeds: int) -> list[str]:
    """What was to be seen and was not."""
    return [sight for sight in (ALL if seeds >= CAMPAIGN else CORE) if not seen.get(sight)]


def _finished(commit: Event) -> set[int]:
    """The offsets that a commit's note says are finished."""
    found = decode(commit.detail, base=commit.offset, log_end=1 << 40).finished
    return {offset for run in found for offset in run}


def seen_in(history: History) -> Counter[str]:
    """What of the things that a campaign has to see is in a history."""
    found: Counter[str] = Counter()
    sends: Counter[str] = Counter()
    owners = Owners()
    flying: Counter[TopicPartition] = Counter()
    notes: dict[TopicPartition, Event] = {}
    kept: dict[TopicPartition, set[int]] = {}
    for event in history:
        place = event.place
        match event.what:
            case "sent" if place is not None:
                sends[event.name] += 1
                found["redelivery"] += sends[event.name] > 1
                found["zombie attempt"] += owners.is_zombie(event)
                found["sent on its way when frozen"] += bool(event.detail)
                flying[place] += 1
                kept.get(place, set()).discard(event.offset)
            case "effect" if place is not None:
                found["dedupe hit"] += event.detail == "again"
            case "owner" if place is not None:
                found["rebalance"] += 1
                found["rebalance during a delivery"] += flying[place] > 0
                kept.pop(place, None)
                if place in notes:
                    found["offset map at restart"] += 1
                    kept[place] = _finished(notes[place])
                flying[place] = 0
            case "commit" if place is not None:
                skipped = {offset for offset in kept.get(place, ()) if offset < event.offset}
                kept.get(place, set()).difference_update(skipped)
                found["finished above safe skipped at restart"] += len(skipped)
                notes.pop(place, None)
                if event.detail:
                    notes[place] = event
                found["offset map committed"] += bool(event.detail)
            case "desk":
                found[f"desk {event.detail}"] += 1
            case "outbox":
                found[f"outbox {event.detail}"] += 1
            case "process" | "dossier":
                found[f"{event.what} {event.detail.partition(':')[0]}"] += 1
            case _:
                pass
        owners.see(event)
    return +found
