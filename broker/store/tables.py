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
    Index(None, "opening", "updated_at"),
    Index(None, "responsible", "updated_at"),
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
    Column("verdict", String(16), nullable=False, comment="applied or refused"),
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
    Column("opened_at", BigInteger, nullable=False),
    Column("status", String(16), nullable=False, comment="open, or how it ended"),
    PrimaryKeyConstraint("source", "id"),
    Index(None, "partner", "status"),
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
    Column("record", LargeBinary, nullable=False, comment="the outbox record verbatim (store/frames.py)"),
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
    Column("attempt", Integer, nullable=False),
    Column("started_at", BigInteger, nullable=False),
    Column("duration_ms", Integer, nullable=False),
    Column("result", String(16), nullable=False),
    Column("detail", Text, nullable=False, comment="the answer's code and reason; failures only"),
    PrimaryKeyConstraint("source", "id", "partner", "attempt"),
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

VIEW: Final = (position, directory, case, message, tally, dossier)
HELD: Final = (mailbox, parked_lane, parked_message, awaiting, attempt, mark)

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
