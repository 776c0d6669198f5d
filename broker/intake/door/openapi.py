"""OpenAPI 3.1 of the partner API, made of the route table and nothing else."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from typing import Final

from broker.core.problems import CATALOGUE
from broker.intake.http import shapes
from broker.intake.http.auth import Auth
from broker.intake.http.routes import PROBLEMS_OF, Parameter, Route

VERSION: Final = "1"

_SECURITY: Final[dict[Auth, list[dict[str, list[str]]]]] = {
    Auth.PUBLIC: [],
    Auth.READ: [{"partner": [], "token": []}, {"partner": [], "certificate": []}],
    Auth.SIGNED: [{"partner": [], "signature": []}],
    Auth.SUBMISSION: [{"partner": [], "signature": []}, {"partner": [], "certificate": []}],
}
_SCHEMES: Final = {
    "partner": {"type": "apiKey", "in": "header", "name": "tongban-partner", "description": "Who calls"},
    "token": {"type": "http", "scheme": "bearer"},
    "certificate": {"type": "mutualTLS", "description": "Common name = partner id"},
    "signature": {
        "type": "apiKey",
        "in": "header",
        "name": "webhook-signature",
        "description": "Standard Webhooks: with webhook-id and webhook-timestamp; v1a (Ed25519) or v1",
    },
}


def describe(routes: Sequence[Route]) -> dict[str, object]:
    """The OpenAPI document of these routes."""
    paths: dict[str, dict[str, object]] = defaultdict(dict)
    for route in routes:
        paths[route.path][route.method.lower()] = _operation(route)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Tongban 通办 partner API",
            "version": VERSION,
            "description": "Cases between cities. Errors: RFC 9457, pages at /problems/{code}.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": dict(paths),
        "components": {"schemas": {"Problem": shapes.PROBLEM}, "securitySchemes": _SCHEMES},
    }


def _operation(route: Route) -> dict[str, object]:
    operation: dict[str, object] = {
        "operationId": _operation_id(route),
        "summary": route.summary,
        "security": _SECURITY[route.auth],
        "responses": _responses(route),
    }
    parameters = [_path_parameter(name) for name in re.findall(r"\{(\w+)\}", route.path)]
    parameters += [_query_parameter(parameter) for parameter in route.parameters]
    if parameters:
        operation["parameters"] = parameters
    if route.request:
        operation["requestBody"] = {
            "required": True,
            "content": {media_type: {"schema": shape} for media_type, shape in route.request.items()},
        }
    return operation


def _operation_id(route: Route) -> str:
    words = re.findall(r"\w+", route.path)
    return "_".join([route.method.lower(), *words])


def _responses(route: Route) -> dict[str, object]:
    responses: dict[str, object] = {
        str(route.status): {
            "description": route.summary,
            "content": {route.media_type: {"schema": route.response}},
        }
    }
    codes: dict[int, list[str]] = defaultdict(list)
    for code in dict.fromkeys((*PROBLEMS_OF[route.auth], *route.problems)):
        codes[CATALOGUE[code].status].append(code)
    for status, those in sorted(codes.items()):
        responses[str(status)] = {
            "description": "; ".join(f"{code}: {CATALOGUE[code].title}" for code in those),
            "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
    return responses


def _path_parameter(name: str) -> dict[str, object]:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}


def _query_parameter(parameter: Parameter) -> dict[str, object]:
    schema = {
        "type": "integer",
        "minimum": parameter.least,
        "maximum": parameter.most,
        "default": parameter.default,
    }
    return {"name": parameter.name, "in": "query", "description": parameter.description, "schema": schema}
