"""A city as a process: it survives kill -9, a deaf exchange and repeats, and ends with its parent."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from contextlib import closing
from dataclasses import asdict
from pathlib import Path

import aiohttp
import pytest

from deploy.demo.cast import CityEnded, Player, prepare, ready, start_city, stop_city, write_config
from deploy.demo.hall import Word
from deploy.demo.ledger import read_attempts, read_effects, read_sent
from tests.demo.cities import Town, a_town, eventually
from tests.demo.doubles import APPLICANT, a_wish
from tests.demo.fake_exchange import Faults

LAIBIN, HENGSHAN, HENGYANG = "451300", "430423", "430400"


async def newborn(town: Town) -> str:
    return await town.stage.open_case(LAIBIN, a_wish())


def heard(town: Town, city: str, source: str) -> list[str]:
    return [effect.type for effect in read_effects(town.ledger(city)) if effect.source == source]


def player(town: Town, city: str) -> Player:
    return next(each for each in town.prepared.players if each.id == city)


WHOLE_WAY = ["case.submitted", "case.supplemented", "case.delivered", "case.rated"]


async def test_a_case_goes_its_whole_way_and_every_signature_holds(tmp_path: Path) -> None:
    async with a_town(tmp_path) as town:
        case = await newborn(town)
        await eventually(lambda: heard(town, HENGSHAN, LAIBIN) == WHOLE_WAY)
        await eventually(lambda: all(each.receipt == "delivered" for each in read_sent(town.ledger(LAIBIN))))
        assert town.exchange.signature_faults == 0
        by_city = {each.event["source"]: each.event for each in town.exchange.submitted}
        assert "data" in by_city[f"/partners/{LAIBIN}"]
        assert "data_base64" in by_city[f"/partners/{HENGSHAN}"]
        assert {each.event["subject"] for each in town.exchange.submitted} == {case}
        assert all(
            each.webhook_id.endswith(f"_{each.event['id']}") or "_batch-" in each.webhook_id
            for each in town.exchange.submitted
        )
        answers = [
            each.event["correlationid"] for each in town.exchange.submitted if "correlationid" in each.event
        ]
        assert len(answers) == 8, "all but the application answer something"


async def test_submissions_go_on_with_the_same_bytes_until_there_is_a_yes(tmp_path: Path) -> None:
    async with a_town(tmp_path, Faults(refuse_first=2, lose_first_answers=1)) as town:
        await newborn(town)
        await eventually(lambda: heard(town, HENGSHAN, LAIBIN) == WHOLE_WAY)
        first = [each for each in town.exchange.submitted if each.event["id"].endswith("-submitted")]
        assert len(first) == 2
        assert len({each.body for each in first}) == 1
        sent = next(each for each in read_sent(town.ledger(LAIBIN)) if each.type == "case.submitted")
        assert (sent.state, sent.attempts, sent.duplicate) == ("accepted", 4, True)


async def test_repeats_of_everything_have_no_second_effect(tmp_path: Path) -> None:
    async with a_town(tmp_path, Faults(deliver_twice=True)) as town:
        await newborn(town)
        await eventually(lambda: heard(town, HENGSHAN, LAIBIN) == WHOLE_WAY)
        await eventually(lambda: [e.note for e in read_attempts(town.ledger(HENGSHAN))].count("repeat") >= 4)
        assert heard(town, HENGSHAN, LAIBIN) == WHOLE_WAY
        assert {answer for _, _, answer in town.exchange.delivered} == {200, 409}


async def test_a_killed_city_goes_on_where_it_was(tmp_path: Path) -> None:
    async with a_town(tmp_path) as town:
        await town.stage.outage(HENGSHAN, 3600)
        await newborn(town)
        await eventually(lambda: bool(read_attempts(town.ledger(HENGSHAN))))
        for city in (LAIBIN, HENGSHAN):
            town.processes[city].send_signal(signal.SIGKILL)
            await town.processes[city].wait()
        again = [await start_city(player(town, city)) for city in (LAIBIN, HENGSHAN)]
        try:
            await eventually(lambda: heard(town, HENGSHAN, LAIBIN) == WHOLE_WAY)
            sent = [each.id for city in (LAIBIN, HENGSHAN) for each in read_sent(town.ledger(city))]
            assert len(sent) == len(set(sent)) == 9
        finally:
            for process in again:
                await stop_city(process)


async def test_a_mailbox_is_pulled_in_order_and_acknowledged(tmp_path: Path) -> None:
    async with a_town(tmp_path) as town:
        wish = a_wish(to="350200", item="yidi-jiuyi-beian", mode="online")
        case = await town.stage.open_case(HENGYANG, wish)
        expected = ["case.submitted", "case.delivered", "case.rated"]
        await eventually(lambda: heard(town, "350200", HENGYANG) == expected)
        await eventually(lambda: len(town.exchange.mailbox_receipts) == 6)
        receipts = town.exchange.mailbox_receipts
        assert {receipt["outcome"] for receipt in receipts} == {"delivered"}
        assert all(receipt["reference"].startswith("XM") for receipt in receipts)
        assert town.exchange.signature_faults == 0
        assert {effect.case for effect in read_effects(town.ledger("350200"))} == {case}


async def test_what_the_office_cannot_take_is_rejected_back(tmp_path: Path) -> None:
    async with a_town(tmp_path, Faults(forget_agreements=True)) as town:
        for to in ("350200", HENGSHAN):
            await town.stage.open_case(LAIBIN, a_wish(to=to, item="wufanzui-zhengming", mode="online"))
        await eventually(
            lambda: [each.receipt for each in read_sent(town.ledger(LAIBIN))] == ["rejected"] * 2
        )
        assert [each["code"] for each in town.exchange.mailbox_receipts] == ["item-not-handled"]
        assert heard(town, "350200", LAIBIN) == heard(town, HENGSHAN, LAIBIN) == []


async def test_the_windows_refuse_what_makes_no_sense(tmp_path: Path) -> None:
    async with a_town(tmp_path) as town, aiohttp.ClientSession() as session:
        window = player(town, LAIBIN).window_url
        wishes: list[tuple[str, object, int]] = [
            ("/cases", {}, 400),
            ("/cases", [], 400),
            (
                "/cases",
                {"to": HENGSHAN, "item": "unknown", "mode": "online", "applicant": APPLICANT.to_json()},
                400,
            ),
            ("/cases", {**asdict(a_wish()), "score": 6}, 400),
            ("/cases/none/urge", {}, 404),
            ("/complaints", {"subject": "迟迟未办"}, 400),
            ("/letters", {"letters": []}, 400),
            ("/letters", {"letters": ["urge"]}, 400),
            ("/letters", {"letters": [{"type": "case.urged", "case": "451300/none"}]}, 400),
            ("/procedures", {"item": "xinshenger-ruhu", "procedure": "guess"}, 400),
            ("/messages/none/repeat", {}, 404),
            ("/faults/outage", {"seconds": -1}, 400),
            ("/faults/lost-answers", {"count": "many"}, 400),
        ]
        for path, wish, status in wishes:
            async with session.post(window + path, json=wish) as response:
                assert response.status == status, path
        assert read_sent(town.ledger(LAIBIN)) == []


async def test_it_stops_in_good_order_when_asked(tmp_path: Path) -> None:
    one = a_player(tmp_path)
    process = await start_city(one)
    await ready(one)
    process.terminate()
    assert await process.wait() == 0
    assert one.log.read_text(encoding="utf-8") == ""


_PARENT = """
import asyncio, sys
from pathlib import Path
from tests.demo.test_city import a_player
from deploy.demo.cast import ready, start_city
async def main():
    one = a_player(Path(sys.argv[1]))
    process = await start_city(one)
    await ready(one)
    print(process.pid, one.window_port, flush=True)
    await asyncio.sleep(60)
