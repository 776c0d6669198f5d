"""Opening: the value with its papers, and as the partner names its fields."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from broker.core.events import compartment_aad
from broker.core.ids import CaseId
from broker.core.message import Message
from broker.delivery.ports import Keys, Opened
from broker.errors import Corrupt
from broker.log.codec import Codec
from broker.log.compartment import is_sealed, open_value
from broker.store.vault import KeyDestroyed
from connectors.base import Features
from connectors.mapping import PartnerMapping


class Papers:
    """Opens messages of cases whose keys were fetched before, many at once."""

    def __init__(self, codec: Codec, keys: Keys) -> None:
        self._codec = codec
        self._keys = keys

    async def keys(self, cases: Collection[CaseId]) -> Mapping[CaseId, bytes]:
        """The keys of these cases. Of one that was destroyed, or never made, there is none.

        Raises Unreachable when the vault is away.
        """
        wanted = set(cases)
        while wanted:
            try:
                return await self._keys.known(wanted)
            except KeyDestroyed as destroyed:
                if not wanted & destroyed.cases:
                    raise
                wanted -= destroyed.cases
        return {}

    def open(
        self, message: Message, key: bytes | None, features: Features, mapping: PartnerMapping
    ) -> Opened:
        """Raises Corrupt when it does not open, and connectors.mapping.MappingConflict."""
        if not features.opens:
            return Opened(value=message.value, data=None)
        value = message.value
        if key is not None:
            value = open_value(self._codec, value, key=key, aad=compartment_aad(message)).value
        if key is None and is_sealed(self._codec, value):
            raise Corrupt("the case's key was destroyed or is not known: its papers cannot be opened")
        if not features.maps:
            return Opened(value=value, data=None)
        decoded = self._codec.decode(value)
        data = self._codec.to_json(decoded.schema, decoded.datum)
        return Opened(value=value, data=mapping.outward(message.type, data))
