"""Ports on the loopback: free ones, and whether given ones are free."""

from __future__ import annotations

import errno
import random
import socket
from collections.abc import Iterable

from deploy.kafka.server_settings import HOST, Ports

_BELOW_EPHEMERAL = range(20_000, 32_000)
"""Ports that no outgoing connection is given, so that a port found free stays free until it is bound."""


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as fault:
            if fault.errno == errno.EADDRINUSE:
                return False
            raise
    return True


def ports_from(base: int, nodes: int) -> tuple[Ports, ...]:
    """Consecutive ports: first the nodes' for clients, from ``base``, then as many for their controllers."""
    return tuple(Ports(client=base + node, controller=base + nodes + node) for node in range(nodes))


def taken(ports: Iterable[Ports]) -> tuple[int, ...]:
    """Those of the ports that something else listens on."""
    return tuple(port for each in ports for port in (each.client, each.controller) if not is_free(port))


def any_free(nodes: int) -> tuple[Ports, ...]:
    """Consecutive free ports somewhere on the loopback."""
    while True:
        ports = ports_from(random.choice(_BELOW_EPHEMERAL), nodes)  # noqa: S311 - no secret
        if not taken(ports):
            return ports
