"""What the quick constructors make is what the classes make, and as frozen."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from dataclasses import FrozenInstanceError, dataclass, field, fields, replace

import pytest

from broker.core.message import Message, make_message
from broker.core.quick import evolver, quick, teller
from broker.core.receipts import Receipt, make_receipt
from broker.core.records import (
    NewRecord,
    Position,
    Record,
    make_new_record,
    make_position,
    make_record,
)
from tests.core.samples import by_opening
from tests.core.test_receipts import RECEIPT

MADE: list[tuple[Callable[..., object], Callable[..., object], object]] = [
    (Message, make_message, by_opening("case.submitted")),
    (Receipt, make_receipt, RECEIPT),
    (Position, make_position, Position("t", 1, 2)),
    (
        Record,
        make_record,
        Record(position=Position("t", 1, 2), timestamp_ms=3, key=b"k", value=b"v", headers=()),
    ),
    (NewRecord, make_new_record, NewRecord(topic="t", key=b"k", value=b"v", headers=(), partition=4)),
]


@pytest.mark.parametrize(("kind", "make", "sample"), MADE)
def test_the_same_objects(kind: type, make: Callable[..., object], sample: object) -> None:
    facts = {each.name: getattr(sample, each.name) for each in fields(kind)}
    made = make(**facts)
    assert type(made) is kind
    assert made == sample
    assert hash(made) == hash(sample)
    assert repr(made) == repr(sample)
    assert not hasattr(made, "__dict__")
    assert copy.deepcopy(made) == pickle.loads(pickle.dumps(made)) == sample
    assert replace(made) == sample  # type: ignore[type-var] # all of them are dataclasses


@pytest.mark.parametrize(("kind", "make", "sample"), MADE)
def test_as_frozen_as_the_classes_own(kind: type, make: Callable[..., object], sample: object) -> None:
    made = make(**{each.name: getattr(sample, each.name) for each in fields(kind)})
    for each in fields(kind):
        with pytest.raises(FrozenInstanceError):
            setattr(made, each.name, None)
        with pytest.raises(FrozenInstanceError):
            delattr(made, each.name)


@dataclass(frozen=True, slots=True)
class Point:
    x: int
    y: int = 7
    label: str = field(kw_only=True)
    unit: str = field(default="m", kw_only=True)


def test_arguments_are_taken_as_the_class_takes_them() -> None:
    make = quick(Point)
    assert make(1, label="a") == Point(1, label="a")
    assert make(1, 2, unit="km", label="a") == Point(1, 2, label="a", unit="km")
    wrong: list[tuple[tuple[int, ...], dict[str, str]]] = [((1,), {}), ((), {"label": "a"}), ((1, 2, 3), {"label": "a"})]  # fmt: skip
    for arguments, named in wrong:
        with pytest.raises(TypeError):
            make(*arguments, **named)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        make(1, label="a", colour="red")  # type: ignore[call-arg]


@dataclass(frozen=True, slots=True)
class Checked:
    x: int

    def __post_init__(self) -> None:
        if self.x < 0:
            raise ValueError


@dataclass(frozen=True, slots=True)
class Filled:
    xs: list[int] = field(default_factory=list)


@dataclass(frozen=True)
class Slotless:
    x: int


@dataclass(frozen=True, slots=True)
class Derived(Point):
    z: int = 0


class Plain:
    pass


@pytest.mark.parametrize("kind", [Checked, Filled, Slotless, Derived, Plain])
def test_a_class_of_which_more_is_to_be_done_is_refused(kind: type) -> None:
    with pytest.raises(TypeError):
        quick(kind)


def test_an_evolved_one_has_the_changes_and_everything_else_of_the_old_one() -> None:
    evolve = evolver(Point)
    old = Point(1, 2, label="a", unit="km")
    for changes in ({}, {"y": 3}, {"label": "b", "x": 5}, {"x": 5, "label": "b"}, {"y": 4}):
        made = evolve(old, changes)
        assert made == replace(old, **changes)
        assert type(made) is Point
        with pytest.raises(FrozenInstanceError):
            made.x = 9  # type: ignore[misc]
    assert old == Point(1, 2, label="a", unit="km")


def test_what_is_no_field_cannot_be_changed() -> None:
    with pytest.raises(AttributeError, match="colour"):
        evolver(Point)(Point(1, label="a"), {"colour": "red"})


@dataclass(frozen=True, slots=True)
class Length:
    of: int
    unit: str = "metre"
    exact: bool = True


def test_what_is_as_by_default_is_not_told() -> None:
    tell = teller(Length)
    assert tell(Length(1)) == {"of": 1}
    assert tell(Length(1, "".join(["me", "tre"]))) == {"of": 1}, "equal is enough"
    assert list(tell(Length(1, "mile", exact=False)).items()) == [
        ("of", 1),
        ("unit", "mile"),
        ("exact", False),
    ]
    assert teller(Length, always=("unit",))(Length(1)) == {"of": 1, "unit": "metre"}
