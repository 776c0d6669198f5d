"""Who may call what: a matrix made of the route table itself. A route without a row here fails.

Source: reliability, "Authorisation matrix".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import orjson
import pytest

from broker.core.case.lifecycle import CaseState, Status
from broker.core.ids import CaseId, MessageId, Party
from broker.core.message import Mode
from broker.intake.http.auth import Auth
from broker.intake.http.routes import Route
from broker.intake.options import IntakeOptions
from broker.intake.ports import Whereabouts
from broker.store.rows import MessageRow
from tests.intake.fakes import ITEM, START, A, B, C, World, event, signed, token, world

CALLERS = ("anonymous", "A", "B", "unknown", "bad token", "A with B's token")


@dataclass(frozen=True)
class Row:
    """One route's row: addresses of what is the caller's own (A's and B's), another's (C's) and of nothing."""

    own: str
    other: str
    missing: str
    own_status: int = 200
    other_status: int = 404
    missing_status: int = 404


def everyone(path: str, missing: str | None = None) -> Row:
    """A route that has no owner: all known callers get the same."""
    return Row(
        own=path,
        other=path,
        missing=missing or path,
        other_status=200,
        missing_status=404 if missing else 200,
    )


def posting(path: str, own: int) -> Row:
    return Row(own=path, other=path, missing=path, own_status=own, other_status=own, missing_status=own)


ROWS: Mapping[str, Row] = {
    "POST /v1/messages": posting("/v1/messages", 400),
    "GET /v1/messages/{partner}/{id}": Row(
        own=f"/v1/messages/{A}/ab", other=f"/v1/messages/{C}/cc", missing=f"/v1/messages/{C}/none"
    ),
    "GET /v1/mailbox": everyone("/v1/mailbox"),
    "POST /v1/mailbox/receipts": posting("/v1/mailbox/receipts", 400),
    "POST /v1/receipts": posting("/v1/receipts", 400),
    "GET /v1/cases/{partner}/{number}": Row(
        own=f"/v1/cases/{A}/ab", other=f"/v1/cases/{C}/cc", missing=f"/v1/cases/{C}/none"
    ),
    "GET /v1/cases/{partner}/{number}/timeline": Row(
        own=f"/v1/cases/{A}/ab/timeline",
        other=f"/v1/cases/{C}/cc/timeline",
        missing=f"/v1/cases/{C}/none/timeline",
    ),
    "GET /v1/partners": everyone("/v1/partners"),
    "GET /v1/agreements": everyone("/v1/agreements"),
    "GET /v1/items": everyone("/v1/items"),
    "GET /v1/keys": everyone("/v1/keys"),
    "GET /problems": everyone("/problems"),
    "GET /problems/{code}": everyone("/problems/not-found", "/problems/none"),
    "GET /openapi.json": everyone("/openapi.json"),
    "GET /subjects": everyone("/subjects"),
    "GET /subjects/{subject}/versions": everyone(
        "/subjects/cn.tongban.case.Submitted/versions", "/subjects/none/versions"
    ),
    "GET /subjects/{subject}/versions/{version}": everyone(
        "/subjects/cn.tongban.case.Submitted/versions/latest",
        "/subjects/cn.tongban.case.Submitted/versions/99",
    ),
    "GET /schemas/ids/{id}": everyone("/schemas/ids/1", "/schemas/ids/999999"),
    "GET /config": everyone("/config"),
}


def whereabouts(source: Party, identity: str, destination: Party, case: str) -> Whereabouts:
    row = MessageRow(
        source=source,
        id=MessageId(identity),
        case_id=CaseId(case),
        type="case.submitted",
        destination=destination,
        item=ITEM,
        mode="collected",
        message_class=0,
        correlation=None,
        digest="sha-256:00",
        proof="signature",
        said_at=0,
        expires_at=None,
        ledger_partition=0,
        ledger_offset=0,
        accepted_at=0,
        verdict="applied",
    )
    return Whereabouts(row=row, parked=False, in_mailbox=False, awaited=False, attempts=(), dossier=None)


def furnish(here: World) -> None:
    """A case and a message between A and B, and one that is C's with somebody else."""
    for case, opening, responsible in ((f"{A}/ab", A, B), (f"{C}/cc", C, C)):
        here.view.cases[CaseId(case)] = CaseState(
            case=CaseId(case),
            opening=opening,
            responsible=responsible,
            item=ITEM,
            mode=Mode.COLLECTED,
            status=Status.SUBMITTED,
            opened_at=START,
            updated_at=START,
        )
    here.view.rows[Party(A), MessageId("ab")] = whereabouts(Party(A), "ab", Party(B), f"{A}/ab")
    here.view.rows[Party(C), MessageId("cc")] = whereabouts(Party(C), "cc", Party(C), f"{C}/cc")


