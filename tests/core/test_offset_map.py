from __future__ import annotations

import base64
import hashlib
import json
import random
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest
from cramjam import zstd
from hypothesis import given
from hypothesis import strategies as st

from broker.core.lane.offset_map import (
    FORMS,
    MOST_BODY,
    NoteUnreadable,
    OffsetMap,
    bits_body,
    decode,
    digest,
    runs_body,
    wrap,
)
from broker.core.lane.offset_note import encode

VECTORS: dict[str, Any] = json.loads(
    (Path(__file__).parent / "vectors" / "parallel_consumer.json").read_text()
)


def note(magic: str, body: bytes) -> str:
    return base64.b64encode(magic.encode() + body).decode()


def unfinished_of(runs: list[int], base: int) -> list[int]:
    found: list[int] = []
    for place, length in enumerate(runs):
        if place % 2 == 0:
            found += range(base, base + length)
        base += length
    return found


def runs_of(read: OffsetMap) -> list[int]:
    """As the script that made the vectors counts them."""
    unfinished = set(read.unfinished(read.base, 10**6)[0])
    offsets = range(read.base, read.finished[-1].stop)
    return [len(list(group)) for _, group in groupby(offsets, unfinished.__contains__)]


@pytest.mark.parametrize("case", VECTORS["encoded"], ids=lambda case: case["name"])
def test_what_parallel_consumer_wrote_is_read(case: dict[str, Any]) -> None:
    base, runs = case["base"], case["runs"]
    end = base + sum(runs)
    for form, text in case["notes"].items():
        if not text.startswith("sha256:"):
            read = decode(text, base=base, log_end=end)
            assert (read.base, read.end) == (base, end), form
            assert read.unfinished(base, 10**6) == (unfinished_of(runs, base), end)


@pytest.mark.parametrize("case", VECTORS["encoded"], ids=lambda case: case["name"])
def test_plain_forms_are_written_byte_for_byte_as_parallel_consumer_does(case: dict[str, Any]) -> None:
    base, runs = case["base"], case["runs"]
    unfinished, end = unfinished_of(runs, base), base + sum(runs)
    for form, text in case["notes"].items():
        mine = encode(unfinished, end, limit=1 << 17, forms=form)
        assert mine.left_out == 0
        if form in "asJp":  # two compressors need not agree; what was compressed does
            assert text.startswith("sha256:") or decode(text, base=base, log_end=end) == decode(
                mine.text, base=base, log_end=end
            )
            continue
        assert text in {mine.text, "sha256:" + hashlib.sha256(mine.text.encode()).hexdigest()}
    absent = set("lone") - set(case["notes"])
    for form in absent:  # int16 holds no longer run, in both
        assert encode(unfinished, end, limit=1 << 17, forms=form).left_out > 0


@pytest.mark.parametrize("case", VECTORS["encoded"], ids=lambda case: case["name"])
def test_ours_is_never_longer_than_theirs_while_a_plain_form_fits(case: dict[str, Any]) -> None:
    theirs = case["notes"][case["smallest"]]
    mine = encode(unfinished_of(case["runs"], case["base"]), case["base"] + sum(case["runs"]))
    if theirs.startswith("sha256:") or case["smallest"] in "asJp":
        assert len(mine.text) <= 4096
    else:
        assert len(mine.text) <= len(theirs)


def test_what_ours_wrote_parallel_consumer_reads_alike() -> None:
    assert {FORMS[base64.b64decode(text)[:1].decode()].magic for _, text, _ in VECTORS["read"]} == set(FORMS)
    for base, text, theirs in VECTORS["read"]:
        mine = runs_of(decode(text, base=base, log_end=1 << 40))
        assert hashlib.sha256(json.dumps(mine).encode()).hexdigest() == theirs


def test_the_vector_of_the_field() -> None:
    """Incomplete {0, 4, 6, 7, 8, 10}, complete {1, 2, 3, 5, 9}: runs 1, 3, 1, 1, 3, 1, 1."""
    text = wrap(FORMS["e"], runs_body(FORMS["e"], [1, 3, 1, 1, 3, 1, 1]))
    read = decode(text, base=0, log_end=11)
    assert [each for each in range(20) if each in read] == [1, 2, 3, 5, 9]
    assert read.count == 5
    assert encode([0, 4, 6, 7, 8], 10, forms="e").text == note("e", runs_body(FORMS["e"], [1, 3, 1, 1, 3, 1]))
    assert encode([0, 4, 6, 7, 8], 10, forms="o").text == note("o", b"\0\0\0\x0a\x2e\x02\0")


def test_an_empty_map_says_nothing() -> None:
    """Parallel Consumer writes it when nothing above the commit has ended."""
    for text in (note("n", b"\0\0"), note("e", bytes(4)), note("l", bytes(3)), note("o", bytes(5))):
        assert decode(text, base=7, log_end=7) == OffsetMap(base=7, end=7, finished=())


