"""The two schemas of this room, and where the migrations of each are."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sqlalchemy import MetaData

from broker.store.tables import metadata, vault_metadata

MIGRATIONS: Final = Path(__file__).parent.parent / "migrations"


@dataclass(frozen=True, slots=True, kw_only=True)
class Schema:
    """One set of tables with its own migrations, so that it may share a database or have its own.

    ``head``: the newest revision under ``migrations/<name>/``, here so that a look needs no Alembic.

    ``full_sync``: every commit survives a loss of power, and what is deleted is overwritten. The view needs
    neither, for the ledger has it all (SQLite only: PostgreSQL commits durably unless its server is told not to).
    """

    name: str
    metadata: MetaData
    head: str
    full_sync: bool

    @property
    def versions(self) -> Path:
        return MIGRATIONS / self.name

    @property
    def version_table(self) -> str:
        return f"{self.name}_version"


VIEW_SCHEMA: Final = Schema(name="view", metadata=metadata, head="0001", full_sync=False)
VAULT_SCHEMA: Final = Schema(name="vault", metadata=vault_metadata, head="0001", full_sync=True)
