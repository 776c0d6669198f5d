"""The database: what people query, what delivery holds, and the cases' keys.

Read in this order: ``tables.py`` (what is kept), ``engine.py`` (one transaction at a time, off the event
loop), ``ledger_view.py`` (how the ledger becomes the view), ``vault.py`` (the cases' keys).
"""
