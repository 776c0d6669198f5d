"""The wheel: built, unpacked elsewhere, it runs outside the checkout with everything that it needs in it."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

HERE = Path(__file__).parents[1]
PROGRAM = (
    "import sys, broker.cli as cli; assert cli.__file__.startswith(sys.argv.pop(1)), cli.__file__; cli.main()"
)


def test_the_wheel_runs_outside_the_checkout(tmp_path: Path) -> None:
    built = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path / "dist")],
        cwd=HERE, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert built.returncode == 0, built.stderr
    (wheel,) = (tmp_path / "dist").glob("tongban-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        archive.extractall(tmp_path / "installed")
    assert not [name for name in names if name.startswith(("tests/", "bench/", "docs/"))]
    for command in (["schema", "list", "--json"], ["kafka", "status"], ["setup", "--help"]):
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, str(tmp_path / "installed"), *command],
            cwd=tmp_path, capture_output=True, text=True, check=False,
            env={"PYTHONPATH": str(tmp_path / "installed"), "HOME": str(tmp_path), "PATH": "/usr/bin:/bin"},
        )  # fmt: skip
        expected = 3 if command[0] == "kafka" else 0
        assert done.returncode == expected, f"{command}: {done.stdout}{done.stderr}"
