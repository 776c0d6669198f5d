"""What is hidden stays hidden: by its size, and by any sum and difference of what is shown."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st

from broker.core.evaluation.suppression import Hidden, Pair, hidden

SMALL = 10
KEYS = st.tuples(st.sampled_from("PQRS"), st.sampled_from("abc"), st.sampled_from("XYZW"))
TABLES = st.dictionaries(KEYS, st.one_of(st.integers(1, 12), st.integers(1, 60)), max_size=20)


def totals(cases: Mapping[Pair, int], place: int) -> dict[str, int]:
    found: dict[str, int] = {}
    for key, count in cases.items():
        found[key[place]] = found.get(key[place], 0) + count
    return found


def determined(cases: Mapping[Pair, int], away: Hidden) -> list[object]:
    """The hidden numbers that the equations between the numbers fix: by elimination, as an outsider would."""
    unknowns: list[tuple[int, object]] = [
        *((0, key) for key in sorted(away.pairs)),
        *((1, key) for key in sorted(away.partners)),
        *((2, key) for key in sorted(away.items)),
    ]
    rows: list[list[Fraction]] = []

    def equation(*signed: tuple[int, int, object]) -> None:
        row = [Fraction(0)] * len(unknowns)
        for sign, level, key in signed:
            if (level, key) in unknowns:
                row[unknowns.index((level, key))] += sign
        rows.append(row)

    for place, level in ((0, 1), (2, 2)):
        for name in totals(cases, place):
            parts = [(1, 0, key) for key in cases if key[place] == name]
            equation(*parts, (-1, level, name))
    partners = [(1, 1, name) for name in totals(cases, 0)]
    equation(*partners, *((-1, 2, name) for name in totals(cases, 2)))
    return [unknowns[pivot] for pivot in _fixed(rows, len(unknowns))]


def _fixed(rows: list[list[Fraction]], width: int) -> list[int]:
    """The columns of reduced row echelon form whose pivot row has no other entry."""
    reduced: list[list[Fraction]] = []
    for column in range(width):
        pivot = next((row for row in rows if row[column]), None)
        if pivot is None:
            continue
        rows.remove(pivot)
        scaled = [value / pivot[column] for value in pivot]

        def without(row: list[Fraction], by: list[Fraction] = scaled, at: int = column) -> list[Fraction]:
            return [value - row[at] * each for value, each in zip(row, by, strict=True)]

        rows = [without(row) for row in rows]
        reduced = [*(without(row) for row in reduced), scaled]
    return [next(i for i, v in enumerate(row) if v) for row in reduced if sum(map(bool, row)) == 1]


@settings(max_examples=400)
@given(TABLES)
def test_no_hidden_number_follows_from_the_shown_ones(cases: dict[Pair, int]) -> None:
    assert determined(cases, hidden(cases, SMALL)) == []


@settings(max_examples=400)
@given(TABLES)
def test_small_rows_are_hidden_and_what_is_left_of_a_total_is_not_small(cases: dict[Pair, int]) -> None:
    away = hidden(cases, SMALL)
    assert {key for key, count in cases.items() if count < SMALL} <= away.pairs
    for place, covered in ((0, away.partners), (2, away.items)):
        sums = totals(cases, place)
        assert {name for name, count in sums.items() if count < SMALL} <= covered
        for name in sums.keys() - covered:
            parts = [cases[key] for key in away.pairs if key[place] == name]
            assert not parts or (len(parts) > 1 and sum(parts) >= SMALL)


@given(st.dictionaries(KEYS, st.integers(SMALL, 60), max_size=20))
def test_a_table_without_small_rows_is_shown_whole(cases: dict[Pair, int]) -> None:
    assert hidden(cases, SMALL) == Hidden(pairs=frozenset(), partners=frozenset(), items=frozenset())


def test_a_small_row_takes_the_next_smallest_of_its_partner_along() -> None:
    cases = {("P", "a", "X"): 3, ("P", "b", "X"): 20, ("P", "c", "X"): 90, ("Q", "a", "X"): 70}
    assert hidden(cases, SMALL) == Hidden(
        pairs=frozenset({("P", "a", "X"), ("P", "b", "X")}), partners=frozenset(), items=frozenset()
    )


def test_two_rows_of_one_case_each_are_not_told_by_their_sum() -> None:
    cases = {("P", "a", "X"): 1, ("P", "b", "X"): 1, ("P", "c", "X"): 40, ("P", "d", "X"): 50}
    assert hidden(cases, SMALL).pairs == {("P", "a", "X"), ("P", "b", "X"), ("P", "c", "X")}


def test_a_province_s_month_is_done_in_a_moment() -> None:
    cases = {
        (f"{place:06}", f"{opening:06}", f"item-{item}"): 1 + (place * 7 + opening * 31 + item * 13) % 97
        for place in range(60)
        for opening in range(20)
        for item in range(20)
    }
    away = hidden(cases, SMALL)
    assert away.pairs
    assert not away.partners
