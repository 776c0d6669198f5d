"""Revisions of the vault. A released revision never changes."""
