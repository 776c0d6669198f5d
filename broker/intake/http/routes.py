"""One row per route: the application, OpenAPI and the authorisation matrix are all made from these rows."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, NamedTuple
from urllib.parse import unquote

from aiohttp import web

from broker.core.catalogue.directory import Partner
from broker.intake.http.answers import Answer
from broker.intake.http.auth import Auth, Proof

Schema = Mapping[str, object]


class Call(NamedTuple):
    """One request on its way to its handler: when it came, who calls, with what proof, and what it brought."""

    request: web.BaseRequest
    now: datetime
    caller: Partner | None
    proof: Proof | None
    path: Mapping[str, str]
    body: bytes

    @property
    def partner(self) -> Partner:
        """The caller of a route that asks for proof."""
        assert self.caller is not None
        return self.caller


Handler = Callable[[Call], Awaitable[Answer]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One query parameter, an integer from ``least`` to ``most``; ``default`` when it is not given."""

    name: str
    description: str
    least: int
    most: int
    default: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One method of one path. ``problems`` are codes that it gives besides those of its :class:`Auth`.

    ``path`` may hold ``{name}`` parts, each one segment. ``request`` maps media types to JSON schemas,
    ``response`` is the schema of ``status``; ``body_bytes`` is the most that a body may have.
    """

    method: str
    path: str
    auth: Auth
    handler: Handler
    summary: str
    response: Schema
    status: int = 200
    media_type: str = "application/json"
    request: Mapping[str, Schema] = field(default_factory=dict)
    parameters: tuple[Parameter, ...] = ()
    problems: tuple[str, ...] = ()
    body_bytes: int = 0


PROBLEMS_OF: Final[Mapping[Auth, tuple[str, ...]]] = {
    Auth.PUBLIC: (),
    Auth.READ: ("caller-unknown", "unavailable"),
    Auth.SIGNED: ("caller-unknown", "signature-invalid", "header-invalid", "unavailable"),
    Auth.SUBMISSION: ("caller-unknown", "signature-invalid", "header-invalid", "not-allowed", "unavailable"),
}
"""The problems that every route of an :class:`Auth` gives."""


class Table:
    """The rows, ready to be looked up. Raises ValueError for two rows of one method and path."""

    def __init__(self, routes: Sequence[Route]) -> None:
        self.routes = tuple(routes)
        self._fixed: dict[str, dict[str, Route]] = {}
        self._formed: list[tuple[re.Pattern[str], dict[str, Route]]] = []
        forms: dict[str, dict[str, Route]] = {}
        for route in routes:
            methods = (self._fixed if "{" not in route.path else forms).setdefault(route.path, {})
            if route.method in methods:
                raise ValueError(f"two routes for {route.method} {route.path}")
            methods[route.method] = route
        for path, methods in forms.items():
            pattern = re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[^/]+)", re.escape(path))
            self._formed.append((re.compile(pattern), methods))

    def find(self, path: str) -> tuple[Mapping[str, Route], Mapping[str, str]] | None:
        """The routes of a raw path by method, with its parts decoded; None: there is no such path."""
        methods = self._fixed.get(path)
        if methods is not None:
            return methods, {}
        for pattern, formed in self._formed:
            match = pattern.fullmatch(path)
            if match is not None:
                # Decoded part by part: a %2F within a part must not become a separator.
                return formed, {name: unquote(part) for name, part in match.groupdict().items()}
        return None
