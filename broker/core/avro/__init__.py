"""Avro schemas: reading them, their defaults, and what is safe to release."""
