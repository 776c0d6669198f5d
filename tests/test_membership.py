"""A process's name in its consumer groups: kept over restarts, shared with nobody who is alive."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from broker.membership import Membership

HOLD = "import sys, pathlib; from broker.membership import Membership; m = Membership(pathlib.Path(sys.argv[1]), ['intake']); print(m.name, flush=True); sys.stdin.read()"


def test_a_restart_has_the_same_name_and_a_second_process_another(tmp_path: Path) -> None:
    first = Membership(tmp_path, ["exchange", "delivery"])
    second = Membership(tmp_path, ["delivery", "exchange"])
    assert first.name != second.name
    first.release()
    assert Membership(tmp_path, ["exchange", "delivery"]).name == first.name


def test_other_stages_have_other_names_whoever_starts_first(tmp_path: Path) -> None:
    assert Membership(tmp_path, ["exchange"]).name != Membership(tmp_path, ["delivery"]).name
    assert Membership(tmp_path, ["exchange"]).name.endswith("exchange-0")


def test_a_killed_process_leaves_its_name_to_the_next(tmp_path: Path) -> None:
    held = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert held.stdout is not None
    name = held.stdout.readline().strip()
    assert Membership(tmp_path, ["intake"]).name != name
    held.kill()
    held.wait()
    held.stdout.close()
    assert held.stdin is not None
    held.stdin.close()
    assert Membership(tmp_path, ["intake"]).name == name
