"""The promises of delivery as checkers: pure functions over a history. Each returns what broke it.

Names are those of ``reliability.md``. Nothing is taken from the engine's own word: effects are those of the
partners' ledgers, durable facts those of the log and the store.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from broker.core.lane.offset_map import NoteUnreadable, decode
from broker.core.records import TopicPartition
from tests.simulation.books import BROKER_SAYS, ENDINGS, Books, Owners, row_of
from tests.simulation.history import Event, History
from tests.simulation.plan import Plan

_FAILED: Final = ENDINGS - {"receipt.delivered"}
_AGAIN_S: Final = 1.0
"""A send that was decided while the settlement became durable is no needless one."""


class Anomaly(NamedTuple):
    """A promise broken, and how."""

    promise: str
    what: str

    def __str__(self) -> str:
        return f"{self.promise}: {self.what}"


class Facts(NamedTuple):
    """What a checker has to know of the plan."""

    healthy: str
    """The partner that must not wait for the sick ones; empty: this plan makes everybody wait."""
    wait_s: float
    silence_s: float
    lever_s: float = 2.0
    """Within which every worker follows a lever."""


def facts_of(plan: Plan) -> Facts:
    """A broker whose own parts fail makes everybody wait: I13 is judged where only partners do."""
    only_partners = plan.family == "calm" and all(step.do in {"send", "mood", "lever"} for step in plan.steps)
    silence_s = 60.0 if not plan.pace.coarse else 10 * plan.pace.unit_s
    lever_s = 2.0 if not plan.pace.coarse else plan.pace.unit_s
    return Facts(
        healthy=plan.healthy if only_partners else "", wait_s=5.0, silence_s=silence_s, lever_s=lever_s
    )


def judge(history: History, plan: Plan) -> Iterator[Anomaly]:
    """Everything that is wrong with a history."""
    facts = facts_of(plan)
    for check in CHECKS:
        yield from check(history, facts)


def nothing_lost(history: History, facts: Facts) -> Iterator[Anomaly]:
    """I1: accepted is a part of effects and desk; nothing pending once healed."""
    state = next((event.detail for event in reversed(history) if event.what == "end"), "it did not end")
    if state != "settled":
        yield Anomaly("I1", f"not at its end though all is healed: {state}")
    known = {event.name for event in history if event.what in {"effect", "desk"}}
    for event in history:
        if event.what == "accepted" and event.name not in known:
            yield Anomaly("I1", f"{event.name} was accepted and is neither at its partner nor on the desk")
    desked = {(event.place, event.offset) for event in history if event.what == "desk"}
    for event in history:
        if event.what == "outbox" and event.detail == "poison" and (event.place, event.offset) not in desked:
            yield Anomaly(
                "I1", f"a record that does not read, {event.place}@{event.offset}, is not on the desk"
            )


def no_phantom(history: History, facts: Facts) -> Iterator[Anomaly]:
    """I2: effects are a part of what was accepted, at the partner that it was for."""
    accepted: dict[str, str] = {}
    said: dict[str, Event] = {}
    for event in history:
        if event.what == "accepted":
            accepted[event.name] = event.partner
        elif event.what == "ledger":
            said[BROKER_SAYS + event.proof] = event
        elif event.what in {"sent", "effect"}:
            if event.name.startswith(BROKER_SAYS):
                wrong = not _is_for(said.get(event.name), event.partner)
            else:
                wrong = accepted.get(event.name) != event.partner
            if wrong:
                yield Anomaly("I2", f"{event.what} of {event.name} at {event.partner}: never accepted for it")


def _is_for(said: Event | None, partner: str) -> bool:
    """Whether a partner may get this of the broker's own: of acts only those that return its own messages."""
    if said is None or said.partner != partner:
        return False
    return not said.detail.startswith("operator.") or said.detail == "operator.returned"


def once(history: History, facts: Facts) -> Iterator[Anomaly]:
    """I3: one effect per partner and message; the same webhook id over all attempts."""
    firsts: Counter[tuple[str, str]] = Counter()
    ids: dict[str, str] = {}
    for event in history:
        if event.what == "effect" and event.detail == "first":
            firsts[event.partner, event.name] += 1
        if event.what == "sent" and ids.setdefault(event.name, event.proof) != event.proof:
            yield Anomaly("I3", f"{event.name} was sent under {ids[event.name]} and under {event.proof}")
    for (partner, name), count in firsts.items():
        if count > 1:
            yield Anomaly("I3", f"{name} took effect {count} times at {partner}")


