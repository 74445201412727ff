"""All estimators on one batch: strings do not disturb each other, a restart changes nothing, no input is fatal."""

from dataclasses import replace

import numpy as np
import pytest
from analytics.engine import Engine
from analytics.estimating import Memory, Standing
from analytics.intake import no_readings
from analytics.packing import packed, unpacked
from analytics.readings import Readings
from analytics.refitting import Move, refitted
from analytics.site_rules import SiteRules
from analytics.soh.finding import CapacityFinding
from analytics.telling import Pace, Telling
from cellkeeper.contract.estimate_state import StringEstimate
from cellkeeper.contract.telemetry import ImpedanceSweep
from cellkeeper.contract.wire import decode, encode
from cellkeeper.testing.builders import sweep_of
from hypothesis import given, settings
from hypothesis import strategies as st
from service_room import CELLS, FLOAT_V, site_of

BEGIN_S = 1_800_000_000.0
TWO = SiteRules.of(site_of("s1", "s2"), {})
ONE = SiteRules.of(site_of("s1"), {})


def scan(rules: SiteRules, second: float, cell_v: float = FLOAT_V, load_a: float = -0.05) -> Readings:
    """A scan of all strings; a positive load discharges."""
    batch = no_readings(rules.layout)
    units = cell_v + 0.002 * np.sin(np.arange(rules.layout.units) % CELLS + second)
    return replace(
        batch, at_s=np.full_like(batch.at_s, BEGIN_S + second), discharge_a=np.full_like(batch.discharge_a, load_a),
        unit_v=units, unit_v_as_read=units, degc=np.full(rules.layout.units, 22.0),
        quality=np.zeros(rules.layout.units, dtype=np.uint8),
    )  # fmt: skip


def engine_of(rules: SiteRules) -> Engine:
    return Engine(rules, Memory.empty(rules))


def outage(engine: Engine, floats: int = 60, load: int = 90):
    """A minute of float, a load, and the charger's return; yields the estimates."""
    for n in range(floats):
        yield engine.follow(scan(engine.rules, n))
    for n in range(load):
        yield engine.follow(scan(engine.rules, floats + n, 1.99 - 0.0004 * n, 20.0))
    for n in range(40):
        yield engine.follow(scan(engine.rules, floats + load + n, 2.15 + 0.001 * n, -15.0))


def test_an_outage_from_end_to_end():
    told = list(outage(engine_of(ONE)))
    modes = [each.modes[0].mode for each in told]
    assert (modes[50], modes[100], modes[-1]) == ("float", "discharge", "recharge")
    (record,) = [record for each in told for record in each.records]
    assert (record.string, record.kind, record.ended_by) == ("s1", "outage", "recharge")
    assert record.moved_ah == pytest.approx(20.0 * 90 / 3600, rel=0.03)
    assert record.began_s == pytest.approx(BEGIN_S + 60, abs=1.0)
    assert np.isfinite(told[59].units.soc_frac).all(), "at float: nearly full"
    assert (told[140].units.soc_frac < told[59].units.soc_frac).all()


def test_two_strings_at_once_are_each_as_alone():
    two, one = engine_of(TWO), engine_of(ONE)
    for both, alone in zip(outage(two), outage(one), strict=True):
        for place in (0, 1):
            span = TWO.layout.span(place)
            assert both.modes[place].mode == alone.modes[0].mode
            np.testing.assert_array_equal(both.units.soc_frac[span], alone.units.soc_frac)
            np.testing.assert_array_equal(both.units.soc_sd_frac[span], alone.units.soc_sd_frac)


def test_a_string_that_is_silent_does_not_disturb_the_other():
    two, one = engine_of(TWO), engine_of(ONE)
    for n in range(120):
        batch = scan(TWO, n)
        if n >= 60:
            span = TWO.layout.span(1)
            for column in (batch.unit_v, batch.unit_v_as_read, batch.degc):
                column[span] = np.nan
            batch.quality[span], batch.at_s[1], batch.discharge_a[1] = 4, np.nan, np.nan
        both, alone = two.follow(batch), one.follow(scan(ONE, n))
    assert (both.modes[0].mode, both.modes[1].mode) == ("float", "unknown")
    np.testing.assert_array_equal(both.units.soc_frac[TWO.layout.span(0)], alone.units.soc_frac)


@pytest.mark.parametrize("at", [3, 75, 155])
def test_a_restart_changes_nothing(at: int):
    """At float, on load and while it recharges."""
    going, restarted = engine_of(TWO), engine_of(TWO)
    for n, (one, other) in enumerate(zip(outage(going), outage(restarted), strict=True)):
        np.testing.assert_array_equal(one.units.soc_frac, other.units.soc_frac)
        np.testing.assert_array_equal(one.runtime.unit_left_s, other.runtime.unit_left_s)
        if n == at:
            restarted.memory = unpacked(Memory, packed(restarted.memory))
            restarted._standing = Standing.of(restarted.memory, TWO)
    assert packed(going.memory) == packed(restarted.memory)


