"""From a datum to the plain JSON of it: what partners take as ``data``.

Objects, lists, text, whole numbers, true, false and null stand for themselves; unions have no wrapper;
bytes are base64 (RFC 4648, section 4); timestamps RFC 3339 in UTC with milliseconds; dates ``YYYY-MM-DD``;
decimals and UUIDs text. ``json_parse.py`` is the way back.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Final, TypeAlias, assert_never

from broker.core.avro.avro_model import (
    ArrayType,
    EnumType,
    Fixed,
    MapType,
    Node,
    Primitive,
    RecordType,
    Recursive,
    UnionType,
)
from broker.core.message import rfc3339
from broker.log.values.avro_kinds import compile_branch

Render: TypeAlias = Callable[[object], object]


def compile_render(node: Node) -> Render | None:
    """From a value of the type to its JSON; None: every value of it is its own JSON, and nothing is to be done."""
    render: Render | None
    match node:
        case Primitive():
            render = _RENDER.get(node.logical or node.kind)
        case Fixed():
            render = str if node.logical == "decimal" else _render_bytes
        case EnumType() | Recursive():
            render = None
        case ArrayType():
            render = _render_array(compile_render(node.items))
        case MapType():
            render = _render_map(compile_render(node.values))
        case UnionType():
            render = _render_union(node)
        case RecordType():
            changing = _changing(node)
            render = _render_fields(changing) if changing else None
        case _:
            assert_never(node)
    return render


def _render_bytes(value: object) -> object:
    assert isinstance(value, bytes)
    return base64.b64encode(value).decode()


def _render_time(value: object) -> object:
    assert isinstance(value, datetime)
    return rfc3339(value)


def _render_micros(value: object) -> object:
    assert isinstance(value, datetime)
    return value.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


_RENDER: Final[Mapping[str, Render]] = {
    "bytes": _render_bytes,
    "timestamp-millis": _render_time,
    "timestamp-micros": _render_micros,
    "date": str,
    "decimal": str,
    "uuid": str,
}


def _render_array(render_item: Render | None) -> Render | None:
    if render_item is None:
        return None

    def render(value: object) -> object:
        assert isinstance(value, list)
        return [render_item(item) for item in value]

    return render


def _render_map(render_value: Render | None) -> Render | None:
    if render_value is None:
        return None

    def render(value: object) -> object:
        assert isinstance(value, dict)
        return {key: render_value(each) for key, each in value.items()}

    return render


def _render_union(node: UnionType) -> Render | None:
    renders = [compile_render(branch) for branch in node.branches]
    if not any(renders):
        return None
    branch_of = compile_branch(node)

    def render(value: object) -> object:
        if value is None:
            return None
        index = branch_of(value)
        assert index is not None
        render_branch = renders[index]
        return value if render_branch is None else render_branch(value)

    return render


def compile_render_record(node: RecordType) -> Callable[[object], dict[str, object]]:
    """From a record to its JSON object, in the datum's order; fields that the datum does not hold are left out.

    Whatever needs no change is the datum's own, uncopied.
    """
    return _render_fields(_changing(node))


def _changing(record: RecordType) -> list[tuple[str, Render]]:
    """The fields whose JSON is another value than the datum's."""
    compiled = [(each.name, compile_render(each.type)) for each in record.fields]
    return [(name, render) for name, render in compiled if render is not None]


def _render_fields(renders: list[tuple[str, Render]]) -> Callable[[object], dict[str, object]]:
    def render(value: object) -> dict[str, object]:
        assert isinstance(value, Mapping)
        rendered = dict(value)
        for name, render_field in renders:
            if name in rendered:
                rendered[name] = render_field(rendered[name])
        return rendered

    return render
