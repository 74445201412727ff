"""What one scan shows once it is known whether the string discharges: from level of voltage and sign of current."""

from dataclasses import dataclass
from math import isnan
from typing import Final, NamedTuple

from analytics.discharge.detect import HELD_S, OnsetMemory, Sight, fall_needed_v
from analytics.mode_rules import StringModeRules
from analytics.modes import Mode

MOST_IN_TEST_FRAC: Final = 0.5  # one unit under an impedance test says nothing of the load of the string
APART_FRAC: Final = 0.01  # closed breakers keep parallel strings closer together
BOOST_BAND_FRAC: Final = 0.003

LIVE: Final = frozenset[Mode]({"float", "boost", "recharge", "discharge"})


class Wish(NamedTuple):
    """A mode, and why it is believed."""

    mode: Mode
    why: str


@dataclass(frozen=True, slots=True)
class Aside:
    """What is known of a string beside its own voltage and current.

    Attributes:
        is_announced: a person or a command has said that a test runs.
        is_open: its breaker reports that it is open.
        in_test_frac: part of its units with quality 6.
        bus_v: volts per cell of the live strings that are parallel to it; NaN without one.
    """

    is_announced: bool
    is_open: bool
    in_test_frac: float
    bus_v: float


def wished(mode: Mode, onset: OnsetMemory, sight: Sight, rules: StringModeRules, aside: Aside) -> Wish:
    """Return what a scan shows; `mode` is the one before, where the borders depend on it."""
    is_load_in_test = aside.is_announced or aside.in_test_frac > MOST_IN_TEST_FRAC
    if onset.is_discharging:
        why = _why_discharging(onset, sight, rules)
        return Wish("test", f"announced; {why}") if is_load_in_test else Wish("discharge", why)
    if is_load_in_test or aside.in_test_frac > 0.0:
        return Wish("test", "announced" if aside.is_announced else f"{aside.in_test_frac:.0%} of the units in test")
    if not isnan(onset.against_s):
        return Wish("unknown", f"voltage and current contradict each other: {_numbers(sight)}; check the sensor's sign")
    if not isnan(onset.over_s):
        if sight.at_s - onset.over_s < HELD_S:
            return Wish(mode, "")
        need_mv = fall_needed_v(sight.discharge_a, rules) * 1e3
        return Wish(
            "unknown", f"the current says discharge, the voltage did not fall {need_mv:.0f} mV: {_numbers(sight)}"
        )
    return _without_load(mode, sight, rules, aside)


def _without_load(mode: Mode, sight: Sight, rules: StringModeRules, aside: Aside) -> Wish:
    float_v, slack_v = rules.float_at_v(sight.degc), rules.slack_v(sight.degc)
    a, v = sight.discharge_a, sight.cell_v
    is_charged_a = rules.rest_a if mode == "recharge" else rules.discharge_a
    if a < -is_charged_a:
        return Wish("recharge", f"charge current: {_numbers(sight)}")
    boost_v = 0.5 * (float_v + rules.boost_v + float_v - rules.float_v) + slack_v
    if v >= boost_v * (1.0 - BOOST_BAND_FRAC * (mode == "boost")):
        return Wish("boost", f"above float {float_v:.3f} V: {_numbers(sight)}")
    below_frac = rules.leave_frac if mode in {"float", "boost"} else rules.enter_frac
    if v >= float_v * (1.0 - below_frac) - slack_v:
        return Wish("float", f"at float {float_v:.3f} V: {_numbers(sight)}")
    if isnan(a):
        return Wish("unknown", f"below float {float_v:.3f} V and no current reading: {_numbers(sight)}")
    if a < -rules.rest_a:
        return Wish("recharge", f"charge current below float voltage: {_numbers(sight)}")
    return _without_current(sight, aside)


def _without_current(sight: Sight, aside: Aside) -> Wish:
    if aside.is_open:
        return Wish("open", f"its breaker reports open: {_numbers(sight)}")
    if abs(sight.cell_v - aside.bus_v) > APART_FRAC * aside.bus_v:  # False for NaN
        return Wish("open", f"parallel strings are at {aside.bus_v:.3f} V: {_numbers(sight)}")
    return Wish("rest", f"below float voltage without current: {_numbers(sight)}")


def _why_discharging(onset: OnsetMemory, sight: Sight, rules: StringModeRules) -> str:
    if onset.dated_by == "first scan":
        return f"under way at the first scan: {_numbers(sight)}"
    need_mv = fall_needed_v(sight.discharge_a, rules) * 1e3 if not isnan(sight.discharge_a) else 0.0
    by = "dated by the step of the voltage" if onset.dated_by == "step" else "dated by the current"
    return f"the voltage fell by more than {need_mv:.0f} mV per cell, {by}: {_numbers(sight)}"


def _numbers(sight: Sight) -> str:
    current = "no current reading" if isnan(sight.discharge_a) else f"{-sight.discharge_a:+.1f} A"
    return f"{sight.cell_v:.3f} V per cell, {current}"
