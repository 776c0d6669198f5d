"""The crew of a rebuild: who does how much, in real processes. That they make the same view: ``test_rebuild.py``."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from broker.errors import WrongUse
from broker.exchange.rebuild_workers import WORTH, Piece, processes
from broker.store.access.engine import Store
from tests.exchange.rebuild_pieces import WITHIN_S, Fail, Linger, Meet, Note, crewed

ROOT = Path(__file__).parents[2]


def test_little_is_rebuilt_by_this_process_alone() -> None:
    assert processes(WORTH - 1, 8) == 1


def test_no_process_is_without_a_partition() -> None:
    assert processes(WORTH, 1) == 1
    assert 1 <= processes(WORTH, 1000) <= 1000


@pytest.fixture
async def url(tmp_path: Path) -> str:
    """A store that is there, as a rebuild finds it."""
    url = f"sqlite:///{tmp_path}/view.db"
    await (await Store.open(url)).close()
    return url


async def test_this_process_works_beside_its_helper_and_what_came_of_it_is_in_order(
    tmp_path: Path, url: str
) -> None:
    told: list[int] = []
    pieces: list[Piece[int]] = [
        Meet(tmp_path, "one", "two"),
        Meet(tmp_path, "two", "one"),
        Note(tmp_path, "three"),
    ]
    done = await crewed(url, pieces, told)
    assert [path.read_text() for path in (tmp_path / "one", tmp_path / "two")] == list(map(str, done[:2]))
    assert done[0] != done[1]
    assert os.getpid() in done[:2]
    assert told[-1] == 20, "what all of them have told"


async def test_alone_it_does_everything_itself(tmp_path: Path, url: str) -> None:
    names = [str(number) for number in range(3)]
    assert await crewed(url, [Note(tmp_path, name) for name in names], [], count=1) == [os.getpid()] * 3


@pytest.mark.parametrize("fails_first", [True, False])
async def test_when_a_piece_fails_no_other_is_begun_and_its_fault_is_told(
    tmp_path: Path, url: str, fails_first: bool
) -> None:
    both: list[Piece[int]] = [Fail(tmp_path, "one"), Linger(tmp_path, "one")]
    pieces = [*(both if fails_first else reversed(both)), Note(tmp_path, "three")]
    with pytest.raises(WrongUse, match="cannot be done"):
        await crewed(url, pieces, [])
    assert (tmp_path / "one").exists()
    assert not (tmp_path / "three").exists()


def test_a_helper_ends_with_the_process_that_it_helps(tmp_path: Path, url: str) -> None:
    command = [sys.executable, "-m", "tests.exchange.rebuild_pieces", str(tmp_path), url]
    ended = subprocess.run(command, cwd=ROOT, check=False, timeout=2 * WITHIN_S)
    assert ended.returncode == -signal.SIGKILL
    helpers = {int((tmp_path / name).read_text()) for name in ("one", "two")}
    until = time.monotonic() + WITHIN_S / 3
    while any(map(_works, helpers)):
        assert time.monotonic() < until, "a helper works on for nobody"
        time.sleep(0.05)


def _works(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"  # nobody may be there to take note of its end
