"""What one scan shows once it is known whether the string discharges: from level of voltage and sign of current."""

from math import isnan
from typing import Final, NamedTuple

from analytics.checked_frozen import checked_frozen
from analytics.discharge.detect import HELD_S, OnsetMemory, Sight, fall_needed_v
from analytics.mode_rules import StringModeRules
from analytics.modes import Mode

MOST_IN_TEST_FRAC: Final = 0.5  # one unit under an impedance test says nothing of the load of the string
APART_FRAC: Final = 0.01  # closed breakers keep parallel strings closer together
BOOST_BAND_FRAC: Final = 0.003

LIVE: Final = frozenset[Mode]({"float", "boost", "recharge", "discharge"})

STEP: Final = "the voltage fell by more than {need_mv:.0f} mV per cell, dated by its step"
SLOW: Final = "the voltage fell by more than {need_mv:.0f} mV per cell, dated by the current"
ANNOUNCED: Final = "announced as {announced}"
UNDER_WAY: Final = "under way at the first scan"
AGAINST: Final = "voltage and current contradict each other, check the sensor's sign"
NOT_SHOWN: Final = "the current says discharge, the voltage did not fall by {need_mv:.0f} mV"


class Wish(NamedTuple):
    """A mode, and why it is believed: a pattern that `sentence` fills, since few scans have anything to tell."""

    mode: Mode
    reason: str


@checked_frozen
class Aside:
    """What is known of a string beside its own voltage and current.

    Attributes:
        announced: method of the test that a person or the BMS has announced; empty without one.
        is_open: its breaker reports that it is open.
        in_test_frac: part of its units with quality 6.
        bus_v: volts per cell of the live strings that are parallel to it; NaN without one.
    """

    announced: str
    is_open: bool
    in_test_frac: float
    bus_v: float


def sentence(reason: str, sight: Sight, rules: StringModeRules, aside: Aside) -> str:
    """Return a reason with the numbers of the scan."""
    need_v = 0.0 if isnan(sight.discharge_a) else fall_needed_v(sight.discharge_a, rules)
    facts = {
        "float_v": rules.float_at_v(sight.degc),
        "need_mv": need_v * 1e3,
        "bus_v": aside.bus_v,
        "in_test_frac": aside.in_test_frac,
        "announced": aside.announced,
    }
    current = "no current reading" if isnan(sight.discharge_a) else f"{-sight.discharge_a:+.1f} A"
    return f"{reason.format(**facts)}: {sight.cell_v:.3f} V per cell, {current}"


def wished(mode: Mode, onset: OnsetMemory, sight: Sight, rules: StringModeRules, aside: Aside) -> Wish:
    """Return what a scan shows; `mode` is the one before, where the borders depend on it."""
    is_load_in_test = aside.announced or aside.in_test_frac > MOST_IN_TEST_FRAC
    if onset.is_discharging:
        why = _why_discharging(onset)
        return (
            Wish("test", f"{ANNOUNCED}, {why}" if aside.announced else why)
            if is_load_in_test
            else Wish("discharge", why)
        )
    if is_load_in_test or aside.in_test_frac > 0.0:
        return Wish("test", ANNOUNCED if aside.announced else "{in_test_frac:.0%} of the units are in test")
    if not isnan(onset.against_s):
        return Wish("unknown", AGAINST)
    if not isnan(onset.over_s):
        return Wish(mode, "") if sight.at_s - onset.over_s < HELD_S else Wish("unknown", NOT_SHOWN)
    return _without_load(mode, sight, rules, aside)


def _without_load(mode: Mode, sight: Sight, rules: StringModeRules, aside: Aside) -> Wish:
    float_v, slack_v = rules.float_at_v(sight.degc), rules.slack_v(sight.degc)
    a, v = sight.discharge_a, sight.cell_v
    if a < -(rules.rest_a if mode == "recharge" else rules.discharge_a):
        return Wish("recharge", "charge current")
    boost_v = float_v + 0.5 * (rules.boost_v - rules.float_v) + slack_v
    if v >= boost_v * (1.0 - BOOST_BAND_FRAC * (mode == "boost")):
        return Wish("boost", "above float {float_v:.3f} V")
    below_frac = rules.leave_frac if mode in {"float", "boost"} else rules.enter_frac
    if v >= float_v * (1.0 - below_frac) - slack_v:
        return Wish("float", "at float {float_v:.3f} V")
    if isnan(a):
        return Wish("unknown", "below float {float_v:.3f} V and no current reading")
    if a < -rules.rest_a:
        return Wish("recharge", "charge current below float voltage")
    return _without_current(sight, aside)


def _without_current(sight: Sight, aside: Aside) -> Wish:
    if aside.is_open:
        return Wish("open", "its breaker reports open")
    if abs(sight.cell_v - aside.bus_v) > APART_FRAC * aside.bus_v:  # False for NaN
        return Wish("open", "parallel strings are at {bus_v:.3f} V")
    return Wish("rest", "below float {float_v:.3f} V without current")


def _why_discharging(onset: OnsetMemory) -> str:
    if onset.dated_by == "first scan":
        return UNDER_WAY
    return STEP if onset.dated_by == "step" else SLOW
