"""``tongban send``: sign an event with a partner's key and submit it, as a partner's own program would."""

from __future__ import annotations

import secrets
import time
from pathlib import Path
from typing import Annotated, cast

import aiohttp
import orjson
import typer

from broker.commands.common import console, notes, print_json, run
from broker.commands.options import AsJson
from broker.core.signatures import KeyInvalid, SigningKey, sign_v1a
from broker.errors import Unreachable, WrongUse

SINGLE, BATCH = "application/cloudevents+json", "application/cloudevents-batch+json"
TIMEOUT_S = 30


def send(
    file: Annotated[Path, typer.Argument(help="one CloudEvent, or a list of them, as JSON")],
    partner: Annotated[str, typer.Option(help="who sends: the partner's id")],
    key: Annotated[Path, typer.Option(help="the partner's whsk_… key, in a file")],
    url: Annotated[str, typer.Option(help="the broker's address")] = "http://127.0.0.1:8100",
    as_json: AsJson = False,
) -> None:
    """Submit a message. Exit 1: the broker refused it (the problem is printed); 3: it could not be reached."""
    body = _read(file)
    signing_key = _key(key)
    status, answer = run(_post(url, partner, signing_key, body))
    if as_json:
        print_json(answer)
    elif status < 400:
        console.print_json(data=answer)
    else:
        notes.print(f"tongban: {status} {answer.get('code')}: {answer.get('detail')}", markup=False)
        for error in cast("list[dict[str, str]]", answer.get("errors", [])):
            notes.print(f"  {error.get('pointer')}: expected {error.get('expected')}", markup=False)
        for fact in ("state", "role", "allowed"):
            if fact in answer:
                notes.print(f"  {fact}: {answer[fact]}", markup=False)
    if status >= 400:
        raise typer.Exit(3 if status == 503 else 1)


def _read(file: Path) -> bytes:
    try:
        body = file.read_bytes()
    except OSError as fault:
        raise WrongUse(f"send: {file}: {fault.strerror}") from None
    try:
        orjson.loads(body)
    except orjson.JSONDecodeError as fault:
        raise WrongUse(f"send: {file}: expected JSON: line {fault.lineno}, column {fault.colno}") from None
    return body


def _key(path: Path) -> SigningKey:
    try:
        return SigningKey.parse(path.read_text(encoding="utf-8").strip())
    except OSError as fault:
        raise WrongUse(f"send: --key {path}: {fault.strerror}") from None
    except KeyInvalid as fault:
        raise WrongUse(f"send: --key {path}: {fault}") from None


async def _post(url: str, partner: str, key: SigningKey, body: bytes) -> tuple[int, dict[str, object]]:
    webhook_id, timestamp = f"send-{secrets.token_hex(8)}", int(time.time())
    headers = {
        "content-type": BATCH if body.lstrip().startswith(b"[") else SINGLE,
        "tongban-partner": partner,
        "webhook-id": webhook_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": sign_v1a(key, webhook_id, timestamp, body),
    }
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.post(
                f"{url.rstrip('/')}/v1/messages", data=body, headers=headers, allow_redirects=False
            ) as answer,
        ):
            document: dict[str, object] = orjson.loads(await answer.read())
            return answer.status, document
    except (aiohttp.ClientError, TimeoutError) as fault:
        raise Unreachable(
            f"send: {url} does not answer ({type(fault).__name__}); is `tongban serve` running?"
        ) from fault
    except orjson.JSONDecodeError:
        raise Unreachable(f"send: {url} does not answer as a broker does; check --url") from None
