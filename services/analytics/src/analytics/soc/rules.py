"""What the estimate of charge depends on and does not change: chemistry, size and layout, once per unit."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Final, Self

import numpy as np
from cellkeeper.contract.chemistry import Chemistry
from cellkeeper.contract.estimating import EstimateProfile

from analytics.readings import Flags, Floats, Layout, Places
from analytics.soc.curves import PLACES, CurveOf, Curves

MONTH_S: Final = 30.0 * 86_400.0
NEVER_S: Final = 1e12
UNKNOWN_SD_FRAC: Final = 0.25
UNKNOWN_FLAT_SD_FRAC: Final = 0.10
DOUBLED_FRAC: Final = 0.5


@dataclass(frozen=True, slots=True)
class Instruments:
    """How good the readings of a site are.

    Attributes:
        offset_per_ah: sd of a current sensor's zero, A per Ah: of a good one of the string's size.
        gain_sd_frac: of a current sensor.
        gap_s: longest time between two scans over which something is concluded: three times what a site scans at.
    """

    offset_per_ah: float = 0.0005
    gain_sd_frac: float = 0.005
    gap_s: float = 30.0


PLAIN: Final = Instruments()


@dataclass(frozen=True, slots=True)
class SocRules:
    """Constants; (N,) per unit, (S,) per string; volts per electrochemical cell, ohms for a cell of 1 Ah.

    Attributes:
        layout: of the units.
        curves, curve_of: tables and where each unit's begin.
        rated_ah: (N,) as the maker says.
        string_ah: (S,) the same of the string.
        middle_ohm_ah: (S,) resistance that answers at once, in the middle of the curve.
        is_flat: (N,) its voltage tells nothing in the middle.
        has_flat: any is.
        doubled_frac: (N,) how much of what two filters disagree by makes the estimate less sure.
        unknown_sd_frac: (N,) told with less certainty, a charge would only mislead.
        ocv_sd_v, hysteresis_v, surface_v: (N,) see `EstimateProfile`.
        table_v2: (N,) variance of a rested voltage about its branch of the curve.
        surface_s: (S,) the same.
        arrhenius_k, coulombic_frac: (N,) the same.
        tau1_s, tau2_s: (S,) the same.
        lost_per_s: (N,) self-discharge at 25 °C.
        cutoff_v: (N,) where a discharge ends.
        full_v, hold_v: (N,) signs of a full cell at 25 °C.
        full_v_per_k: (N,) with the charger's compensation.
        full_a: (S,) largest charging current of a full string.
        full_s: (N,) so long.
        full_steady: (S,) whether the current must stand still.
        returned_frac, full_sd_frac: (N,) see `FullSigns`.
        rest_s: (N,) until a voltage is rested; very long where it never is.
        offset_a: (S,) sd of the zero of the string's current sensor.
        gain_sd_frac: of current sensors.
        gap_s: see `Instruments`.
        validated_on: of each string's chemistry, S of them: measured cells that its figures were held against, empty
            where none; whoever shows an estimate shows this.
    """

    layout: Layout
    curves: Curves
    curve_of: CurveOf
    rated_ah: Floats
    string_ah: Floats
    middle_ohm_ah: Floats
    is_flat: Flags
    has_flat: bool
    doubled_frac: Floats
    unknown_sd_frac: Floats
    ocv_sd_v: Floats
    hysteresis_v: Floats
    table_v2: Floats
    surface_v: Floats
    surface_s: Floats
    arrhenius_k: Floats
    coulombic_frac: Floats
    tau1_s: Floats
    tau2_s: Floats
    lost_per_s: Floats
    cutoff_v: Floats
    full_v: Floats
    hold_v: Floats
    full_v_per_k: Floats
    full_a: Floats
    full_s: Floats
    full_steady: Flags
    returned_frac: Floats
    full_sd_frac: Floats
    rest_s: Floats
    offset_a: Floats
    gain_sd_frac: float
    gap_s: float
    validated_on: tuple[str, ...]

    @classmethod
    def of(
        cls,
        layout: Layout,
        profiles: Mapping[str, Chemistry],
        rated_ah: Mapping[str, float],
        instruments: Instruments = PLAIN,
    ) -> Self:
        """Return the rules of a site.

        Args:
            layout: of its units.
            profiles: chemistry of each string by its id, with the site's own values in it.
            rated_ah: of each string by its id.
            instruments: how good its readings are.

        Raises:
            KeyError: a string of the layout has no chemistry or no rating.
        """
        chosen = [profiles[string] for string in layout.strings]
        curves, kind = _curves_of(chosen)
        ah = np.array([rated_ah[string] for string in layout.strings], dtype=np.float64)
        is_flat = np.array([chemistry.estimate.curve == "flat" for chemistry in chosen])[layout.string_of]

        def each(name: str) -> Floats:
            return np.array([attrgetter(name)(chemistry) for chemistry in chosen], dtype=np.float64)

        def unit(name: str) -> Floats:
            return each(name)[layout.string_of]

        return cls(  # longer than a function should be: one line for each field, nothing else
            layout=layout,
            curves=curves,
            curve_of=CurveOf.of(kind[layout.string_of], curves),
            rated_ah=ah[layout.string_of],
            string_ah=ah,
            middle_ohm_ah=curves.r0_ohm_ah[kind * PLACES + PLACES // 2],
            is_flat=is_flat,
            has_flat=bool(is_flat.any()),
            doubled_frac=np.where(is_flat, 0.0, DOUBLED_FRAC),
            unknown_sd_frac=np.where(is_flat, UNKNOWN_FLAT_SD_FRAC, UNKNOWN_SD_FRAC),
            ocv_sd_v=unit("estimate.ocv_sd_v"),
            hysteresis_v=unit("estimate.hysteresis_v"),
            table_v2=unit("estimate.ocv_sd_v") ** 2 + 0.25 * unit("estimate.hysteresis_v") ** 2,
            surface_v=unit("estimate.surface_v"),
            surface_s=each("estimate.surface_s"),
            arrhenius_k=unit("estimate.arrhenius_k"),
            coulombic_frac=unit("estimate.coulombic_frac"),
            tau1_s=each("estimate.tau1_s"),
            tau2_s=each("estimate.tau2_s"),
            lost_per_s=unit("estimate.self_discharge_per_month_frac") / MONTH_S,
            cutoff_v=unit("cutoff_v"),
            full_v=unit("estimate.full.at_v"),
            hold_v=unit("estimate.full.hold_v"),
            full_v_per_k=unit("float_v_per_k"),
            full_a=each("estimate.full.below_a_per_ah") * ah,
            full_s=unit("estimate.full.hold_s"),
            full_steady=each("estimate.full.is_steady").astype(np.bool_),
            returned_frac=unit("estimate.full.returned_frac"),
            full_sd_frac=unit("estimate.full.sd_frac"),
            rest_s=np.array([chemistry.estimate.rest_s or NEVER_S for chemistry in chosen])[layout.string_of],
            offset_a=ah * instruments.offset_per_ah,
            gain_sd_frac=instruments.gain_sd_frac,
            gap_s=instruments.gap_s,
            validated_on=tuple(chemistry.estimate.validated_on for chemistry in chosen),
        )

    @property
    def units(self) -> int:
        """Units of all strings, N."""
        return self.layout.units


def _curves_of(chosen: Sequence[Chemistry]) -> tuple[Curves, Places]:
    """Return the tables of the kinds of cells there are, each once, and which of them each string (S,) has."""
    kinds: list[EstimateProfile] = []
    for chemistry in chosen:
        if chemistry.estimate not in kinds:
            kinds.append(chemistry.estimate)
    return Curves.of(kinds), np.array([kinds.index(each.estimate) for each in chosen], dtype=np.intp)