def no_needless_repeat(history: History, facts: Facts) -> Iterator[Anomaly]:
    """I3, the broker's share: what is receipted and committed is not sent again, unless it is redriven."""
    ends: dict[str, float] = {}
    places: dict[str, tuple[TopicPartition, int]] = {}
    at: dict[tuple[TopicPartition, int], str] = {}
    rows: Counter[str] = Counter()
    committed: dict[TopicPartition, int] = {}
    over: dict[str, float] = {}
    taken: set[str] = set()
    zombies = Owners()
    for event in history:
        zombies.see(event)
        match event.what:
            case "outbox" if event.name and event.detail in {"first", "redrive"} and event.place is not None:
                places[event.name] = event.place, event.offset
                at[event.place, event.offset] = event.name
                ends.pop(event.name, None)
                over.pop(event.name, None)
            case "ledger" if event.detail in ENDINGS:
                ends[event.name] = event.at_s
            case "stored" | "unstored":
                rows[row_of(event)] += 1 if event.what == "stored" else -1
            case "answered" if event.detail.startswith("taken"):
                taken.add(event.name)
            case "commit" if event.place is not None:
                committed[event.place] = event.offset
                for name, (place, offset) in places.items():
                    if place == event.place and offset < event.offset and name in ends:
                        over.setdefault(name, event.at_s)
            case "sent" if event.name in over and event.name not in taken and event.place is not None:
                settled_s = max(over[event.name], ends.get(event.name, event.at_s))
                parked = rows[f"{event.partner} {event.place.partition} {event.offset}"] > 0
                if event.at_s > settled_s + _AGAIN_S and not parked and not zombies.is_zombie(event):
                    yield Anomaly(
                        "I3", f"{event.name} was sent at {event.at_s:.3f}, settled at {settled_s:.3f}"
                    )
            case _:
                pass


def in_order(history: History, facts: Facts) -> Iterator[Anomaly]:
    """I4: first effects rise per case and partner; only what an operator redrove past others may come late."""
    numbers = {event.name: event.number for event in history if event.what == "accepted"}
    free = {
        event.name
        for event in history
        if event.what == "act" and event.detail == "redriven" and event.proof == "free"
    }
    last: dict[tuple[str, str], tuple[int, str]] = {}
    frozen: set[tuple[str, str]] = set()
    for event in history:
        if event.what == "sent":
            # What was on its way out when the process was frozen nobody can call back.
            (frozen.add if event.detail else frozen.discard)((event.who, event.name))
        if event.what != "effect" or event.detail != "first" or event.name not in numbers:
            continue
        lane, number = (event.partner, event.case), numbers[event.name]
        before, name = last.get(lane, (0, ""))
        if number < before:
            if event.name not in free and (event.who, event.name) not in frozen:
                yield Anomaly("I4", f"{event.name} took effect after {name} at {event.partner}")
            continue
        last[lane] = number, event.name


def receipted(history: History, facts: Facts) -> Iterator[Anomaly]:
    """I5: a receipt for every effect, or a dossier; one receipt for one end, digests equal, no orphan."""
    digests = {event.name: event.proof for event in history if event.what == "accepted"}
    effects = {event.name for event in history if event.what == "effect"}
    desk = {event.name for event in history if event.what == "desk"}
    receipts: dict[str, set[str]] = defaultdict(set)
    failed: set[str] = set()
    for event in history:
        if event.what == "ledger" and event.detail == "receipt.delivered":
            receipts[event.name].add(event.proof)
        elif event.what == "ledger" and event.detail in _FAILED:
            failed.add(event.name)
        elif event.what == "settled" and event.proof and event.proof != digests.get(event.name, event.proof):
            yield Anomaly("I5", f"the receipt of {event.name} states another digest")
    for name in digests.keys() & effects:
        if name not in receipts and name not in desk:
            yield Anomaly("I5", f"{name} took effect without receipt or dossier")
    for name, ids in receipts.items():
        if name not in effects:
            yield Anomaly("I5", f"a receipt for {name}, which never took effect")
        if len(ids) > 1:
            yield Anomaly("I5", f"{name} has {len(ids)} different receipts of delivery")
    for name in desk & digests.keys() - failed:
        yield Anomaly("I5", f"{name} is on the desk and its sender was never told")
    for name in failed - desk:
        yield Anomaly("I5", f"{name} failed by its notice and is not on the desk")


def commits_safe(history: History, facts: Facts) -> Iterator[Anomaly]:
    """I7: the committed offset is never above the lowest unfinished, nor does a note call one finished."""
    books = Books()
    for event in history:
        books.see(event)
        if event.what != "commit" or event.place is None:
            continue
        since = books.committed.get(event.place, 0)
        if event.offset < since:
            yield Anomaly("I7", f"{event.place}: the commit went back from {since} to {event.offset}")
        for offset in range(since, event.offset):
            if not books.is_finished(event.place, offset):
                yield Anomaly("I7", f"{event.place} committed {event.offset}, but {offset} is not finished")
                break
        books.committed[event.place] = max(since, event.offset)
        if event.detail:
            yield from _note_safe(books, event)


def _note_safe(books: Books, event: Event) -> Iterator[Anomaly]:
    assert event.place is not None
    try:
        found = decode(event.detail, base=event.offset, log_end=books.ends[event.place])
    except NoteUnreadable as unreadable:
        yield Anomaly("I7", f"{event.place}: a note of ours that {unreadable}")
        return
    for offset in (each for run in found.finished for each in run):
        if not books.is_finished(event.place, offset):
            yield Anomaly("I7", f"{event.place}: the note calls {offset} finished, and it is not")
            return


