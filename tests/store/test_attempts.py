"""Failed attempts, lanes on the desk, and lines' figures, on both databases."""

from __future__ import annotations

from broker.core.ids import CaseId, MessageId, PartnerId, Party
from broker.store.access.engine import Store
from broker.store.delivering import attempts, blocked, line_status
from broker.store.delivering.blocked import BlockedMessage, Release
from broker.store.delivering.line_status import LineStatus
from broker.store.rows import AttemptRow

HERE = PartnerId("430423")
SENDER = Party("451300")


def failed(
    number: int, *, redrive: int = 0, next_at: int | None = 100, result: str = "deferred"
) -> AttemptRow:
    return AttemptRow(
        partner=HERE,
        source=SENDER,
        id=MessageId("m1"),
        attempt=number,
        started_at=number,
        duration_ms=1,
        result=result,
        detail="503",
        redrive=redrive,
        next_at=next_at,
    )


async def test_attempts_are_counted_per_redrive(store: Store) -> None:
    rows = [
        failed(1),
        failed(2, next_at=None),
        failed(3, result="misconfigured"),
        failed(1, redrive=1, next_at=7),
    ]
    await store.call(attempts.put, rows)
    names = {(SENDER, MessageId("m1")), (SENDER, MessageId("m2"))}
    assert await store.read(attempts.so_far, HERE, names) == {
        (SENDER, "m1", 0): (3, 1),  # three were made; one was put back, one was a fault of configuration
        (SENDER, "m1", 1): (1, 1),
    }
    assert await store.read(attempts.so_far, PartnerId("350200"), names) == {}
    assert await store.read(attempts.attempts_of, SENDER, MessageId("m1")) == rows
    assert await store.read(attempts.next_attempt_at, SENDER, MessageId("m1")) == 7
    assert await store.read(attempts.next_attempt_at, SENDER, MessageId("m2")) is None


def held(number: int, offset: int) -> BlockedMessage:
    return BlockedMessage(
        case=CaseId("451300/1"),
        source=SENDER,
        id=MessageId(f"m{number}"),
        outbox_partition=0,
        outbox_offset=offset,
    )


async def test_a_release_takes_nothing_out_that_is_back_since(store: Store) -> None:
    await store.call(blocked.put, HERE, [held(1, 5), held(2, 6)])
    await store.call(blocked.put, HERE, [held(1, 20)])  # it was redriven by the record at 20 and failed again
    await store.call(
        blocked.release, [Release.of(HERE, f"{SENDER}/m1", 20), Release.of(HERE, f"{SENDER}/m2", 21)]
    )
    assert await store.read(blocked.read, HERE, 0) == [held(1, 20)]
    assert await store.read(blocked.counts) == {HERE: 1}
    assert await store.read(blocked.read, HERE, 1) == []


async def test_a_worker_takes_back_its_own_lines_only(store: Store) -> None:
    def line(worker: str, partner: str) -> LineStatus:
        return LineStatus(
            partner=PartnerId(partner),
            worker=worker,
            phase="flowing",
            reason=None,
            in_flight=1,
            waiting=2,
            held=3,
            parked=4,
            next_probe_at=None,
            since=5,
            updated_at=6,
        )

    rows = [line("a", "350200"), line("a", "430423"), line("b", "430423")]
    await store.call(line_status.put, rows)
    assert await store.read(line_status.read) == rows
    await store.call(line_status.remove, "a", [HERE])
    assert await store.read(line_status.read, HERE) == [rows[2]]
    await store.call(line_status.remove, "a")
    assert await store.read(line_status.read) == [rows[2]]
