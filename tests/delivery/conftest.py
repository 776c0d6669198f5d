from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from broker.store.access.engine import Store


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    opened = await Store.open(f"sqlite:///{tmp_path}/view.db")
    yield opened
    await opened.close()
