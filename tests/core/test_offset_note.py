from __future__ import annotations

import random
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.core.lane.offset_map import decode
from broker.core.lane.offset_note import ALL_FORMS, NOTE_BYTES, NOTHING, encode

FORM_SETS = st.sampled_from([ALL_FORMS, "lone", "asJp", *ALL_FORMS, "oesp", "en", "as"])


@st.composite
def windows(draw: st.DrawFn) -> tuple[list[int], int]:
    """Unfinished offsets and an end, of every texture: scattered, in runs, both."""
    base = draw(st.integers(0, 10**12))
    lengths = draw(st.lists(st.integers(1, draw(st.sampled_from([1, 3, 50, 40_000]))), max_size=60))
    unfinished, at = [base], base + 1
    for place, length in enumerate(lengths):
        if place % 2:
            unfinished += range(at, at + min(length, 300))
            at += min(length, 300)
        else:
            at += length
    return unfinished, at


def claims(unfinished: list[int], end: int, text: str) -> set[int]:
    read = decode(text, base=unfinished[0], log_end=end)
    return {offset for each in read.finished for offset in each}


@given(windows(), FORM_SETS)
def test_decoding_gives_what_was_encoded(window: tuple[list[int], int], forms: str) -> None:
    unfinished, end = window
    note = encode(unfinished, end, limit=1 << 16, forms=forms)
    if set(forms) & set("eopP"):
        assert note.left_out == 0
    if note.left_out == 0:
        finished = set(range(unfinished[0], end)) - set(unfinished)
        assert (claims(unfinished, end, note.text) if note.text else set()) == finished
        assert note.covered == len(finished)


@given(windows(), FORM_SETS, st.integers(0, 200))
def test_a_cut_note_fits_and_never_claims_an_unfinished_offset(
    window: tuple[list[int], int], forms: str, limit: int
) -> None:
    unfinished, end = window
    note = encode(unfinished, end, limit=limit, forms=forms)
    assert len(note.text) <= limit
    said = claims(unfinished, end, note.text) if note.text else set[int]()
    finished = set(range(unfinished[0], end)) - set(unfinished)
    assert said <= finished
    assert (note.covered, note.left_out) == (len(said), len(finished) - len(said))


@given(windows(), st.sampled_from(["n", "e", "l", "o", "lone"]), st.integers(8, 120), st.integers(0, 80))
def test_more_room_never_covers_less(
    window: tuple[list[int], int], forms: str, limit: int, more: int
) -> None:
    unfinished, end = window
    less = encode(unfinished, end, limit=limit, forms=forms)
    assert encode(unfinished, end, limit=limit + more, forms=forms).covered >= less.covered


@given(windows(), st.integers(8, 200))
def test_more_forms_never_cover_less(window: tuple[list[int], int], limit: int) -> None:
    unfinished, end = window
    best = encode(unfinished, end, limit=limit).covered
    assert best >= max(encode(unfinished, end, limit=limit, forms=form).covered for form in "lone")


@given(windows(), st.data())
def test_one_more_finished_is_never_one_less_covered(
    window: tuple[list[int], int], data: st.DataObject
) -> None:
    unfinished, end = window
    if len(unfinished) > 1:
        ended = data.draw(st.sampled_from(unfinished[1:]))
        before = encode(unfinished, end)
        after = encode([each for each in unfinished if each != ended], end)
        assert after.covered >= before.covered  # at 4,096 characters nothing of these is left out


@given(st.sets(st.integers(1, 60), min_size=1, max_size=25), st.sampled_from([12, 16, 20, 24, 32]))
def test_the_fewest_are_left_out(gaps: set[int], limit: int) -> None:
    """Against every choice of runs, and every prefix of bits, tried one by one."""
    unfinished, end = sorted({0} | gaps), 62
    runs = [
        range(low + 1, high)
        for low, high in zip(unfinished, [*unfinished[1:], end], strict=True)
        if high > low + 1
    ]
    room = limit // 4 * 3 - 1
    most = min(len(runs), room // 4)
    by_runs = max((sum(map(len, some)) for some in combinations(runs, most)), default=0)
    bits = min(end, max(0, room - 3) * 8)
    by_bits = len([each for each in range(bits) if each not in unfinished])
    assert encode(unfinished, end, limit=limit, forms="nl").covered == max(by_runs, by_bits)


def test_nothing_finished_is_no_note() -> None:
    assert encode([], 5) == NOTHING
    assert encode([5], 6) == NOTHING
    assert encode([5, 6, 7], 8) == NOTHING
    assert encode([5, 7, 8], 9).text == encode([5], 7).text  # what is unfinished at the end says nothing


@pytest.mark.parametrize(
    ("unfinished", "end"), [([5, 5], 9), ([5, 9], 9), ([5, 10], 9), ([5, 4000, 6], 90_000)]
)
def test_wrong_use_is_refused(unfinished: list[int], end: int) -> None:
    with pytest.raises(ValueError, match="unfinished offset"):
        encode(unfinished, end)


@pytest.mark.parametrize(("share", "at_least"), [(0.05, 0.99), (0.3, 0.65), (0.5, 0.6)])
def test_forty_thousand_scattered_offsets(share: float, at_least: float) -> None:
    """Beyond what bits hold (24,528): packed, or the most that fits."""
    draw = random.Random(7)
    unfinished = [0, *(each for each in range(1, 40_000) if draw.random() < share)]
    note = encode(unfinished, 40_000)
    assert len(note.text) <= NOTE_BYTES
    assert note.covered >= at_least * (note.covered + note.left_out)
    assert claims(unfinished, 40_000, note.text).isdisjoint(unfinished)


def test_long_runs_behind_a_rugged_stretch_are_not_lost() -> None:
    """A prefix would end in the rugged stretch and leave out nearly all."""
    unfinished = [*range(0, 60_000, 2), 200_000, 400_000, 600_000]
    note = encode(unfinished, 1_000_000)
    assert note.covered > 900_000
    assert claims(unfinished, 1_000_000, note.text).isdisjoint(unfinished)
    prefix = encode(unfinished, 1_000_000, forms="o")
    assert prefix.covered < 20_000


@pytest.mark.parametrize(("form", "holds"), [("o", 24_528), ("l", 24_544)])
def test_how_many_offsets_bits_hold(form: str, holds: int) -> None:
    assert encode([0], holds, forms=form).left_out == 0
    assert encode([0], holds + 1, forms=form).left_out == 1


@pytest.mark.parametrize(("form", "holds"), [("e", 383), ("n", 767)])
def test_how_many_isolated_gaps_runs_hold(form: str, holds: int) -> None:
    for gaps in (holds, holds + 1):
        note = encode([each * 10 for each in range(gaps)], gaps * 10, forms=form)
        assert note.left_out == 9 * (gaps - holds)
