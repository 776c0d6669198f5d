"""Audit asks the store on both databases."""

from __future__ import annotations

from tests.store.conftest import postgres, postgres_url, sqlite_url, store, url

__all__ = ["postgres", "postgres_url", "sqlite_url", "store", "url"]
