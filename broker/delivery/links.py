"""What leads to a partner, from its entry in the directory and the connectors' registry."""

from __future__ import annotations

from broker.core.directory import Partner
from connectors import registry
from connectors.base import Connector, Ports
from connectors.mapping import PartnerMapping


class PartnerLinks:
    """Fits broker.delivery.ports.Links. Its methods raise DocumentInvalid, with file and key."""

    def __init__(self, ports: Ports) -> None:
        self._ports = ports

    def connector(self, partner: Partner) -> Connector:
        return registry.make_connector(partner, self._ports)

    def mapping(self, partner: Partner) -> PartnerMapping:
        return registry.make_mapping(partner)
