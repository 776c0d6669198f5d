"""Status, cases, directory, keys, problems, registry and the API's own description."""

from __future__ import annotations

import html
from dataclasses import replace
from typing import cast

import pytest
from openapi_spec_validator import validate

from broker.core.ids import CaseId, MessageId, Party
from broker.core.operating.desk import Dossier, Standing
from broker.core.problems import CATALOGUE
from broker.intake.asking.status import Stage, stage, status_of
from broker.intake.ports import Whereabouts
from broker.store.rows import AttemptRow
from tests.intake.fakes import CODEC, ITEM, A, B, C, event, world
from tests.intake.test_authorisation import furnish, whereabouts

ROUTED = whereabouts(Party(A), "m", Party(B), f"{A}/1")
ATTEMPT = AttemptRow(
    partner=B,
    source=Party(A),
    id=MessageId("m"),
    attempt=1,
    started_at=0,
    duration_ms=5,
    result="deferred",
    detail="503",
)
DOSSIER = Dossier(
    name=(Party(A), MessageId("m")),
    partner=B,
    case=CaseId(f"{A}/1"),
    cause="rejected",
    detail="-",
    blocks=False,
    ledger_partition=0,
    ledger_offset=0,
    opened_at_ms=0,
    updated_at_ms=0,
    due_at_ms=1,
    owner="王窗口",
)


def settled(outcome: str) -> Whereabouts:
    return replace(ROUTED, row=replace(ROUTED.row, outcome=outcome, outcome_at=1, receipt_id="r-1"))


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (ROUTED, Stage.ROUTED),
        (replace(ROUTED, in_mailbox=True), Stage.DELIVERING),
        (replace(ROUTED, awaited=True), Stage.DELIVERING),
        (replace(ROUTED, attempts=(ATTEMPT,)), Stage.DELIVERING),
        (replace(ROUTED, attempts=(ATTEMPT,), parked=True), Stage.PARKED),
        (settled("delivered"), Stage.DELIVERED),
        (replace(settled("delivered"), attempts=(ATTEMPT,)), Stage.DELIVERED),
        (settled("rejected"), Stage.REJECTED),
        (settled("expired"), Stage.EXPIRED),
        (settled("undeliverable"), Stage.ON_THE_DESK),
        (replace(settled("rejected"), dossier=DOSSIER), Stage.REJECTED),
        (replace(settled("rejected"), dossier=replace(DOSSIER, status=Standing.RETURNED)), Stage.REJECTED),
        (replace(settled("undeliverable"), dossier=DOSSIER), Stage.ON_THE_DESK),
        (
            replace(settled("undeliverable"), dossier=replace(DOSSIER, status=Standing.RETURNED)),
            Stage.RETURNED,
        ),
        (replace(settled("undeliverable"), dossier=replace(DOSSIER, status=Standing.SKIPPED)), Stage.SKIPPED),
        (replace(ROUTED, dossier=replace(DOSSIER, status=Standing.REDRIVEN)), Stage.ROUTED),
        (replace(ROUTED, row=replace(ROUTED.row, verdict="refused", code="case-unknown")), Stage.REJECTED),
        (replace(ROUTED, row=replace(ROUTED.row, verdict="refused", code="expired")), Stage.EXPIRED),
    ],
)
def test_the_state_of_a_message(found: Whereabouts, expected: Stage) -> None:
    assert stage(found) is expected


def test_both_sides_see_that_it_is_on_the_desk_and_since_when_and_never_who_sees_to_it() -> None:
    found = replace(settled("undeliverable"), dossier=DOSSIER, redrives=2)
    told = status_of(found)
    assert told["desk"] == {
        "status": "open",
        "cause": "rejected",
        "opened_at": "1970-01-01T00:00:00.000Z",
        "redrives": 2,
    }
    closed = status_of(replace(found, dossier=replace(DOSSIER, status=Standing.RETURNED, closed_at_ms=1000)))
    assert closed["desk"]["closed_at"] == "1970-01-01T00:00:01.000Z"  # type: ignore[index]
    assert "王窗口" not in str(told)
    assert "desk" not in status_of(ROUTED)


def test_when_it_is_tried_next_is_told_with_the_attempt() -> None:
    found = replace(ROUTED, attempts=(replace(ATTEMPT, redrive=1, next_at=1000), ATTEMPT))
    first, second = cast("list[dict[str, object]]", status_of(found)["attempts"])
    assert (first["redrive"], first["next_at"]) == (1, "1970-01-01T00:00:01.000Z")
    assert "redrive" not in second
    assert "next_at" not in second


async def test_a_message_is_seen_by_its_two_sides() -> None:
    async with world() as here:
        furnish(here)
        for caller in (A, B):
            reply = await here.get(f"/v1/messages/{A}/ab", caller=caller)
            assert reply.json["state"] == "routed"
            assert reply.json["case"] == f"{A}/ab"
        assert (await here.get(f"/v1/messages/{A}/ab", caller=C)).status == 404


