"""A partner that only calls out, a process of its own: pulls its mailbox, acknowledges, pulls again.

``python -m bench.puller --port P --partner ID --key FILE --token TEXT --out FILE``; SIGTERM ends it.
"""

from __future__ import annotations

import argparse
import http.client
import os
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson

from bench.measure import memory
from broker.core.signatures import SigningKey, sign_v1a


class Puller:
    """One caller with one connection."""

    def __init__(self, *, port: int, partner: str, key: SigningKey, token: str, most: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self._partner = partner
        self._key = key
        self._token = token
        self._most = most
        self.effects: set[tuple[str, str]] = set()
        self.repeats = 0
        self.pulls = 0
        self.put_off = 0

    def round(self) -> None:
        """Pull once and acknowledge what came. Raises RuntimeError for an answer that is no yes."""
        messages = self._pull()
        if not messages:
            return
        self.pulls += 1
        receipts: list[dict[str, str]] = []
        for message in messages:
            source, identity = str(message["source"]), str(message["id"])
            if (source, identity) in self.effects:
                self.repeats += 1
            self.effects.add((source, identity))
            receipts.append({"source": source, "id": identity, "outcome": "delivered", "reference": "R-1"})
        self._acknowledge(orjson.dumps({"receipts": receipts}))

    def _pull(self) -> list[dict[str, object]]:
        reads = {"tongban-partner": self._partner, "authorization": f"Bearer {self._token}"}
        answer = self._asked("GET", f"/v1/mailbox?max={self._most}&wait_s=2", b"", reads)
        messages: list[dict[str, object]] = answer["messages"]
        return messages

    def _acknowledge(self, body: bytes) -> None:
        webhook_id = f"{self._partner}_r{time.time_ns()}"
        timestamp = int(time.time())
        headers = {
            "content-type": "application/json",
            "tongban-partner": self._partner,
            "webhook-id": webhook_id,
            "webhook-timestamp": str(timestamp),
            "webhook-signature": sign_v1a(self._key, webhook_id, timestamp, body),
        }
        answer = self._asked("POST", "/v1/mailbox/receipts", body, headers)
        refused = [each for each in answer["results"] if each["status"] != 202]
        if refused:
            raise RuntimeError(f"{len(refused)} receipts refused, the first: {refused[0]}")

    def _asked(self, method: str, path: str, body: bytes, headers: Mapping[str, str]) -> dict[str, Any]:
        """The answer's document; a 503 is asked again when it says so."""
        while True:
            self._connection.request(method, path, body=body, headers=dict(headers))
            answer = self._connection.getresponse()
            found = answer.read()
            if answer.status == 200:
                document: dict[str, Any] = orjson.loads(found)
                return document
            if answer.status != 503:
                raise RuntimeError(f"{answer.status}: {found[:300].decode(errors='replace')}")
            self.put_off += 1
            time.sleep(float(answer.headers.get("Retry-After") or 1))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--partner", required=True)
    parser.add_argument("--key", type=Path, required=True)
    parser.add_argument("--token", required=True)
    parser.add_argument("--most", type=int, default=1000)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    puller = Puller(
        port=arguments.port,
        partner=arguments.partner,
        key=SigningKey.parse(arguments.key.read_text().strip()),
        token=arguments.token,
        most=arguments.most,
    )
    stopping: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: stopping.append(number))
    while not stopping:
        puller.round()
    result = {
        "effects": len(puller.effects),
        "repeats": puller.repeats,
        "pulls": puller.pulls,
        "put_off": puller.put_off,
        "cpu_s": time.process_time(),
        "peak_mb": memory(os.getpid()).peak_mb,
    }
    arguments.out.write_bytes(orjson.dumps(result))


if __name__ == "__main__":
    main()
