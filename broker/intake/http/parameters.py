"""Query parameters: bounded integers, each checked against its row of the route table."""

from __future__ import annotations

from collections.abc import Sequence

from aiohttp import web

from broker.core.problems import FieldError, Refusal
from broker.intake.http.routes import Parameter


def read_parameters(request: web.BaseRequest, parameters: Sequence[Parameter]) -> dict[str, int] | Refusal:
    """Every parameter's value, given or by default. A name that the route does not know is refused."""
    query = request.query
    known = {parameter.name for parameter in parameters}
    errors = [
        FieldError(pointer="/query", expected=f"only {', '.join(sorted(known)) or 'no parameters'}")
        for name in query
        if name not in known
    ][:1]
    values: dict[str, int] = {}
    for parameter in parameters:
        given = query.getall(parameter.name, [])
        if not given:
            values[parameter.name] = parameter.default
            continue
        value = _integer(given[0]) if len(given) == 1 else None
        if value is None or not parameter.least <= value <= parameter.most:
            expected = f"one integer from {parameter.least} to {parameter.most}"
            errors.append(FieldError(pointer=f"/query/{parameter.name}", expected=expected))
        else:
            values[parameter.name] = value
    if errors:
        return Refusal(code="parameter-invalid", detail="a query parameter has faults", errors=tuple(errors))
    return values


def _integer(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 9 else None
