"""Revisions of the view. A released revision never changes."""
