"""Parameter sets of the twin's cells: one TOML file per chemistry, read into one frozen dataclass.

The sets belong to the twin alone. The services estimate with their own chemistry profiles: an estimate that fits the
twin has found something out, not read it back. All values are per electrochemical cell at 25 °C; what scales with size
is given per Ah (or as ohm times Ah).
"""

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Annotated, ClassVar, Final

from pydantic import ConfigDict, Field, TypeAdapter

from twin.errors import TwinFileError
from twin.script.file_border import read_toml

SHIPPED: Final = Path(__file__).parent / "parameters"
STRICT: Final = ConfigDict(extra="forbid", strict=False)

Positive = Annotated[float, Field(gt=0.0)]
NotNegative = Annotated[float, Field(ge=0.0)]
Frac = Annotated[float, Field(gt=0.0, le=1.0)]
Curve = Annotated[tuple[float, ...], Field(min_length=2, max_length=200)]


@dataclass(frozen=True, slots=True)
class OcvCurve:
    """Rested voltage against state of charge; above 1 the polarisation of overcharge, below 0 the way into reversal."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    soc_frac: Curve
    v: Curve
    v_per_k: Curve


@dataclass(frozen=True, slots=True)
class Resistance:
    """R0 and two RC pairs; factors over `soc_frac`, for the slow pair apart by direction (charge acceptance)."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    r0_ohm_ah: Positive
    r1_ohm_ah: Positive
    r2_ohm_ah: Positive
    tau1_s: Positive
    tau2_s: Positive
    activation_k: NotNegative
    soc_frac: Curve
    factor: Curve
    slow_discharge_factor: Curve
    slow_charge_factor: Curve


@dataclass(frozen=True, slots=True)
class Hysteresis:
    """One-state hysteresis: half width in volts, and how many times per full swing of charge the state forgets."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    half_width_v: NotNegative
    rate: NotNegative


@dataclass(frozen=True, slots=True)
class Gassing:
    """Tafel law of the side reaction in overcharge: current at `ref_v`, slope, doubling; energy that leaves as gas."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    a_per_ah: Positive
    ref_v: Positive
    tafel_v_per_decade: Positive
    doubling_k: Positive
    carried_off_v: NotNegative


@dataclass(frozen=True, slots=True)
class Storage:
    """What the cell keeps: charge efficiency, own discharge, and capacity against temperature."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    coulombic_frac: Frac
    self_discharge_frac_per_month: NotNegative
    capacity_frac_per_k: NotNegative


@dataclass(frozen=True, slots=True)
class Thermal:
    """Core: heat capacity per Ah, cooling of a cell of `ref_ah` (as size to 2/3). Pole: lag, and kelvin per watt."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    j_per_k_ah: Positive
    ha_w_per_k: Positive
    ref_ah: Positive
    pole_tau_s: Positive
    pole_k_per_w: NotNegative
    bleed_to_unit_frac: Annotated[float, Field(ge=0.0, le=1.0)]


@dataclass(frozen=True, slots=True)
class Ageing:
    """Growth of all resistances per year at 25 °C, doubling with `doubling_k`."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    r_frac_per_year: NotNegative
    doubling_k: Positive


@dataclass(frozen=True, slots=True)
class ChargerDefaults:
    """How a UPS with this chemistry is set unless its dc bus says otherwise; volts per cell, load per rated energy."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    float_v: Positive
    boost_v: Positive
    cutoff_v: Positive
    v_per_k: float
    limit_a_per_ah: Positive
    tail_a_per_ah: Positive
    load_per_h: Positive


@dataclass(frozen=True, slots=True)
class Spread:
    """Standard deviations between cells: fractions, natural logs (`_ln`), volts and kelvin."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    capacity_frac: NotNegative
    resistance_frac: NotNegative
    ocv_v: NotNegative
    self_discharge_ln: NotNegative
    gassing_ln: NotNegative
    thermal_frac: NotNegative
    place_k: NotNegative
    soc_frac: NotNegative


@dataclass(frozen=True, slots=True)
class ParameterSet:
    """One chemistry of the twin."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    name: str
    aliases: tuple[str, ...]
    title: str
    origin: str
    nominal_v: Positive
    ocv: OcvCurve
    resistance: Resistance
    hysteresis: Hysteresis
    gassing: Gassing
    storage: Storage
    thermal: Thermal
    ageing: Ageing
    charger: ChargerDefaults
    spread: Spread


_SHAPE: Final = TypeAdapter(ParameterSet)


def load_parameter_set(path: Path) -> ParameterSet:
    """Return the set in `path`.

    Raises:
        TwinFileError: names file, key and what to do.
    """
    read = read_toml(path, _SHAPE)
    _check_curve(path, "ocv", read.ocv.soc_frac, (read.ocv.v, read.ocv.v_per_k))
    res = read.resistance
    _check_curve(path, "resistance", res.soc_frac, (res.factor, res.slow_discharge_factor, res.slow_charge_factor))
    if any(later < earlier for earlier, later in pairwise(read.ocv.v)):
        raise TwinFileError(f"{path}: key 'ocv.v': falls with rising soc_frac; order it from low to high")
    return read


def shipped_parameter_sets() -> dict[str, ParameterSet]:
    """Return all sets that come with the twin, by name and by each alias.

    Raises:
        TwinFileError: two sets claim one name.
    """
    found: dict[str, ParameterSet] = {}
    for path in sorted(SHIPPED.glob("*.toml")):
        read = load_parameter_set(path)
        for name in (read.name, *read.aliases):
            if name in found:
                raise TwinFileError(f"{path}: key 'aliases': '{name}' is taken by set '{found[name].name}'; drop one")
            found[name] = read
    return found


def _check_curve(path: Path, table: str, soc_frac: Curve, columns: tuple[Curve, ...]) -> None:
    if any(later <= earlier for earlier, later in pairwise(soc_frac)):
        raise TwinFileError(f"{path}: key '{table}.soc_frac': has to rise from entry to entry; order it")
    if any(len(column) != len(soc_frac) for column in columns):
        raise TwinFileError(f"{path}: table '{table}': all its lists need {len(soc_frac)} entries like soc_frac")
