"""The exchange: ledger → life cycle, agreements, duplicates → outboxes; refusals back to their sender.

Read in this order: ``stage.py`` (the loop), ``reading.py`` (what judging needs), ``batch.py`` (one partition's
records, judged in log order by ``core/case/routing.py``), ``deskwork.py`` (what they do to the desk and the levers),
``outputs.py`` (the records that follow). ``acts.py`` and ``applying.py`` make the records of named persons.
"""
