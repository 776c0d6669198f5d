"""The cast: halls with keys of their own, the directory that introduces them, and their processes.

:func:`prepare` writes everything that stands before the broker starts; :func:`perform` runs the cities while
it is up. The folder then looks so::

    directory/{partners,items,agreements,bundles}/*.toml    what `tongban directory apply` reads
    cities/<id>/{signing.whsk,token}                the city's secrets, readable by their owner only
    cities/<id>/{city.toml,ledger.db}               its configuration, its ledger
    processes/<name>.log                            what a process wrote to standard error
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import shutil
import socket
import sys
import tomllib
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from string import Template
from typing import Final

import aiohttp
from nacl.signing import SigningKey

from deploy.demo import keys
from deploy.demo.clock import CHINA
from deploy.demo.roster import (
    HERE,
    HallRole,
    Seat,
    documents,
    halls,
    partner_extras,
    seats,
    styles,
    toml_lines,
)

_LOOPBACK: Final = "127.0.0.1"
_READY_S: Final = 20.0
_KNOCK_EVERY_S: Final = 0.05
_STOP_S: Final = 5.0


class CityEnded(Exception):
    """A city's process ended or did not start. The message holds the end of its log."""


LEAD: Final = ("451300", "430423", "430400", "350200")
"""The four cities that the demo began with, each a process of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Player:
    """A hall that is ready to be started: where its files are, and where it will listen."""

    role: HallRole
    folder: Path
    inbox_port: int | None
    window_port: int

    @property
    def id(self) -> str:
        return self.role.id

    @property
    def name(self) -> str:
        return self.role.short

    @property
    def ledger(self) -> Path:
        return self.folder / "ledger.db"

    @property
    def config(self) -> Path:
        return self.folder / "city.toml"

    @property
    def log(self) -> Path:
        return self.folder.parent.parent / "processes" / f"{self.role.process}.log"

    @property
    def window_url(self) -> str:
        return f"http://{_LOOPBACK}:{self.window_port}/{self.id}"

    @property
    def inbox_url(self) -> str:
        return f"http://{_LOOPBACK}:{self.inbox_port}/{self.id}/inbox"


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """What :func:`prepare` wrote. ``run`` makes this run's case numbers differ from every other run's."""

    folder: Path
    run: str
    players: tuple[Player, ...]

    @property
    def directory(self) -> Path:
        """The folder for ``tongban directory apply``."""
        return self.folder / "directory"

    @property
    def processes(self) -> dict[str, list[Player]]:
        """The halls of each process."""
        by_process: dict[str, list[Player]] = {}
        for player in self.players:
            by_process.setdefault(player.role.process, []).append(player)
        return by_process


def prepare(folder: Path, cast: Iterable[str] = LEAD, *, now: datetime | None = None) -> Prepared:
    """Write fresh keys and the directory documents of ``cast`` into ``folder``. Ledgers start empty.

    Needs no broker. Raises KeyError for a hall that the roster does not list.
    """
    at = (now or datetime.now(CHINA)).astimezone(CHINA)
    roles = [halls()[each] for each in dict.fromkeys(cast)]
    ports = {name: _ports(seats()[name]) for name in dict.fromkeys(role.process for role in roles)}
    players = tuple(_prepare_hall(folder, role, *ports[role.process]) for role in roles)
    shutil.rmtree(folder / "directory", ignore_errors=True)
    for player in players:
        _write(folder / "directory" / "partners" / f"{player.id}.toml", _introduction(player))
    for path, text in documents((role.id for role in roles), at.date()).items():
        _write(folder / "directory" / path, text)
    return Prepared(folder=folder, run=at.strftime("%y%m%d%H%M%S"), players=players)


def _ports(seat: Seat) -> tuple[int | None, int]:
    inbox_port = None if seat.inbox_port is None else _free_port(seat.inbox_port)
    return inbox_port, _free_port(seat.window_port)


def _prepare_hall(folder: Path, role: HallRole, inbox_port: int | None, window_port: int) -> Player:
    home = folder / "cities" / role.id
    home.mkdir(parents=True, exist_ok=True)
    (folder / "processes").mkdir(exist_ok=True)
    for old in home.glob("ledger.db*"):
        old.unlink()
    _write_secret(home / "signing.whsk", keys.secret_text(SigningKey.generate()))
    _write_secret(home / "token", secrets.token_urlsafe(32))
    return Player(role=role, folder=home, inbox_port=inbox_port, window_port=window_port)


def _introduction(player: Player) -> str:
    """A hall's document in the directory."""
    pushed = f'kind = "http"\nurl = "{player.inbox_url}"\nallow = ["{_LOOPBACK}/32"]'
    facts = {
        "id": player.id,
        "name": player.role.name,
        "contact": player.role.contact,
        "more": partner_extras(player.role),
        "connector": 'kind = "mailbox"' if player.inbox_port is None else pushed,
        "public_key": keys.public_text(keys.parse_secret((player.folder / "signing.whsk").read_text())),
        "token_sha256": hashlib.sha256((player.folder / "token").read_bytes()).hexdigest(),
    }
    return _template("partner.toml").substitute(facts)


