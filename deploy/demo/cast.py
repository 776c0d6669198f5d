"""The cast: four cities with keys of their own, the directory that introduces them, and their processes.

:func:`prepare` writes everything that stands before the broker starts; :func:`perform` runs the cities while
it is up. The folder then looks so::

    directory/{partners,items,agreements}/*.toml    what `tongban directory apply` reads
    cities/<id>/{signing.whsk,token}                the city's secrets, readable by their owner only
    cities/<id>/{city.toml,ledger.db,city.log}      its configuration, its ledger, what it wrote to standard error
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import socket
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, closing
from dataclasses import dataclass
from datetime import datetime
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from string import Template
from typing import Final

import aiohttp
from nacl.signing import SigningKey

from deploy.demo import keys
from deploy.demo.clock import CHINA

_LOOPBACK: Final = "127.0.0.1"
_HERE: Final = files("deploy.demo")
_READY_S: Final = 20.0
_KNOCK_EVERY_S: Final = 0.05
_STOP_S: Final = 5.0


class CityEnded(Exception):
    """A city's process ended or did not start. The message holds the end of its log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Role:
    """A city of the cast. ``inbox_port`` is the one it would like; None: it only calls out."""

    id: str
    name: str
    inbox_port: int | None
    window_port: int


CAST: Final = (
    Role(id="451300", name="来宾", inbox_port=8101, window_port=8111),
    Role(id="430423", name="衡山县", inbox_port=8102, window_port=8112),
    Role(id="430400", name="衡阳", inbox_port=8103, window_port=8113),
    Role(id="350200", name="厦门", inbox_port=None, window_port=8114),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Player:
    """A city that is ready to be started: where its files are, and where it will listen."""

    id: str
    name: str
    folder: Path
    inbox_port: int | None
    window_port: int

    @property
    def ledger(self) -> Path:
        return self.folder / "ledger.db"

    @property
    def config(self) -> Path:
        return self.folder / "city.toml"

    @property
    def log(self) -> Path:
        return self.folder / "city.log"

    @property
    def window_url(self) -> str:
        return f"http://{_LOOPBACK}:{self.window_port}"


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


def prepare(folder: Path, *, now: datetime | None = None) -> Prepared:
    """Write fresh keys and the directory documents into ``folder``. Needs no broker; ledgers start empty."""
    run = (now or datetime.now(CHINA)).astimezone(CHINA).strftime("%y%m%d%H%M%S")
    players = tuple(_prepare_city(folder, role) for role in CAST)
    for kind in ("items", "agreements"):
        for document in _documents(kind):
            _write(folder / "directory" / kind / document.name, document.read_text(encoding="utf-8"))
    return Prepared(folder=folder, run=run, players=players)


def _prepare_city(folder: Path, role: Role) -> Player:
    home = folder / "cities" / role.id
    home.mkdir(parents=True, exist_ok=True)
    for old in home.glob("ledger.db*"):
        old.unlink()
    key = SigningKey.generate()
    token = secrets.token_urlsafe(32)
    _write_secret(home / "signing.whsk", keys.secret_text(key))
    _write_secret(home / "token", token)
    inbox_port = None if role.inbox_port is None else _free_port(role.inbox_port)
    partner = Template((_HERE / "directory" / "partners" / f"{role.id}.toml").read_text(encoding="utf-8"))
    facts = {
        "public_key": keys.public_text(key),
        "token_sha256": hashlib.sha256(token.encode()).hexdigest(),
        "inbox_url": f"http://{_LOOPBACK}:{inbox_port}/inbox",
    }
    _write(folder / "directory" / "partners" / f"{role.id}.toml", partner.substitute(facts))
    return Player(
        id=role.id,
        name=role.name,
        folder=home,
        inbox_port=inbox_port,
        window_port=_free_port(role.window_port),
    )


@asynccontextmanager
async def perform(
    prepared: Prepared, *, exchange_url: str, exchange_keys: Sequence[str], pace_s: float
) -> AsyncIterator[Mapping[str, Process]]:
    """Run the cities. They end with the block, and with this process, however it ends. Raises CityEnded."""
    async with AsyncExitStack() as stack:
        processes: dict[str, Process] = {}
        for player in prepared.players:
            write_config(prepared, player, exchange_url, exchange_keys, pace_s)
            processes[player.id] = await start_city(player)
            stack.push_async_callback(stop_city, processes[player.id])
        await asyncio.gather(*(ready(player) for player in prepared.players))
        yield processes


async def start_city(player: Player) -> Process:
    """Start one city's process. It holds our pipe as its standard input, and ends when that closes."""
    with player.log.open("ab") as log:
        return await asyncio.create_subprocess_exec(
            sys.executable, "-m", "deploy.demo.city", "--config", str(player.config), "--with-parent",
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
    """Wait until a city's window answers. Raises :class:`CityEnded`."""
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
    """Write a city's configuration: what it decides itself, and what it has agreed with the exchange."""
    template = Template((_HERE / "cities" / f"{player.id}.toml").read_text(encoding="utf-8"))
    facts = {
        "run": prepared.run,
        "pace_s": str(pace_s),
        "exchange_url": exchange_url,
        "exchange_keys": ", ".join(f'"{key}"' for key in exchange_keys),
        "inbox_port": str(player.inbox_port),
        "window_port": str(player.window_port),
    }
    _write(player.config, template.substitute(facts))


def _documents(kind: str) -> Iterator[Traversable]:
    return (each for each in (_HERE / "directory" / kind).iterdir() if each.name.endswith(".toml"))


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