asyncio.run(main())
"""


def a_player(folder: Path) -> Player:
    prepared = prepare(folder)
    one = prepared.players[0]
    write_config(prepared, one, "http://127.0.0.1:9", ["whpk_" + "A" * 43 + "="], 0)
    return one


async def test_it_ends_when_its_parent_is_killed(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", _PARENT, str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        pid, port = map(int, parent.stdout.readline().split())
        parent.kill()
        parent.wait()
        await eventually(lambda: not _listening(port))
        await eventually(lambda: not _runs(pid))


async def test_a_wrong_configuration_ends_it_with_every_fault(tmp_path: Path) -> None:
    one = a_player(tmp_path)
    one.config.write_text('id = "451300"\nsurprise = 1\n', encoding="utf-8")
    process = await start_city(one)
    assert await process.wait() == 2
    log = one.log.read_text(encoding="utf-8")
    assert "surprise: unknown key" in log
    assert "exchange.url: expected" in log


async def test_a_city_that_ends_is_reported_with_its_log(tmp_path: Path) -> None:
    async with a_town(tmp_path) as town:
        player(town, HENGYANG).log.write_text("what went wrong", encoding="utf-8")
        town.processes[HENGYANG].kill()
        await town.processes[HENGYANG].wait()
        with pytest.raises(CityEnded, match="what went wrong"):
            await town.stage.until(lambda _: False, 5)


def _listening(port: int) -> bool:
    with closing(socket.socket()) as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{pid}/stat")
    return not status.exists() or status.read_text(encoding="utf-8").rpartition(")")[2].split()[0] != "Z"


async def test_several_halls_share_a_process_and_nothing_else(tmp_path: Path) -> None:
    cast = (LAIBIN, "430400", "430400-weijian", "430702", "430702-shichang")
    async with a_town(tmp_path, cast=cast) as town:
        assert set(town.processes) == {LAIBIN, "430400", "halls"}
        wish = a_wish(to="430702-shichang", item="qiye-sheli", mode="online")
        case = await town.stage.open_case("430702", wish)
        await eventually(
            lambda: heard(town, "430702-shichang", "430702") == ["case.submitted", *WHOLE_WAY[2:]]
        )
        assert {effect.case for effect in read_effects(town.ledger("430702-shichang"))} == {case}
        assert read_effects(town.ledger("430400-weijian")) == []
        secrets = {player(town, hall).folder.joinpath("signing.whsk").read_text() for hall in cast}
        assert len(secrets) == len(cast)
        assert town.exchange.signature_faults == 0


async def test_what_is_queued_together_leaves_in_one_batch(tmp_path: Path) -> None:
    async with a_town(tmp_path) as town:
        case = await newborn(town)
        await eventually(lambda: heard(town, HENGSHAN, LAIBIN) == WHOLE_WAY)
        words = [
            Word(type="case.urged", case=case, fields={"reason": reason}) for reason in ("一", "二", "三")
        ]
        said = await town.stage.say_together(LAIBIN, *words)
        await eventually(lambda: heard(town, HENGSHAN, LAIBIN)[4:] == ["case.urged"] * 3)
        batch = [each for each in town.exchange.submitted if each.event["id"] in said]
        assert len({each.webhook_id for each in batch}) == 1
        assert [each.event["id"] for each in batch] == said


async def test_a_batch_is_answered_message_by_message(tmp_path: Path) -> None:
    async with a_town(tmp_path, Faults(refuse_first=2)) as town:
        case = await newborn(town)
        unlisted = Word(type="case.submitted", case=case, fields={"note": "again"})
        await town.stage.say_together(LAIBIN, Word(type="case.urged", case=case), unlisted)
        await eventually(lambda: all(each.state != "queued" for each in read_sent(town.ledger(LAIBIN))))
        states = {each.id.rpartition("-0001-")[2]: each.state for each in read_sent(town.ledger(LAIBIN))}
        assert states["submitted"] == states["urged"] == "accepted"
