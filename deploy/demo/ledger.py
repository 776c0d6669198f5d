"""A city's own ledger: what arrived, what it made of it, what it said. One SQLite file, written by one program.

Two habits make every effect happen once, whatever the network does, and they are all that a partner needs:

* **Inbox**: ``received.webhook_id`` is unique. The event, its effect on the case and the answers that the
  office gives are written in *one* transaction, before the HTTP answer. A repeat finds its id and stops.
* **Outbox**: an answer is first a row in ``sent``, with its id and then its exact bytes. It is submitted from
  there, again and again with the same id and the same bytes, until the broker has said 202.

Others may read the file while the city runs: :func:`read_effects` is for them.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Final

from deploy.demo.records import Attempt, CaseRow, Effect, Queued, Sent, Step

_TABLES = """
CREATE TABLE IF NOT EXISTS received (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,   -- the order of first effects
    webhook_id TEXT NOT NULL UNIQUE,
    source TEXT NOT NULL, id TEXT NOT NULL, type TEXT NOT NULL, "case" TEXT NOT NULL,
    correlation TEXT,
    digest TEXT NOT NULL,
    attempt INTEGER NOT NULL,                -- of the delivery that had the effect
    reference TEXT,                          -- our own number, as answered
    event BLOB NOT NULL,
    at TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS attempts (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    webhook_id TEXT NOT NULL, attempt INTEGER NOT NULL, answer INTEGER NOT NULL, note TEXT NOT NULL, at TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS cases (
    number TEXT PRIMARY KEY,                 -- our own number
    "case" TEXT NOT NULL UNIQUE,             -- the exchange's: <partner that opened it>/<its number>
    role TEXT NOT NULL, counterpart TEXT NOT NULL, item TEXT NOT NULL, mode TEXT NOT NULL,
    stage TEXT NOT NULL,                     -- where our own state machine stands
    code TEXT NOT NULL,                      -- our own code for it
    opened_at TEXT NOT NULL, updated_at TEXT NOT NULL,
    item_class TEXT NOT NULL, manner TEXT NOT NULL, score INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS steps (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    number TEXT NOT NULL REFERENCES cases, type TEXT NOT NULL, code TEXT NOT NULL, said INTEGER NOT NULL, at TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS sent (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE, type TEXT NOT NULL, "case" TEXT NOT NULL,
    letter BLOB NOT NULL,                    -- what is to be said
    body BLOB,                               -- the exact bytes of the event, once built
    state TEXT NOT NULL DEFAULT 'queued',    -- queued, accepted, refused
    attempts INTEGER NOT NULL DEFAULT 0, status INTEGER, code TEXT, detail TEXT,
    digest TEXT, duplicate INTEGER NOT NULL DEFAULT 0,
    receipt TEXT, receipt_detail TEXT,
    queued_at TEXT NOT NULL, accepted_at TEXT, receipt_at TEXT
);
CREATE INDEX IF NOT EXISTS sent_queued ON sent (seq) WHERE state = 'queued';
CREATE INDEX IF NOT EXISTS attempts_of ON attempts (webhook_id);
"""


_EFFECTS: Final = """
SELECT seq, webhook_id, source, id, type, "case", correlation, digest, attempt, reference, event, at FROM received
"""
_ATTEMPTS: Final = "SELECT seq, webhook_id, attempt, answer, note, at FROM attempts"
_CASES: Final = """
SELECT number, "case", role, counterpart, item, mode, stage, code, opened_at, updated_at, item_class, manner, score
FROM cases
"""
_STEPS: Final = "SELECT seq, number, type, code, said, at FROM steps"
_SENT: Final = """
SELECT seq, id, type, "case", state, attempts, status, code, detail, digest, duplicate,
       receipt, receipt_detail, queued_at, accepted_at, receipt_at FROM sent
"""


class Ledger:
    """The ledger as its one writer holds it. Calls take well under a millisecond and are made on the event loop."""

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None)
        self._connection.row_factory = sqlite3.Row
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = FULL")  # a yes must survive the power cut
        self._connection.executescript(_TABLES)

    def close(self) -> None:
        self._connection.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All of it or nothing. What raises within undoes everything."""
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")

    # What arrived

    def effect(self, webhook_id: str) -> Effect | None:
        """The effect that this id had already, if any."""
        row = self._one(_EFFECTS + "WHERE webhook_id = ?", webhook_id)
        return Effect(**row) if row else None

    def record_effect(self, effect: Effect) -> None:
        """Write the first effect of an id. The table itself refuses a second one (sqlite3.IntegrityError)."""
        self._connection.execute(
            'INSERT INTO received (webhook_id, source, id, type, "case", correlation, digest, attempt, reference,'
            " event, at) VALUES (:webhook_id, :source, :id, :type, :case, :correlation, :digest, :attempt,"
            " :reference, :event, :at)",
            asdict(effect),
        )

    def record_attempt(self, *, webhook_id: str, attempt: int, answer: int, note: str, at: str) -> None:
        self._connection.execute(
            "INSERT INTO attempts (webhook_id, attempt, answer, note, at) VALUES (?, ?, ?, ?, ?)",
            (webhook_id, attempt, answer, note, at),
        )

    # Cases

    def case(self, case: str) -> CaseRow | None:
        row = self._one(_CASES + 'WHERE "case" = ?', case)
        return CaseRow(**row) if row else None

    def case_numbered(self, number: str) -> CaseRow | None:
        row = self._one(_CASES + "WHERE number = ?", number)
        return CaseRow(**row) if row else None

    def next_serial(self) -> int:
        """The serial of the next case that this city numbers."""
        row = self._one("SELECT count(*) AS cases FROM cases")
        assert row is not None
        return int(row["cases"]) + 1

    def put_case(self, row: CaseRow) -> None:
        """Open a case, or move one on."""
        self._connection.execute(
            "INSERT INTO cases VALUES (:number, :case, :role, :counterpart, :item, :mode, :stage, :code,"
            " :opened_at, :updated_at, :item_class, :manner, :score) ON CONFLICT (number) DO UPDATE SET stage = excluded.stage,"
            " code = excluded.code, updated_at = excluded.updated_at",
            asdict(row),
        )

    def add_step(self, *, number: str, type_: str, code: str, said: bool, at: str) -> None:
        self._connection.execute(
            "INSERT INTO steps (number, type, code, said, at) VALUES (?, ?, ?, ?, ?)",
            (number, type_, code, said, at),
        )

    # What we say

    def said(self, case: str, type_: str) -> int:
        """How many messages of this type we have said on a case: the next one's number, for its id."""
        row = self._one('SELECT count(*) AS said FROM sent WHERE "case" = ? AND type = ?', case, type_)
        assert row is not None
        return int(row["said"])

    def queue(self, *, message_id: str, type_: str, case: str, letter: bytes, at: str) -> None:
        self._connection.execute(
            'INSERT INTO sent (id, type, "case", letter, queued_at) VALUES (?, ?, ?, ?, ?)',
            (message_id, type_, case, letter, at),
        )

    def next_queued(self, most: int = 1) -> list[Queued]:
        """The oldest messages without an answer yet: what we say is said in the order in which it was queued."""
        rows = self._connection.execute(
            "SELECT id, letter, body FROM sent WHERE state = 'queued' ORDER BY seq LIMIT ?", (most,)
        )
        return [Queued(**row) for row in rows]

    def body(self, message_id: str) -> bytes | None:
        """The exact bytes that a message was first submitted with."""
        row = self._one("SELECT body FROM sent WHERE id = ?", message_id)
        body = row["body"] if row else None
        return body if isinstance(body, bytes) else None

    def keep_body(self, message_id: str, body: bytes) -> None:
        """Keep an event's bytes before the first attempt: every later one must be the same to the byte."""
        self._connection.execute("UPDATE sent SET body = ? WHERE id = ?", (body, message_id))

    def note_try(self, message_id: str, *, status: int | None, code: str | None, detail: str | None) -> None:
        """An attempt that ended without a yes or a no."""
        self._connection.execute(
            "UPDATE sent SET attempts = attempts + 1, status = ?, code = ?, detail = ? WHERE id = ?",
            (status, code, detail, message_id),
        )

    def note_accepted(self, message_id: str, *, digest: str | None, duplicate: bool, at: str) -> None:
        self._connection.execute(
            "UPDATE sent SET state = 'accepted', attempts = attempts + 1, status = 202, code = NULL, detail = NULL,"
            " digest = ?, duplicate = ?, accepted_at = coalesce(accepted_at, ?) WHERE id = ?",
            (digest, duplicate, at, message_id),
        )

    def note_refused(self, message_id: str, *, status: int, code: str, detail: str) -> None:
        self._connection.execute(
            "UPDATE sent SET state = 'refused', attempts = attempts + 1, status = ?, code = ?, detail = ? WHERE id = ?",
            (status, code, detail, message_id),
        )

    def note_receipt(self, message_id: str, *, outcome: str, detail: str | None, at: str) -> None:
        """The broker's receipt or notice about a message of ours."""
        self._connection.execute(
            "UPDATE sent SET receipt = ?, receipt_detail = ?, receipt_at = ? WHERE id = ?",
            (outcome, detail, at, message_id),
        )

    def _one(self, statement: str, *values: object) -> sqlite3.Row | None:
        row = self._connection.execute(statement, values).fetchone()
        return row if isinstance(row, sqlite3.Row) else None


def read_effects(path: Path) -> list[Effect]:
    """Every first effect in a city's ledger, in the order in which they happened there.

    For tests and for the play: opens the file read-only, while the city may be writing.
    """
    return [Effect(**row) for row in _rows(path, _EFFECTS + "ORDER BY seq")]


def read_attempts(path: Path) -> list[Attempt]:
    """Every arrival that a city recorded, repeats and refusals too, in order."""
    return [Attempt(**row) for row in _rows(path, _ATTEMPTS + " ORDER BY seq")]


def read_cases(path: Path) -> list[CaseRow]:
    """Every case that a city knows, in the order in which it learnt of them."""
    return [CaseRow(**row) for row in _rows(path, _CASES + "ORDER BY rowid")]


def read_steps(path: Path) -> list[Step]:
    """Every step of every case in the city's own codes, in order."""
    rows = _rows(path, _STEPS + " ORDER BY seq")
    return [Step(**{**row, "said": bool(row["said"])}) for row in rows]


def read_sent(path: Path) -> list[Sent]:
    """Every message that a city has said or queued, in order, with what became of it."""
    rows = _rows(path, _SENT + "ORDER BY seq")
    return [Sent(**{**row, "duplicate": bool(row["duplicate"])}) for row in rows]


def _rows(path: Path, statement: str) -> list[sqlite3.Row]:
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        connection.row_factory = sqlite3.Row
        return connection.execute(statement).fetchall()
