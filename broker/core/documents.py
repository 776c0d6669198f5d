"""Read a TOML document into a frozen record, and report every fault of it at once, by file and key.

Records are plain frozen dataclasses; pydantic checks them. Unknown keys are refused and the nearest known
name is given. What stood in the document is never repeated: it may be a secret.
"""

from __future__ import annotations

import dataclasses
import difflib
import tomllib
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, Literal, TypeVar, cast, get_args, get_origin, get_type_hints

from pydantic import TypeAdapter, ValidationError

T = TypeVar("T")
FORBID_UNKNOWN: dict[str, Literal["forbid"]] = {"extra": "forbid"}
"""For ``__pydantic_config__`` of every record that a document is read into."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One fault of a document: file, dotted key within it, what was expected there."""

    file: str
    key: str
    expected: str

    def __str__(self) -> str:
        return f"{self.file}: {self.key}: {self.expected}"


class DocumentInvalid(ValueError):
    """One or more documents cannot be read: ``faults`` lists every fault, not only the first."""

    def __init__(self, faults: tuple[Fault, ...]) -> None:
        super().__init__("\n".join(str(fault) for fault in faults))
        self.faults = faults


def read_toml(file: str, text: str) -> dict[str, Any]:
    """The tables of a TOML document. Raises :class:`DocumentInvalid`."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as fault:
        raise DocumentInvalid((Fault(file=file, key="-", expected=f"expected TOML: {fault}"),)) from None


def read_record(file: str, kind: type[T], tables: Mapping[str, Any]) -> T:
    """Check ``tables`` against the dataclass ``kind``. Raises :class:`DocumentInvalid` with every fault."""
    try:
        checked: T = _adapter(cast("Hashable", kind)).validate_python(dict(tables))
    except ValidationError as invalid:
        raise DocumentInvalid(tuple(_faults(file, kind, invalid))) from None
    return checked


@cache  # making one costs milliseconds, and a directory has thousands of documents of a few kinds
def _adapter(kind: Hashable) -> TypeAdapter[Any]:
    return TypeAdapter(cast("type[Any]", kind))


def _faults(file: str, kind: type[Any], invalid: ValidationError) -> Iterator[Fault]:
    for error in invalid.errors(include_url=False, include_input=False):
        key = ".".join(str(part) for part in error["loc"]) or "-"
        match error["type"]:
            case "unexpected_keyword_argument" | "extra_forbidden":
                known = _known_keys(kind, error["loc"][:-1])
                near = difflib.get_close_matches(str(error["loc"][-1]), known, n=1)
                expected = (
                    f"unknown key{f', did you mean {near[0]}' if near else ''}; known: {', '.join(known)}"
                )
            case "missing" | "missing_keyword_only_argument":
                expected = "missing"
            case "value_error":
                expected = str(error["ctx"]["error"])
            case _:
                expected = error["msg"][0].lower() + error["msg"][1:]
        yield Fault(file=file, key=key, expected=expected)


def _known_keys(kind: Any, path: tuple[str | int, ...]) -> list[str]:
    for part in path:
        if isinstance(part, int) or not dataclasses.is_dataclass(kind):
            continue
        hint = get_type_hints(kind).get(str(part))
        while get_origin(hint) is Annotated:
            hint = get_args(hint)[0]
        kind = next((arg for arg in (hint, *get_args(hint)) if dataclasses.is_dataclass(arg)), kind)
    return [each.name for each in dataclasses.fields(kind)] if dataclasses.is_dataclass(kind) else []
