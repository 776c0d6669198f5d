"""The desk and the levers, end to end: real processes, judged by the partners' own ledgers.

What a person types is typed here: every act is a command.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import orjson
import pytest
import pytest_asyncio
from aiohttp import web
from typer.testing import CliRunner, Result

from broker.commands.desk import desk as desk_commands
from broker.commands.partners import partner as partner_commands
from broker.core.ids import CaseId, MessageId, PartnerId, Party
from broker.core.operating.desk import Dossier
from broker.store.access.engine import Store
from broker.store.delivering import attempts, line_status
from broker.store.view import desk
from deploy.kafka.cluster import EmbeddedKafka
from tests.e2e.city import City
from tests.e2e.road import ITEM, A, B, C, Road, directory_in_force, environment, until

pytestmark = pytest.mark.asyncio(loop_scope="module")

BY = ("--by", "张三", "--reason", "演练")
GROUPS = {"partner": partner_commands.app, "desk": desk_commands.app}
FOLLOWED_S = 2.0
HOW_TO = Path(__file__).parents[2] / "docs" / "how-to" / "clear-the-desk.md"
SCHEDULE = "[schedule]\nquick_s = [0.2]\nparked_s = [0.4]\n"


@dataclass(slots=True)
class Picky(City):
    """A city that answers some cases with a status of their own. ``most_open``: most requests at once."""

    answers: dict[str, int] = field(default_factory=dict)
    most_open: int = 0

    async def _hear(self, request: web.Request) -> web.Response:
        self.most_open = max(self.most_open, self.open_requests)
        status = self.answers.get(str(orjson.loads(await request.read())["subject"]))
        if status is not None:
            self.attempts[request.headers["webhook-id"]] += 1
            return web.Response(status=status)
        return await City._hear(self, request)


@dataclass(frozen=True, slots=True)
class Working:
    """A road at work: A opens cases, B is picky, has a short schedule and decides; ``store`` is the view."""

    road: Road
    a: City
    b: Picky
    store: Store

    async def run(self, *words: str, code: int | None = 0) -> Result:
        """A command, beside which the cities go on answering. (The how-to's commands run as processes.)"""
        group, *rest = words
        arguments = [*rest, "--config", str(self.road.config)]
        result = await asyncio.to_thread(CliRunner().invoke, GROUPS[group], arguments)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert code is None or result.exit_code == code, f"{words}: {result.stdout}{result.stderr}"
        return result

    async def document(self, *words: str, code: int | None = 0) -> dict[str, object]:
        done = await self.run(*words, "--json", code=code)
        found: dict[str, object] = json.loads(done.stdout)
        return found

    async def desk(self, case: str) -> list[Dossier]:
        return await self.store.read(desk.dossiers, case=CaseId(case), standing=None)

    async def until_on_desk(self, case: str, count: int) -> list[Dossier]:
        end = time.monotonic() + 20
        while len(found := [each for each in await self.desk(case) if each.status == "open"]) < count:
            assert time.monotonic() < end, f"{len(found)} of {count} on the desk"
            await asyncio.sleep(0.05)
        return found

    async def open_case(self, number: str) -> str:
        case = f"{A}/{number}"
        event = self.a.event("case.submitted", case, f"{number}-1", B, item=ITEM, mode="collected")
        assert (await self.a.submit_surely(event)).status == 202
        return case

    async def urge(self, case: str, number: int) -> None:
        identity = f"{case.partition('/')[2]}-{number}"
        assert (await self.a.submit_surely(self.a.event("case.urged", case, identity, B))).status == 202

    def got(self, case: str) -> list[str]:
        """The ids that B took in of a case, in its own order."""
        return [effect.name.partition("_")[2] for effect in self.b.effects if effect.case == case]

    def first_at(self, case: str) -> float:
        """When B took in the first message of a case (Unix seconds)."""
        return next(effect.at for effect in self.b.effects if effect.case == case)

    def heard(self, case: str) -> list[tuple[str, str]]:
        """What the broker told A of a case: type, and the id of the message that it is about."""
        return [
            (effect.type, str(effect.event["correlationid"]).partition("/")[2])
            for effect in self.a.effects
            if effect.case == case
        ]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def working(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Working]:
    folder: Path = tmp_path_factory.mktemp("desk")
    async with EmbeddedKafka() as kafka:
        road = Road(folder, kafka.bootstrap)
        try:
            road.write_config()
            road.tongban("setup")
            b = Picky(B)
            async with City(A) as a, b, City(C) as c:
                for city in (a, b, c):
                    city.broker, city.broker_key = road.url, road.signing_key()
                documents = {A: a.document(), B: b.document() + SCHEDULE, C: c.document()}
                road.apply_directory(documents, [(A, B), (A, C)])
                road.serve()
                await road.ready()
                await directory_in_force(a)
                store = await Store.open(f"sqlite:///{folder}/tongban.db", create=False)
                while not await store.read(line_status.read, PartnerId(B)):
                    await asyncio.sleep(0.05)  # the worker's first word
                yield Working(road, a, b, store)
                await store.close()
        finally:
            road.stop()


def taken_s(document: dict[str, object]) -> float:
    """When the ledger took a lever, by the ledger's own clock (Unix seconds)."""
    ledger_ms = document["ledger_ms"]
    assert isinstance(ledger_ms, int)
    return ledger_ms / 1000


def paused_s(document: dict[str, object]) -> float:
    """When the last of the workers said that it had paused."""
    lines = document["lines"]
    assert isinstance(lines, list)
    assert lines
    assert {line["phase"] for line in lines} == {"paused"}
    return max(int(line["since_ms"]) for line in lines) / 1000


async def test_workers_follow_pause_and_resume_within_two_seconds(working: Working) -> None:
    paused = await working.document("partner", "pause", B, *BY)
    pause_s = paused_s(paused) - taken_s(paused)
    case = await working.open_case("paused")
    done = await working.run("partner", "status", code=1)
    assert f"{B} {B}: paused for" in done.stdout
    assert "by 张三: 演练" in done.stdout
    done = await working.run("partner", "pause", B, *BY, code=1)
    assert "is paused already" in done.stderr
    assert working.b.attempts[f"{A}_paused-1"] == 0
    resumed = await working.document("partner", "resume", B, *BY)
    await until(lambda: working.got(case) == ["paused-1"])
    resume_s = working.first_at(case) - taken_s(resumed)
    print(f"\npause was followed {pause_s:.2f} s and resume {resume_s:.2f} s after the ledger took them")
    assert pause_s <= FOLLOWED_S
    assert resume_s <= FOLLOWED_S


async def test_workers_follow_limits_within_two_seconds(working: Working) -> None:
    async def most_at_once(limited: dict[str, object], name: str) -> int:
        await asyncio.sleep(max(0.0, taken_s(limited) + FOLLOWED_S - time.time()))
        working.b.most_open = 0
        cases = [await working.open_case(f"{name}-{number}") for number in range(10)]
        await until(lambda: all(working.got(case) for case in cases))
        return working.b.most_open

    working.b.latency_s = 0.1
    try:
        assert (
            await most_at_once(await working.document("partner", "limit", B, "--in-flight", "1", *BY), "one")
            == 1
        )
        status = await working.document("partner", "status", B)
        assert status["limits"]["by_lever"] == ["in_flight"]  # type: ignore[index]
        assert await most_at_once(await working.document("partner", "limit", B, "--reset", *BY), "many") > 1
    finally:
        working.b.latency_s = 0.0


async def test_a_refused_message_is_mended_and_retried(working: Working) -> None:
    case, name = f"{A}/refused", f"{A}/refused-1"
    working.b.answers[case] = 422
    await working.open_case("refused")
    await working.until_on_desk(case, 1)
    while not await working.store.read(attempts.attempts_of, Party(A), MessageId("refused-1")):
        await asyncio.sleep(0.05)  # an attempt's row follows its receipt
    page = await working.document("desk", "show", name, "--record")
    assert (page["cause"], page["standing"], page["blocks"]) == ("422", "open", False)
    assert [each["result"] for each in page["attempts"]] == ["rejected"]  # type: ignore[attr-defined]
    headers = dict(page["verbatim"]["headers"])  # type: ignore[index]
    assert headers["ce_id"] == "refused-1"
    assert headers["ce_digest"] == page["record"]["digest"]  # type: ignore[index]
    again = await working.document("desk", "retry", name, *BY, code=1)
    assert again["tally"] == {"failed again": 1}
    working.b.answers.clear()
    done = await working.document("desk", "retry", name, *BY)
    assert done["tally"] == {"delivered": 1}
    assert working.got(case) == ["refused-1"]
    history = (await working.document("desk", "show", name))["history"]
    acts = [each["act"] for each in history]  # type: ignore[attr-defined]
    assert acts == ["failed", "redriven", "failed", "redriven", "delivered"]
    receipts = ["receipt.rejected", "receipt.rejected", "receipt.delivered"]
    await until(lambda: [each[0] for each in working.heard(case)] == receipts, what="A's receipts")


async def lane_on_the_desk(working: Working, number: str) -> str:
    """A case whose three messages used up B's schedule, and a fourth that came later."""
    case = f"{A}/{number}"
    working.b.answers[case] = 503
    await working.open_case(number)
    for each in (2, 3):
        await working.urge(case, each)
    await working.until_on_desk(case, 3)
    await working.urge(case, 4)
    found = await working.until_on_desk(case, 4)
    assert [each.name[1] for each in found] == [f"{number}-{each}" for each in (1, 2, 3, 4)]
    assert [each.cause for each in found] == ["schedule-used-up", *["behind-a-dossier"] * 3]
    return case


async def test_a_used_up_lane_comes_home_in_order_and_other_cases_flow(working: Working) -> None:
    case = await lane_on_the_desk(working, "lane")
    free = await working.open_case("free")
    await until(lambda: working.got(free) == ["free-1"], what="another case's delivery")
    working.b.answers.clear()
    done = await working.run("desk", "retry", f"{A}/lane-3", *BY, code=1)
    assert f"{A}/lane-3 stands behind {A}/lane-1 in the lane of case {case} to {B}" in done.stderr
    assert working.got(case) == []
    listed = await working.run("desk", "list", "--case", case, code=1)
    assert "behind-a-dossier: 3 in 1 case" in listed.stdout
    done_all = await working.document("desk", "retry", "--cause", "schedule-used-up", "--partner", B, *BY)
    assert done_all["tally"] == {"delivered": 4}
    await working.urge(case, 5)
    await until(lambda: len(working.got(case)) == 5)
    assert working.got(case) == [f"lane-{each}" for each in (1, 2, 3, 4, 5)]
    await until(lambda: len([each for each in working.heard(case) if each[0] == "receipt.delivered"]) == 5)
    assert (await working.run("desk", "list", "--case", case)).stdout == "nothing on the desk fits\n"


async def test_skip_and_return_let_the_lane_go_on(working: Working) -> None:
    case = await lane_on_the_desk(working, "left")
    working.b.answers.clear()
    for act, number in (("skip", 1), ("return", 2)):
        done = await working.document("desk", act, f"{A}/left-{number}", *BY)
        assert done["tally"] == {"done": 1}
    owner = await working.document("desk", "assign", "--case", case, "--owner", "李四", *BY)
    assert owner["tally"] == {"done": 2}
    assert {each.owner for each in await working.until_on_desk(case, 2)} == {"李四"}
    done = await working.document("desk", "retry", f"{A}/left-4", "--lane", *BY)
    assert done["tally"] == {"delivered": 2}
    await working.urge(case, 5)
    await until(lambda: working.got(case) == ["left-3", "left-4", "left-5"])
    await until(lambda: ("operator.returned", "left-2") in working.heard(case), what="A hears of the return")
    standings = {str(each.name[1]): each.status.value for each in await working.desk(case)}
    assert standings == {
        "left-1": "skipped",
        "left-2": "returned",
        "left-3": "delivered",
        "left-4": "delivered",
    }


async def test_the_how_to_clears_the_desk(working: Working) -> None:
    """Its commands as they stand on the page: a lane comes home, two are closed, one is assigned and noted."""
    lane = await lane_on_the_desk(working, "page")
    working.b.answers.clear()
    numbers = ("mended", "second", "third", "noted")
    working.b.answers.update({f"{A}/{number}": 422 for number in numbers})
    for number in numbers:
        await working.until_on_desk(await working.open_case(number), 1)
    del working.b.answers[f"{A}/mended"]
    page = HOW_TO.read_text(encoding="utf-8")
    script = "\n".join(re.findall(r"^```sh\n(.*?)^```", page, re.MULTILINE | re.DOTALL))
    variables = environment() | {
        "MESSAGE": f"{A}/page-1",
        "SECOND": f"{A}/second-1",
        "THIRD": f"{A}/third-1",
        "CASE": f"{A}/noted",
        "PARTNER": B,
        "TONGBAN_CONFIG": str(working.road.config),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }
    wrong = "trap 'code=$?; [ $code -le 1 ] || exit $code' ERR\n"  # 1 says that something was found
    done = await asyncio.to_thread(
        subprocess.run, ["bash", "-uc", wrong + script],
        cwd=working.road.folder, env=variables, capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    assert done.returncode in (0, 1), f"{done.stdout}\n{done.stderr}"
    assert working.got(lane) == [f"page-{each}" for each in (1, 2, 3, 4)]
    assert working.got(f"{A}/mended") == ["mended-1"]
    standings = {number: (await working.desk(f"{A}/{number}"))[0] for number in numbers}
    assert {number: each.status.value for number, each in standings.items()} == {
        "mended": "delivered",
        "second": "returned",
        "third": "skipped",
        "noted": "open",
    }
    assert standings["noted"].owner == "李四"
    acts = await working.store.read(desk.acts, *standings["noted"].name)
    assert [(each.act, each.by) for each in acts[-2:]] == [("assigned", "张三"), ("noted", "张三")]
    working.b.answers.clear()


async def test_a_closed_endpoint_is_probed_by_hand(working: Working) -> None:
    case = f"{A}/gone"
    working.b.answers[case] = 410
    await working.open_case("gone")
    end = time.monotonic() + 15
    while (status := await working.document("partner", "status", B, code=None))["phase"] != "open":
        assert time.monotonic() < end
    assert status["next_probe_at"] is None
    assert f"tongban partner probe {B}" in str(status["sentence"])
    working.b.answers.clear()
    probed = await working.document("partner", "probe", B, *BY)
    await until(lambda: working.got(case) == ["gone-1"])
    assert working.first_at(case) - taken_s(probed) <= FOLLOWED_S
