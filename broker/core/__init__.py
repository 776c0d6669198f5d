"""The pure core: facts, tables and decisions. No I/O, no clock, no randomness (they are arguments)."""
