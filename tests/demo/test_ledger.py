"""The ledger's two habits: an id has one effect, and nothing of a transaction stays when it fails."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.demo.ledger import Ledger, read_attempts, read_cases, read_effects, read_sent, read_steps
from deploy.demo.records import Effect
from tests.demo.doubles import AT, a_case, a_ledger


def an_effect(webhook_id: str = "451300_m-1") -> Effect:
    return Effect(
        webhook_id=webhook_id,
        source="451300",
        id=webhook_id.partition("_")[2],
        type="case.submitted",
        case="451300/LB1-0001",
        correlation=None,
        digest="sha-256:0",
        attempt=1,
        reference="HS1-0001",
        event=b"{}",
        at=AT,
    )


def queue(ledger: Ledger, message: str, type_: str = "case.submitted") -> None:
    ledger.queue(message_id=message, type_=type_, case="430423/HS1-0001", letter=b"{}", at=AT)


def test_the_table_refuses_a_second_effect(tmp_path: Path) -> None:
    ledger = a_ledger(tmp_path)
    ledger.record_effect(an_effect())
    with pytest.raises(sqlite3.IntegrityError):
        ledger.record_effect(an_effect())
    assert ledger.effect("451300_m-1") == read_effects(tmp_path / "ledger.db")[0]
    assert ledger.effect("451300_m-2") is None


def test_effects_are_read_in_their_order(tmp_path: Path) -> None:
    ledger = a_ledger(tmp_path)
    for message in ("451300_m-2", "451300_m-1", "350200_m-9"):
        ledger.record_effect(an_effect(message))
    effects = read_effects(tmp_path / "ledger.db")
    assert [effect.webhook_id for effect in effects] == ["451300_m-2", "451300_m-1", "350200_m-9"]
    assert [effect.seq for effect in effects] == [1, 2, 3]


def test_nothing_of_a_failed_transaction_stays(tmp_path: Path) -> None:
    ledger = a_ledger(tmp_path)

    def take() -> None:
        with ledger.transaction():
            ledger.record_effect(an_effect())
            ledger.put_case(a_case())
            queue(ledger, "HS1-0001-accepted")
            raise RuntimeError("the power went")

    with pytest.raises(RuntimeError):
        take()
    path = tmp_path / "ledger.db"
    assert (read_effects(path), read_cases(path), read_sent(path)) == ([], [], [])


def test_a_case_moves_on_and_keeps_its_number(tmp_path: Path) -> None:
    ledger = a_ledger(tmp_path)
    ledger.put_case(a_case())
    ledger.put_case(a_case(stage="issued", code="13"))
    assert (
        ledger.case("451300/LB1-0001")
        == ledger.case_numbered("HS1-0001")
        == a_case(stage="issued", code="13")
    )
    assert ledger.next_serial() == 2


def test_messages_leave_in_the_order_in_which_they_were_queued(tmp_path: Path) -> None:
    ledger = a_ledger(tmp_path)
    for message in ("b", "a", "c"):
        queue(ledger, message)
    left = []
    while found := ledger.next_queued():
        queued = found[0]
        left.append(queued.id)
        if queued.id == "a":
            ledger.note_refused("a", status=422, code="expired", detail="too late")
        else:
            ledger.note_accepted(queued.id, digest="sha-256:0", duplicate=False, at=AT)
    assert left == ["b", "a", "c"]
    assert [sent.state for sent in read_sent(tmp_path / "ledger.db")] == ["accepted", "refused", "accepted"]


def test_several_may_leave_together_in_their_order(tmp_path: Path) -> None:
    ledger = a_ledger(tmp_path)
    for message in ("b", "a", "c"):
        queue(ledger, message)
    assert [each.id for each in ledger.next_queued(2)] == ["b", "a"]
    assert [each.id for each in ledger.next_queued(9)] == ["b", "a", "c"]


def test_a_try_leaves_a_message_queued_with_its_bytes(tmp_path: Path) -> None:
    ledger = a_ledger(tmp_path)
    queue(ledger, "m-1")
    ledger.keep_body("m-1", b"exactly this")
    ledger.note_try("m-1", status=503, code="not-durable", detail="later")
    queued = ledger.next_queued()
    assert [each.id for each in queued] == ["m-1"]
    assert queued[0].body == ledger.body("m-1") == b"exactly this"
    assert read_sent(tmp_path / "ledger.db")[0].attempts == 1


def test_a_repeat_does_not_move_the_moment_of_acceptance(tmp_path: Path) -> None:
    ledger = a_ledger(tmp_path)
    queue(ledger, "m-1")
    ledger.note_accepted("m-1", digest="sha-256:0", duplicate=False, at=AT)
    ledger.note_accepted("m-1", digest="sha-256:0", duplicate=True, at="2026-03-03T09:00:00.000+08:00")
    sent = read_sent(tmp_path / "ledger.db")[0]
    assert (sent.accepted_at, sent.duplicate, sent.attempts) == (AT, True, 2)


def test_counting_what_was_said_is_by_case_and_type(tmp_path: Path) -> None:
    ledger = a_ledger(tmp_path)
    queue(ledger, "HS1-0001-urged", "case.urged")
    assert ledger.said("430423/HS1-0001", "case.urged") == 1
    assert ledger.said("430423/HS1-0001", "case.submitted") == 0
    assert ledger.said("430423/HS1-0002", "case.urged") == 0


def test_steps_and_attempts_read_back(tmp_path: Path) -> None:
    ledger = a_ledger(tmp_path)
    ledger.put_case(a_case())
    ledger.add_step(number="HS1-0001", type_="case.accepted", code="3", said=True, at=AT)
    ledger.record_attempt(webhook_id="451300_m-1", attempt=2, answer=503, note="away", at=AT)
    assert [(step.code, step.said) for step in read_steps(tmp_path / "ledger.db")] == [("3", True)]
    assert [(each.attempt, each.answer) for each in read_attempts(tmp_path / "ledger.db")] == [(2, 503)]


_KILLED = """
import os, signal, sys
from pathlib import Path
from tests.demo.doubles import a_case, a_ledger
ledger = a_ledger(Path(sys.argv[1]))
ledger.put_case(a_case())
with ledger.transaction():
    ledger.put_case(a_case(stage="issued"))
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_city_leaves_whole_transactions_only(tmp_path: Path) -> None:
    ended = subprocess.run([sys.executable, "-c", _KILLED, str(tmp_path)], check=False)
    assert ended.returncode == -9
    assert [case.stage for case in read_cases(tmp_path / "ledger.db")] == ["new"]
    a_ledger(tmp_path).close()
    assert [case.stage for case in read_cases(tmp_path / "ledger.db")] == ["new"]
