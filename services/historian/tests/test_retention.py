"""No clock makes history old: what may be deleted is counted in days that have data."""

from cellkeeper.contract.series import DAY_MS
from historian.stores.embedded.retention import judge
from hypothesis import given
from hypothesis import strategies as st

YEAR = 365


def days(*numbers: int) -> list[tuple[int, int]]:
    return [(number * DAY_MS, number * DAY_MS + 5000) for number in numbers]


def test_the_oldest_days_go_first_and_a_bounded_number_at_a_time():
    assert judge(days(*range(100, 110)), 10).delete_before_ms is None
    assert judge(days(*range(100, 111)), 10).delete_before_ms == 101 * DAY_MS
    assert judge(days(*range(100, 200)), 10).delete_before_ms == 102 * DAY_MS


def test_zero_keeps_for_ever():
    assert judge(days(*range(1000)), 0).delete_before_ms is None


def test_a_step_of_a_year_ahead_deletes_nothing_and_is_told():
    present = list(range(20_000, 20_010))
    verdict = judge(days(*present, 20_010 + YEAR), 10)
    assert verdict.delete_before_ms is None
    assert verdict.suspect_day == 20_010 + YEAR


def test_after_the_clock_came_back_retention_goes_on_as_if_nothing_had_been():
    present = [*range(20_000, 20_012)]
    with_ghost = judge(days(*present, 20_400), 10)
    assert with_ghost.delete_before_ms == judge(days(*present), 10).delete_before_ms == 20_002 * DAY_MS


def test_a_step_of_a_year_back_deletes_only_what_is_oldest():
    present = list(range(20_000, 20_010))
    assert judge(days(20_000 - YEAR, *present), 10).delete_before_ms == 20_000 * DAY_MS


def test_a_site_that_was_off_for_a_month_keeps_its_days_and_is_believed_after_two():
    off = [*range(100, 110), 140]
    assert judge(days(*off), 10).suspect_day == 140
    assert judge(days(*off, 141), 10).suspect_day is None
    assert judge(days(*off, 141), 10).delete_before_ms == 102 * DAY_MS


@given(st.sets(st.integers(0, 3000), max_size=80), st.integers(1, 60))
def test_at_least_the_days_that_are_kept_stay(numbers: set[int], keep: int):
    verdict = judge(days(*numbers), keep)
    if verdict.delete_before_ms is not None:
        left = [number for number in numbers if (number + 1) * DAY_MS > verdict.delete_before_ms]
        assert len(left) >= keep
        assert len(numbers) - len(left) <= 2
