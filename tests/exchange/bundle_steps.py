"""What tests of bundles do first, and what they look at."""

from __future__ import annotations

from broker.core.message import Message, from_record
from tests.exchange.bundle_world import World

CHAIN = ("chusheng", "jiezhong", "luohu", "canbao", "jiaofei", "shebaoka")
"""A newborn's parts, in an order in which they may be granted."""


def applied(world: World) -> World:
    world.apply_newborn()
    world.judge()
    return world


def copies(world: World) -> list[Message]:
    return [message for record in world.ledger if (message := from_record(record)).part_of is not None]
