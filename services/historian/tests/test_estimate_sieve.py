"""What becomes a row of mode and estimates: what changes, and else one now and then."""

import pytest
from cellkeeper.contract.estimate_state import COLUMNS, StringEstimate
from cellkeeper.contract.wire import PayloadRefusedError, decode, encode
from cellkeeper.testing.builders import START_MS, estimate_of, mode_of
from historian.estimate_sieve import EstimateSieve


def units_kept(*told) -> list[bool]:
    sieve = EstimateSieve()
    return [sieve.keeps_units(each) for each in told]


def test_a_string_is_one_row_a_minute_and_its_units_one_an_hour():
    sieve = EstimateSieve()
    told = [estimate_of(START_MS + 10_000 * n) for n in range(721)]
    assert sum(sieve.keeps_string(each) for each in told) == 121
    assert sum(sieve.keeps_units(each) for each in told) == 3


def test_a_mode_is_a_row_when_it_changes():
    sieve = EstimateSieve()
    modes = ["float", "float", "discharge", "discharge", "float"]
    kept = [sieve.keeps_mode(mode_of(START_MS + 1000 * n, mode=mode)) for n, mode in enumerate(modes)]
    assert kept == [True, False, True, False, True]
    assert sieve.keeps_mode(mode_of(START_MS + 4000 + 300_000))
    assert sieve.keeps_mode(mode_of(START_MS, string="s2"))


def test_a_new_doubt_is_a_row_at_once():
    sieve = EstimateSieve()
    assert sieve.keeps_string(estimate_of(START_MS))
    assert sieve.keeps_string(estimate_of(START_MS + 1000, doubts=["no_current"]))
    assert not sieve.keeps_string(estimate_of(START_MS + 2000, doubts=["no_current"]))


@pytest.mark.parametrize(
    "changes",
    [{"soc_frac": [0.90, 0.887, None]}, {"soc_frac": [0.913, 0.887, 0.5]}, {"soh_frac": [0.98, None, None]},
     {"r_state": ["ok", "warning", "unknown"]}],
)  # fmt: skip
def test_units_that_move_are_rows_but_not_more_often_than_once_a_minute(changes):
    soon, later = (estimate_of(START_MS + at_ms, **changes) for at_ms in (30_000, 60_000))
    assert units_kept(estimate_of(START_MS), soon, later) == [True, False, True]


def test_what_hardly_moves_waits():
    told = estimate_of(START_MS + 60_000, soc_frac=[0.91, 0.89, None], soc_source=["float", "float", "unknown"])
    assert units_kept(estimate_of(START_MS), told) == [True, False]


def test_a_clock_that_was_set_back_does_not_stop_the_rows():
    assert units_kept(estimate_of(START_MS), estimate_of(START_MS - 7_200_000)) == [True, True]


def test_a_string_of_another_size_is_a_row():
    wide = estimate_of(START_MS + 60_000)
    two = {name: getattr(wide, name)[:2] for name in COLUMNS}
    assert units_kept(estimate_of(START_MS), wide.model_copy(update=two)) == [True, True]


def test_columns_of_different_length_are_no_payload():
    torn = estimate_of(START_MS).model_copy(update={"soc_frac": [0.9]})
    with pytest.raises(PayloadRefusedError, match="one length"):
        decode(StringEstimate, encode(torn))
