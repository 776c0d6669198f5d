"""Every checker finds what breaks its promise, and says nothing of a history that keeps it."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from broker.core.lane.offset_note import encode
from broker.core.records import TopicPartition
from tests.simulation import checkers
from tests.simulation.checkers import Anomaly, Check, Facts
from tests.simulation.history import Event, digest

CITY = "430423"
PLACE = TopicPartition(f"tongban.outbox.{CITY}", 0)
CASE = "451300/1"
FACTS = Facts(healthy=CITY, wait_s=5.0, silence_s=20.0)


def name(number: int) -> str:
    return f"451300/m{number}"


def accepted(number: int, at_s: float = 0.0) -> Event:
    return Event(at_s, "intake", "accepted", name(number), CITY, CASE, number=number, proof=f"d{number}")


def outbox(number: int, offset: int, kind: str = "first", at_s: float = 0.1, redrive: int = 0) -> Event:
    source = f"tongban.exchange/0/{number + 100 * redrive}"
    return Event(at_s, "exchange", "outbox", name(number), CITY, CASE, PLACE, offset, redrive, kind, source)


def sent(number: int, offset: int, at_s: float = 0.2, who: str = "w0.1", proof: str = "") -> Event:
    return Event(
        at_s, who, "sent", name(number), CITY, CASE, PLACE, offset, 1, "", proof or f"451300_m{number}"
    )


def effect(number: int, offset: int, at_s: float = 0.3, who: str = "w0.1", kind: str = "first") -> Event:
    return Event(at_s, who, "effect", name(number), CITY, CASE, PLACE, offset, 0, kind, f"451300_m{number}")


def receipt(number: int, at_s: float = 0.4, kind: str = "receipt.delivered", proof: str = "") -> Event:
    return Event(at_s, "world", "ledger", name(number), "", CASE, detail=kind, proof=proof or f"r-{number}")


def settled(number: int, proof: str, at_s: float = 0.5) -> Event:
    return Event(at_s, "exchange", "settled", name(number), detail="delivered", proof=proof)


def desk(number: int, offset: int, at_s: float = 0.4) -> Event:
    return Event(at_s, "world", "desk", name(number), "", "", PLACE, offset, detail="422")


def commit(offset: int, at_s: float = 0.6, note: str = "") -> Event:
    return Event(at_s, "w0.1-1", "commit", place=PLACE, offset=offset, number=1, detail=note)


def owner(who: str, at_s: float, generation: int = 1) -> Event:
    return Event(at_s, f"{who}-{generation}", "owner", place=PLACE, number=generation)


def sample(at_s: float, detail: str = "ok", lag: int = 3, done: int = 1) -> Event:
    return Event(at_s, "w0.1", "sample", "", CITY, "", PLACE, done, lag, detail)


PAUSE = Event(1.0, "operator", "lever", partner=CITY, detail="pause")
OPENED = Event(1.0, "w0.1", "circuit", partner=CITY, detail="opened")
PARKED = Event(2.0, "w0.1", "parked", partner=CITY, case=CASE)
END = Event(9.0, "world", "end", detail="settled")


def delivered(number: int, offset: int) -> list[Event]:
    """One message all the way."""
    return [
        accepted(number), outbox(number, offset), sent(number, offset), effect(number, offset), receipt(number),
        settled(number, f"d{number}"), commit(offset + 1),
    ]  # fmt: skip


GOOD = [owner("w0.1", 0.0), *delivered(1, 0), *delivered(2, 1), END]

BAD: list[tuple[Check, str, Sequence[Event]]] = [
    (checkers.nothing_lost, "accepted, nowhere", [accepted(1), END]),
    (checkers.nothing_lost, "not at its end", [*GOOD[:-1], END._replace(detail="open: a lag")]),
    (checkers.nothing_lost, "it never ended", GOOD[:-1]),
    (checkers.nothing_lost, "unreadable, nowhere", [outbox(1, 0, "poison")._replace(name=""), END]),
    (checkers.no_phantom, "never accepted", [effect(7, 0)]),
    (checkers.no_phantom, "of another partner", [accepted(1), effect(1, 0)._replace(partner="350200")]),
    (checkers.no_phantom, "a receipt nobody wrote", [sent(1, 0)._replace(name="tongban/r-0")]),
    (
        checkers.no_phantom,
        "an act of an operator",
        [
            Event(0.1, "world", "ledger", name(1), CITY, CASE, detail="operator.skipped", proof="o-1"),
            sent(1, 0)._replace(name="tongban/o-1"),
        ],
    ),
    (checkers.once, "two effects", [effect(1, 0), effect(1, 0)]),
    (checkers.once, "two ids", [sent(1, 0), sent(1, 0, proof="other")]),
    (checkers.no_needless_repeat, "sent after its end", [*delivered(1, 0), sent(1, 0, at_s=5.0)]),
    (
        checkers.no_needless_repeat,
        "a repeat on the outbox is sent",
        [*delivered(1, 0), outbox(1, 1, "repeat"), sent(1, 1, at_s=5.0)],
    ),
    (checkers.in_order, "overtaken", [accepted(1), accepted(2), effect(2, 1), effect(1, 0)]),
    (
        checkers.in_order,
        "redriven out of a lane that held",
        [
            accepted(1), accepted(2), effect(2, 1),
            Event(1.0, "operator", "act", name(1), CITY, CASE, detail="redriven", proof="blocking"),
            effect(1, 2),
        ],
    ),
    (checkers.receipted, "no receipt", [accepted(1), effect(1, 0)]),
    (checkers.receipted, "an orphan", [accepted(1), receipt(1)]),
    (
        checkers.receipted,
        "two receipts of one effect",
        [*delivered(1, 0), receipt(1, proof="r-other")],
    ),
    (checkers.receipted, "another digest", [*delivered(1, 0), settled(1, "d-other")]),
    (checkers.receipted, "on the desk, nobody told", [accepted(1), desk(1, 0)]),
    (
        checkers.receipted,
        "told to have failed, not on the desk",
        [accepted(1), receipt(1, kind="receipt.rejected")],
    ),
    (checkers.commits_safe, "committed before its receipt", [outbox(1, 0), effect(1, 0), commit(1)]),
    (checkers.commits_safe, "above an unfinished one", [*delivered(1, 0), outbox(2, 1), outbox(3, 2), commit(3)]),
    (checkers.commits_safe, "back", [*delivered(1, 0), *delivered(2, 1), commit(1)]),
    (
        checkers.commits_safe,
        "a redrive rests on its first receipt",
        [*delivered(1, 0), outbox(1, 1, "redrive", redrive=1), commit(2)],
    ),
    (
        checkers.commits_safe,
        "a note calls an unfinished one finished",
        [outbox(1, 0), outbox(2, 1), commit(0, note=encode([0], 2).text)],
    ),
    (
        checkers.commits_safe,
        "a note that does not read",
        [outbox(1, 0), commit(0, note="rubbish")],
    ),
    (
        checkers.no_zombie,
        "sent after its partition was another's",
        [owner("w0.1", 0.0), owner("w1.2", 1.0, 2), sent(1, 0, at_s=2.0), effect(1, 0, at_s=2.1)],
    ),
    (checkers.isolated, "waits", [outbox(1, 0, at_s=1.0), effect(1, 0, at_s=9.0)]),
    (checkers.not_silent, "stands still and says ok", [sample(float(at)) for at in range(0, 40, 5)]),
    (checkers.levers_followed, "sent though paused", [PAUSE, sent(1, 0, at_s=9.0)]),
    (checkers.nothing_used_up, "parked while open", [OPENED, PARKED]),
    (checkers.no_failure, "died of a fault", [Event(1.0, "w0.1", "process", detail="failed: KeyError: x")]),
]  # fmt: skip

FINE: list[tuple[Check, str, Sequence[Event]]] = [
    (
        checkers.in_order,
        "one that was on its way when its sender was frozen",
        [
            accepted(1), accepted(2), sent(1, 0)._replace(detail="on its way when frozen"),
            effect(2, 1, who="w1.2"), effect(1, 0),
        ],
    ),
    (
        checkers.in_order,
        "a rejected one, redriven by an operator past its successors",
        [
            accepted(1), accepted(2), effect(2, 1),
            Event(1.0, "operator", "act", name(1), CITY, CASE, detail="redriven", proof="free"),
            effect(1, 2),
        ],
    ),
    (
        checkers.no_needless_repeat,
        "redriven",
        [*delivered(1, 0), outbox(1, 1, "redrive", at_s=3.0, redrive=1), sent(1, 1, at_s=5.0)],
    ),
    (
        checkers.commits_safe,
        "parked, and a repeat of it",
        [
            outbox(1, 0), outbox(1, 1, "repeat"),
            Event(0.4, "w0.1", "stored", "", CITY, "", None, 0, 0, "parked"),
            commit(2),
        ],
    ),
    (
        checkers.no_zombie,
        "the one sent before may arrive after",
        [owner("w0.1", 0.0), sent(1, 0), owner("w1.2", 1.0, 2), effect(1, 0, at_s=2.0)],
    ),
    (
        checkers.no_zombie,
        "on its way when it was frozen",
        [
            owner("w0.1", 0.0), owner("w1.2", 1.0, 2),
            sent(1, 0, at_s=2.0)._replace(detail="on its way when frozen"), effect(1, 0, at_s=2.1),
        ],
    ),
    (checkers.levers_followed, "a moment later", [PAUSE, sent(1, 0, at_s=2.0)]),
    (checkers.levers_followed, "resumed", [PAUSE, PAUSE._replace(detail="resume"), sent(1, 0, at_s=9.0)]),
    (checkers.nothing_used_up, "closed before", [OPENED, OPENED._replace(detail="closed"), PARKED]),
    (checkers.nothing_used_up, "at another worker", [OPENED, PARKED._replace(who="w1.2")]),
    (checkers.not_silent, "says why", [sample(float(at), "waits: x") for at in range(0, 40, 5)]),
    (checkers.not_silent, "no lag", [sample(float(at), lag=0) for at in range(0, 40, 5)]),
    (
        checkers.not_silent,
        "moves",
        [each for at in range(0, 40, 5) for each in (sample(float(at)), sent(1, 0, at_s=at + 1.0))],
    ),
]  # fmt: skip


def found(check: Check, history: Sequence[Event]) -> list[Anomaly]:
    return list(check(history, FACTS))


@pytest.mark.parametrize(("check", "why", "history"), BAD, ids=[f"{c.__name__}: {w}" for c, w, _ in BAD])
def test_a_bad_history_is_found(check: Check, why: str, history: Sequence[Event]) -> None:
    assert found(check, history), why


@pytest.mark.parametrize(("check", "why", "history"), FINE, ids=[f"{c.__name__}: {w}" for c, w, _ in FINE])
def test_what_only_looks_bad_is_let_through(check: Check, why: str, history: Sequence[Event]) -> None:
    assert found(check, history) == [], why


@pytest.mark.parametrize("check", checkers.CHECKS, ids=lambda check: check.__name__)
def test_a_good_history_passes(check: Check) -> None:
    assert found(check, GOOD) == []


def test_every_checker_is_shown_to_fail() -> None:
    assert {check for check, _, _ in BAD} == set(checkers.CHECKS)


def test_histories_that_differ_in_one_fact_have_other_digests() -> None:
    assert digest(GOOD) == digest(tuple(GOOD))
    assert digest(GOOD) != digest([*GOOD[:-1], END._replace(at_s=9.001)])