@asynccontextmanager
async def perform(
    prepared: Prepared, *, exchange_url: str, exchange_keys: Sequence[str], pace_s: float
) -> AsyncIterator[Mapping[str, Process]]:
    """Run the halls, each process by its name. They end with the block, and with this process, however it ends.

    Raises CityEnded.
    """
    async with AsyncExitStack() as stack:
        processes: dict[str, Process] = {}
        for name, players in prepared.processes.items():
            for player in players:
                write_config(prepared, player, exchange_url, exchange_keys, pace_s)
            processes[name] = await start_city(*players)
            stack.push_async_callback(stop_city, processes[name])
        await asyncio.gather(*(ready(players[-1]) for players in prepared.processes.values()))
        yield processes


async def start_city(*players: Player) -> Process:
    """Start one process with its halls. It holds our pipe as its standard input, and ends when that closes."""
    configs = [part for player in players for part in ("--config", str(player.config))]
    with players[0].log.open("ab") as log:
        return await asyncio.create_subprocess_exec(
            sys.executable, "-m", "deploy.demo.city", *configs, "--with-parent",
            stdin=asyncio.subprocess.PIPE, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip


async def stop_city(process: Process) -> None:
    """Ask it to end; if it does not, end it."""
    if process.returncode is None:
        process.terminate()
    try:
        async with asyncio.timeout(_STOP_S):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()


async def ready(player: Player) -> None:
    """Wait until a hall's window answers. Raises :class:`CityEnded`."""
    async with aiohttp.ClientSession(trust_env=False) as session:
        for _ in range(round(_READY_S / _KNOCK_EVERY_S)):
            if await _answers(session, player.window_url + "/health"):
                return
            await asyncio.sleep(_KNOCK_EVERY_S)
    raise CityEnded(f"{player.name} {player.id}: {log_end(player)}")


def log_end(player: Player) -> str:
    """The end of what a city wrote to its log, or that it wrote nothing."""
    text = player.log.read_text(encoding="utf-8", errors="replace") if player.log.exists() else ""
    return text[-2000:] or "nothing in its log"


async def _answers(session: aiohttp.ClientSession, url: str) -> bool:
    try:
        async with session.get(url) as response:
            return response.status == 200
    except aiohttp.ClientError:
        return False


def write_config(
    prepared: Prepared, player: Player, exchange_url: str, exchange_keys: Sequence[str], pace_s: float
) -> None:
    """Write a hall's configuration: what it decides itself, and what it has agreed with the exchange."""
    role = player.role
    inbox = "# 无收件口：只向外拨" if player.inbox_port is None else f"inbox_port = {player.inbox_port}"
    facts = {
        "id": role.id,
        "name": role.name,
        "numbering": role.numbering,
        "encoding": role.encoding,
        "on_repeat": role.on_repeat,
        "batch": role.batch,
        "run": prepared.run,
        "pace_s": str(pace_s if player.inbox_port is not None else 0),
        "exchange_url": exchange_url,
        "exchange_keys": ", ".join(f'"{key}"' for key in exchange_keys),
        "inbox": inbox,
        "window_port": str(player.window_port),
        "codes": toml_lines(styles()[role.codes]),
        "procedures": toml_lines(role.procedures),
        "promises": toml_lines(_promises(prepared, role.id)),
    }
    _write(player.config, _template("city.toml").substitute(facts))


def _promises(prepared: Prepared, hall: str) -> dict[str, int]:
    """Working days by item that a hall's agreements promise."""
    promises: dict[str, int] = {}
    for document in (prepared.directory / "agreements").glob("*.toml"):
        agreement = tomllib.loads(document.read_text(encoding="utf-8"))
        if hall in agreement["partners"]:
            promises.update(agreement.get("promised", {}))
    return promises


def _template(name: str) -> Template:
    return Template((HERE / name).read_text(encoding="utf-8"))


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def _write_secret(path: Path, text: str) -> None:
    path.unlink(missing_ok=True)
    path.touch(mode=0o600)
    path.write_text(text, encoding="utf-8")


def _free_port(liked: int) -> int:
    """The port that is liked, or any free one where another program has it."""
    for port in (liked, 0):
        with closing(socket.socket()) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((_LOOPBACK, port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise OSError("no free port on the loopback address")
