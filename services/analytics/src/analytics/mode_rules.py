"""What a string's voltage and current mean, from its chemistry and size; fixed while we run."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import isnan
from typing import Final, Self

from cellkeeper.contract.chemistry import Chemistry

from analytics.readings import Layout

REF_DEGC: Final = 25.0  # chargers compensate their voltage from here
COMPENSATED_DEGC: Final = (0.0, 45.0)  # and clamp the compensation at about these
UNKNOWN_DEGC_K: Final = 10.0  # without a temperature the battery may be this far from 25 °C
ON_BATTERY_PER_AH: Final = 0.02
ON_BATTERY_A: Final = 0.5  # what any string sensor surely resolves
LONGEST_GAP_S: Final = 10.0  # contract: event time between two scans


@dataclass(frozen=True, slots=True)
class StringModeRules:
    """Borders of one string; volts per electrochemical cell, amperes of the string, positive discharges.

    Attributes:
        cells: electrochemical cells in series in the whole string.
        rated_ah: of the string.
        float_v, boost_v: of the charger at 25 °C.
        float_v_per_k: its temperature compensation as configured.
        enter_frac, leave_frac: how far below float the voltage may be to be called float, and to stay it.
        discharge_a: from here on a current is a load.
        rest_a: below it there is none, as far as the sensor can tell.
        gap_s: longest time between two scans over which anything is concluded.
        dcbus: id that parallel strings share; empty for a string of its own.
    """

    cells: float
    rated_ah: float
    float_v: float
    boost_v: float
    float_v_per_k: float
    enter_frac: float
    leave_frac: float
    discharge_a: float
    rest_a: float
    gap_s: float
    dcbus: str

    def float_at_v(self, degc: float) -> float:
        """Return the float voltage per cell at a battery temperature; at 25 °C when that is NaN."""
        low, high = COMPENSATED_DEGC
        warmth_k = 0.0 if isnan(degc) else min(max(degc, low), high) - REF_DEGC
        return self.float_v + self.float_v_per_k * warmth_k

    def slack_v(self, degc: float) -> float:
        """Return what the charger's compensation may move the voltage per cell while no temperature is known."""
        return abs(self.float_v_per_k) * UNKNOWN_DEGC_K if isnan(degc) else 0.0


@dataclass(frozen=True, slots=True)
class ModeRules:
    """The rules of all strings of a layout, in its order."""

    layout: Layout
    strings: tuple[StringModeRules, ...]

    @classmethod
    def of(
        cls,
        layout: Layout,
        chemistry: Mapping[str, Chemistry],
        rated_ah: Mapping[str, float],
        *,
        dcbus: Mapping[str, str | None] | None = None,
        sensor_offset_a: Mapping[str, float] | None = None,
        scan_s: float = 1.0,
    ) -> Self:
        """Return the rules of the strings of a layout; all mappings by string id.

        Args:
            layout: of the site.
            chemistry: profile with the string's overrides.
            rated_ah: of each string.
            dcbus: which strings are in parallel; without it every string stands alone.
            sensor_offset_a: what the current sensor may show with no current; 0 where nothing is known.
            scan_s: usual time between scans.
        """
        return cls(
            layout,
            tuple(
                _of_string(
                    chemistry[string],
                    rated_ah[string],
                    cells=float(layout.cells_per_unit[layout.span(place)].sum()),
                    dcbus=(dcbus or {}).get(string) or "",
                    offset_a=(sensor_offset_a or {}).get(string, 0.0),
                    scan_s=scan_s,
                )
                for place, string in enumerate(layout.strings)
            ),
        )


def _of_string(
    profile: Chemistry, rated_ah: float, *, cells: float, dcbus: str, offset_a: float, scan_s: float
) -> StringModeRules:
    # Lead and nickel at rest are 5 % below float; full lithium at rest is only 1 % below.
    enter_frac, leave_frac = (0.01, 0.02) if profile.hazard == "slow" else (0.006, 0.009)
    discharge_a = max(ON_BATTERY_PER_AH * rated_ah, ON_BATTERY_A, 2.0 * offset_a)
    return StringModeRules(
        cells=cells,
        rated_ah=rated_ah,
        float_v=profile.float_v,
        boost_v=profile.boost_v,
        float_v_per_k=profile.float_v_per_k,
        enter_frac=enter_frac,
        leave_frac=leave_frac,
        discharge_a=discharge_a,
        rest_a=0.5 * discharge_a,
        gap_s=max(LONGEST_GAP_S, 3.0 * scan_s),
        dcbus=dcbus,
    )
