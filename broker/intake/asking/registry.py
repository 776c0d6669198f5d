"""The read part of the Confluent registry API, so that Kafka's own tools decode our topics.

Its errors are problems like all others, with the ``error_code`` and ``message`` that its clients look for.
Source: Confluent Schema Registry API reference; contract, ``GET /subjects…``.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Final

import orjson

from broker.core.problems import Refusal
from broker.intake.http.answers import PROBLEM, Answer, problem_of
from broker.intake.http.routes import Call
from broker.log.schema.schemas import Schema, SchemaSet

MEDIA_TYPE: Final = "application/vnd.schemaregistry.v1+json"
_SUBJECT, _VERSION, _SCHEMA = 40401, 40402, 40403


class Registry:
    """Handlers of the registry's read routes."""

    def __init__(self, schemas: SchemaSet) -> None:
        self._by_id = {schema.id: schema for schema in schemas}
        self._subjects: dict[str, list[Schema]] = defaultdict(list)
        for schema in sorted(schemas, key=lambda each: each.version):
            self._subjects[schema.subject].append(schema)

    async def subjects(self, call: Call) -> Answer:
        del call
        return _found(sorted(self._subjects))

    async def versions(self, call: Call) -> Answer:
        schemas = self._subjects.get(call.path["subject"])
        return (
            _missing(_SUBJECT, "Subject not found.")
            if schemas is None
            else _found([s.version for s in schemas])
        )

    async def version(self, call: Call) -> Answer:
        schemas = self._subjects.get(call.path["subject"])
        if schemas is None:
            return _missing(_SUBJECT, "Subject not found.")
        asked = call.path["version"]
        if asked in {"latest", "-1"}:
            return _found(_schema_of(schemas[-1]))
        chosen = [schema for schema in schemas if str(schema.version) == asked]
        return _found(_schema_of(chosen[0])) if chosen else _missing(_VERSION, "Version not found.")

    async def schema(self, call: Call) -> Answer:
        asked = call.path["id"]
        schema = (
            self._by_id.get(int(asked)) if asked.isascii() and asked.isdigit() and len(asked) < 10 else None
        )
        return _missing(_SCHEMA, "Schema not found.") if schema is None else _found({"schema": schema.text})

    async def config(self, call: Call) -> Answer:
        del call
        return _found({"compatibilityLevel": "FULL_TRANSITIVE"})


def _schema_of(schema: Schema) -> dict[str, object]:
    return {
        "subject": schema.subject,
        "version": schema.version,
        "id": schema.id,
        "schemaType": "AVRO",
        "schema": schema.text,
    }


def _found(content: object) -> Answer:
    return Answer(200, orjson.dumps(content), MEDIA_TYPE)


def _missing(error_code: int, message: str) -> Answer:
    problem = problem_of(Refusal(code="not-found", detail=message))
    return Answer(404, orjson.dumps({**problem, "error_code": error_code, "message": message}), PROBLEM)
