"""The broker as processes, on a Kafka of its own, for end-to-end tests."""

from __future__ import annotations

import asyncio
import base64
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import orjson

from broker.core.message import Mode
from tests.e2e.city import City

ITEM = "xinshenger-ruhu"
A, B, C = "451300", "430423", "350200"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass(slots=True)
class Road:
    """One broker's folder and its processes. ``serve`` may be called any number of times."""

    folder: Path
    bootstrap: str
    store_url: str = ""
    vault_url: str = ""
    port: int = field(default_factory=free_port)
    replicas: int = 1
    settings: str = ""
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def config(self) -> Path:
        return self.folder / "tongban.toml"

    def write_config(self) -> None:
        store = self.store_url or f"sqlite:///{self.folder}/tongban.db"
        vault = self.vault_url or f"sqlite:///{self.folder}/vault.db"
        self.config.write_text(
            f'[kafka]\nbootstrap = "{self.bootstrap}"\nledger_partitions = 4\noutbox_partitions = 2\n'
            f"session_timeout_s = 6.0\n"
            f'[store]\nurl = "{store}"\nvault_url = "{vault}"\n'
            f'[keys]\nsigning_key_file = "{self.folder}/signing.whsk"\nkek_file = "{self.folder}/kek.toml"\n'
            f'[serve]\nfolder = "{self.folder}/serve"\n'
            f"[intake]\nport = {self.port}\n{self.settings}",
            encoding="utf-8",
        )

    def tongban(self, *arguments: str, check: int | None = 0) -> subprocess.CompletedProcess[str]:
        """Run a command to its end. ``check``: the exit code that it must have."""
        done = subprocess.run(
            [sys.executable, "-m", "broker.cli", *arguments, "--config", str(self.config)],
            capture_output=True, text=True, timeout=120, check=False, env=environment(),
        )  # fmt: skip
        assert check is None or done.returncode == check, (
            f"{arguments}: {done.returncode}\n{done.stdout}{done.stderr}"
        )
        return done

    def json(self, *arguments: str) -> list[dict[str, object]]:
        return [orjson.loads(line) for line in self.tongban(*arguments, "--json").stdout.splitlines()]

    def serve(self, *, stage: str | None = None, crash: str | None = None) -> subprocess.Popen[bytes]:
        """Start a process of the broker; ``crash`` is ``STEP:N``."""
        program = ["-m", "tests.e2e.crashing", crash, "--"] if crash else ["-m", "broker.cli"]
        stages = ["--stage", stage] if stage else []
        with (self.folder / "broker.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, *program, "serve", *stages, "--config", str(self.config)],
                stdout=log, stderr=log, env=environment(), start_new_session=True,
            )  # fmt: skip
        self.processes.append(process)
        return process

    async def ready(self, within_s: float = 40) -> None:
        end = time.monotonic() + within_s
        async with aiohttp.ClientSession() as session:
            while True:
                try:
                    async with session.get(f"{self.url}/readyz") as answer:
                        if answer.status == 200:
                            return
                except aiohttp.ClientError:
                    pass
                assert time.monotonic() < end, f"not ready; log:\n{self.log()[-3000:]}"
                await asyncio.sleep(0.05)

    def stop(self) -> None:
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            try:
                process.wait(25)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.processes.clear()

    def kill(self) -> None:
        for process in self.processes:
            process.kill()
            process.wait()
        self.processes.clear()

    def log(self) -> str:
        path = self.folder / "broker.log"
        return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""

    def signing_key(self) -> bytes:
        """The broker's public key, as Ed25519's 32 bytes."""
        text = (self.folder / "signing.whsk").read_text(encoding="utf-8").strip()
        return base64.b64decode(text.removeprefix("whsk_"))[32:]

    def apply_directory(self, cities: Mapping[str, str], pairs: Sequence[tuple[str, str]]) -> None:
        folder = self.folder / "directory"
        for code, text in cities.items():
            write(folder / "partners" / f"{code}.toml", text)
        write(folder / "items" / f"{ITEM}.toml", f'code = "{ITEM}"\nname = "新生儿入户"\npromised_days = 5\n')
        modes = ", ".join(f'"{mode}"' for mode in Mode)
        for pair in pairs:
            one, other = sorted(pair)
            write(
                folder / "agreements" / f"{one}--{other}.toml",
                f'partners = ["{one}", "{other}"]\nitems = ["{ITEM}"]\nmodes = [{modes}]\nsince = 2026-01-01\n',
            )
        self.tongban("directory", "apply", str(folder), "--by", "test")


def environment() -> dict[str, str]:
    """Without settings of the surroundings, and with coverage of nothing but this checkout."""
    return {key: value for key, value in os.environ.items() if not re.match(r"TONGBAN_(?!CACHE|TEST_)", key)}


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


async def until(holds: Callable[[], bool], within_s: float = 30, what: str = "the condition") -> None:
    """Wait until it holds; an assertion fails when it does not in time."""
    end = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < end, f"{what} did not come to hold within {within_s} s"
        await asyncio.sleep(0.02)


@asynccontextmanager
async def three_cities(
    road: Road, *, kind: str = "mailbox", more: str = ""
) -> AsyncIterator[tuple[City, City, City]]:
    """A (http, opens cases), B (http, responsible) and C (of ``kind``), in the directory, told the broker's key.

    ``more``: further TOML of B's directory document.
    """
    road.write_config()
    road.tongban("setup")
    async with City(A) as a, City(B) as b, City(C) as c:
        for city in (a, b, c):
            city.broker, city.broker_key = road.url, road.signing_key()
        road.apply_directory(
            {A: a.document(), B: b.document(more=more), C: c.document(kind)}, [(A, B), (A, C), (B, C)]
        )
        yield a, b, c


async def directory_in_force(city: City, within_s: float = 20) -> None:
    """Wait until the broker knows its partners."""
    end = time.monotonic() + within_s
    while True:
        status, _ = await city.get("/v1/partners")
        if status == 200:
            return
        assert time.monotonic() < end, "the directory did not come into force"
        await asyncio.sleep(0.05)
