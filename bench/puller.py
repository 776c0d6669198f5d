"""A partner that only calls out, a process of its own: pulls its mailbox, acknowledges, pulls again.

``python -m bench.puller --port P --partner ID --key FILE --token TEXT --out FILE``; SIGTERM ends it.
"""

from __future__ import annotations

import argparse
import http.client
import os
import signal
import time
from pathlib import Path

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
        self._connection.request("GET", f"/v1/mailbox?max={self._most}&wait_s=2", headers=reads)
        messages: list[dict[str, object]] = orjson.loads(self._answer())["messages"]
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
        self._connection.request("POST", "/v1/mailbox/receipts", body=body, headers=headers)
        refused = [each for each in orjson.loads(self._answer())["results"] if each["status"] != 202]
        if refused:
            raise RuntimeError(f"{len(refused)} receipts refused, the first: {refused[0]}")

    def _answer(self) -> bytes:
        answer = self._connection.getresponse()
        body = answer.read()
        if answer.status != 200:
            raise RuntimeError(f"{answer.status}: {body[:300].decode(errors='replace')}")
        return body


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
        "cpu_s": time.process_time(),
        "peak_mb": memory(os.getpid()).peak_mb,
    }
    arguments.out.write_bytes(orjson.dumps(result))


if __name__ == "__main__":
    main()
