"""The view of the ledger and what delivery holds."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "attempt",
        sa.Column("partner", sa.String(length=31), nullable=False),
        sa.Column("source", sa.String(length=31), nullable=False),
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("redrive", sa.Integer(), nullable=False, comment="how often it had been redriven before"),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("started_at", sa.BigInteger(), nullable=False),
        sa.Column("duration_ms", sa.Integer(), nullable=False),
        sa.Column("result", sa.String(length=16), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False, comment="the answer's code and reason; failures only"),
        sa.Column(
            "next_at",
            sa.BigInteger(),
            nullable=True,
            comment="when the next attempt is planned; null: none is, or not by the clock",
        ),
        sa.PrimaryKeyConstraint("source", "id", "partner", "redrive", "attempt", name=op.f("pk_attempt")),
    )
    op.create_table(
        "awaiting",
        sa.Column("partner", sa.String(length=31), nullable=False),
        sa.Column("source", sa.String(length=31), nullable=False),
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("case_id", sa.Text(), nullable=False),
        sa.Column("outbox_partition", sa.Integer(), nullable=False),
        sa.Column("outbox_offset", sa.BigInteger(), nullable=False),
        sa.Column("record", sa.LargeBinary(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column(
            "due_at", sa.BigInteger(), nullable=False, comment="asked again when no receipt came by then"
        ),
        sa.PrimaryKeyConstraint("partner", "source", "id", name=op.f("pk_awaiting")),
    )
    op.create_index(op.f("ix_awaiting_due_at"), "awaiting", ["due_at"], unique=False)
    op.create_table(
        "blocked",
        sa.Column("partner", sa.String(length=31), nullable=False),
        sa.Column("source", sa.String(length=31), nullable=False),
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("case_id", sa.Text(), nullable=False),
        sa.Column("outbox_partition", sa.Integer(), nullable=False),
        sa.Column("outbox_offset", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("partner", "source", "id", name=op.f("pk_blocked")),
    )
    op.create_index(
        op.f("ix_blocked_partner_outbox_partition"), "blocked", ["partner", "outbox_partition"], unique=False
    )
    op.create_table(
        "card",
        sa.Column("case_id", sa.Text(), nullable=False),
        sa.Column(
            "kind", sa.String(length=16), nullable=False, comment="which limit: acceptance, decision, step, …"
        ),
        sa.Column(
            "step",
            sa.String(length=64),
            nullable=False,
            comment="the review step; empty: the case as a whole",
        ),
        sa.Column("light", sa.String(length=8), nullable=False, comment="yellow or red"),
        sa.Column(
            "turn", sa.Integer(), nullable=False, comment="how often the clock had been changed before"
        ),
        sa.Column("falls_at", sa.BigInteger(), nullable=False),
        sa.Column("issued_at", sa.BigInteger(), nullable=False, comment="when the ledger took it"),
        sa.Column(
            "due_on", sa.String(length=10), nullable=False, comment="last day of the limit, YYYY-MM-DD"
        ),
        sa.Column("late", sa.String(length=31), nullable=False, comment="the partner at whose side it is"),
        sa.Column("opening", sa.String(length=31), nullable=False),
        sa.Column("responsible", sa.String(length=31), nullable=False),
        sa.Column("item", sa.Text(), nullable=False),
        sa.Column("ledger_partition", sa.Integer(), nullable=False),
        sa.Column("ledger_offset", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("case_id", "kind", "step", "light", "turn", name=op.f("pk_card")),
    )
    op.create_index(op.f("ix_card_late_issued_at"), "card", ["late", "issued_at"], unique=False)
    op.create_table(
        "reconciliation",
        sa.Column("ledger_partition", sa.Integer(), nullable=False, comment="the record that holds the list"),
        sa.Column("ledger_offset", sa.BigInteger(), nullable=False),
        sa.Column("line", sa.Integer(), nullable=False, comment="line of the whole list, from 1"),
        sa.Column("partner", sa.String(length=31), nullable=False, comment="who handed it in"),
        sa.Column("month", sa.String(length=7), nullable=False),
        sa.Column("number", sa.Text(), nullable=False, comment="the partner's own number of the case"),
        sa.Column("item", sa.Text(), nullable=True),
        sa.Column("decided_on", sa.String(length=10), nullable=True),
        sa.Column("fee_fen", sa.BigInteger(), nullable=True, comment="what was paid, in fen"),
        sa.PrimaryKeyConstraint("ledger_partition", "ledger_offset", "line", name=op.f("pk_reconciliation")),
    )
    op.create_index(
        op.f("ix_reconciliation_partner_month"), "reconciliation", ["partner", "month"], unique=False
    )
    op.create_table(
        "case_view",
        sa.Column("case_id", sa.Text(), nullable=False),
        sa.Column("opening", sa.String(length=31), nullable=False),
        sa.Column("responsible", sa.String(length=31), nullable=False),
        sa.Column("item", sa.Text(), nullable=False),
        sa.Column("mode", sa.String(length=16), nullable=False),
        sa.Column("status", sa.String(length=32), nullable=False),
        sa.Column("opened_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False, comment="the whole CaseState as JSON"),
        sa.Column(
            "falls_at",
            sa.BigInteger(),
            nullable=True,
            comment="when the next of its deadlines falls, without a card yet",
        ),
        sa.PrimaryKeyConstraint("case_id", name=op.f("pk_case_view")),
    )
    op.create_index(
        "ix_case_view_falls_at",
        "case_view",
        ["falls_at", "case_id"],
        unique=False,
        sqlite_where=sa.text("falls_at IS NOT NULL"),
        postgresql_where=sa.text("falls_at IS NOT NULL"),
    )
    op.create_index(
        op.f("ix_case_view_opening_updated_at"), "case_view", ["opening", "updated_at"], unique=False
    )
    op.create_index(
        op.f("ix_case_view_responsible_updated_at"), "case_view", ["responsible", "updated_at"], unique=False
    )
    op.create_table(
        "commit_note",
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("partition", sa.Integer(), nullable=False),
        sa.Column(
            "next_offset", sa.BigInteger(), nullable=False, comment="the offset that the note goes with"
        ),
        sa.Column(
            "digest",
            sa.String(length=64),
            nullable=False,
            comment="of offset and note, this one and the last acknowledged; no other is believed",
        ),
        sa.PrimaryKeyConstraint("topic", "partition", name=op.f("pk_commit_note")),
    )
    op.create_table(
        "delivery_mark",
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("partition", sa.Integer(), nullable=False),
        sa.Column("ledger_partition", sa.Integer(), nullable=False),
        sa.Column(
            "source_offset",
            sa.BigInteger(),
            nullable=False,
            comment="highest ledger offset seen on this outbox partition",
        ),
        sa.PrimaryKeyConstraint("topic", "partition", "ledger_partition", name=op.f("pk_delivery_mark")),
    )
    op.create_table(
        "directory",
        sa.Column("version", sa.String(length=16), nullable=False),
        sa.Column("documents", sa.Text(), nullable=False, comment="JSON object: path to TOML text"),
        sa.Column("applied_at", sa.BigInteger(), nullable=False),
        sa.Column("applied_by", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("version", name=op.f("pk_directory")),
    )
    op.create_table(
        "dossier",
        sa.Column("source", sa.String(length=31), nullable=False),
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("partner", sa.String(length=31), nullable=False, comment="whom it could not be brought to"),
        sa.Column("case_id", sa.Text(), nullable=False),
        sa.Column("cause", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column(
            "blocks", sa.Boolean(), nullable=False, comment="whether its case's later messages wait behind it"
        ),
        sa.Column(
            "ledger_partition", sa.Integer(), nullable=False, comment="where its message stands on the ledger"
        ),
        sa.Column("ledger_offset", sa.BigInteger(), nullable=False),
        sa.Column("opened_at", sa.BigInteger(), nullable=False, comment="when it failed first"),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.Column("closed_at", sa.BigInteger(), nullable=True),
        sa.Column("failures", sa.Integer(), nullable=False, comment="how often its message ended here"),
        sa.Column("owner", sa.Text(), nullable=False, comment="who is to see to it"),
        sa.Column("due_at", sa.BigInteger(), nullable=False, comment="until when"),
        sa.Column("status", sa.String(length=16), nullable=False, comment="open, redriven, or how it ended"),
        sa.PrimaryKeyConstraint("source", "id", name=op.f("pk_dossier")),
    )
    op.create_index(
        op.f("ix_dossier_partner_case_id_status"), "dossier", ["partner", "case_id", "status"], unique=False
    )
    op.create_index(op.f("ix_dossier_partner_status"), "dossier", ["partner", "status"], unique=False)
    op.create_table(
        "dossier_act",
        sa.Column("ledger_partition", sa.Integer(), nullable=False, comment="the record that is this act"),
        sa.Column("ledger_offset", sa.BigInteger(), nullable=False),
        sa.Column("source", sa.String(length=31), nullable=False, comment="the message concerned"),
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column(
            "act",
            sa.String(length=16),
            nullable=False,
            comment="failed, redriven, returned, skipped, assigned, noted, delivered",
        ),
        sa.Column("by", sa.Text(), nullable=False, comment="a named person, or the broker"),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column(
            "detail",
            sa.Text(),
            nullable=False,
            comment="what it says beyond that: owner and deadline, note, cause",
        ),
        sa.Column("at", sa.BigInteger(), nullable=False, comment="when the ledger took it"),
        sa.PrimaryKeyConstraint("ledger_partition", "ledger_offset", name=op.f("pk_dossier_act")),
    )
    op.create_index(op.f("ix_dossier_act_source_id"), "dossier_act", ["source", "id"], unique=False)
    op.create_table(
        "lever",
        sa.Column("partner", sa.String(length=31), nullable=False),
        sa.Column("paused", sa.Boolean(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False, comment="the whole Levers as JSON"),
        sa.PrimaryKeyConstraint("partner", name=op.f("pk_lever")),
    )
    op.create_table(
        "line_status",
        sa.Column("partner", sa.String(length=31), nullable=False),
        sa.Column("worker", sa.String(length=64), nullable=False),
        sa.Column(
            "phase", sa.String(length=16), nullable=False, comment="flowing, paused, open, half-open, faulty"
        ),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("in_flight", sa.Integer(), nullable=False),
        sa.Column(
            "waiting", sa.Integer(), nullable=False, comment="messages in memory that are not in flight"
        ),
        sa.Column(
            "held", sa.Integer(), nullable=False, comment="cases that wait seconds for their next attempt"
        ),
        sa.Column("parked", sa.Integer(), nullable=False),
        sa.Column("next_probe_at", sa.BigInteger(), nullable=True),
        sa.Column("since", sa.BigInteger(), nullable=False, comment="when it came into this phase"),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("partner", "worker", name=op.f("pk_line_status")),
    )
    op.create_table(
        "mailbox",
        sa.Column("partner", sa.String(length=31), nullable=False),
        sa.Column("outbox_partition", sa.Integer(), nullable=False),
        sa.Column("outbox_offset", sa.BigInteger(), nullable=False),
        sa.Column("source", sa.String(length=31), nullable=False),
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("case_id", sa.Text(), nullable=False),
        sa.Column(
            "record",
            sa.LargeBinary(),
            nullable=False,
            comment="the outbox record verbatim (store/delivering/frames.py)",
        ),
        sa.Column("placed_at", sa.BigInteger(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False, comment="how often it was leased"),
        sa.Column("lease", sa.String(length=64), nullable=True),
        sa.Column("leased_until", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("partner", "outbox_partition", "outbox_offset", name=op.f("pk_mailbox")),
    )
    op.create_index(op.f("ix_mailbox_partner_case_id"), "mailbox", ["partner", "case_id"], unique=False)
    op.create_index(
        op.f("ix_mailbox_partner_source_id"), "mailbox", ["partner", "source", "id"], unique=False
    )
    op.create_table(
        "message",
        sa.Column("source", sa.String(length=31), nullable=False),
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("case_id", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("destination", sa.String(length=31), nullable=False),
        sa.Column("item", sa.Text(), nullable=True),
        sa.Column("mode", sa.String(length=16), nullable=True),
        sa.Column("message_class", sa.Integer(), nullable=False),
        sa.Column("correlation", sa.Text(), nullable=True),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column(
            "proof",
            sa.String(length=16),
            nullable=False,
            comment="signature, channel or broker: what vouches for it",
        ),
        sa.Column("said_at", sa.BigInteger(), nullable=False, comment="the sender's own time"),
        sa.Column("expires_at", sa.BigInteger(), nullable=True),
        sa.Column("ledger_partition", sa.Integer(), nullable=False),
        sa.Column("ledger_offset", sa.BigInteger(), nullable=False),
        sa.Column("accepted_at", sa.BigInteger(), nullable=False),
        sa.Column(
            "verdict",
            sa.String(length=16),
            nullable=False,
            comment="applied, recorded (nobody is to get it) or refused",
        ),
        sa.Column("code", sa.Text(), nullable=True, comment="the problem code of a refusal"),
        sa.Column("detail", sa.Text(), nullable=True, comment="why it was refused; no personal data"),
        sa.Column(
            "outcome",
            sa.String(length=16),
            nullable=True,
            comment="delivered, rejected, expired or undeliverable; null: not yet",
        ),
        sa.Column("outcome_at", sa.BigInteger(), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("reference", sa.Text(), nullable=True, comment="the recipient's own number for it"),
        sa.Column("answer", sa.Text(), nullable=True, comment="the recipient's code and reason"),
        sa.Column("receipt_id", sa.String(length=64), nullable=True),
        sa.PrimaryKeyConstraint("source", "id", name=op.f("pk_message")),
    )
    op.create_index(
        op.f("ix_message_case_id_ledger_offset"), "message", ["case_id", "ledger_offset"], unique=False
    )
    op.create_index(
        "ix_message_refused",
        "message",
        ["type", "code"],
        unique=False,
        sqlite_where=sa.text("verdict = 'refused'"),
        postgresql_where=sa.text("verdict = 'refused'"),
    )
    op.create_index(
        "ix_message_owed",
        "message",
        ["destination", "accepted_at"],
        unique=False,
        sqlite_where=sa.text("outcome IS NULL AND verdict = 'applied' AND message_class != 2"),
        postgresql_where=sa.text("outcome IS NULL AND verdict = 'applied' AND message_class != 2"),
    )
    op.create_table(
        "parked_lane",
        sa.Column("partner", sa.String(length=31), nullable=False),
        sa.Column("case_id", sa.Text(), nullable=False),
        sa.Column("parked_at", sa.BigInteger(), nullable=False),
        sa.Column(
            "attempts", sa.Integer(), nullable=False, comment="attempts so far of the message at its head"
        ),
        sa.Column("next_at", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("partner", "case_id", name=op.f("pk_parked_lane")),
    )
    op.create_index(op.f("ix_parked_lane_next_at"), "parked_lane", ["next_at"], unique=False)
    op.create_table(
        "parked_message",
        sa.Column("partner", sa.String(length=31), nullable=False),
        sa.Column("case_id", sa.Text(), nullable=False),
        sa.Column("outbox_partition", sa.Integer(), nullable=False),
        sa.Column("outbox_offset", sa.BigInteger(), nullable=False),
        sa.Column("source", sa.String(length=31), nullable=False),
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("record", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint(
            "partner", "outbox_partition", "outbox_offset", name=op.f("pk_parked_message")
        ),
    )
    op.create_index(
        op.f("ix_parked_message_partner_case_id_outbox_offset"),
        "parked_message",
        ["partner", "case_id", "outbox_offset"],
        unique=False,
    )
    op.create_table(
        "position",
        sa.Column("ledger_partition", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column(
            "next_offset", sa.BigInteger(), nullable=False, comment="first ledger offset not yet in this view"
        ),
        sa.Column(
            "directory_version",
            sa.String(length=16),
            nullable=False,
            comment="directory in force at that offset",
        ),
        sa.PrimaryKeyConstraint("ledger_partition", name=op.f("pk_position")),
    )
    op.create_table(
        "tally",
        sa.Column("partner", sa.String(length=31), nullable=False),
        sa.Column(
            "ledger_partition",
            sa.Integer(),
            nullable=False,
            comment="counted apart, so that no two workers share a row",
        ),
        sa.Column(
            "accepted",
            sa.BigInteger(),
            nullable=False,
            comment="messages that this partner is, or was, to get",
        ),
        sa.Column("delivered", sa.BigInteger(), nullable=False),
        sa.Column("failed", sa.BigInteger(), nullable=False, comment="rejected, expired or undeliverable"),
        sa.PrimaryKeyConstraint("partner", "ledger_partition", name=op.f("pk_tally")),
    )
