"""The cells and units of a room as parameter arrays, each drawn around its chemistry's set by seed.

An *element* is a group of `count` equal cells in series inside one unit. A healthy unit is one element; a fault in one
cell of a block splits that cell off into an element of its own, appended at the end, so healthy rooms pay nothing.
"""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Final, Self

import numpy as np

from twin.physics.parameter_sets import ParameterSet
from twin.physics.tables import Floats, Ints

HOURS_PER_MONTH: Final = 730.0
LINK_OHM_AH: Final = 0.004  # sense lead behind the link to the next unit: 40 µΩ at 100 Ah, part of what a module sees


@dataclass(frozen=True, slots=True)
class StringBuild:
    """One string to be drawn: `units` in series, each of `cells_per_unit` cells, at `degc` to begin with."""

    id: str
    parameters: ParameterSet
    units: int
    cells_per_unit: int
    rated_ah: float
    bleed_max_a: float
    degc: float = 25.0


@dataclass(slots=True)
class Elements:
    """Parameters per element, all of one cell in it; shape (E,)."""

    unit: Ints
    string: Ints
    first_row: Ints
    count: Floats
    q_ah: Floats
    rated_q_ah: Floats
    r0_ohm: Floats
    r1_ohm: Floats
    r2_ohm: Floats
    tau1_s: Floats
    tau2_s: Floats
    activation_k: Floats
    ocv_offset_v: Floats
    hysteresis_v: Floats
    hysteresis_rate: Floats
    gas_a: Floats
    gas_ref_v: Floats
    gas_fold_v: Floats
    gas_per_k: Floats
    gas_carried_v: Floats
    coulombic_frac: Floats
    self_discharge_a: Floats
    capacity_frac_per_k: Floats
    leak_s: Floats
    alive: Floats


@dataclass(slots=True)
class Units:
    """Parameters per unit; shape (N,)."""

    string: Ints
    cells: Floats
    heat_j_per_k: Floats
    ha_w_per_k: Floats
    pole_tau_s: Floats
    pole_k_per_w: Floats
    place_k: Floats
    bleed_s: Floats
    bleed_to_unit_frac: Floats
    link_ohm: Floats
    r_frac_per_year: Floats
    ageing_per_k: Floats

    @classmethod
    def joined(cls, parts: Sequence[Self]) -> Self:
        """Return the units of all parts in order."""
        return cls(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(cls)))


@dataclass(slots=True)
class CellState:
    """State per element; shape (E,). `v` is of one cell at the end of the last step, `_ah` count since the start."""

    soc_frac: Floats
    v1: Floats
    v2: Floats
    hysteresis: Floats
    v: Floats
    stored_ah: Floats
    gassed_ah: Floats
    lost_ah: Floats


def append_copy(arrays: Elements | CellState, element: int) -> int:
    """Append a copy of row `element` to every array field of the slots dataclass `arrays`; return the new row."""
    row = 0
    for field in fields(arrays):
        column = getattr(arrays, field.name)
        setattr(arrays, field.name, np.append(column, column[element]))
        row = len(column)
    return row


def string_seed(seed: int, string: str, purpose: int) -> np.random.SeedSequence:
    """Return the seed of one string for one purpose, so that a string keeps its cells when others come or go."""
    return np.random.SeedSequence([seed, zlib.crc32(string.encode()), purpose])


def draw_population(strings: Sequence[StringBuild], first_rows: Sequence[int], seed: int) -> tuple[Elements, Units]:
    """Return all elements (one per unit) and units, string after string.

    Args:
        strings: what to build, in order.
        first_rows: row of the stacked tables at which each string's chemistry begins (see `tables.ROWS`).
        seed: of the room.
    """
    elements: list[Elements] = []
    units: list[Units] = []
    for number, (string, first_row) in enumerate(zip(strings, first_rows, strict=True)):
        rng = np.random.default_rng(string_seed(seed, string.id, 0))
        begin = sum(earlier.units for earlier in strings[:number])
        elements.append(_draw_elements(string, number, begin, first_row, rng))
        units.append(_draw_units(string, number, rng))
    joined = Elements(*(np.concatenate([getattr(part, field.name) for part in elements]) for field in fields(Elements)))
    return joined, Units.joined(units)


