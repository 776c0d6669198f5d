"""The tables. One MetaData for what is derived from the ledger and what delivery holds; one for the vault.

``VIEW`` tables can be dropped and rebuilt from the ledger at any time. ``HELD`` tables are delivery's
working state, rebuilt from ledger and outboxes. The vault holds the cases' keys, is rebuilt from nothing,
and therefore lives in a database of its own (ADR 0005). Times are UTC milliseconds since 1970.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    and_,
    literal_column,
)

NAMES: Final = {"ix": "ix_%(table_name)s_%(column_0_N_name)s", "pk": "pk_%(table_name)s"}
metadata: Final = MetaData(naming_convention=NAMES)
vault_metadata: Final = MetaData(naming_convention=NAMES)

position: Final = Table(
    "position",
    metadata,
    Column("ledger_partition", Integer, primary_key=True, autoincrement=False),
    Column("next_offset", BigInteger, nullable=False, comment="first ledger offset not yet in this view"),
    Column("directory_version", String(16), nullable=False, comment="directory in force at that offset"),
)

directory: Final = Table(
    "directory",
    metadata,
    Column("version", String(16), primary_key=True),
    Column("documents", Text, nullable=False, comment="JSON object: path to TOML text"),
    Column("applied_at", BigInteger, nullable=False),
    Column("applied_by", Text, nullable=False),
    Column("reason", Text, nullable=False),
)

case: Final = Table(
    "case_view",
    metadata,
    Column("case_id", Text, primary_key=True),
    Column("opening", String(31), nullable=False),
    Column("responsible", String(31), nullable=False),
    Column("item", Text, nullable=False),
    Column("mode", String(16), nullable=False),
    Column("status", String(32), nullable=False),
    Column("opened_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    Column("state", Text, nullable=False, comment="the whole CaseState as JSON"),
    Column("falls_at", BigInteger, comment="when the next of its deadlines falls, without a card yet"),
    Index(None, "opening", "updated_at"),
    Index(None, "responsible", "updated_at"),
)

Index(
    "ix_case_view_falls_at",
    case.c.falls_at,
    case.c.case_id,  # thousands fall at the same midnight: pages of them need no sorting
    sqlite_where=case.c.falls_at.is_not(None),
    postgresql_where=case.c.falls_at.is_not(None),
)

card: Final = Table(
    "card",
    metadata,
    Column("case_id", Text, nullable=False),
    Column("kind", String(16), nullable=False, comment="which limit: acceptance, decision, step, …"),
    Column("step", String(64), nullable=False, comment="the review step; empty: the case as a whole"),
    Column("light", String(8), nullable=False, comment="yellow or red"),
    Column("turn", Integer, nullable=False, comment="how often the clock had been changed before"),
    Column("falls_at", BigInteger, nullable=False),
    Column("issued_at", BigInteger, nullable=False, comment="when the ledger took it"),
    Column("due_on", String(10), nullable=False, comment="last day of the limit, YYYY-MM-DD"),
    Column("late", String(31), nullable=False, comment="the partner at whose side it is"),
    Column("opening", String(31), nullable=False),
    Column("responsible", String(31), nullable=False),
    Column("item", Text, nullable=False),
    Column("ledger_partition", Integer, nullable=False),
    Column("ledger_offset", BigInteger, nullable=False),
    PrimaryKeyConstraint("case_id", "kind", "step", "light", "turn"),
    Index(None, "late", "issued_at"),
)

reconciliation: Final = Table(
    "reconciliation",
    metadata,
    Column("ledger_partition", Integer, nullable=False, comment="the record that holds the list"),
    Column("ledger_offset", BigInteger, nullable=False),
    Column("line", Integer, nullable=False, comment="line of the whole list, from 1"),
    Column("partner", String(31), nullable=False, comment="who handed it in"),
    Column("month", String(7), nullable=False),
    Column("number", Text, nullable=False, comment="the partner's own number of the case"),
    Column("item", Text),
    Column("decided_on", String(10)),
    Column("fee_fen", BigInteger, comment="what was paid, in fen"),
    PrimaryKeyConstraint("ledger_partition", "ledger_offset", "line"),
    Index(None, "partner", "month"),
)

message: Final = Table(
    "message",
    metadata,
    Column("source", String(31), nullable=False),
    Column("id", String(64), nullable=False),
    Column("case_id", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("destination", String(31), nullable=False),
    Column("item", Text),
    Column("mode", String(16)),
    Column("message_class", Integer, nullable=False),
    Column("correlation", Text),
    Column("digest", Text, nullable=False),
    Column("proof", String(16), nullable=False, comment="signature, channel or broker: what vouches for it"),
    Column("said_at", BigInteger, nullable=False, comment="the sender's own time"),
    Column("expires_at", BigInteger),
    Column("ledger_partition", Integer, nullable=False),
    Column("ledger_offset", BigInteger, nullable=False),
    Column("accepted_at", BigInteger, nullable=False),
    Column(
        "verdict", String(16), nullable=False, comment="applied, recorded (nobody is to get it) or refused"
    ),
    Column("code", Text, comment="the problem code of a refusal"),
    Column("detail", Text, comment="why it was refused; no personal data"),
    Column("outcome", String(16), comment="delivered, rejected, expired or undeliverable; null: not yet"),
    Column("outcome_at", BigInteger),
    Column("attempts", Integer, nullable=False, default=0),
    Column("reference", Text, comment="the recipient's own number for it"),
    Column("answer", Text, comment="the recipient's code and reason"),
    Column("receipt_id", String(64)),
    PrimaryKeyConstraint("source", "id"),
    Index(None, "case_id", "ledger_offset"),
)

OWED: Final = and_(
    message.c.outcome.is_(None),
    message.c.verdict == literal_column("'applied'"),
    message.c.message_class != literal_column("2"),
)
"""Messages that somebody is still to get. Receipts (class 2) are brought too, but never receipted themselves."""

Index(
    "ix_message_owed",
    message.c.destination,
    message.c.accepted_at,
    sqlite_where=OWED,
    postgresql_where=OWED,
)

REFUSED: Final = message.c.verdict == literal_column("'refused'")

Index(
    "ix_message_refused",
    message.c.type,
    message.c.code,
    sqlite_where=REFUSED,
    postgresql_where=REFUSED,
)

tally: Final = Table(
    "tally",
    metadata,
    Column("partner", String(31), nullable=False),
    Column(
        "ledger_partition",
        Integer,
        nullable=False,
        comment="counted apart, so that no two workers share a row",
    ),
    Column("accepted", BigInteger, nullable=False, comment="messages that this partner is, or was, to get"),
    Column("delivered", BigInteger, nullable=False),
    Column("failed", BigInteger, nullable=False, comment="rejected, expired or undeliverable"),
    PrimaryKeyConstraint("partner", "ledger_partition"),
)

dossier: Final = Table(
    "dossier",
    metadata,
    Column("source", String(31), nullable=False),
    Column("id", String(64), nullable=False),
    Column("partner", String(31), nullable=False, comment="whom it could not be brought to"),
    Column("case_id", Text, nullable=False),
    Column("cause", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Column("blocks", Boolean, nullable=False, comment="whether its case's later messages wait behind it"),
    Column("ledger_partition", Integer, nullable=False, comment="where its message stands on the ledger"),
    Column("ledger_offset", BigInteger, nullable=False),
    Column("opened_at", BigInteger, nullable=False, comment="when it failed first"),
    Column("updated_at", BigInteger, nullable=False),
    Column("closed_at", BigInteger),
    Column("failures", Integer, nullable=False, comment="how often its message ended here"),
    Column("owner", Text, nullable=False, comment="who is to see to it"),
    Column("due_at", BigInteger, nullable=False, comment="until when"),
    Column("status", String(16), nullable=False, comment="open, redriven, or how it ended"),
    PrimaryKeyConstraint("source", "id"),
    Index(None, "partner", "status"),
    Index(None, "partner", "case_id", "status"),
)

dossier_act: Final = Table(
    "dossier_act",
    metadata,
    Column("ledger_partition", Integer, nullable=False, comment="the record that is this act"),
    Column("ledger_offset", BigInteger, nullable=False),
    Column("source", String(31), nullable=False, comment="the message concerned"),
    Column("id", String(64), nullable=False),
    Column(
        "act",
        String(16),
        nullable=False,
        comment="failed, redriven, returned, skipped, assigned, noted, delivered",
    ),
    Column("by", Text, nullable=False, comment="a named person, or the broker"),
    Column("reason", Text, nullable=False),
    Column(
        "detail", Text, nullable=False, comment="what it says beyond that: owner and deadline, note, cause"
    ),
    Column("at", BigInteger, nullable=False, comment="when the ledger took it"),
    PrimaryKeyConstraint("ledger_partition", "ledger_offset"),
    Index(None, "source", "id"),
)

lever: Final = Table(
    "lever",
    metadata,
    Column("partner", String(31), primary_key=True),
    Column("paused", Boolean, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    Column("state", Text, nullable=False, comment="the whole Levers as JSON"),
)

mailbox: Final = Table(
    "mailbox",
    metadata,
    Column("partner", String(31), nullable=False),
    Column("outbox_partition", Integer, nullable=False),
    Column("outbox_offset", BigInteger, nullable=False),
    Column("source", String(31), nullable=False),
    Column("id", String(64), nullable=False),
    Column("case_id", Text, nullable=False),
    Column(
        "record",
        LargeBinary,
        nullable=False,
        comment="the outbox record verbatim (store/delivering/frames.py)",
    ),
    Column("placed_at", BigInteger, nullable=False),
    Column("attempts", Integer, nullable=False, default=0, comment="how often it was leased"),
    Column("lease", String(64)),
    Column("leased_until", BigInteger),
    PrimaryKeyConstraint("partner", "outbox_partition", "outbox_offset"),
    Index(None, "partner", "source", "id"),
    Index(None, "partner", "case_id"),
)

parked_lane: Final = Table(
    "parked_lane",
    metadata,
    Column("partner", String(31), nullable=False),
    Column("case_id", Text, nullable=False),
    Column("parked_at", BigInteger, nullable=False),
    Column("attempts", Integer, nullable=False, comment="attempts so far of the message at its head"),
    Column("next_at", BigInteger, nullable=False),
    Column("reason", Text, nullable=False),
    PrimaryKeyConstraint("partner", "case_id"),
    Index(None, "next_at"),
)

parked_message: Final = Table(
    "parked_message",
    metadata,
    Column("partner", String(31), nullable=False),
    Column("case_id", Text, nullable=False),
    Column("outbox_partition", Integer, nullable=False),
    Column("outbox_offset", BigInteger, nullable=False),
    Column("source", String(31), nullable=False),
    Column("id", String(64), nullable=False),
    Column("record", LargeBinary, nullable=False),
    PrimaryKeyConstraint("partner", "outbox_partition", "outbox_offset"),
    Index(None, "partner", "case_id", "outbox_offset"),
)

awaiting: Final = Table(
    "awaiting",
    metadata,
    Column("partner", String(31), nullable=False),
    Column("source", String(31), nullable=False),
    Column("id", String(64), nullable=False),
    Column("case_id", Text, nullable=False),
    Column("outbox_partition", Integer, nullable=False),
    Column("outbox_offset", BigInteger, nullable=False),
    Column("record", LargeBinary, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("due_at", BigInteger, nullable=False, comment="asked again when no receipt came by then"),
    PrimaryKeyConstraint("partner", "source", "id"),
    Index(None, "due_at"),
)

attempt: Final = Table(
    "attempt",
    metadata,
    Column("partner", String(31), nullable=False),
    Column("source", String(31), nullable=False),
    Column("id", String(64), nullable=False),
    Column("redrive", Integer, nullable=False, default=0, comment="how often it had been redriven before"),
    Column("attempt", Integer, nullable=False),
    Column("started_at", BigInteger, nullable=False),
    Column("duration_ms", Integer, nullable=False),
    Column("result", String(16), nullable=False),
    Column("detail", Text, nullable=False, comment="the answer's code and reason; failures only"),
    Column(
        "next_at", BigInteger, comment="when the next attempt is planned; null: none is, or not by the clock"
    ),
    PrimaryKeyConstraint("source", "id", "partner", "redrive", "attempt"),
)

blocked: Final = Table(
    "blocked",
    metadata,
    Column("partner", String(31), nullable=False),
    Column("source", String(31), nullable=False),
    Column("id", String(64), nullable=False),
    Column("case_id", Text, nullable=False),
    Column("outbox_partition", Integer, nullable=False),
    Column("outbox_offset", BigInteger, nullable=False),
    PrimaryKeyConstraint("partner", "source", "id"),
    Index(None, "partner", "outbox_partition"),
)

commit_note: Final = Table(
    "commit_note",
    metadata,
    Column("topic", Text, nullable=False),
    Column("partition", Integer, nullable=False),
    Column("next_offset", BigInteger, nullable=False, comment="the offset that the note goes with"),
    Column(
        "digest",
        String(64),
        nullable=False,
        comment="of offset and note, this one and the last acknowledged; no other is believed",
    ),
    PrimaryKeyConstraint("topic", "partition"),
)

line_status: Final = Table(
    "line_status",
    metadata,
    Column("partner", String(31), nullable=False),
    Column("worker", String(64), nullable=False),
    Column("phase", String(16), nullable=False, comment="flowing, paused, open, half-open, faulty"),
    Column("reason", Text),
    Column("in_flight", Integer, nullable=False),
    Column("waiting", Integer, nullable=False, comment="messages in memory that are not in flight"),
    Column("held", Integer, nullable=False, comment="cases that wait seconds for their next attempt"),
    Column("parked", Integer, nullable=False),
    Column("next_probe_at", BigInteger),
    Column("since", BigInteger, nullable=False, comment="when it came into this phase"),
    Column("updated_at", BigInteger, nullable=False),
    PrimaryKeyConstraint("partner", "worker"),
)

mark: Final = Table(
    "delivery_mark",
    metadata,
    Column("topic", Text, nullable=False),
    Column("partition", Integer, nullable=False),
    Column("ledger_partition", Integer, nullable=False),
    Column(
        "source_offset",
        BigInteger,
        nullable=False,
        comment="highest ledger offset seen on this outbox partition",
    ),
    PrimaryKeyConstraint("topic", "partition", "ledger_partition"),
)

VIEW: Final = (position, directory, case, message, tally, dossier, dossier_act, lever, card, reconciliation)
HELD: Final = (
    mailbox,
    parked_lane,
    parked_message,
    awaiting,
    attempt,
    mark,
    blocked,
    commit_note,
    line_status,
)

case_key: Final = Table(
    "case_key",
    vault_metadata,
    Column("case_id", Text, primary_key=True),
    Column("kek", String(64), nullable=False, comment="which key-encryption key wraps it"),
    Column("wrapped", LargeBinary, comment="AES-256 key wrapped with AES-KW (RFC 3394); null once destroyed"),
    Column("created_at", BigInteger, nullable=False),
    Column("destroyed", Boolean, nullable=False, default=False),
    Index(None, "kek"),
)
