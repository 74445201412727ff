"""Times of recorded files: zones, hours that come twice or never, patterns, and what is no time at all."""

from itertools import pairwise

import pytest
from cellkeeper.contract.moment import from_ms
from cellkeeper.contract.recorded_times import TimeFormatError, Times, TimeTextError


def read(texts, form="iso", zone="Europe/Berlin", start_at=None, decimal="."):
    times = Times.of(form, zone, start_at, decimal)
    return [times.ms_of(text) for text in texts]


def autumn(every_min):
    """An hour around 03:00 of 29 October 2017 as a clock in Berlin shows it."""
    minutes = range(0, 240, every_min)
    return [f"2017-10-29 {(1 + m // 60 if m < 120 else m // 60):02d}:{m % 60:02d}:00" for m in minutes]


@pytest.mark.parametrize("every_min", [1, 20, 30, 60])
def test_the_hour_that_comes_twice_is_told_apart_by_the_rows_around_it(every_min):
    rising = read(autumn(every_min))
    assert [later - ms for ms, later in pairwise(rising)] == [60_000 * every_min] * (len(rising) - 1)
    assert read(autumn(every_min)[::-1]) == rising[::-1], "newest row first"


def test_rows_of_one_second_in_that_hour_are_not_an_hour_apart():
    texts = [text for text in autumn(1) for _ in (0, 1)]
    assert read(texts) == [ms for ms in read(autumn(1)) for _ in (0, 1)]


def test_an_hour_that_never_was_is_no_time():
    with pytest.raises(TimeTextError, match="does not exist in Europe/Berlin"):
        read(["2017-03-26 02:30:00"])


def test_a_time_with_its_own_zone_keeps_it_and_others_are_known_to_be_local():
    times = Times.of("iso", "Europe/Berlin", None, ".")
    assert from_ms(times.ms_of("2017-07-01T12:00:00+00:00")).hour == 12
    assert not times.is_local
    assert from_ms(times.ms_of("2017-07-01T15:00:00")).hour == 13
    assert times.is_local


def test_patterns_seconds_and_milliseconds():
    assert read(["01.03.2026 14:05"], "%d.%m.%Y %H:%M", "UTC") == read(["2026-03-01T14:05Z"])
    assert read(["0,5"], "seconds", "UTC", "2026-01-01", ",") == read(["2026-01-01T00:00:00.500Z"])
    assert read(["1767225600000"], "milliseconds", "UTC") == read(["2026-01-01T00:00:00Z"])


@pytest.mark.parametrize(
    ("form", "text"),
    [("seconds", "1767225600000"), ("seconds", "inf"), ("seconds", "nan"), ("iso", "noon"), ("%d.%m.%Y", "2026-01-01")],
)
def test_what_is_no_time_is_said(form, text):
    with pytest.raises(TimeTextError, match="time"):
        read([text], form)


@pytest.mark.parametrize(
    ("form", "zone", "start_at"), [("excel", "UTC", None), ("iso", "Mars", None), ("seconds", "UTC", "noon")]
)
def test_what_no_time_can_be_read_by_is_said(form, zone, start_at):
    with pytest.raises(TimeFormatError):
        Times.of(form, zone, start_at, ".")
