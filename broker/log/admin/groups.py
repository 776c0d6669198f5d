"""Names of the consumer groups. A name is a promise: changing one makes a stage read its topics from the start."""

from __future__ import annotations

from typing import Final

EXCHANGE: Final = "tongban.stage.exchange"
DELIVERY: Final = "tongban.stage.delivery"

STAGES: Final = (EXCHANGE, DELIVERY)
"""The groups of the road, in its order: whose lag ``tongban lag`` shows when asked for none by name."""
