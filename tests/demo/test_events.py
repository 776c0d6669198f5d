"""Reading an event: what a city relies on, and a fault named for everything else."""

from __future__ import annotations

import hashlib

import orjson
import pytest

from deploy.demo.events import NotAnEvent, read_event
from tests.demo.doubles import an_event_body


def test_an_event_is_read_by_plain_names() -> None:
    event = read_event(an_event_body(message="m-1", correlationid="430423/m-0"))
    assert (event.type, event.source, event.name, event.webhook_id) == (
        "case.submitted",
        "451300",
        "451300/m-1",
        "451300_m-1",
    )
    assert (event.correlation, event.is_about_ours) == ("430423/m-0", False)


@pytest.mark.parametrize("type_", ["receipt.delivered", "receipt.rejected", "notice.refused"])
def test_receipts_and_notices_are_about_our_own_messages(type_: str) -> None:
    event = read_event(an_event_body(type_, source="/tongban", message="r-1"))
    assert event.is_about_ours
    assert event.webhook_id == "tongban_r-1"


def test_without_a_stated_digest_it_is_that_of_the_bytes() -> None:
    body = orjson.dumps({**orjson.loads(an_event_body()), "digest": None})
    assert read_event(body).digest == f"sha-256:{hashlib.sha256(body).hexdigest()}"


@pytest.mark.parametrize(
    ("body", "named"),
    [
        (b"", "JSON"),
        (b"[]", "specversion"),
        (b'{"specversion": "0.3"}', "specversion"),
        (an_event_body(type=7), "type"),
        (an_event_body(type="other.made.submitted"), "type"),
        (an_event_body(id=""), "id"),
        (an_event_body(subject=None), "subject"),
        (an_event_body(source=None), "source"),
    ],
)
def test_what_is_no_event_is_refused_by_name(body: bytes, named: str) -> None:
    with pytest.raises(NotAnEvent, match=named):
        read_event(body)
