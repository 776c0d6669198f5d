"""Avro schemas, one file per message type, immutable once listed in ``released.toml``; examples beside them.

``shared/`` holds the types that several files repeat word for word (a released file stands alone), and
``examples/<type>/`` a few values as plain JSON: ``valid-*.json``, and ``invalid-*.json`` with ``_why``.
"""
