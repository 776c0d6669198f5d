"""The hall's broker: its directory of two sides and 1,707 items, and its view, counted while it runs."""

from __future__ import annotations

import hashlib
import secrets
from pathlib import Path
from typing import Final

from bench.hall_days import items
from bench.hall_letters import HALL, OPENING, SIDES
from bench.house import House, View
from broker.core.signatures import SigningKey

BATCH: Final = 500
"""Messages of one delivery."""
SETTINGS: Final = "[exchange]\nbatch = 2000\n[delivery]\npoll_records = 1000\n"
"""Larger batches than the house's own: nobody here waits for a single message."""
IN_FLIGHT: Final = 4 * BATCH
"""Messages that one side may have unanswered."""


class HallHouse(House):
    """A broker between an opening city and the hall. ``connector``: ``http`` or ``mailbox``, for both sides."""

    def __init__(self, folder: Path, bootstrap: str, *, connector: str, stub_port: int) -> None:
        super().__init__(folder, bootstrap)
        self.caller = OPENING
        self.settings = SETTINGS
        self.stub_port = stub_port
        self.connector = connector
        self.keys = {**self.keys, **{side: SigningKey.from_seed(secrets.token_bytes(32)) for side in SIDES}}
        for side in SIDES:
            (folder / f"{side}.whsk").write_text(self.keys[side].to_text())

    def _write_directory(self) -> None:
        posted = f'kind = "http"\nurl = "http://127.0.0.1:{self.stub_port}/inbox"\nallow = ["127.0.0.0/8"]'
        connector = posted if self.connector == "http" else 'kind = "mailbox"'
        token = hashlib.sha256(self.token.encode()).hexdigest()
        for side in SIDES:
            self._file(
                f"partners/{side}.toml",
                f'id = "{side}"\nname = "{side}"\ncontact = "bench"\nreceipts = false\n'
                f"[connector]\n{connector}\n[limits]\nin_flight = {IN_FLIGHT}\nbatch = {BATCH}\n"
                f'[keys]\nverify = ["{self.keys[side].verify_key.to_text()}"]\ntoken_sha256 = ["{token}"]\n',
            )
        known = items()
        for each in known:
            instant = "instant = true\n" if each.promised_days == 0 else ""
            self._file(
                f"items/{each.code}.toml",
                f'code = "{each.code}"\nname = "事项 {each.code}"\npromised_days = {each.promised_days}\n{instant}',
            )
        codes = ", ".join(f'"{each.code}"' for each in known)
        self._file(
            f"agreements/{HALL}--{OPENING}.toml",
            f'partners = ["{HALL}", "{OPENING}"]\nitems = [{codes}]\nmodes = ["collected"]\nsince = 2020-01-01\n',
        )


class HallView(View):
    """What the bench counts in the view."""

    def receipted(self) -> int:
        """Messages to both sides whose receipt is in the view."""
        return sum(self.settled(side) for side in SIDES)

    def delivered_of(self, run: str) -> int:
        """Messages of a run that are marked delivered, with the receipt that says so: counted one by one."""
        return self._number(
            "SELECT count(*) FROM message WHERE id LIKE ? AND outcome = 'delivered' AND receipt_id IS NOT NULL",
            f"{run}_x%",
        )

    def issued(self, run: str) -> int:
        """Cases of a run whose result is issued."""
        return self._number(
            "SELECT count(*) FROM case_view WHERE case_id LIKE ? AND status = 'issued'", f"{OPENING}/{run}-%"
        )
