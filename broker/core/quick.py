"""Constructors of frozen dataclasses for the hot path: the same objects, at a third of the cost.

A frozen dataclass sets each of its fields by ``object.__setattr__``, 0.1 µs apiece: of a message with its 22
fields that is a fourth of what it costs to read it. What is made here are ordinary frozen instances of the
class itself: equal to, and as immutable as, those that the class makes.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from typing import Any, ParamSpec, TypeVar, cast

P = ParamSpec("P")
T = TypeVar("T")


def quick(kind: Callable[P, T]) -> Callable[P, T]:
    """A function that makes what the frozen slotted dataclass ``kind`` makes, by the same arguments.

    It fills in an unfrozen twin with the same slots, which nobody sees, and makes that the real thing by setting
    its class. Raises :class:`TypeError` for a class of which more is to be done than to set its fields.
    """
    if not is_dataclass(kind) or hasattr(kind, "__post_init__"):
        raise TypeError(f"{kind!r} is not a dataclass with nothing to do after its fields are set")
    each = fields(kind)
    names = tuple(field.name for field in each)
    if vars(kind).get("__slots__") != names:
        raise TypeError(f"{kind!r} has not one slot of its own for each of its fields")
    if any(not field.init or field.default_factory is not MISSING for field in each):
        raise TypeError(f"{kind!r} has fields that are not set by arguments alone")
    scope: dict[str, Any] = {f"_default_{field.name}": field.default for field in each}
    scope.update(_kind=kind, _twin=type("_Twin", (), {"__slots__": names}))
    lines = (
        f"def make({', '.join(_parameters(each))}):",
        "made = _twin()",
        *(f"made.{name} = {name}" for name in names),
        "made.__class__ = _kind",
        "return made",
    )
    exec("\n    ".join(lines), scope)  # noqa: S102 - as dataclasses does: of field names alone
    return cast("Callable[P, T]", scope["make"])


def evolver(kind: type[T]) -> Callable[[T, Mapping[str, object]], T]:
    """A function that makes of an instance of ``kind`` another with some fields changed, as ``dataclasses.replace``.

    The same requirements as :func:`quick`; a name that is no field raises AttributeError. What is kept for each
    set of names that it is asked for is a function: let them be names of the program, never of data.
    """
    quick(kind)  # says what is wrong with the class
    ways: dict[tuple[str, ...], Callable[[T, Mapping[str, object]], T]] = {}

    def evolve(old: T, changes: Mapping[str, object]) -> T:
        names = tuple(changes)
        way = ways.get(names)
        if way is None:
            way = ways[names] = _way(kind, names)
        return way(old, changes)

    return evolve


def _way(kind: type[T], changed: tuple[str, ...]) -> Callable[[T, Mapping[str, object]], T]:
    """How to change just these fields: each is set once, where ``setattr`` by name costs five times as much."""
    names = tuple(field.name for field in fields(cast("Any", kind)))
    for name in changed:
        if name not in names:
            raise AttributeError(f"{kind.__name__} has no field {name!r}")
    scope: dict[str, Any] = {"_kind": kind, "_twin": type("_Twin", (), {"__slots__": names})}
    lines = (
        "def way(old, changes):",
        "made = _twin()",
        *(f"made.{name} = " + (f"changes[{name!r}]" if name in changed else f"old.{name}") for name in names),
        "made.__class__ = _kind",
        "return made",
    )
    exec("\n    ".join(lines), scope)  # noqa: S102 - as above
    return cast("Callable[[T, Mapping[str, object]], T]", scope["way"])


def teller(kind: type[T], always: Collection[str] = ()) -> Callable[[T], dict[str, object]]:
    """A function that tells what of an instance of ``kind`` is not as by default: its fields by name, in their order.

    Those without a default, and the ones named in ``always``, are told whatever they are.
    """
    scope: dict[str, Any] = {}
    lines = ["def tell(of):", "told = {}"]
    for field in fields(cast("Any", kind)):
        name = field.name
        if field.default is MISSING or name in always:
            lines.append(f"told[{name!r}] = of.{name}")
            continue
        scope[f"_default_{name}"] = field.default
        # Nearly always it is the very object: the dearer comparison is for the rest.
        other = f"(value := of.{name}) is not _default_{name} and value != _default_{name}"
        lines.append(f"if {other}: told[{name!r}] = value")
    exec("\n    ".join([*lines, "return told"]), scope)  # noqa: S102 - as above
    return cast("Callable[[T], dict[str, object]]", scope["tell"])


def _parameters(each: tuple[Field[Any], ...]) -> list[str]:
    """As ``@dataclass`` orders them: keyword-only ones behind the others."""
    first = [_parameter(field) for field in each if not field.kw_only]
    named = [_parameter(field) for field in each if field.kw_only]
    return [*first, "*", *named] if named else first


def _parameter(field: Field[Any]) -> str:
    return field.name if field.default is MISSING else f"{field.name}=_default_{field.name}"