def test_a_site_that_got_another_string_goes_on_with_the_one_it_had():
    before = engine_of(ONE)
    for n in range(70):
        told = before.follow(scan(ONE, n))
    move = Move.between(ONE.layout, TWO.layout)
    memory = refitted(before.memory, Memory.empty(TWO), move).without(move.anew)
    after = Engine(TWO, memory)
    now = after.follow(scan(TWO, 70))
    assert now.modes[0].since_s == told.modes[0].since_s
    np.testing.assert_allclose(now.units.soc_frac[:CELLS], told.units.soc_frac, atol=1e-3)
    assert np.isnan(now.units.soc_frac[CELLS:]).all()


def reading(low: float, high: float) -> st.SearchStrategy[float]:
    return st.just(float("nan")) | st.floats(low, high)  # whatever the wire allows


scans = st.tuples(
    st.floats(-1000.0, 1000.0), st.lists(reading(-40.0, 40.0), min_size=CELLS, max_size=CELLS),
    reading(-20_000.0, 20_000.0), reading(-60.0, 200.0),
    st.lists(st.integers(0, 8), min_size=CELLS, max_size=CELLS), reading(-2000.0, 2000.0),
)  # fmt: skip


@settings(max_examples=40)
@given(st.lists(scans, min_size=1, max_size=8))
def test_no_reading_is_fatal_and_no_bound_is_negative(arrived):
    engine = engine_of(ONE)
    telling = Telling(ONE.layout, dict(ONE.not_validated), Pace(60.0, 180.0))
    for second, units, current, degc, quality, string_v in arrived:
        codes = np.array(quality, dtype=np.uint8)
        read = np.where(np.isin(codes, (0, 3, 6)), np.array(units), np.nan)
        batch = replace(
            scan(ONE, second), unit_v=np.where(codes == 0, read, np.nan), unit_v_as_read=read,
            discharge_a=np.array([current]), degc=np.full(CELLS, degc), quality=codes, string_v=np.array([string_v]),
        )  # fmt: skip
        told = engine.follow(batch)
        known = ~np.isnan(told.units.soc_frac)
        assert ((told.units.soc_frac[known] >= 0.0) & (told.units.soc_frac[known] <= 1.0)).all()
        assert (told.units.soc_sd_frac[known] >= 0.0).all()
        for place in telling.estimates_due(told, 1e9 * second):
            assert decode(StringEstimate, encode(telling.payload(told, place))).string == "s1"


def lfp_rules() -> SiteRules:
    site = site_of("s1")
    strings = [string.model_copy(update={"chemistry": "lfp"}) for string in site.string]
    return SiteRules.of(site.model_copy(update={"string": strings}), {})


def full_and_a_tenth_less(engine: Engine) -> np.ndarray:
    """Return the charge of LFP units (100 Ah by their maker) that were kept full and then gave 10 Ah."""
    for n in range(400):
        engine.follow(scan(engine.rules, 5.0 * n, 3.40, -0.5))
    for n in range(400, 400 + 361):
        told = engine.follow(scan(engine.rules, 5.0 * n, 3.25, 20.0))
    assert told.modes[0].mode == "discharge"
    return told.units.soc_frac


def test_charge_counts_on_the_capacity_that_a_discharge_has_proven():
    rules = lfp_rules()
    as_rated, tested = engine_of(rules), engine_of(rules)
    tested.follow(scan(rules, -5.0, 3.40, -0.5))
    proven = np.where(np.arange(CELLS) < 2, np.nan, 0.8)
    tested.learn([CapacityFinding("s1", BEGIN_S - 86_400.0, "full_discharge", "", 0.8, 0.01, proven, 0.01 * proven)])
    taken, taken_tested = 1.0 - full_and_a_tenth_less(as_rated), 1.0 - full_and_a_tenth_less(tested)
    assert taken == pytest.approx(0.1, abs=0.002)
    assert taken_tested == pytest.approx(np.where(np.isnan(proven), 0.1, 0.1 / 0.8), abs=0.002)


def test_impedances_enter_the_trends_and_what_does_not_is_said():
    engine = engine_of(ONE)
    for n in range(30):
        engine.follow(scan(ONE, n))
    sweep: ImpedanceSweep = sweep_of([1, 2, 3])
    engine.take_sweep(sweep)
    engine.follow(scan(ONE, 31))
    (refused,) = engine.take_refused()
    assert (refused.string, engine.take_refused()) == ("s1", [])
    assert "24 h" in refused.why


def test_silence_is_told_by_time_alone():
    engine = engine_of(ONE)
    for n in range(30):
        engine.follow(scan(ONE, n))
    assert engine.follow_silence(5.0).modes[0].mode == "float"
    assert engine.follow_silence(11.0).modes[0].mode == "unknown"


def test_a_breaker_that_is_reported_open_is_a_mode():
    engine = engine_of(ONE)
    engine.take_breakers({"s1": True})
    for n in range(30):
        told = engine.follow(scan(ONE, n, 2.10, 0.0))
    assert told.modes[0].mode == "open"
