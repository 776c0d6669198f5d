"""Benches: whole roads and their bare parts, measured in one run. Not part of the product."""
