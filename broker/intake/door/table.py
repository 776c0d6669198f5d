"""The rows of the partner API. A route is here or nowhere: OpenAPI and the authorisation tests read these."""

from __future__ import annotations

from typing import Final

from broker.core.events import BATCH_MEDIA_TYPE, MEDIA_TYPE
from broker.intake.asking.mailboxes import MailboxRoutes
from broker.intake.asking.reads import Reads
from broker.intake.asking.registry import MEDIA_TYPE as REGISTRY_TYPE
from broker.intake.asking.registry import Registry
from broker.intake.http import shapes
from broker.intake.http.answers import HTML
from broker.intake.http.auth import Auth
from broker.intake.http.routes import Handler, Route
from broker.intake.options import IntakeOptions
from broker.intake.submitting.submissions import Submissions

_ON_SUBMISSION: Final = (
    "json-invalid", "event-invalid", "schema-invalid", "schema-unknown", "type-unknown", "partner-unknown",
    "item-unknown", "agreement-missing", "case-unknown", "case-exists", "party-not-involved",
    "transition-illegal", "message-id-reused", "expired", "request-timeout", "too-large",
    "media-type-unsupported", "too-many-requests", "not-durable", "internal",
)  # fmt: skip
_ON_RECEIPTS: Final = (
    "json-invalid", "event-invalid", "lease-unknown", "request-timeout", "too-large", "too-many-requests",
    "not-durable",
)  # fmt: skip


def rows(
    options: IntakeOptions,
    submissions: Submissions,
    mailboxes: MailboxRoutes,
    reads: Reads,
    registry: Registry,
    openapi: Handler,
) -> list[Route]:
    """All routes of the partner API."""
    return [
        Route(
            method="POST",
            path="/v1/messages",
            auth=Auth.SUBMISSION,
            handler=submissions.post,
            summary="Submit one event, or a batch; 202 once it is durable",
            status=202,
            request={
                MEDIA_TYPE: shapes.EVENT,
                BATCH_MEDIA_TYPE: shapes.BATCH,
                "application/avro": shapes.BINARY,
            },
            response=shapes.ACCEPTED_OR_RESULTS,
            problems=_ON_SUBMISSION,
            body_bytes=options.batch_bytes,
        ),
        Route(
            method="GET",
            path="/v1/messages/{partner}/{id}",
            auth=Auth.READ,
            handler=reads.message,
            summary="Where a message is: state, attempts, receipts",
            response=shapes.STATUS,
            problems=("not-found",),
        ),
        Route(
            method="GET",
            path="/v1/mailbox",
            auth=Auth.READ,
            handler=mailboxes.pull,
            summary="Lease what lies in the caller's mailbox (long poll)",
            parameters=mailboxes.parameters,
            response=shapes.MAILBOX,
            problems=("parameter-invalid",),
        ),
        *(
            Route(
                method="POST",
                path=path,
                auth=Auth.SIGNED,
                handler=mailboxes.acknowledge,
                summary=summary,
                request={"application/json": shapes.RECEIPTS},
                response=shapes.RECEIPT_RESULTS,
                problems=_ON_RECEIPTS,
                body_bytes=options.message_bytes,
            )
            for path, summary in (
                ("/v1/mailbox/receipts", "Acknowledge what was pulled"),
                ("/v1/receipts", "The later receipts of a partner that answered 202"),
            )
        ),
        Route(
            method="GET",
            path="/v1/cases/{partner}/{number}",
            auth=Auth.READ,
            handler=reads.case,
            summary="A case, as both of its sides see it",
            response=shapes.CASE,
            problems=("not-found",),
        ),
        Route(
            method="GET",
            path="/v1/cases/{partner}/{number}/timeline",
            auth=Auth.READ,
            handler=reads.timeline,
            summary="Every message of a case, in order",
            response=shapes.listing("messages"),
            problems=("not-found",),
        ),
        *_directory(reads),
        *_public(reads, openapi),
        *_registry(registry),
    ]


def _directory(reads: Reads) -> list[Route]:
    return [
        Route(
            method="GET",
            path=f"/v1/{name}",
            auth=Auth.READ,
            handler=handler,
            summary=summary,
            response=shapes.listing(name),
        )
        for name, handler, summary in (
            ("partners", reads.partners, "The partners that the caller has agreements with"),
            ("agreements", reads.agreements, "The caller's agreements"),
            ("items", reads.items, "The items of the directory"),
            ("keys", reads.keys, "The public keys that the broker signs its deliveries with"),
        )
    ]


def _public(reads: Reads, openapi: Handler) -> list[Route]:
    return [
        Route(
            method="GET", path="/problems", auth=Auth.PUBLIC, handler=reads.problems,
            summary="All problems that the API gives", response=shapes.PAGE, media_type=HTML,
        ),
        Route(
            method="GET", path="/problems/{code}", auth=Auth.PUBLIC, handler=reads.problem,
            summary="What one problem means and how to mend it", response=shapes.PAGE, media_type=HTML,
            problems=("not-found",),
        ),
        Route(
            method="GET", path="/openapi.json", auth=Auth.PUBLIC, handler=openapi,
            summary="This description", response=shapes.OBJECT,
        ),
    ]  # fmt: skip


def _registry(registry: Registry) -> list[Route]:
    return [
        Route(
            method="GET",
            path=path,
            auth=Auth.PUBLIC,
            handler=handler,
            summary=summary,
            response=response,
            media_type=REGISTRY_TYPE,
            problems=("not-found",) if "{" in path else (),
        )
        for path, handler, summary, response in (
            ("/subjects", registry.subjects, "Schema registry: subjects", shapes.STRINGS),
            ("/subjects/{subject}/versions", registry.versions, "Schema registry: versions", shapes.INTEGERS),
            (
                "/subjects/{subject}/versions/{version}",
                registry.version,
                "Schema registry: a version",
                shapes.OBJECT,
            ),
            ("/schemas/ids/{id}", registry.schema, "Schema registry: a schema by id", shapes.OBJECT),
            ("/config", registry.config, "Schema registry: compatibility", shapes.OBJECT),
        )
    ]
