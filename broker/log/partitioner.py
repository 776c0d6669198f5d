"""Which partition a key belongs to, as Kafka's own Java client decides it.

A case keeps its partition for life, whoever writes the record: this broker, ``kafka-console-producer``, a
partner's Java program. Source: ``org.apache.kafka.common.utils.Utils.murmur2`` and ``BuiltInPartitioner``.
"""

from __future__ import annotations

import struct
from functools import lru_cache

_SEED = 0x9747B28C
_M = 0x5BD1E995
_WORD = 0xFFFFFFFF


def murmur2(key: bytes) -> int:
    """The 32-bit Murmur2 hash of ``key``, unsigned."""
    length = len(key)
    words = length >> 2
    h = _SEED ^ length
    for k in struct.unpack_from(f"<{words}I", key):
        k = (k * _M) & _WORD  # noqa: PLW2901 - the mixing of one word; a second name would cost 5 % of the hash
        h = ((h * _M) & _WORD) ^ (((k ^ (k >> 24)) * _M) & _WORD)
    tail = key[words << 2 :]
    if tail:
        h = ((h ^ int.from_bytes(tail, "little")) * _M) & _WORD
    h = ((h ^ (h >> 13)) * _M) & _WORD
    return h ^ (h >> 15)


@lru_cache(maxsize=16384)
def partition_of(key: bytes, partitions: int) -> int:
    """The partition of ``key`` among ``partitions``: remembered, since a case's messages come in a row."""
    return (murmur2(key) & 0x7FFFFFFF) % partitions
