"""Opening: the value with its papers, and as the partner names its fields."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final

from broker.core.events import compartment_aad
from broker.core.ids import CaseId, key_case
from broker.core.message import Message
from broker.delivery.ports import Keys, Opened, make_opened
from broker.errors import Corrupt
from broker.log.values.codec import Codec
from broker.log.values.compartment import is_sealed, open_decoded, open_value
from broker.store.vault import KeyDestroyed
from connectors.base import Features
from connectors.mapping import PartnerMapping

_NO_KEY: Final = "the case's key was destroyed or is not known: its papers cannot be opened"


class Papers:
    """Opens messages of cases whose keys were fetched before, many at once."""

    def __init__(self, codec: Codec, keys: Keys) -> None:
        self._codec = codec
        self._keys = keys

    async def keys(self, cases: Collection[CaseId]) -> Mapping[CaseId, bytes]:
        """The keys of these cases; a bundle's part has its parent's. Of one destroyed, or never made, there is none.

        Raises Unreachable when the vault is away.
        """
        sealed_by = {case: key_case(case) for case in cases}
        wanted = set(sealed_by.values())
        while wanted:
            try:
                found = await self._keys.known(wanted)
            except KeyDestroyed as destroyed:
                if not wanted & destroyed.cases:
                    raise
                wanted -= destroyed.cases
            else:
                return {case: found[of] for case, of in sealed_by.items() if of in found}
        return {}

    def open(
        self, message: Message, key: bytes | None, features: Features, mapping: PartnerMapping
    ) -> Opened:
        """Raises Corrupt when it does not open, and connectors.mapping.MappingConflict."""
        if not features.opens:
            return make_opened(value=message.value, data=None)
        if not features.maps:
            return make_opened(value=self._value(message, key), data=None)
        opened = open_decoded(self._codec, message.value, key=key, aad=compartment_aad(message))
        if opened is None:
            raise Corrupt(_NO_KEY)
        value, decoded = opened
        data = self._codec.to_json(decoded.schema, decoded.datum)
        return make_opened(value=value, data=mapping.outward(message.type, data))

    def _value(self, message: Message, key: bytes | None) -> bytes:
        if key is not None:
            return open_value(self._codec, message.value, key=key, aad=compartment_aad(message)).value
        if is_sealed(self._codec, message.value):
            raise Corrupt(_NO_KEY)
        return message.value
