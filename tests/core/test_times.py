from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.core.times import SHANGHAI, epoch_ms, from_epoch_ms, parse_time, rfc3339

ZONES = [UTC, SHANGHAI, timezone.utc, timezone(timedelta(0), "Z"), timezone(timedelta(hours=-3, minutes=-30))]  # noqa: UP017
MOMENTS = st.datetimes(
    min_value=datetime(1, 1, 2),  # noqa: DTZ001
    max_value=datetime(9999, 12, 30),  # noqa: DTZ001
    timezones=st.sampled_from(ZONES),
)


@given(MOMENTS)
def test_the_text_is_that_of_the_standard_library_in_utc(moment: datetime) -> None:
    iso = moment.astimezone(UTC).isoformat(timespec="milliseconds")
    assert rfc3339(moment) == iso.removesuffix("+00:00") + "Z"


@given(st.integers(0, 4_000_000_000_000))
def test_milliseconds_are_exact(ms: int) -> None:
    moment = from_epoch_ms(ms)
    assert epoch_ms(moment) == ms
    assert parse_time(rfc3339(moment)) == moment


@given(MOMENTS)
def test_milliseconds_are_rounded_down(moment: datetime) -> None:
    assert timedelta(0) <= moment - from_epoch_ms(epoch_ms(moment)) < timedelta(milliseconds=1)


def test_naive_times_are_refused() -> None:
    with pytest.raises(ValueError, match="time zone"):
        rfc3339(datetime(2026, 3, 2))  # noqa: DTZ001  a naive time is the point
    with pytest.raises(ValueError, match="offset"):
        parse_time("2026-03-02T04:00:00")
