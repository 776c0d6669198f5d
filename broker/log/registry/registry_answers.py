"""The read part of the Confluent registry API, as pure functions of a path: what it answers from our schemas.

Whoever serves it over HTTP sends the answer's status and its body as JSON; nothing can be registered here.
Source: Confluent Schema Registry API reference, "Subjects", "Schemas", "Config", "Compatibility".
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from broker.errors import WrongUse
from broker.log.schema.compatibility import conflicts
from broker.log.schema.schemas import COMPATIBILITY, Schema, SchemaSet

MEDIA_TYPE: Final = "application/vnd.schemaregistry.v1+json"
_NUMBER: Final = re.compile(r"[1-9][0-9]{0,8}")


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryAnswer:
    """``status`` is HTTP's; ``body`` is JSON, with ``error_code`` and ``message`` unless the status is 200."""

    status: int
    body: object


_NO_RESOURCE: Final = RegistryAnswer(status=404, body={"error_code": 404, "message": "HTTP 404 Not Found"})
_NO_SUBJECT: Final = RegistryAnswer(status=404, body={"error_code": 40401, "message": "Subject not found."})
_NO_VERSION: Final = RegistryAnswer(status=404, body={"error_code": 40402, "message": "Version not found."})
_NO_SCHEMA: Final = RegistryAnswer(status=404, body={"error_code": 40403, "message": "Schema not found"})


def answer_read(schemas: SchemaSet, path: str) -> RegistryAnswer:
    """The answer to ``GET path`` (percent-decoded, without query)."""
    match path.strip("/").split("/"):
        case ["subjects"]:
            answer = _found(schemas.subjects())
        case ["subjects", subject, "versions"]:
            versions = schemas.versions(subject)
            answer = _found(list(versions)) if versions else _NO_SUBJECT
        case ["subjects", subject, "versions", version]:
            answer = answer_version(schemas, subject, version)
        case ["subjects", subject, "versions", version, "schema"]:
            found = chosen_version(schemas, subject, version)
            answer = _found_text(found) if found else _no_version(schemas, subject)
        case ["schemas", "ids", schema_id, *rest]:
            answer = answer_schema(schemas, schema_id, rest)
        case ["schemas", "types"]:
            answer = _found(["AVRO"])
        case ["config"]:
            answer = _found({"compatibilityLevel": COMPATIBILITY})
        case ["config", subject]:
            known = schemas.versions(subject)
            answer = _found({"compatibilityLevel": COMPATIBILITY}) if known else _NO_SUBJECT
        case ["mode"]:
            answer = _found({"mode": "READONLY"})
        case _:
            answer = _NO_RESOURCE
    return answer


def answer_version(schemas: SchemaSet, subject: str, version: str) -> RegistryAnswer:
    """``GET /subjects/{subject}/versions/{version}``; ``latest`` and ``-1`` are the newest."""
    found = chosen_version(schemas, subject, version)
    if found is None:
        return _no_version(schemas, subject)
    return _found(
        {
            "subject": found.subject,
            "version": found.version,
            "id": found.id,
            "schemaType": "AVRO",
            "schema": found.text,
        }
    )


def answer_schema(schemas: SchemaSet, schema_id: str, rest: list[str]) -> RegistryAnswer:
    """``GET /schemas/ids/{id}``, with ``/schema``, ``/subjects`` or ``/versions`` after it."""
    found = schemas.by_id(int(schema_id)) if _NUMBER.fullmatch(schema_id) else None
    if found is None:
        return _NO_SCHEMA
    match rest:
        case []:
            return _found({"schema": found.text})
        case ["schema"]:
            return _found_text(found)
        case ["subjects"]:
            return _found([found.subject])
        case ["versions"]:
            return _found([{"subject": found.subject, "version": found.version}])
        case _:
            return _NO_RESOURCE


def answer_compatibility(schemas: SchemaSet, subject: str, body: Mapping[str, object]) -> RegistryAnswer:
    """``POST /compatibility/subjects/{subject}/versions``: whether ``body["schema"]`` could be the next one."""
    text = body.get("schema")
    if not isinstance(text, str):
        return RegistryAnswer(status=422, body={"error_code": 42201, "message": "Invalid schema"})
    try:
        found = conflicts(text, schemas.versions(subject).values())
    except WrongUse as fault:
        return RegistryAnswer(status=422, body={"error_code": 42201, "message": str(fault)})
    return _found({"is_compatible": not found, "messages": [str(each) for each in found]})


def chosen_version(schemas: SchemaSet, subject: str, version: str) -> Schema | None:
    """The schema of a subject's version as a path names it."""
    versions = schemas.versions(subject)
    if not versions:
        return None
    if version in ("latest", "-1"):
        return versions[max(versions)]
    return versions.get(int(version)) if _NUMBER.fullmatch(version) else None


def _no_version(schemas: SchemaSet, subject: str) -> RegistryAnswer:
    return _NO_VERSION if schemas.versions(subject) else _NO_SUBJECT


def _found(body: object) -> RegistryAnswer:
    return RegistryAnswer(status=200, body=body)


def _found_text(schema: Schema) -> RegistryAnswer:
    """The schema itself as the body; its text is JSON already and parses to what is sent."""
    return RegistryAnswer(status=200, body=json.loads(schema.text))
