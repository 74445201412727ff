"""Play a run of known charge to the estimator and to its rivals, through sensors that are not exact; and score them."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from analytics.modes import Mode
from analytics.readings import Layout, Readings
from analytics.soc.capacity_belief import CapacityBelief
from analytics.soc.follow import follow_soc
from analytics.soc.memory import SocMemory
from analytics.soc.rules import SocRules
from cellkeeper.contract.chemistry import Chemistry

from bench.truth.run import Floats, Run

STRING: Final = "s1"
ANCHORED_FRAC: Final = 0.05
SET_SD: Final = 0.02  # of capacity within a string, when nothing has been learned


@dataclass(frozen=True, slots=True)
class Sensors:
    """What is wrong with the instruments and the set-up.

    Attributes:
        noise_v: sd of one reading; it is then rounded to 1 mV.
        lasting_v: sd of what a module shows too much all the time: its gain and zero.
        gain_frac, offset_per_ah, noise_per_ah: of the current.
        ocv_v: the cells' rested voltage stands so much above the estimator's table.
        surface_v: of charge left on the plates after charging, gone to 1/e within six hours at rest.
        draws: how often the noise is drawn anew; each makes a string of its own.
    """

    noise_v: float = 0.001
    lasting_v: float = 0.0005
    gain_frac: float = 0.005
    offset_per_ah: float = 0.0005
    noise_per_ah: float = 0.0005
    ocv_v: float = 0.0
    surface_v: float = 0.0
    draws: int = 4


@dataclass(frozen=True, slots=True)
class Told:
    """What an estimator said, and the truth; (T, m) each."""

    soc_frac: Floats
    sd_frac: Floats
    truth_frac: Floats

    @property
    def rmse(self) -> float:
        """Root mean square over all cells and times; what is unknown counts as half charged."""
        return float(np.sqrt(np.mean((np.nan_to_num(self.soc_frac, nan=0.5) - self.truth_frac) ** 2)))

    @property
    def known_frac(self) -> float:
        return float(np.mean(np.isfinite(self.soc_frac)))

    @property
    def coverage(self) -> float:
        """Part of what was told whose truth lies within two standard deviations."""
        known = np.isfinite(self.soc_frac)
        inside = np.abs(self.soc_frac - self.truth_frac)[known] <= 2.0 * self.sd_frac[known]
        return float(np.mean(inside)) if known.any() else 1.0

    @property
    def sharpness(self) -> float:
        """Median of two standard deviations over the error."""
        known = self.sd_frac[np.isfinite(self.sd_frac)]
        return float(np.median(2.0 * known) / self.rmse) if len(known) else float("nan")


@dataclass(frozen=True, slots=True)
class Seen:
    """A run as the instruments show it: (T,) per draw, (T, n) per draw and cell, draw after draw."""

    run: Run
    discharge_a: Floats
    unit_v: Floats
    degc: Floats
    draws: int


def look(run: Run, sensors: Sensors, seed: int) -> Seen:
    """Return what the instruments show of a run."""
    rng = np.random.default_rng(seed)
    shape = (len(run.at_s), sensors.draws * run.cells)
    gain = 1.0 + sensors.gain_frac * _signs(rng, sensors.draws)
    zero = sensors.offset_per_ah * run.nominal_ah * _signs(rng, sensors.draws)
    noise_a = sensors.noise_per_ah * run.nominal_ah * rng.standard_normal((len(run.at_s), sensors.draws))
    surface = sensors.surface_v * surface_left(run)[:, None]
    lasting = sensors.lasting_v * np.random.default_rng(seed + 1).standard_normal(shape[1])
    true_v = np.tile(run.unit_v, (1, sensors.draws)) + sensors.ocv_v + surface + lasting
    return Seen(
        run=run,
        discharge_a=run.discharge_a[:, None] * gain + zero + noise_a,
        unit_v=np.round(true_v + sensors.noise_v * rng.standard_normal(shape), 3),
        degc=np.round(np.tile(run.degc, (1, sensors.draws)) + 0.5 * rng.standard_normal(shape), 1),
        draws=sensors.draws,
    )


def _signs(rng: np.random.Generator, draws: int) -> Floats:
    """Return as many minus as plus ones, so that both directions of an error are in every score."""
    return rng.permutation(np.where(np.arange(draws) % 2, -1.0, 1.0))


def surface_left(run: Run) -> Floats:
    """Return (T,) how much surface charge a gel cell would carry, 1 right after charging."""
    left = np.zeros(len(run.at_s))
    rate = run.discharge_a / run.nominal_ah
    for k, dt_s in enumerate(np.diff(run.at_s)):
        if rate[k + 1] < -0.002:
            left[k + 1] = 1.0 - (1.0 - left[k]) * np.exp(-dt_s / 600.0)
        else:
            left[k + 1] = left[k] * np.exp(-dt_s / 21_600.0 - max(rate[k + 1], 0.0) * dt_s / 3600.0 / 0.02)
    return left


def modes_of(run: Run) -> list[Mode]:
    """Return the mode of every scan, from the true current."""
    rate = run.discharge_a / run.nominal_ah
    return ["discharge" if each > 0.002 else "recharge" if each < -0.002 else "rest" for each in rate]


def start_of(seen: Seen, error_frac: float, seed: int) -> Floats:
    """Return first guesses (m,): a large error is the same for all, up or down; one of an anchor anywhere up to it."""
    truth, rng = np.tile(seen.run.soc_frac[0], seen.draws), np.random.default_rng(seed)
    signs = np.where(rng.permutation(len(truth)) % 2, -1.0, 1.0)
    size = rng.uniform(0.0, 1.0, len(truth)) if error_frac < ANCHORED_FRAC else np.ones(len(truth))
    return np.clip(truth + error_frac * signs * size, 0.0, 1.0)


def play(seen: Seen, chemistry: Chemistry, start_frac: Floats, start_sd: float, capacity: CapacityBelief) -> Told:
    """Return what our estimator tells; every draw is a string of its own."""
    run, draws = seen.run, seen.draws
    names = [f"s{draw}" for draw in range(draws)]
    layout = Layout.of(dict.fromkeys(names, run.cells), dict.fromkeys(names, 1))
    rules = SocRules.of(layout, dict.fromkeys(names, chemistry), dict.fromkeys(names, run.nominal_ah))
    memory = SocMemory.told(rules, start_frac, np.full(rules.units, start_sd))
    soc, sd = np.empty((2, len(run.at_s), rules.units))
    nothing, none_yet = np.zeros(rules.units), np.full(draws, np.nan)
    quality = np.zeros(rules.units, dtype=np.uint8)
    for k, mode in enumerate(modes_of(run)):
        readings = Readings(
            at_s=np.full(draws, run.at_s[k]),
            discharge_a=seen.discharge_a[k],
            string_v=none_yet,
            float_a=none_yet,
            ambient_degc=none_yet,
            unit_v=seen.unit_v[k],
            unit_v_as_read=seen.unit_v[k],
            degc=seen.degc[k],
            bleed_a=nothing,
            quality=quality,
        )
        memory, told = follow_soc(memory, readings, (mode,) * draws, capacity, rules)
        soc[k], sd[k] = told.soc_frac, told.soc_sd_frac
    return Told(soc, sd, np.tile(run.soc_frac, (1, draws)))


def with_tables(chemistry: Chemistry, fields: dict[str, object]) -> Chemistry:
    """Return the chemistry with tables found for one cell; whatever is impossible about them is refused."""
    estimate = type(chemistry.estimate).model_validate(chemistry.estimate.model_dump() | fields)
    return chemistry.model_copy(update={"estimate": estimate})