def _draw_elements(string: StringBuild, number: int, begin: int, first_row: int, rng: np.random.Generator) -> Elements:
    # Longer than the house's 40 lines because every field of Elements has its line here, in order of the draws.
    p, n = string.parameters, string.units
    # The mean of k cells in series spreads less than one cell does.
    narrow = string.cells_per_unit**-0.5

    def normal(sd: float) -> Floats:
        return np.asarray(narrow * sd * rng.standard_normal(n))

    def full(value: float) -> Floats:
        return np.full(n, float(value))

    spread, res, gas = p.spread, p.resistance, p.gassing
    q_ah = string.rated_ah * np.maximum(1.0 + normal(spread.capacity_frac), 0.5)
    thick = np.exp(normal(spread.resistance_frac)) / string.rated_ah
    self_a = string.rated_ah * p.storage.self_discharge_frac_per_month / HOURS_PER_MONTH
    return Elements(
        unit=begin + np.arange(n),
        string=np.full(n, number),
        first_row=np.full(n, first_row),
        count=full(string.cells_per_unit),
        q_ah=q_ah,
        rated_q_ah=q_ah.copy(),
        r0_ohm=res.r0_ohm_ah * thick,
        r1_ohm=res.r1_ohm_ah * thick,
        r2_ohm=res.r2_ohm_ah * thick * np.exp(normal(spread.resistance_frac)),
        tau1_s=full(res.tau1_s),
        tau2_s=full(res.tau2_s),
        activation_k=full(res.activation_k),
        ocv_offset_v=normal(spread.ocv_v),
        hysteresis_v=full(p.hysteresis.half_width_v),
        hysteresis_rate=full(p.hysteresis.rate),
        gas_a=gas.a_per_ah * string.rated_ah * np.exp(normal(spread.gassing_ln)),
        gas_ref_v=full(gas.ref_v),
        gas_fold_v=full(gas.tafel_v_per_decade / np.log(10.0)),
        gas_per_k=full(np.log(2.0) / gas.doubling_k),
        gas_carried_v=full(gas.carried_off_v),
        coulombic_frac=full(p.storage.coulombic_frac),
        self_discharge_a=self_a * np.exp(normal(spread.self_discharge_ln)),
        capacity_frac_per_k=full(p.storage.capacity_frac_per_k),
        leak_s=full(0.0),
        alive=full(1.0),
    )


def _draw_units(string: StringBuild, number: int, rng: np.random.Generator) -> Units:
    p, n, k = string.parameters, string.units, string.cells_per_unit
    thermal = p.thermal

    def full(value: float) -> Floats:
        return np.full(n, float(value))

    size = (string.rated_ah / thermal.ref_ah) ** (2.0 / 3.0)
    normal = rng.standard_normal((4, n))
    # A rack has warm and cool ends: half of the place effect runs smoothly along the string.
    along = np.sin(np.linspace(0.0, np.pi, n)) - 2.0 / np.pi
    return Units(
        string=np.full(n, number),
        cells=full(k),
        heat_j_per_k=thermal.j_per_k_ah * string.rated_ah * k * np.exp(0.25 * p.spread.thermal_frac * normal[0]),
        ha_w_per_k=thermal.ha_w_per_k * size * k * np.exp(p.spread.thermal_frac * normal[1]),
        pole_tau_s=full(thermal.pole_tau_s),
        pole_k_per_w=full(thermal.pole_k_per_w / size),
        place_k=p.spread.place_k * (0.7 * normal[2] + along),
        bleed_s=full(string.bleed_max_a / (p.charger.float_v * k)),
        bleed_to_unit_frac=full(thermal.bleed_to_unit_frac),
        link_ohm=LINK_OHM_AH / string.rated_ah * np.exp(0.15 * normal[3]),
        r_frac_per_year=full(p.ageing.r_frac_per_year),
        ageing_per_k=full(np.log(2.0) / p.ageing.doubling_k),
    )
