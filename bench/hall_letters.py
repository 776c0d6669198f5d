"""The hall's messages as signed batches: whole HTTP requests, made while they are sent.

Of each kind and item the data is encoded once (the papers of nobody, padded so that an event has 1 KB): the
generator shares the cores with what is measured.
"""

from __future__ import annotations

import base64
import random
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

import orjson

from bench.hall_days import KINDS, HallItem, Said, items
from bench.letters import BATCH, EVENT_BYTES
from broker.core.message import SHANGHAI
from broker.core.signatures import SigningKey, sign_v1a
from broker.log.schema.schemas import SchemaSet
from broker.log.values.codec import Codec

OPENING: Final = "430100"
"""The city whose windows take the cases in."""
HALL: Final = "430000"
"""The provincial hall, which decides."""
SIDES: Final = (OPENING, HALL)
_NOBODY: Final = "110105190001010019"


def side_of(step: int) -> str:
    """Who says the message of this step: the first is the opening city's, the others are the hall's."""
    return OPENING if step == 0 else HALL


class Writer:
    """Makes events. ``run`` begins every id and case number, so that runs on one ledger do not meet."""

    def __init__(self, run: str, codec: Codec | None = None) -> None:
        self._run = run
        self._codec = codec or Codec(SchemaSet.load())
        self._items = items()
        self._templates: dict[tuple[int, int], bytes] = {}
        self._seed = random.Random(run)
        self._now = datetime.now(UTC)

    def event(self, said: Said) -> bytes:
        """One CloudEvent. Ids end in the step's number: a partner sees whether order per case is kept."""
        template = self._templates.get((said.step, said.item))
        if template is None:
            template = self._templates[said.step, said.item] = self._template(said.step, said.item)
        return template % (said.case, said.case)

    def _template(self, step: int, item: int) -> bytes:
        known, side = self._items[item], side_of(step)
        event: dict[str, object] = {
            "specversion": "1.0",
            "id": f"{self._run}{side[3]}x00000000-{step + 1}",
            "source": f"/partners/{side}",
            "type": f"cn.tongban.{KINDS[step]}",
            "time": self._now.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "subject": f"{OPENING}/{self._run}-00000000",
            "destination": f"/partners/{HALL if step == 0 else OPENING}",
            "dataschema": self._codec.dataschema(KINDS[step]),
            "datacontenttype": "application/avro",
        }
        if step == 0:
            event |= {"item": known.code, "mode": "collected"}
        room = EVENT_BYTES - len(orjson.dumps({**event, "data_base64": ""}))
        bare = len(self._codec.encode(KINDS[step], self._datum(step, known, ""))) - 5
        padding = self._seed.randbytes(max(1, room * 3 // 4 - bare)).hex()[: max(1, room * 3 // 4 - bare - 1)]
        data = self._codec.encode(KINDS[step], self._datum(step, known, padding))[5:]
        text = orjson.dumps({**event, "data_base64": base64.b64encode(data).decode()})
        return text.replace(b"%", b"%%").replace(b"00000000", b"%08d", 2)

    def _datum(self, step: int, item: HallItem, padding: str) -> Mapping[str, object]:
        now, today = self._now, self._now.astimezone(SHANGHAI).date()
        papers: dict[str, object] = {
            "applicant": {"name": "张三（示例）", "id_number": _NOBODY, "phone": "10000000000"},
            "agent": None,
            "documents": [],
            "form": {"备注": padding},
        }
        if step == 0:
            return {
                "item_name": f"事项 {item.code}",
                "mode": "collected",
                "title": f"事项 {item.code} 申办",
                "submitted_at": now,
                "collected_by": f"{item.unit + 1} 号窗口",
                "materials": 1,
                "sealed": papers,
            }
        if step == 1:
            return {
                "accepted_on": today,
                "promised_days": item.promised_days,
                "department": f"省直单位 {item.unit + 1}",
                "sealed": papers,
            }
        if step == 2:
            return {
                "outcome": "granted",
                "decided_at": now,
                "legal_basis": "行政许可法第三十八条",
                "sealed": papers,
            }
        return {"issued_at": now, "licence_name": f"事项 {item.code} 证照", "documents": [], "sealed": papers}


def request(side: str, name: str, events: Sequence[bytes], key: SigningKey) -> bytes:
    """A signed batch as one HTTP request, good for five minutes from now."""
    body = b"[" + b",".join(events) + b"]"
    webhook_id, timestamp = f"{side}_{name}", int(time.time())
    head = (
        "POST /v1/messages HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        f"Content-Type: {BATCH}\r\ntongban-partner: {side}\r\n"
        f"webhook-id: {webhook_id}\r\nwebhook-timestamp: {timestamp}\r\n"
        f"webhook-signature: {sign_v1a(key, webhook_id, timestamp, body)}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body