async def test_a_message_not_yet_in_the_view_is_accepted() -> None:
    async with world() as here:
        posted = await here.post(event())
        reply = await here.get(f"/v1/messages/{A}/m-1")
        assert reply.json["state"] == "accepted"
        assert reply.json["position"] == posted.json["position"]
        assert (await here.get(f"/v1/messages/{A}/m-1", caller=B)).status == 404


async def test_a_case_says_what_its_reader_may_say_next() -> None:
    async with world() as here:
        furnish(here)
        opening = (await here.get(f"/v1/cases/{A}/ab")).json
        responsible = (await here.get(f"/v1/cases/{A}/ab", caller=B)).json
        assert (opening["role"], responsible["role"]) == ("opening", "responsible")
        assert "case.accepted" in str(responsible["allowed"])
        assert "case.accepted" not in str(opening["allowed"])
        here.view.rows[Party(A), MessageId("1")] = whereabouts(Party(A), "1", Party(B), f"{A}/ab")
        timeline = (await here.get(f"/v1/cases/{A}/ab/timeline")).json
        assert len(timeline["messages"]) == 2  # type: ignore[arg-type]


async def test_a_case_number_may_be_chinese_or_hold_a_percent_sign() -> None:
    async with world() as here:
        furnish(here)
        case = CaseId(f"{A}/宾2026%2F1")
        here.view.cases[case] = replace(here.view.cases[CaseId(f"{A}/ab")], case=case)
        from yarl import URL

        url = URL(f"{here.url}/v1/cases/{A}/%E5%AE%BE2026%252F1", encoded=True)
        async with here.session.get(
            url, headers={"tongban-partner": A, "Authorization": f"Bearer token-of-{A}"}
        ) as reply:
            assert reply.status == 200
            assert (await reply.json())["case"] == case


async def test_the_directory_is_shown_as_it_concerns_the_caller() -> None:
    async with world() as here:
        partners = (await here.get("/v1/partners")).json["partners"]
        assert [each["id"] for each in partners] == [B, A]  # type: ignore[attr-defined]
        alone = (await here.get("/v1/partners", caller=C)).json["partners"]
        assert [each["id"] for each in alone] == [C]  # type: ignore[attr-defined]
        agreements = (await here.get("/v1/agreements")).json["agreements"]
        assert [each["items"] for each in agreements] == [[ITEM]]  # type: ignore[attr-defined]
        assert (await here.get("/v1/agreements", caller=C)).json["agreements"] == []
        text = (await here.get("/v1/partners")).content
        assert b"whpk_" not in text
        assert b"token" not in text


async def test_every_problem_has_its_page() -> None:
    async with world() as here:
        for code, kind in CATALOGUE.items():
            reply = await here.get(f"/problems/{code}", caller=None)
            text = reply.content.decode()
            assert reply.headers["Content-Type"] == "text/html; charset=utf-8"
            assert text.index(kind.title_zh) < text.index(f">{html.escape(kind.title)}<")
            assert f"/problems/{code}" in (await here.get("/problems", caller=None)).content.decode()


async def test_the_description_is_valid_and_complete() -> None:
    async with world() as here:
        document = (await here.get("/openapi.json", caller=None)).json
        validate(document)
        paths = document["paths"]
        assert isinstance(paths, dict)
        described = {(method.upper(), path) for path, methods in paths.items() for method in methods}
        assert described == {(route.method, route.path) for route in here.intake.table.routes}


async def test_the_registry_reads_as_its_clients_expect() -> None:
    async with world() as here:
        subjects = (await here.get("/subjects", caller=None)).content
        schema = CODEC.schemas.latest("case.submitted")
        assert schema is not None
        assert schema.subject.encode() in subjects
        by_id = await here.get(f"/schemas/ids/{schema.id}", caller=None)
        assert by_id.json == {"schema": schema.text}
        assert by_id.headers["Content-Type"] == "application/vnd.schemaregistry.v1+json"
        latest = (await here.get(f"/subjects/{schema.subject}/versions/latest", caller=None)).json
        assert (latest["id"], latest["version"]) == (schema.id, schema.version)
        numbered = (await here.get(f"/subjects/{schema.subject}/versions/{schema.version}", caller=None)).json
        assert numbered == latest
        missing = await here.get("/schemas/ids/999999", caller=None)
        assert (missing.status, missing.json["error_code"], missing.code) == (404, 40403, "not-found")
        for address, code in (
            ("/subjects/x/versions", 40401),
            (f"/subjects/{schema.subject}/versions/77", 40402),
        ):
            assert (await here.get(address, caller=None)).json["error_code"] == code


async def test_the_brokers_key_is_there_for_verifiers() -> None:
    async with world() as here:
        keys = (await here.get("/v1/keys")).json["keys"]
        assert str(keys[0]["key"]).startswith("whpk_")  # type: ignore[index]


@pytest.mark.parametrize(
    "query", ["max=0", "max=x", "max=1&max=2", "wait_s=31", "wait_s=-1", "other=1", "max=９"]
)
async def test_a_bad_parameter_is_named(query: str) -> None:
    async with world() as here:
        reply = await here.get(f"/v1/mailbox?{query}")
        assert (reply.status, reply.code) == (400, "parameter-invalid")
