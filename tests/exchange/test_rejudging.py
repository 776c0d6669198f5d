"""The batches of a rebuild. What judging them comes to: ``test_rebuild.py``, ``test_desk.py``, ``test_parts.py``."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import pytest

from broker.core.records import Position, Record
from broker.exchange import rejudging
from broker.exchange.rejudging import chunks


async def records(sizes: list[int]) -> AsyncGenerator[Record, None]:
    for offset, size in enumerate(sizes):
        yield Record(
            position=Position("t", 0, offset), timestamp_ms=0, key=b"k", value=b"v" * size, headers=()
        )


async def test_a_batch_is_bounded_by_number_and_by_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rejudging, "BATCH", 3)
    monkeypatch.setattr(rejudging, "_BATCH_BYTES", 100)
    sizes = [1, 1, 1, 1, 99, 100, 60, 60, 1]
    batches = [[each.position.offset for each in batch] async for batch in chunks(records(sizes))]
    assert batches == [[0, 1, 2], [3, 4], [5], [6, 7], [8]]
