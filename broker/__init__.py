"""Tongban (通办): a message broker for cross-province government case handling."""

__version__ = "0.1.0"
