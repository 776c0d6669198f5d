"""When a cluster is ready: its nodes know each other, groups have coordinators, every partition is led.

Before that a client meets errors although the port is open: a first group finds no coordinator, and a first
send no leader.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from deploy.kafka.wire import Connection, Metadata, WireFault

_PROBE_GROUP = "tongban.ready"


@dataclass(frozen=True, slots=True, kw_only=True)
class NotReady:
    """Why a cluster is not ready, in one sentence for a person."""

    reason: str


async def check_ready(nodes: Mapping[int, int]) -> NotReady | None:
    """Ask each of these nodes (id to client port) once; None when all is well with them together."""
    answers = await asyncio.gather(*(_check_node(node, nodes) for node in nodes))
    return next((answer for answer in answers if answer is not None), None)


async def _check_node(node: int, nodes: Mapping[int, int]) -> NotReady | None:
    try:
        async with Connection(nodes[node]) as connection:
            if not await connection.has_coordinator(_PROBE_GROUP):
                return NotReady(reason=f"node {node} has no coordinator for consumer groups yet")
            fault = lack_of(await connection.metadata(), frozenset(nodes))
            return None if fault is None else NotReady(reason=f"node {node} says: {fault}")
    except WireFault as fault:
        return NotReady(reason=f"node {node}: {fault}")


def lack_of(known: Metadata, running: frozenset[int]) -> str | None:
    """What is wanting in the cluster that consists of the nodes ``running``; None when nothing is.

    Partitions whose every copy is on nodes that do not run are beyond help and no reason to wait.
    """
    if absent := running - known.brokers:
        return f"node {min(absent)} has not joined"
    for partition in known.partitions:
        here = partition.replicas & running
        if here and partition.leader not in running:
            return f"{partition.topic}-{partition.number} has no leader"
        if not here <= partition.in_sync:
            return (
                f"node {min(here - partition.in_sync)} is catching up on {partition.topic}-{partition.number}"
            )
    return None
