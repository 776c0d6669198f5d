"""The cases' keys."""

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
        "case_key",
        sa.Column("case_id", sa.Text(), nullable=False),
        sa.Column("kek", sa.String(length=64), nullable=False, comment="which key-encryption key wraps it"),
        sa.Column(
            "wrapped",
            sa.LargeBinary(),
            nullable=True,
            comment="AES-256 key wrapped with AES-KW (RFC 3394); null once destroyed",
        ),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("destroyed", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("case_id", name=op.f("pk_case_key")),
    )
    op.create_index(op.f("ix_case_key_kek"), "case_key", ["kek"], unique=False)