def no_zombie(history: History, facts: Facts) -> Iterator[Anomaly]:
    """I8: nothing that a worker sends takes effect after the partition was another worker's."""
    owners = Owners()
    last: dict[tuple[str, str], Event] = {}
    stale: dict[tuple[str, str], bool] = {}
    for event in history:
        owners.see(event)
        if event.what == "sent":
            last[event.who, event.name] = event
            # What was on its way out when the process was frozen nobody can call back.
            stale[event.who, event.name] = owners.is_zombie(event) and not event.detail
        elif event.what == "effect" and event.detail == "first" and stale.get((event.who, event.name)):
            sent = last[event.who, event.name]
            yield Anomaly(
                "I8",
                f"{event.name} took effect by {event.who}, sent at {sent.at_s:.3f} without its partition",
            )


def isolated(history: History, facts: Facts) -> Iterator[Anomaly]:
    """I13: while others are sick, a healthy partner's messages wait a bounded time."""
    if not facts.healthy:
        return
    since: dict[str, float] = {}
    for event in history:
        if event.partner != facts.healthy:
            continue
        if event.what == "outbox" and event.detail == "first":
            since.setdefault(event.name, event.at_s)
        elif event.what == "effect" and event.detail == "first" and event.name in since:
            waited_s = event.at_s - since[event.name]
            if waited_s > facts.wait_s:
                yield Anomaly("I13", f"{event.name} waited {waited_s:.1f} s though its partner is in health")


def not_silent(history: History, facts: Facts) -> Iterator[Anomaly]:
    """I14: lag without progress for long is explained by the worker's health or the partner's trouble."""
    since: dict[tuple[str, TopicPartition], tuple[float, int]] = {}
    moved: dict[str, float] = {}
    for event in history:
        if event.what in {"sent", "effect", "stored", "commit", "answered"}:
            partner = event.place.topic.rpartition(".")[2] if event.place is not None else event.partner
            moved[partner or event.who] = event.at_s
        if event.what != "sample" or event.place is None:
            continue
        key = (event.who, event.place)
        if event.number == 0 or event.detail != "ok":
            since.pop(key, None)
            continue
        began_s, done = since.setdefault(key, (event.at_s, event.offset))
        if done != event.offset:
            since[key] = event.at_s, event.offset
            continue
        still_s = event.at_s - max(began_s, moved.get(event.partner, 0.0))
        if still_s > facts.silence_s:
            since.pop(key)
            yield Anomaly(
                "I14", f"{event.place} has a lag of {event.number}, stands for {still_s:.0f} s, says ok"
            )


def levers_followed(history: History, facts: Facts) -> Iterator[Anomaly]:
    """Nothing goes to a paused partner, from a little after the lever was pulled."""
    paused: dict[str, float] = {}
    thawed: dict[str, float] = {}
    for event in history:
        if event.what == "lever" and event.detail == "pause":
            paused.setdefault(event.partner, event.at_s)
        elif event.what == "lever" and event.detail == "resume":
            paused.pop(event.partner, None)
        elif event.what == "process" and event.detail in {"started", "thawed"}:
            thawed[event.who] = event.at_s
        elif event.what == "sent" and event.partner in paused:
            known_s = max(paused[event.partner], thawed.get(event.who, 0.0)) + facts.lever_s
            if event.at_s > known_s:
                yield Anomaly(
                    "lever", f"{event.name} was sent by {event.who} though {event.partner} is paused"
                )


def nothing_used_up(history: History, facts: Facts) -> Iterator[Anomaly]:
    """While a partner's circuit is open its backlog stays where it is: no lane is parked."""
    opened: dict[tuple[str, str], float] = {}
    for event in history:
        key = (event.who, event.partner)
        if event.what == "circuit" and event.detail == "opened":
            opened.setdefault(key, event.at_s)
        elif event.what == "circuit":
            opened.pop(key, None)
        elif event.what == "parked" and key in opened:
            yield Anomaly(
                "circuit", f"{event.who} parked {event.case}, the circuit is open since {opened[key]:.3f}"
            )


def no_failure(history: History, facts: Facts) -> Iterator[Anomaly]:
    """No worker ends by a fault of its own, and each stops when it is told to."""
    for event in history:
        if event.what == "process" and event.detail.startswith("failed"):
            yield Anomaly("engine", f"{event.who} {event.detail}")


Check = Callable[[History, Facts], Iterator[Anomaly]]
CHECKS: Final[tuple[Check, ...]] = (
    nothing_lost,
    no_phantom,
    once,
    no_needless_repeat,
    in_order,
    receipted,
    commits_safe,
    no_zombie,
    isolated,
    not_silent,
    levers_followed,
    nothing_used_up,
    no_failure,
)
