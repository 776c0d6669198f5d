"""Figures and findings as pure computations."""
