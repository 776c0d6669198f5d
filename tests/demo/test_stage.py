"""The stage: ledgers are read when asked for, windows refuse aloud, waiting ends."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy.demo.cast import prepare
from deploy.demo.stage import Library, NotReached, Snapshot, WindowRefused
from tests.demo.cities import a_town
from tests.demo.doubles import a_hall, a_ledger, a_wish


def test_a_ledger_is_read_again_only_when_it_has_changed(tmp_path: Path) -> None:
    player = prepare(tmp_path, ["451300"]).players[0]
    ledger = a_ledger(player.folder)
    hall = a_hall(ledger, "451300")
    library = Library([player])
    hall.open_case(a_wish())
    first = library["451300"]
    assert library["451300"] is first
    hall.open_case(a_wish())
    assert len(library["451300"].cases) == 2
    assert library["451300"] is not first


def test_a_question_sees_each_ledger_at_one_moment(tmp_path: Path) -> None:
    player = prepare(tmp_path, ["451300"]).players[0]
    hall = a_hall(a_ledger(player.folder), "451300")
    snapshot = Snapshot(Library([player]))
    hall.open_case(a_wish())
    assert len(snapshot["451300"].cases) == 1
    hall.open_case(a_wish())
    assert len(snapshot["451300"].cases) == 1
    assert list(snapshot) == ["451300"]
    assert len(snapshot) == 1


async def test_what_does_not_come_is_said(tmp_path: Path) -> None:
    async with a_town(tmp_path, cast=["451300"]) as town:
        with pytest.raises(NotReached, match=r"0\.2 s"):
            await town.stage.reach(lambda _: False, 0.2)
        assert not await town.stage.until(lambda _: False, 0.2)
        with pytest.raises(WindowRefused, match="item"):
            await town.stage.open_case("451300", a_wish(item="unknown"))
        with pytest.raises(NotReached, match="operators"):
            await town.stage.tongban("desk", "list")
        town.stage.stop.set()
        await town.stage.reach(lambda _: False)  # stopped: it goes on at once
