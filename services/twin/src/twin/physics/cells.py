"""All units of a room, stepped together: the electrical and thermal state, and what a module would see of it.

A step is `begin` (coefficients for its width), any number of `respond` (what would the strings' voltages be), one
`commit`. `step` does it all for a known current. Positive current charges.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Final

import numpy as np

from twin.errors import TwinUseError
from twin.physics import ageing, thermal
from twin.physics.cell_step import (
    Coefficients,
    Decays,
    advance,
    cell_voltage,
    coefficients,
    curve_rows,
    resistance_factor,
)
from twin.physics.electrode import move
from twin.physics.population import CellState, StringBuild, append_copy, draw_population
from twin.physics.tables import ROWS, Floats, stack_tables

AGEING_EVERY_S: Final = 600.0


@dataclass(frozen=True, slots=True)
class StringResponse:
    """Voltage (S,) of each string at the end of the step if the given current flows, and its slope in ohm (S,)."""

    v: Floats
    ohm: Floats


@dataclass(frozen=True, slots=True)
class UnitDecays:
    """Exponentials of a step width per unit, shape (N,): core and pole."""

    core: Floats
    pole: Floats


class UnitBank:
    """The units of a room, string after string.

    `v`, `degc` (negative pole) and `core_degc` are arrays of shape (N,), new ones after every step: a caller may keep
    them. `bleed_frac` (N,) is the duty that the next step uses. `span` gives each string's slice of them.
    """

    def __init__(self, strings: Sequence[StringBuild], *, seed: int) -> None:
        sets = list({string.parameters.name: string.parameters for string in strings}.values())
        names = [parameters.name for parameters in sets]
        self.strings: Final = tuple(strings)
        self.rows: Final = stack_tables(sets)
        first_rows = [ROWS * names.index(string.parameters.name) for string in strings]
        self.elements, self.units = draw_population(strings, first_rows, seed)
        self._units_in_string: Final = np.array([string.units for string in strings], dtype=np.float64)
        ends = np.cumsum([string.units for string in strings])
        self.size: Final = int(ends[-1])
        self.span: Final = {s.id: slice(int(end) - s.units, int(end)) for s, end in zip(strings, ends, strict=True)}
        start_degc = np.repeat([string.degc for string in strings], [string.units for string in strings])
        self.core_degc = start_degc + self.units.place_k
        self.degc = self.core_degc.copy()
        self.bleed_frac = np.zeros(self.size)
        self.state = CellState(*(np.zeros(self.size) for _ in fields(CellState)))
        self.string_a = np.zeros(len(strings))
        self.v = np.zeros(self.size)
        self.set_charge(np.ones(self.size))
        self._decays = Decays(0.0, self.v, self.v)
        self._unit_decays = UnitDecays(self.v, self.v)
        self._unaged_s = 0.0

    @property
    def soc_frac(self) -> Floats:
        """State of charge per unit (N,), 0..1: that of the emptiest cell in it."""
        lowest = self.state.soc_frac[: self.size].copy()
        np.minimum.at(lowest, self.elements.unit[self.size :], self.state.soc_frac[self.size :])
        return np.clip(lowest, 0.0, 1.0)

    def set_charge(self, soc_frac: Floats) -> None:
        """Put all cells at rest at `soc_frac` per unit (N,); values a little above 1 are the polarisation of float."""
        state, e = self.state, self.elements
        state.soc_frac = soc_frac[e.unit].astype(np.float64)
        state.v1, state.v2 = np.zeros_like(state.v1), np.zeros_like(state.v2)
        _, ocv_v = curve_rows(self.rows, e, state.soc_frac, self.core_degc[e.unit])
        state.v = e.alive * (ocv_v + e.hysteresis_v * state.hysteresis)
        self.v = self._per_unit(state.v * e.count)

    def string_sum(self, per_unit: Floats) -> Floats:
        """Return the sum over each string, shape (S,)."""
        return np.asarray(np.bincount(self.units.string, per_unit, len(self.strings)), dtype=np.float64)

    def string_mean(self, per_unit: Floats) -> Floats:
        """Return the mean over each string, shape (S,)."""
        return self.string_sum(per_unit) / self._units_in_string

    def split_cell(self, unit: int) -> int:
        """Make one cell of `unit` an element of its own and return that element; a single cell is its own already.

        Raises:
            TwinUseError: there is no such unit.
        """
        if not 0 <= unit < self.size:
            raise TwinUseError(f"unit {unit} is not one of 0..{self.size - 1}")
        if self.elements.count[unit] < 1.5:
            return unit
        element = append_copy(self.elements, unit)
        append_copy(self.state, unit)
        self.elements.count[unit] -= 1.0
        self.elements.count[element] = 1.0
        self.forget_decays()
        return element

    def forget_decays(self) -> None:
        """Compute the exponentials of the step width anew: a time constant or the number of elements changed."""
        self._decays = Decays(0.0, self.v, self.v)

    def step(self, dt_s: float, string_a: Floats, bleed_frac: Floats, ambient_degc: Floats) -> None:
        """Advance by `dt_s` with a known current.

        Args:
            dt_s: width of the step, above zero.
            string_a: amperes per string, shape (S,), positive charges.
            bleed_frac: duty per unit, shape (N,), 0..1.
            ambient_degc: around each string, shape (S,).
        """
        self.bleed_frac = bleed_frac
        self.commit(self.begin(dt_s), string_a, ambient_degc)

    def begin(self, dt_s: float) -> Coefficients:
        """Return the coefficients of a step of `dt_s` from the present state.

        Raises:
            TwinUseError: the width is not above zero.
        """
        if not dt_s > 0.0:
            raise TwinUseError(f"a step of {dt_s} s is not possible; give a width above zero")
        if dt_s != self._decays.dt_s:
            e, u = self.elements, self.units
            self._decays = Decays(dt_s, np.exp(-dt_s / e.tau1_s), np.exp(-dt_s / e.tau2_s))
            core = np.exp(-dt_s * u.ha_w_per_k / u.heat_j_per_k)
            self._unit_decays = UnitDecays(core, np.exp(-dt_s / u.pole_tau_s))
        unit = self.elements.unit
        bleed_a = self.bleed_a()[unit]
        return coefficients(self.rows, self.elements, self.state, self.core_degc[unit], self._decays, bleed_a)

    def bleed_a(self) -> Floats:
        """Return the bleed current per unit (N,) at its present voltage: the bleed is a resistor."""
        return self.bleed_frac * self.units.bleed_s * np.maximum(self.v, 0.0)

    def respond(self, c: Coefficients, string_a: Floats) -> StringResponse:
        """Return what the strings would show at the end of the step with `string_a` (S,)."""
        e, strings = self.elements, len(self.strings)
        cell_a = string_a[e.string] - c.sink_a
        went = move(c.electrode, cell_a)
        v = cell_voltage(e, self.state, c, cell_a, went)
        ohm = e.alive * (went.du_ohm + c.r1_step_ohm) + c.r0_ohm
        links_ohm = self.string_sum(self.units.link_ohm)
        return StringResponse(
            v=np.bincount(e.string, v * e.count, strings) + links_ohm * string_a,
            ohm=np.bincount(e.string, ohm * e.count, strings) + links_ohm,
        )

    def commit(self, c: Coefficients, string_a: Floats, ambient_degc: Floats) -> None:
        """Make the step happen with `string_a` (S,) and `ambient_degc` (S,)."""
        e, u = self.elements, self.units
        unit_a = string_a[u.string]
        bleed_w = self.bleed_a() * np.maximum(self.v, 0.0) * u.bleed_to_unit_frac
        heat_w = self._per_unit(advance(e, self.state, c, string_a[e.string] - c.sink_a) * e.count) + bleed_w
        around = ambient_degc[u.string] + u.place_k
        cooling = self._unit_decays
        self.core_degc = thermal.core_degc(self.core_degc, heat_w, around, u.ha_w_per_k, cooling.core)
        local_k = u.pole_k_per_w * (u.link_ohm * unit_a * unit_a + bleed_w)
        self.degc = thermal.pole_degc(self.degc, self.core_degc, local_k, cooling.pole)
        self.v = self._per_unit(self.state.v * e.count) + u.link_ohm * unit_a
        self.string_a = string_a
        self._unaged_s += c.decays.dt_s
        if self._unaged_s >= AGEING_EVERY_S:
            ageing.grow_resistance(e, u, self.core_degc, self._unaged_s)
            self._unaged_s = 0.0

    def impedance_ohm(self, pulse_s: float) -> Floats:
        """Return what a pulse of `pulse_s` shows per unit (N,), at its temperature and charge, link included."""
        e = self.elements
        degc = self.core_degc[e.unit]
        found, _ = curve_rows(self.rows, e, self.state.soc_frac, degc)
        _, factor = resistance_factor(e, found, degc)
        per_cell = (e.r0_ohm + e.r1_ohm * (1.0 - np.exp(-pulse_s / e.tau1_s))) * factor
        return self._per_unit(per_cell * e.count) + self.units.link_ohm

    def _per_unit(self, per_element: Floats) -> Floats:
        total = per_element[: self.size].copy()
        if len(per_element) > self.size:
            np.add.at(total, self.elements.unit[self.size :], per_element[self.size :])
        return total