E_RUNS = runs_body(FORMS["e"], [1, 3])
BITS = bits_body(FORMS["o"], b"\x0e", 4)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "magic"),
        ("not base64!", "base64"),
        ("geschäft", "base64"),
        (note("e", E_RUNS)[:-1], "base64"),
        (note("e", E_RUNS) + "\n", "base64"),
        ("bgABAAMAAQABAAMAAR==", "canonical"),
        ("A" * (1 << 17), "longer"),
        (note("L", b"\1\1"), "magic"),
        (note("\x01", bytes(9)), "magic"),  # Kafka Streams keeps a note there too
        (note("x", E_RUNS), "magic"),
        (note("e", b""), "torn"),
        (note("e", E_RUNS[:-1]), "torn"),
        (note("n", E_RUNS[:3]), "torn"),
        (note("e", runs_body(FORMS["e"], [0, 3])), "committed offset itself"),
        (note("e", runs_body(FORMS["e"], [1, 0, 3])), "without length"),
        (note("e", runs_body(FORMS["e"], [1, -3, 9])), "without length"),
        (note("o", b""), "torn"),
        (note("o", BITS[:-1]), "torn"),
        (note("o", BITS + b"\0"), "torn"),
        (note("o", b"\xff\xff\xff\xff\0"), "torn"),
        (note("o", b"\x7f\xff\xff\xff\x0e\0"), "torn"),
        (note("o", BITS[:-1] + b"\1"), "beyond its length"),
        (note("o", bits_body(FORMS["o"], b"\x1e", 4)), "beyond its length"),
        (note("o", bits_body(FORMS["o"], b"\x0f", 4)), "committed offset itself"),
        (note("e", runs_body(FORMS["e"], [1, 4])), "end of the log"),
        (note("e", runs_body(FORMS["e"], [1, 1, 3])), "end of the log"),
        (note("e", runs_body(FORMS["e"], [1, 2**31 - 1])), "end of the log"),
        (note("p", b"no frame"), "unpack"),
        (note("p", b""), "unpack|torn"),
        (note("p", bytes(zstd.compress(E_RUNS))[:-1]), "unpack"),
        (note("s", bytes(zstd.compress(bytes(MOST_BODY + 1)))), "unpack"),  # a bomb
    ],
)
def test_what_no_encoder_writes_is_refused(text: str, reason: str) -> None:
    with pytest.raises(NoteUnreadable, match=reason):
        decode(text, base=0, log_end=4)


def test_the_reason_never_holds_content() -> None:
    with pytest.raises(NoteUnreadable) as caught:
        decode("11010519491231002X", base=0, log_end=4)
    assert "1101" not in str(caught.value)


@given(
    flips=st.lists(st.integers(0, 10**6), min_size=1, max_size=4),
    seed=st.integers(0, 50),
    form=st.sampled_from("nleoJasp"),
)
def test_unchecked_damage_stays_within_the_log_and_above_the_commit(
    flips: list[int], seed: int, form: str
) -> None:
    """Without the digest some damage reads as a map: then its claims are bounded at least, and never the commit's."""
    draw = random.Random(seed)
    unfinished = [10, *(each for each in range(11, 300) if draw.random() < 0.3)]
    raw = bytearray(base64.b64decode(encode(unfinished, 301, forms=form).text))
    for flip in flips:
        raw[flip // 8 % len(raw)] ^= 1 << flip % 8
    try:
        read = decode(base64.b64encode(raw).decode(), base=10, log_end=301)
    except NoteUnreadable:
        return
    assert 10 not in read
    assert read.end <= 301
    assert all(10 < each.start < each.stop <= read.end for each in read.finished)


def test_ten_thousand_mutations_are_all_known_by_the_digest() -> None:
    draw = random.Random(1)
    unfinished = [10, *(each for each in range(11, 3_000) if draw.random() < 0.2)]
    text = encode(unfinished, 3_000).text
    kept = digest(10, text)
    for _ in range(10_000):
        assert digest(10, mutated(text, draw)) != kept
    assert digest(11, text) != kept  # the map of another commit


def mutated(text: str, draw: random.Random) -> str:
    """Another text: a flipped bit, a lost or doubled piece, two places exchanged."""
    at, to = sorted(draw.sample(range(len(text)), 2))
    match draw.randrange(4):
        case 0:
            return text[:at] + chr(ord(text[at]) ^ (1 << draw.randrange(7))) + text[at + 1 :]
        case 1:
            return text[:at] + text[to:]
        case 2:
            return text[:to] + text[at:]
        case _:
            changed = text[:at] + text[to] + text[at + 1 : to] + text[at] + text[to + 1 :]
            return changed if changed != text else text[:-1]


@given(st.sets(st.integers(1, 400), max_size=200), st.integers(0, 10**12), st.integers(0, 420), st.data())
def test_unfinished_offsets_from_anywhere_on(
    gaps: set[int], base: int, start: int, data: st.DataObject
) -> None:
    unfinished = sorted({0} | gaps)
    read = decode(
        encode([base + each for each in unfinished], base + 402, forms="e").text,
        base=base,
        log_end=base + 402,
    )
    wanted = [base + each for each in unfinished if each >= start]
    found, end = read.unfinished(base + start, 10**6)
    assert (found, end) == ([each for each in wanted if each < end], max(base + start, base + 402))
    most = data.draw(st.integers(0, 100))
    some, until = read.unfinished(base + start, most)
    assert len(some) <= most
    assert some == [each for each in found if each < until]
    assert until <= end
