"""What is known of each string's current: counted, or only bounded by its mode. Positive discharges. Pure.

A sensor that was mounted the wrong way round is found by its steps: a battery's voltage falls when its discharge grows,
whatever the load or the charger does. Two steps against the sign, or one on a string that never had one, and nothing
is counted until a step agrees again.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Final

import numpy as np

from analytics.checked_frozen import checked_frozen
from analytics.modes import Mode
from analytics.readings import Flags, Floats
from analytics.soc.memory import StringPast, UnitPast
from analytics.soc.rules import SocRules
from analytics.soc.scan_time import Passed

STEP_PER_AH: Final = 0.1  # A per Ah between two scans: voltage and current may not be of the same moment
SUDDEN_S: Final = 30.0  # over longer the voltage has moved for other reasons too: no evidence of the sensor's sign
SIGN_STEP_PER_AH: Final = 0.05  # large enough to be told from the noise of the mean of the string's units
SUSPECT: Final = -0.5
FLOAT_DEADBAND_PER_AH: Final = 0.002  # in float a smaller current is the sensor's zero, or gassing, not charge
STILL_PER_AH: Final = 0.01
UNSEEN_PER_AH: Final = 0.02  # sd of what may have flowed where nobody looked, beside the change between its ends
LEAST_ANSWER: Final = 0.3  # of the voltage that a step should cause; less says nothing of the sign
# Current that a mode allows when no sensor tells, A per Ah, lowest and highest.
BOUNDS_PER_AH: Final[dict[Mode, tuple[float, float]]] = {
    "float": (-0.02, 0.0),
    "boost": (-0.1, 0.0),
    "recharge": (-0.5, 0.0),
    "discharge": (0.0, 2.0),
    "rest": (-0.005, 0.02),
    "open": (0.0, 0.0),
    "test": (0.0, 1.0),
    "unknown": (-0.5, 2.0),
}


@checked_frozen
class Flow:
    """Currents of one batch; (S,) each.

    Attributes:
        now_a: of this scan, 0 where not trusted.
        mean_a: since the last scan; what is counted.
        blind_a: how wrong that mean may be because nobody looked, sd.
        low_a, high_a: borders of what flows now; the current itself twice where a sensor tells.
        is_trusted: a sensor tells, and its sign is not suspect.
        is_step: the current jumped: this scan's voltage belongs to no current.
        is_charging: the charger is at work, by mode or current.
        is_float, is_open: by mode.
        sign: evidence, see `StringPast`.
        sign_suspect, no_current: to be told.
        read_a: as the sensor said; NaN without.
    """

    now_a: Floats
    mean_a: Floats
    blind_a: Floats
    low_a: Floats
    high_a: Floats
    is_trusted: Flags
    is_step: Flags
    is_charging: Flags
    is_float: Flags
    is_open: Flags
    sign: Floats
    sign_suspect: Flags
    no_current: Flags
    read_a: Floats


@checked_frozen
class ModeFlags:
    """What the strings' modes say; (S,) each, see `Flow`."""

    is_float: Flags
    is_open: Flags
    charges: Flags
    low_per_ah: Floats
    high_per_ah: Floats

    @classmethod
    def of(cls, modes: Sequence[Mode]) -> "ModeFlags":
        """Return the flags of the strings' modes, in the order of the layout."""
        return _flags_of(tuple(modes))


@lru_cache(maxsize=16)  # the modes of a site change seldom, and are asked in every scan
def _flags_of(modes: tuple[Mode, ...]) -> ModeFlags:
    bounds = np.array([BOUNDS_PER_AH[mode] for mode in modes])
    return ModeFlags(
        is_float=np.array([mode == "float" for mode in modes]),
        is_open=np.array([mode == "open" for mode in modes]),
        charges=np.array([mode in {"float", "boost", "recharge"} for mode in modes]),
        low_per_ah=bounds[:, 0],
        high_per_ah=bounds[:, 1],
    )


def flow(
    memory: tuple[StringPast, UnitPast], seen: tuple[Floats, Floats], said: ModeFlags, time: Passed, rules: SocRules
) -> Flow:
    """Return what is known of the currents.

    Args:
        memory: what was seen of strings and units.
        seen: current of each string (S,) as its sensor says, NaN without; volts per cell of each unit (N,).
        said: by the modes.
        time: of this batch.
        rules: of the site.
    """
    past, unit = memory
    read_a, cell_v = seen
    has_scan = time.is_new
    no_current = has_scan & np.isnan(read_a)
    step_a = np.where(has_scan & ~time.is_gap, read_a - past.discharge_a, np.nan)
    sudden_a = np.where(time.dt_s <= SUDDEN_S, step_a, np.nan)
    sign = _sign(past.sign, sudden_a, cell_v - unit.cell_v, rules)
    suspect = sign <= SUSPECT
    is_trusted = has_scan & ~no_current & ~suspect
    now_a = np.where(is_trusted, read_a, 0.0)
    now_a[said.is_open & (np.abs(now_a) < STILL_PER_AH * rules.string_ah)] = 0.0
    before_a = np.where(np.isnan(past.discharge_a), now_a, past.discharge_a)
    mean_a = np.where(is_trusted, 0.5 * (now_a + before_a), 0.0)
    mean_a[said.is_float & (np.abs(mean_a) < FLOAT_DEADBAND_PER_AH * rules.string_ah)] = 0.0
    mean_a[said.is_open & (now_a == 0.0)] = 0.0
    low_a, high_a = said.low_per_ah * rules.string_ah, said.high_per_ah * rules.string_ah
    gap_a = np.where(time.is_gap, np.abs(now_a - before_a) + UNSEEN_PER_AH * rules.string_ah, 0.0)
    return Flow(
        now_a=now_a,
        mean_a=mean_a,
        blind_a=np.where(is_trusted, gap_a, 0.5 * (high_a - low_a)),
        low_a=np.where(is_trusted, now_a, low_a),
        high_a=np.where(is_trusted, now_a, high_a),
        is_trusted=is_trusted,
        is_step=np.abs(step_a) > STEP_PER_AH * rules.string_ah,
        is_charging=said.charges | (now_a < -FLOAT_DEADBAND_PER_AH * rules.string_ah),
        is_float=said.is_float,
        is_open=said.is_open,
        sign=sign,
        sign_suspect=suspect,
        no_current=no_current,
        read_a=np.where(has_scan, read_a, past.discharge_a),
    )


def _sign(sign: Floats, step_a: Floats, rise_v: Floats, rules: SocRules) -> Floats:
    """Return the evidence (S,) after this scan: steps of the current (S,) against those of the units' volts (N,)."""
    is_large = np.abs(step_a) > SIGN_STEP_PER_AH * rules.string_ah
    if not is_large.any():
        return sign
    known = np.isfinite(rise_v)
    first = rules.layout.first[:-1]
    many = np.maximum(np.add.reduceat(known, first, dtype=np.float64), 1.0)
    mean_rise_v = np.add.reduceat(np.where(known, rise_v, 0.0), first) / many
    expected_v = np.where(is_large, step_a, 1.0) / rules.string_ah * rules.middle_ohm_ah
    agrees = np.clip(-mean_rise_v / expected_v, -1.0, 1.0)
    agrees[~is_large | (np.abs(agrees) < LEAST_ANSWER)] = 0.0
    return np.clip(sign + agrees, -1.0, 1.0)
