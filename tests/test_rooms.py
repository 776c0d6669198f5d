"""The rooms' arrows: import-linter passes, and fails when a room is made to import against the table."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parents[1]
PACKAGES = ("broker", "connectors", "schemas", "deploy")
LINT = "from importlinter.cli import lint_imports_command; lint_imports_command()"


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", LINT, "--no-logo", "--no-cache"],
        cwd=folder, capture_output=True, text=True, check=False, env={"PYTHONPATH": str(folder), "PATH": ""},
    )  # fmt: skip


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for package in PACKAGES:
        shutil.copytree(HERE / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(HERE / ".importlinter", tmp_path)
    return tmp_path


def test_the_rooms_import_by_the_table(tree: Path) -> None:
    done = lint(tree)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("room", "imported"),
    [
        ("broker/core/message.py", "broker.log.admin.topics"),
        ("broker/core/lane/lanes.py", "asyncio"),
        ("broker/log/admin/topics.py", "broker.store.access.engine"),
        ("broker/intake/intake.py", "broker.exchange.stage"),
        ("broker/exchange/stage.py", "connectors.registry"),
        ("broker/delivery/stage.py", "broker.settings"),
        ("broker/store/access/engine.py", "aiokafka"),
        ("connectors/http.py", "broker.store.access.engine"),
        ("deploy/demo/city.py", "broker.core.message"),
    ],
)
def test_an_import_against_the_table_fails(tree: Path, room: str, imported: str) -> None:
    with (tree / room).open("a", encoding="utf-8") as file:
        file.write(f"\nimport {imported}  # against the table\n")
    done = lint(tree)
    assert done.returncode != 0
    assert "BROKEN" in done.stdout
