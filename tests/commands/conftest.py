"""What the tests of commands share."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.commands.desk_view import View


@pytest.fixture
def view(tmp_path: Path) -> View:
    """A store with three partners and an empty desk, and a Kafka that is not there."""
    return View(tmp_path)
