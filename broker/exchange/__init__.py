"""The exchange: ledger → life cycle, agreements, duplicates → outboxes; refusals back to their sender.

Read in this order: ``stage.py`` (the loop), ``batch.py`` (one partition's records, judged in log order by
``core/routing.py``), ``outputs.py`` (the records that follow).
"""
