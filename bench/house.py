"""A broker of a bench's own: folder, configuration, keys, directory, the processes of ``tongban serve``."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import http.client
import secrets
import sqlite3
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import orjson

from bench.letters import ITEM
from bench.processes import BenchFailed, Child
from broker.core.signatures import SigningKey
from deploy.kafka.ports import any_free

SENDER: Final = "451300"
PUSHED: Final = "430423"
"""The partner with the HTTP connector."""
PULLING: Final = "350200"
"""The partner with the mailbox."""
READY_WITHIN_S: Final = 60.0
_POLL_S: Final = 0.02


class House:
    """One broker on a given Kafka. All its runs share ledger and view, as in life."""

    def __init__(self, folder: Path, bootstrap: str, *, session_s: float = 10.0) -> None:
        """``session_s``: how long Kafka waits for a worker of the run before; it counts in no figure."""
        self.folder = folder
        self.settings = ""
        """More of the configuration, as TOML."""
        self.caller = SENDER
        """Who asks whether the directory is in force."""
        self._session_s = session_s
        self.bootstrap = bootstrap
        self.intake_port = free_port()
        self.stub_port = free_port()
        self.keys = {
            each: SigningKey.from_seed(secrets.token_bytes(32)) for each in (SENDER, PUSHED, PULLING)
        }
        self.token = secrets.token_urlsafe(24)
        self._pages: dict[str, int] = {}
        (folder / "puller.whsk").write_text(self.keys[PULLING].to_text())

    async def furnish(self) -> None:
        """Keys, databases, topics, and the directory on the ledger."""
        self._write_directory()
        config = str(self._config("setup"))
        await self._command("setup", "setup", "--config", config)
        await self._command("directory", "directory", "apply", "directory", "--config", config)

    def start(self, name: str, stages: str | None = None, *, module: str = "broker.cli") -> Child:
        """Start ``tongban serve`` with some of the stages (None: all)."""
        config = self._config(name)
        chosen = ["--stage", stages] if stages else []
        return Child(name, module, ["serve", "--config", str(config), *chosen], self.folder)

    async def ready(self, served: Child) -> None:
        """Wait until ``/readyz`` says yes. Raises :class:`BenchFailed`."""
        await self._answers(self._pages[served.name], "/readyz", served)

    async def knows_partners(self) -> None:
        """Wait until the directory on the ledger is in force at intake. Raises :class:`BenchFailed`."""
        await self._answers(self.intake_port, "/v1/partners", None)

    async def _answers(self, port: int, path: str, served: Child | None) -> None:
        proof = {"tongban-partner": self.caller, "authorization": f"Bearer {self.token}"}
        until = time.monotonic() + READY_WITHIN_S
        while time.monotonic() < until:
            if served is not None:
                served.check()
            with contextlib.suppress(OSError, http.client.HTTPException):
                status, _ = await asyncio.to_thread(get, port, path, proof)
                if status == 200:
                    return
            await asyncio.sleep(_POLL_S)
        words = f"\n{served.last_words()}" if served is not None else ""
        raise BenchFailed(f"{path} does not say yes within {READY_WITHIN_S:.0f} s{words}")

    @property
    def database(self) -> Path:
        return self.folder / "tongban.db"

    def _config(self, name: str) -> Path:
        self._pages[name] = free_port()
        path = self.folder / f"{name}.toml"
        path.write_text(
            f"""
[kafka]
bootstrap = "{self.bootstrap}"
session_timeout_s = {self._session_s}
[store]
url = "sqlite:///{self.database}"
vault_url = "sqlite:///{self.folder}/vault.db"
[keys]
signing_key_file = "{self.folder}/keys/signing.whsk"
kek_file = "{self.folder}/keys/kek.toml"
[intake]
port = {self.intake_port}
[supervision]
port = {self._pages[name]}
[serve]
folder = "{self.folder}/members/{name}"
{self.settings}"""
        )
        return path

    async def _command(self, name: str, *arguments: str) -> None:
        child = Child(name, "broker.cli", arguments, self.folder)
        await child.wait(READY_WITHIN_S)

    def _write_directory(self) -> None:
        pushing = f'kind = "http"\nurl = "http://127.0.0.1:{self.stub_port}/inbox"\nallow = ["127.0.0.0/8"]'
        token = hashlib.sha256(self.token.encode()).hexdigest()
        partners = {
            SENDER: ('kind = "mailbox"', "receipts = false"),
            PUSHED: (pushing, ""),
            PULLING: ('kind = "mailbox"', ""),
        }
        for identity, (connector, more) in partners.items():
            self._file(
                f"partners/{identity}.toml",
                f'id = "{identity}"\nname = "{identity}"\ncontact = "bench"\n{more}\n'
                f"[connector]\n{connector}\n"
                f'[keys]\nverify = ["{self.keys[identity].verify_key.to_text()}"]\n'
                f'token_sha256 = ["{token}"]\n',
            )
        self._file(f"items/{ITEM}.toml", f'code = "{ITEM}"\nname = "新生儿入户"\npromised_days = 3\n')
        for other in (PUSHED, PULLING):
            one, two = sorted((SENDER, other))
            self._file(
                f"agreements/{one}--{two}.toml",
                f'partners = ["{one}", "{two}"]\nitems = ["{ITEM}"]\nmodes = ["collected"]\nsince = 2020-01-01\n',
            )

    def _file(self, name: str, text: str) -> None:
        path = self.folder / "directory" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


class View:
    """The broker's view, read beside it."""

    def __init__(self, database: Path) -> None:
        self._connection = sqlite3.connect(
            f"file:{database}?mode=ro", uri=True, timeout=30, check_same_thread=False
        )

    def settled(self, partner: str) -> int:
        """Messages to ``partner`` whose receipt is in the view."""
        return self._number("SELECT sum(delivered + failed) FROM tally WHERE partner = ?", partner)

    def routed(self, partner: str) -> int:
        """Messages to ``partner`` that the exchange has taken."""
        return self._number("SELECT sum(accepted) FROM tally WHERE partner = ?", partner)

    def delivered_of(self, run: str) -> int:
        """Messages of a run that are marked delivered, with the receipt that says so: counted one by one."""
        return self._number(
            "SELECT count(*) FROM message WHERE id LIKE ? AND outcome = 'delivered' AND receipt_id IS NOT NULL",
            f"{run}-%",
        )

    def ledger_records(self) -> int:
        return self._number("SELECT sum(next_offset) FROM position WHERE ? = ''", "")

    def close(self) -> None:
        self._connection.close()

    def _number(self, sql: str, value: str) -> int:
        found = self._connection.execute(sql, (value,)).fetchone()[0]
        return int(found or 0)


def get(port: int, path: str, headers: Mapping[str, str] | None = None) -> tuple[int, bytes]:
    """One GET on the loopback."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path, headers=headers or {})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def effects(port: int) -> tuple[int, float]:
    """How many effects the stub has had, and when the last one (Unix seconds)."""
    found: dict[str, Any] = orjson.loads(get(port, "/")[1])
    return int(found["effects"]), float(found["last_at"])


def free_port() -> int:
    return any_free(1)[0].client
