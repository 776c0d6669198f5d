"""Lanes that wait long: parked, tried again, on their way to the desk, asked about again."""
