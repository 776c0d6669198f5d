"""Whether versions of a subject read each other: FULL_TRANSITIVE, in both directions over all of them.

Source: Apache Avro 1.12 specification, "Schema Resolution"; package ``avro``, its compatibility checker.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass

import avro.errors
import avro.schema
from avro.compatibility import ReaderWriterCompatibilityChecker, SchemaCompatibilityType

from broker.core.avro.schema_safety import dangers
from broker.errors import WrongUse
from broker.log.schema.schemas import Schema


@dataclass(frozen=True, slots=True, kw_only=True)
class Conflict:
    """A version that does not read another: which reads, which wrote, at which places and why."""

    reader: str
    writer: str
    places: tuple[str, ...]
    reasons: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.reader} does not read what {self.writer} writes: {'; '.join(self.reasons)} ({', '.join(self.places)})"


def conflicts(candidate: str, versions: Iterable[Schema], *, name: str = "the new version") -> list[Conflict]:
    """Every reason why ``candidate`` (a schema's text) may not join ``versions``; empty: it may.

    Raises :class:`WrongUse` when it is not an Avro schema at all, or one that is not safe to read with.
    """
    if found_dangers := _dangers(candidate):
        raise WrongUse(f"{name} is not safe: {'; '.join(found_dangers)}")
    new = _parsed(candidate, name)
    found: list[Conflict] = []
    for version in versions:
        old_name = f"version {version.version}"
        old = _parsed(version.text, old_name)
        found += _pair(new, old, name, old_name)
        found += _pair(old, new, old_name, name)
    return found


def _dangers(text: str) -> list[str]:
    try:
        return dangers(json.loads(text))
    except (ValueError, RecursionError):
        return ["schema: not JSON"]


def _parsed(text: str, name: str) -> avro.schema.Schema:
    try:
        return avro.schema.parse(text)
    except (avro.errors.AvroException, ValueError, RecursionError) as fault:
        raise WrongUse(f"{name} is not an Avro schema: {fault}") from fault


def _pair(
    reader: avro.schema.Schema, writer: avro.schema.Schema, reader_name: str, writer_name: str
) -> list[Conflict]:
    result = ReaderWriterCompatibilityChecker().get_compatibility(reader, writer)  # type: ignore[no-untyped-call]
    if result.compatibility is SchemaCompatibilityType.compatible:
        return []
    return [
        Conflict(
            reader=reader_name,
            writer=writer_name,
            places=tuple(sorted(result.locations)),
            reasons=tuple(sorted(result.messages)),
        )
    ]
