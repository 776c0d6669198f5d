"""The bare store: what the view writes for each message, by ``sqlite3`` alone, in batches of one transaction."""

from __future__ import annotations

import json
import random
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.letters import zipf
from broker.store.access import prepared as statements
from broker.store.access.migrate import migrate
from broker.store.access.schema import VIEW_SCHEMA

BATCH: Final = 200
CASES: Final = 2000
_LITE: Final = "sqlite"
Row = tuple[object, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Rows as the statements bind them. ``outcomes`` are those of the batch before, as on the road."""

    number: int
    messages: Sequence[Row]
    cases: Sequence[Row]
    outcomes: Sequence[Row]


def prepared(path: Path) -> sqlite3.Connection:
    """An empty view with the product's own tables, indexes and settings."""
    migrate(f"sqlite:///{path}", schema=VIEW_SCHEMA, patience_s=5.0)
    connection = sqlite3.connect(path, isolation_level=None)
    for pragma in ("synchronous=NORMAL", "cache_size=-32768", "wal_autocheckpoint=8000", "temp_store=MEMORY"):
        connection.execute(f"PRAGMA {pragma}")
    connection.execute("INSERT INTO position VALUES (0, 0, '')")
    return connection


def batches(messages: int) -> list[Batch]:
    """Batches for ``messages`` messages with random names and Zipf cases, made before the clock starts."""
    seed = random.Random(7)
    drawn = zipf(CASES, 1.0, messages, 7)
    names = [f"m{seed.getrandbits(64):x}" for _ in range(messages)]
    made: list[Batch] = []
    for number, start in enumerate(range(0, messages, BATCH)):
        chosen = range(start, min(start + BATCH, messages))
        before = range(max(0, start - BATCH), start)
        made.append(
            Batch(
                number=number,
                messages=[_message(names[each], drawn[each], each) for each in chosen],
                cases=[_case(case, start) for case in sorted({drawn[each] for each in chosen})],
                outcomes=[_outcome(names[each]) for each in before],
            )
        )
    return made


def write(connection: sqlite3.Connection, batch: Batch) -> None:
    """One transaction."""
    connection.execute("BEGIN IMMEDIATE")
    # Order of values: until, version, partition, since.
    connection.execute(statements.NEXT_POSITION.sql[_LITE], (batch.number + 1, "", 0, batch.number))
    connection.executemany(statements.INSERT_MESSAGE.sql[_LITE], batch.messages)
    connection.executemany(statements.UPSERT_CASE.sql[_LITE], batch.cases)
    connection.executemany(statements.SETTLE_MESSAGE.sql[_LITE], batch.outcomes)
    connection.execute("COMMIT")


def _message(name: str, case: int, number: int) -> Row:
    facts: dict[str, object] = {
        "source": "451300",
        "id": name,
        "case_id": f"451300/{case}",
        "type": "case.urged",
        "destination": "430423",
        "item": "0761-001",
        "mode": "collected",
        "message_class": 1,
        "correlation": None,
        "digest": "sha-256:" + "0" * 64,
        "proof": "signature",
        "said_at": 1_800_000_000_000,
        "expires_at": None,
        "ledger_partition": 0,
        "ledger_offset": number,
        "accepted_at": 1_800_000_000_000,
        "verdict": "applied",
        "code": None,
        "detail": None,
    }
    return tuple(facts[name] for name in statements.INSERT_MESSAGE.order)


def _case(case: int, at: int) -> Row:
    state = json.dumps({"case": f"451300/{case}", "status": "submitted", "padding": "x" * 350})
    moment = 1_800_000_000_000 + at
    return (
        f"451300/{case}", "451300", "430423", "0761-001", "collected", "submitted", 1_800_000_000_000, moment, state,
        moment,
    )  # fmt: skip


def _outcome(name: str) -> Row:
    return ("delivered", 1_800_000_000_000, 1, "R-1", None, f"r{name}", "451300", name)
