"""The directory's versions, as the ledger has brought them."""

from __future__ import annotations

import json

from sqlalchemy import Connection, select

from broker.errors import Corrupt
from broker.store.tables import directory


def current(connection: Connection) -> tuple[str, dict[str, str]] | None:
    """The version applied last and its documents (path to TOML text); None before the first one."""
    newest = select(directory.c.version, directory.c.documents).order_by(
        directory.c.applied_at.desc(), directory.c.version
    )
    row = connection.execute(newest.limit(1)).one_or_none()
    return None if row is None else (row.version, _read(row.version, row.documents))


def by_version(connection: Connection, version: str) -> dict[str, str] | None:
    """The documents of a version, or None."""
    text = _text(connection, version)
    return None if text is None else _read(version, text)


def documents(connection: Connection, version: str) -> str:
    """The documents of a version as the JSON object that is stored. Raises :class:`Corrupt` when it is not."""
    text = _text(connection, version)
    if text is None:
        raise Corrupt(f"the view names directory version {version!r} but does not hold it: rebuild the view")
    return text


def _text(connection: Connection, version: str) -> str | None:
    return connection.scalar(select(directory.c.documents).where(directory.c.version == version))


def _read(version: str, text: str) -> dict[str, str]:
    try:
        found = json.loads(text)
    except ValueError:
        raise Corrupt(f"directory version {version!r} does not read as JSON: rebuild the view") from None
    return {str(path): str(document) for path, document in found.items()}
