"""What the instruments make of the physics: noise, offset and gain. Quantisation belongs to the module type."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from twin.physics.population import StringBuild, string_seed
from twin.physics.tables import Floats

REF_WINDOW_S: Final = 0.1  # noise figures are those of the mean over 100 ms, whole cycles of 50 and 60 Hz


@dataclass(frozen=True, slots=True)
class SensorErrors:
    """Standard deviations of the instruments. `_noise` is new in every sample, the others are drawn once per sensor.

    `cell_v_noise` holds for units of one cell, `block_v_noise` for larger ones; volts are rms over 100 ms.
    """

    cell_v_noise: float = 1e-4
    block_v_noise: float = 3e-4
    v_offset_frac: float = 1e-4
    v_gain_frac: float = 1e-4
    degc_noise: float = 0.01
    degc_offset_k: float = 0.15
    impedance_noise_frac: float = 0.004
    impedance_gain_frac: float = 0.01
    current_noise_frac: float = 2e-4
    current_offset_frac: float = 5e-4
    float_a_noise_per_ah: float = 2e-5
    float_range_a_per_ah: float = 0.02
    string_v_noise: float = 0.01


PERFECT: Final = SensorErrors(
    cell_v_noise=0.0,
    block_v_noise=0.0,
    v_offset_frac=0.0,
    v_gain_frac=0.0,
    degc_noise=0.0,
    degc_offset_k=0.0,
    impedance_noise_frac=0.0,
    impedance_gain_frac=0.0,
    current_noise_frac=0.0,
    current_offset_frac=0.0,
    float_a_noise_per_ah=0.0,
    string_v_noise=0.0,
)
"""Instruments that show the truth."""


@dataclass(frozen=True, slots=True)
class Scalars:
    """The string's own sensors; NaN where a sensor is beyond its range."""

    string_a: float
    string_v: float
    float_a: float
    ripple_a_rms: float
    ripple_v_rms: float
    ambient_degc: float


class StringSensors:
    """All instruments of one string. `v_offset`, `v_gain`, `degc_offset`, `degc_open` (n,) are open to faults."""

    def __init__(self, build: StringBuild, errors: SensorErrors, *, seed: int) -> None:
        drawn = np.random.default_rng(string_seed(seed, build.id, 2))
        self._noise = np.random.default_rng(string_seed(seed, build.id, 3))
        n, nominal_v = build.units, build.parameters.charger.float_v * build.cells_per_unit
        self._errors: Final = errors
        self._rated_ah: Final = build.rated_ah
        self._v_sd: Final = errors.cell_v_noise if build.cells_per_unit == 1 else errors.block_v_noise
        self.v_offset = errors.v_offset_frac * nominal_v * drawn.standard_normal(n)
        self.v_gain = 1.0 + errors.v_gain_frac * drawn.standard_normal(n)
        self.degc_offset = errors.degc_offset_k * drawn.standard_normal(n)
        self.degc_open = np.zeros(n, dtype=np.bool_)
        self._impedance_gain: Final = 1.0 + errors.impedance_gain_frac * drawn.standard_normal(n)
        self._current_offset_a: Final = errors.current_offset_frac * build.rated_ah * float(drawn.standard_normal())
        self._string_v_gain: Final = 1.0 + 2e-4 * float(drawn.standard_normal()) * (errors.string_v_noise > 0.0)

    def unit_v(self, true_v: Floats, window_s: float) -> Floats:
        """Return measured volts (n,), each the mean over `window_s`."""
        noise = self._narrow(window_s) * self._v_sd * self._noise.standard_normal(len(true_v))
        return np.asarray(true_v * self.v_gain + self.v_offset + noise)

    def unit_degc(self, true_degc: Floats) -> Floats:
        """Return measured pole temperatures (n,); NaN where the sensor is open."""
        noise = self._errors.degc_noise * self._noise.standard_normal(len(true_degc))
        return np.where(self.degc_open, np.nan, true_degc + self.degc_offset + noise)

    def impedance_ohm(self, true_ohm: Floats) -> Floats:
        """Return measured impedances (n,)."""
        noise = self._errors.impedance_noise_frac * self._noise.standard_normal(len(true_ohm))
        return np.asarray(true_ohm * self._impedance_gain * (1.0 + noise))

    def scalars(self, true_a: float, true_v: float, ripple: tuple[float, float], ambient_degc: float) -> Scalars:
        """Return the string's current, voltage, float current, ripple (A and V rms) and ambient as measured."""
        e = self._errors
        noise = [float(value) for value in self._noise.standard_normal(6)]
        float_a = true_a + e.float_a_noise_per_ah * self._rated_ah * noise[2]
        in_range = abs(true_a) <= e.float_range_a_per_ah * self._rated_ah
        some = e.current_noise_frac
        return Scalars(
            string_a=true_a + self._current_offset_a + e.current_noise_frac * self._rated_ah * noise[0],
            string_v=true_v * self._string_v_gain + e.string_v_noise * noise[1],
            float_a=float_a if in_range else float("nan"),
            ripple_a_rms=ripple[0] * (1.0 + 20.0 * some * noise[3]),
            ripple_v_rms=ripple[1] * (1.0 + 20.0 * some * noise[4]),
            ambient_degc=ambient_degc + e.degc_noise * noise[5],
        )

    def _narrow(self, window_s: float) -> float:
        return float((REF_WINDOW_S / max(window_s, 1e-3)) ** 0.5)
