"""Windows are exact: compared with a plain loop over any data."""

import math

import numpy as np
from historian.buckets import COLUMNS, Buckets, aggregate, bucket_ms, combine, join_buckets, picture, rows_as_buckets
from hypothesis import given
from hypothesis import strategies as st

READINGS = st.lists(
    st.tuples(st.integers(0, 50_000), st.one_of(st.none(), st.integers(-99, 99)), st.booleans()),
    min_size=1,
    max_size=60,
)


def plain_windows(readings: list[tuple[int, int | None, bool]], window_ms: int) -> list[tuple]:
    windows: dict[int, list[tuple[int | None, bool]]] = {}
    for at, value, bad in sorted(readings, key=lambda reading: reading[0]):
        windows.setdefault(at // window_ms * window_ms, []).append((value, bad and value is None))
    rows = []
    for at, inside in sorted(windows.items()):
        good = [value for value, _ in inside if value is not None]
        n_bad = sum(bad for _, bad in inside)
        if good:
            rows.append((at, min(good), sum(good) / len(good), max(good), good[-1], len(good), n_bad))
        elif n_bad:
            rows.append((at, None, None, None, None, 0, n_bad))
    return rows


def as_rows(found: Buckets) -> list[tuple]:
    def shown(value: float) -> float | None:
        return None if math.isnan(value) else round(value, 9)

    return [
        (int(at), shown(low), shown(mean), shown(high), shown(last), int(good), int(bad))
        for at, low, mean, high, last, good, bad in zip(
            found.at_ms, found.low, found.mean, found.high, found.last, found.n_good, found.n_bad, strict=True
        )
    ]


def arrays(readings: list[tuple[int, int | None, bool]]):
    ordered = sorted(readings, key=lambda reading: reading[0])
    at = np.array([at for at, *_ in ordered])
    values = np.array([np.nan if value is None else value for _, value, _ in ordered])
    bad = np.array([bad and value is None for _, value, bad in ordered])
    return at, values, bad


def rounded(rows: list[tuple]) -> list[tuple]:
    return [tuple(None if part is None else round(part, 9) for part in row) for row in rows]


@given(READINGS, st.sampled_from([1000, 3000, 60_000]))
def test_aggregate_equals_a_plain_loop(readings: list, window_ms: int):
    at, values, bad = arrays(readings)
    found = aggregate(at, values[:, None], bad[:, None], [(7, 2)], 1, window_ms)
    assert as_rows(found) == rounded(plain_windows(readings, window_ms))
    assert set(zip(found.cell, found.life, found.field, strict=True)) <= {(7, 2, 1)}


@given(READINGS)
def test_windows_of_windows_equal_windows_of_readings(readings: list):
    at, values, bad = arrays(readings)
    fine = aggregate(at, values[:, None], bad[:, None], [(7, 2)], 1, 1000)
    coarse = combine(fine, 5000)
    assert as_rows(coarse) == rounded(plain_windows(readings, 5000))


def test_series_are_never_mixed():
    at = np.array([0, 500, 1000])
    values = np.array([[1.0, 10.0], [2.0, 20.0], [3.0, np.nan]])
    fine = aggregate(at, values, np.isnan(values), [(1, 1), (2, 1)], 0, 1000)
    coarse = combine(fine, 5000)
    assert coarse.cell.tolist() == [1, 2]
    assert coarse.high.tolist() == [3.0, 20.0]
    assert coarse.n_bad.tolist() == [0, 1]


def test_a_picture_of_a_position_may_span_a_replacement():
    one, other = (
        rows_as_buckets(np.array([at]), np.array([value]), np.array([False]), (1, life, 0))
        for at, value, life in ((0, 1.0, 1), (10, 5.0, 2))
    )
    both = combine(join_buckets([one, other]), 1000, across_lives=True)
    assert (both.low.tolist(), both.high.tolist(), both.last.tolist()) == ([1.0], [5.0], [5.0])


@given(st.integers(0, 10**12), st.integers(1, 10**11), st.integers(1, 2000), st.sampled_from([0, 60_000, 86_400_000]))
def test_never_more_buckets_than_points(start: int, length: int, points: int, grain: int):
    origin, width = bucket_ms(start, start + length, points, grain)
    assert origin <= start
    assert (start + length - 1 - origin) // width + 1 <= points
    assert width % max(grain, 1000) == 0


@given(READINGS, st.integers(1, 20_000), st.integers(-30_000, 0))
def test_a_picture_is_what_the_single_readings_combine_to(readings, window_ms: int, origin_ms: int):
    readings = sorted(readings, key=lambda reading: reading[0])
    at_ms = np.array([at for at, *_ in readings])
    values = np.array([np.nan if value is None else float(value) for _, value, _ in readings])
    bad = np.array([bad for *_, bad in readings]) & np.isnan(values)
    found = picture(at_ms, values, bad, (3, 1, 0), origin_ms, window_ms)
    single = rows_as_buckets(at_ms, values, bad, (3, 1, 0))
    expected = combine(single, window_ms, origin_ms=origin_ms, across_lives=True)
    for name in COLUMNS:
        np.testing.assert_allclose(getattr(found, name), getattr(expected, name), rtol=1e-12, atol=1e-12)
