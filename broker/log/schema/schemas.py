"""The released schemas: by id, by message type, by dataschema URI, by subject and version.

They come from the package ``schemas``: ``released.toml`` gives each file its id for ever. A file that is not
byte for byte what was released does not load.
"""

from __future__ import annotations

import hashlib
import json
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Final

from fastavro.schema import fingerprint, parse_schema, to_parsing_canonical_form
from fastavro.types import Schema as AvroSchema

from broker.core.avro.avro_model import RecordType
from broker.core.avro.avro_parser import read_record
from broker.core.avro.schema_safety import dangers
from broker.errors import Corrupt

RELEASED: Final = "released.toml"
COMPATIBILITY: Final = "FULL_TRANSITIVE"
"""Every version of a subject reads every other: what any partner sees today, it can still read in ten years."""

SEALED_FIELD: Final = "sealed"
_URI: Final = re.compile(r"/schemas/ids/([1-9][0-9]{0,8})")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Schema:
    """One released version of one subject.

    ``type`` is the message type without the house's prefix, ``subject`` the record's full name, ``text``
    the file as released, ``parsed`` fastavro's reading of it, ``model`` ours. ``fingerprint`` is the
    SHA-256 of Avro's parsing canonical form in hex.
    """

    id: int
    type: str
    subject: str
    version: int
    text: str
    parsed: AvroSchema = field(repr=False)
    fingerprint: str
    model: RecordType = field(repr=False)

    @property
    def dataschema(self) -> str:
        """The URI that the event's ``dataschema`` holds."""
        return f"/schemas/ids/{self.id}"

    @property
    def has_compartment(self) -> bool:
        """Whether its last field is the sealed one: every type that a partner says."""
        return self.model.fields[-1].name == SEALED_FIELD


def make_schema(text: str, *, schema_id: int, message_type: str, version: int) -> Schema:
    """The schema that a file's text states. Raises :class:`Corrupt` when it is not safe to read with."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        raise Corrupt(f"the schema of {message_type} is not JSON") from None
    if found := dangers(document):
        raise Corrupt(f"the schema of {message_type} is not safe: {'; '.join(found)}")
    model = read_record(document)
    return Schema(
        id=schema_id,
        type=message_type,
        subject=model.name,
        version=version,
        text=text,
        parsed=parse_schema(document),
        fingerprint=canonical_fingerprint(document),
        model=model,
    )


def canonical_fingerprint(document: AvroSchema) -> str:
    """SHA-256 of the parsing canonical form, in hex: the same for schemas that write the same bytes."""
    return fingerprint(to_parsing_canonical_form(document), "SHA-256")


class SchemaSet:
    """An immutable set of released schemas."""

    def __init__(self, schemas: Iterable[Schema]) -> None:
        self._by_id = {schema.id: schema for schema in sorted(schemas, key=lambda each: each.id)}
        self._latest: dict[str, Schema] = {}
        self._by_subject: dict[str, dict[int, Schema]] = {}
        for schema in self._by_id.values():
            self._by_subject.setdefault(schema.subject, {})[schema.version] = schema
            known = self._latest.get(schema.type)
            if known is None or known.version < schema.version:
                self._latest[schema.type] = schema

    @classmethod
    def load(cls) -> SchemaSet:
        """The schemas of this release. Raises :class:`Corrupt`, naming the file that is not as released."""
        return cls.load_from(resources.files("schemas"))

    @classmethod
    def load_from(cls, folder: Traversable) -> SchemaSet:
        """As :meth:`load`, from another folder with a ``released.toml``."""
        listed = tomllib.loads((folder / RELEASED).read_text(encoding="utf-8"))
        return cls(_released(folder, entry) for entry in listed["schema"])

    def by_id(self, schema_id: int) -> Schema | None:
        return self._by_id.get(schema_id)

    def latest(self, message_type: str) -> Schema | None:
        """The newest version of the type's schema; the type is without the prefix ``cn.tongban.``."""
        return self._latest.get(message_type)

    def by_dataschema(self, uri: str) -> Schema | None:
        found = _URI.fullmatch(uri)
        return self.by_id(int(found[1])) if found else None

    def subjects(self) -> list[str]:
        return sorted(self._by_subject)

    def versions(self, subject: str) -> Mapping[int, Schema]:
        """The versions of a subject in rising order; empty for one that is not known."""
        return dict(sorted(self._by_subject.get(subject, {}).items()))

    def __iter__(self) -> Iterator[Schema]:
        return iter(self._by_id.values())

    def __len__(self) -> int:
        return len(self._by_id)


def _released(folder: Traversable, entry: Mapping[str, object]) -> Schema:
    file, schema_id, version = entry["file"], entry["id"], entry["version"]
    assert isinstance(file, str)
    assert isinstance(schema_id, int)
    assert isinstance(version, int)
    raw = folder.joinpath(*file.split("/")).read_bytes()
    if hashlib.sha256(raw).hexdigest() != entry["sha256"]:
        raise Corrupt(f"schemas/{file} is not as it was released: a change needs a new file and a new id")
    schema = make_schema(raw.decode(), schema_id=schema_id, message_type=str(entry["type"]), version=version)
    if schema.fingerprint != entry["fingerprint"] or schema.subject != entry["subject"]:
        raise Corrupt(f"schemas/{file} does not have the subject and fingerprint of {RELEASED}")
    return schema
