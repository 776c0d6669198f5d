"""Alembic's revisions: ``view/`` for the view and delivery's tables, ``vault/`` for the cases' keys."""
