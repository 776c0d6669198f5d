"""Confluent's schema registry: asking one, and answering as one."""
