"""Seeing that nothing stops in silence, and telling people how the lines stand."""
