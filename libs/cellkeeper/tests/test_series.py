"""The storage table keeps its promises: names show the scale, values survive it, codes are sorted into one place."""

from itertools import pairwise

import numpy as np
import pytest
from cellkeeper.contract import series
from cellkeeper.contract.physical import Quality
from cellkeeper.contract.scan_columns import SCALARS
from hypothesis import given
from hypothesis import strategies as st


def test_the_names_that_the_contract_fixes():
    assert series.CELL.field("cell_v").stored == "cell_v_e4"
    assert series.CELL.field("cell_v_suspect").stored == "cell_v_suspect_e4"
    assert series.CELL.field("degc").stored == "degc_e2"
    assert series.CELL.field("quality").stored == "quality"
    assert {m.name: m.tags for m in series.MEASUREMENTS} == {
        "cell": ("site", "string", "cell", "life"),
        "string": ("site", "string"),
        "alarm": ("site", "string", "cell", "rule"),
        "event": ("site", "service", "kind"),
        "campaign": ("site", "campaign", "module"),
        "sweep": ("site", "string"),
        "balance": ("site", "string"),
        "mode": ("site", "string"),
        "estimate": ("site", "string"),
        "cell_estimate": ("site", "string", "cell", "life"),
    }


@pytest.mark.parametrize("measurement", series.MEASUREMENTS, ids=lambda m: m.name)
def test_stored_names_are_unique_and_show_their_scale(measurement: series.Measurement):
    names = [field.stored for field in measurement.fields]
    assert len(set(names)) == len(names)
    for field in measurement.fields:
        assert (field.exponent is not None) == field.stored.endswith(f"_e{field.exponent}")


def test_every_scalar_of_a_scan_has_a_field_and_a_quality():
    assert tuple(field.shown for field in series.SCALAR_FIELDS) == SCALARS
    for name in SCALARS:
        assert series.STRING.field(f"{name}_quality").dtype == "uint8"


def test_usable_and_suspect_codes():
    assert series.USABLE_CODES == (Quality.GOOD, Quality.IN_TEST)
    assert series.SUSPECT_CODES == (2, 3, 8)


def test_windows_divide_each_other_and_the_day():
    widths = [tier.window_ms for tier in series.TIERS]
    assert widths == sorted(widths)
    assert all(coarse % fine == 0 for fine, coarse in pairwise(widths))


@given(st.lists(st.integers(-400_000, 400_000), min_size=1, max_size=50))
def test_what_the_resolution_shows_survives(raw: list[int]):
    field = series.CELL.field("cell_v")
    shown = np.array(raw) / 1e4
    stored = series.counts(field, shown, null=-1 << 31)
    assert stored.tolist() == raw
    assert series.plain(field, stored.astype(float)) == pytest.approx(shown, abs=1e-12)


def test_null_stays_null_and_what_does_not_fit_is_held_at_the_border():
    field = series.CELL.field("bleed_frac")
    assert series.counts(field, np.array([np.nan, 1.0, 1e9, -1e9]), null=-32768).tolist() == [
        -32768,
        1000,
        32767,
        -32767,
    ]


@given(st.integers(0, 2**41), st.text("0123456789abcdef-", min_size=8, max_size=36))
def test_a_log_row_stays_within_its_millisecond(at_ms: int, row_id: str):
    assert series.row_ns(at_ms, row_id) // 1_000_000 == at_ms


def test_two_events_of_one_millisecond_stay_two():
    assert len({series.row_ns(5, f"{n:08x}") for n in range(2000)}) > 1990


def test_an_unknown_field_is_an_error():
    with pytest.raises(KeyError):
        series.CELL.field("volts")