def headers_of(caller: str, route: Route, body: bytes, here: World) -> dict[str, str]:
    """What each kind of caller sends to prove itself, by the kind of proof that the route asks for."""
    if route.auth is Auth.READ:
        by_token = {
            "A": token(A),
            "B": token(B),
            "unknown": token("999999"),
            "bad token": token(A) | {"Authorization": "Bearer wrong"},
            "A with B's token": token(B) | {"tongban-partner": A},
        }
        return by_token.get(caller, {})
    now = here.clock()
    by_signature = {
        "A": signed(body, A, now),
        "B": signed(body, B, now),
        "unknown": signed(body, "999999", now),
        "bad token": signed(body + b"!", A, now),
        "A with B's token": signed(body, B, now) | {"tongban-partner": A},
    }
    return by_signature.get(caller, {})


async def test_the_matrix() -> None:
    async with world(IntakeOptions(mailbox_wait_s=0)) as here:
        furnish(here)
        names = {f"{route.method} {route.path}" for route in here.intake.table.routes}
        assert names == set(ROWS), "every route needs its row, and no row is left of a route that is gone"
        for route in here.intake.table.routes:
            row = ROWS[f"{route.method} {route.path}"]
            for caller in CALLERS:
                for whose, address, status in (
                    ("own", row.own, row.own_status),
                    ("other's", row.other, row.other_status),
                    ("missing", row.missing, row.missing_status),
                ):
                    body = b"{}" if route.request else b""
                    headers = headers_of(caller, route, body, here)
                    if body:
                        headers["Content-Type"] = "application/cloudevents+json"
                    reply = await here.send(route.method, address, body=body or None, headers=headers)
                    proved = route.auth is Auth.PUBLIC or caller in {"A", "B"}
                    expected = status if proved else 401
                    told = (route.method, route.path, caller, whose, reply.content[:200])
                    assert reply.status == expected, told
        assert here.ledger.records == []


@pytest.mark.parametrize("route", ["/v1/messages/{}/{}", "/v1/cases/{}/{}", "/v1/cases/{}/{}/timeline"])
async def test_anothers_and_a_missing_one_cannot_be_told_apart(route: str) -> None:
    async with world() as here:
        furnish(here)
        replies = [
            await here.get(route.format(*address))
            for address in ((C, "cc"), (C, "none"), ("999999", "x"), ("no-id", "."), (A, "%00"))
        ]
        assert len({(reply.status, reply.content) for reply in replies}) == 1
        assert replies[0].code == "not-found"


async def test_a_client_certificate_named_by_a_trusted_proxy_reads() -> None:
    options = IntakeOptions(proxy_header="x-client-cn", proxy_addresses=("127.0.0.1",))
    async with world(options) as here:
        for name, status in ((A, 200), (B, 401), (f"{A}-x", 401)):
            reply = await here.send("GET", "/v1/items", headers={"tongban-partner": A, "x-client-cn": name})
            assert reply.status == status


async def test_extra_routes_stand_in_the_same_table() -> None:
    async with world() as here:
        reply = await here.send("HEAD", "/problems")
        assert (reply.status, reply.content) == (200, b"")
        late = await here.send("POST", "/problems", body=orjson.dumps(event()))
        assert (late.status, late.headers["Allow"]) == (405, "GET, HEAD")
