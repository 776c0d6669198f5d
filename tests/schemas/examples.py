"""The examples beside the schemas, read once for all tests."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import schemas

ROOT: Final = Path(schemas.__file__).parent


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """``pointer`` is where an invalid one is at fault; None: it is valid."""

    type: str
    name: str
    data: dict[str, object]
    pointer: str | None

    def __str__(self) -> str:
        return f"{self.type}/{self.name}"


def read_examples() -> list[Example]:
    found = []
    for file in sorted(ROOT.glob("examples/*/*.json")):
        data = json.loads(file.read_text(encoding="utf-8"))
        pointer = data.pop("_pointer", None)
        why = data.pop("_why", None)
        assert file.name.startswith("valid-") == (why is None) == (pointer is None), file
        found.append(Example(type=file.parent.name, name=file.stem, data=data, pointer=pointer))
    return found


VALID: Final = [each for each in read_examples() if each.pointer is None]
INVALID: Final = [each for each in read_examples() if each.pointer is not None]
