"""Connectors: one file per kind, each on the one contract of :mod:`connectors.base`."""
