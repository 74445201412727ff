"""What others do, written from their public description, to be measured on the same twin with the same seed.

Neither is product code. Both get what the modules keep by themselves (the heat limit), and both know when the battery
carries the load; everything else is theirs.
"""

from dataclasses import dataclass, field

import numpy as np
from balancer.pack_view import PackView
from balancer.rules import PackRules

from bench.balance_sim import Flags, Floats

ON_BATTERY_A_PER_AH = 0.01
FLOOR_OF_FLOAT = 0.9


def _is_discharging(view: PackView, rules: PackRules) -> bool:
    return view.current_a is None or view.current_a < -max(0.5, ON_BATTERY_A_PER_AH * rules.rated_ah)


def _as_cool(duty: Floats, v: Floats, rules: PackRules) -> Floats:
    """Return duties at which each module gives off no more than its budget."""
    full_w = np.nan_to_num(v) ** 2 * (rules.bleed_a / rules.float_v)
    return np.asarray(np.minimum(duty, rules.budget_w / np.maximum(full_w, 1e-9)))


@dataclass(slots=True)
class VoltageThreshold:
    """Bleed what stands more than a threshold above the lowest unit (lithium) or the mean (lead), with a hysteresis.

    Usual public values: 10 mV above, until half of it; lithium from 3.40 V on. Lead has no public default for this; 20
    and 5 mV of a block above its string's mean is the kindest that a dead band allows. With `keeps_budget` it keeps
    the heat budget of each module, as Cellkeeper does.
    """

    above_v: float = 0.010
    until_v: float = 0.005
    keeps_budget: bool = False
    active: Flags = field(default_factory=lambda: np.zeros(0, dtype=np.bool_))

    def duty(self, view: PackView, rules: PackRules) -> Floats:
        v = view.cell_v
        if len(self.active) != len(v):
            self.active = np.zeros(len(v), dtype=np.bool_)
        if _is_discharging(view, rules) or np.isnan(v).all():
            self.active = np.zeros(len(v), dtype=np.bool_)
            return np.zeros(len(v))
        is_lead = rules.strategy == "float_pi"
        above_v, until_v = (0.020, 0.005) if is_lead else (self.above_v, self.until_v)
        off_v = v - float(np.nanmean(v) if is_lead else np.nanmin(v))
        high = v > (rules.float_v * FLOOR_OF_FLOAT if is_lead else rules.bleed_above_v)
        self.active = (off_v > np.where(self.active, until_v, above_v)) & high
        duty = self.active.astype(np.float64)
        return _as_cool(duty, v, rules) if self.keeps_budget else duty


LFP_SOC_FRAC = (0.0, 0.1, 0.2, 0.4, 0.6, 0.8, 0.95, 0.98, 1.0)
LFP_OCV_V = (2.60, 3.19, 3.24, 3.288, 3.31, 3.329, 3.334, 3.345, 3.40)
LEAD_SOC_FRAC = (0.0, 0.2, 0.5, 0.8, 1.0)
LEAD_OCV_V = (1.94, 1.97, 2.04, 2.10, 2.14)


@dataclass(slots=True)
class ChargeHistory:
    """At rest, compute from each unit's open-circuit voltage how much more charge it holds than the lowest; bleed that.

    The history strategy of foxBMS 2 as its source and documents describe it: owed charge from depth of discharge by
    table, counted down by time and voltage over resistance, computed anew when all of it is paid. Its threshold for a
    new computation is 200 mV as shipped, at which nothing here would ever happen: 5 mV are given instead.
    """

    threshold_v: float = 0.005
    rest_s: float = 1800.0
    owed_ah: Floats = field(default_factory=lambda: np.zeros(0))
    last_s: float = 0.0
    rested_since_s: float | None = None

    def duty(self, view: PackView, rules: PackRules) -> Floats:
        n, v = view.units, np.nan_to_num(view.cell_v)
        if len(self.owed_ah) != n:
            self.owed_ah, self.last_s = np.zeros(n), view.at_s
        hours, self.last_s = (view.at_s - self.last_s) / 3600.0, view.at_s
        self.owed_ah = np.maximum(0.0, self.owed_ah - view.bleed_frac * v * (rules.bleed_a / rules.float_v) * hours)
        resting = view.current_a is not None and abs(view.current_a) < 0.005 * rules.rated_ah
        self.rested_since_s = (self.rested_since_s or view.at_s) if resting else None
        if _is_discharging(view, rules) or np.isnan(view.cell_v).any():
            return np.zeros(n)
        rested = self.rested_since_s is not None and view.at_s - self.rested_since_s >= self.rest_s
        if rested and not self.owed_ah.any():
            self._compute(v, rules)
        return (self.owed_ah > 0.0).astype(np.float64)

    def _compute(self, v: Floats, rules: PackRules) -> None:
        table = (LEAD_OCV_V, LEAD_SOC_FRAC) if rules.strategy == "float_pi" else (LFP_OCV_V, LFP_SOC_FRAC)
        charge_ah = rules.rated_ah * np.interp(v / rules.cells_per_unit, *table)
        lowest = int(np.argmin(v))
        is_high = v >= v[lowest] + self.threshold_v * rules.cells_per_unit**0.5
        self.owed_ah = np.where(is_high, np.maximum(0.0, charge_ah - charge_ah[lowest]), 0.0)
