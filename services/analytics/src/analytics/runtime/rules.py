"""What runtime needs to know of each string, from site.toml and its battery type; fixed while we run."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final, Self

import numpy as np
from cellkeeper.contract.battery_type import BatteryType
from cellkeeper.contract.site import Site, StringTable

from analytics.readings import Flags, Floats, Layout, Places
from analytics.runtime.calibration import Calibration, calibrate
from analytics.runtime.cell_shape import cell_shape
from analytics.runtime.power_curve import PowerCurve, PowerCurves
from analytics.runtime.projection import Shapes

LOADED_EVERY_S: Final = (5.0, 60.0)
LOADED_EVERY_FRAC: Final = 0.02
IDLE_EVERY_S: Final = 60.0
WIRING_FRAC: Final = 0.005  # of the volts at which a UPS stops: installers allow cables and breaker up to 1 % …
WIRING_PER_H: Final = 2.0  # … at the current of a short autonomy, A per Ah
GUESSED_SD: Final = 0.58  # of the wiring where nobody tells it: anything from nothing to twice as much
TOLD_SD: Final = 0.20  # where site.toml does: from lengths and sections, with contacts and warmth left out


@dataclass(frozen=True, slots=True)
class RuntimeRules:
    """All strings' facts; S strings, N units.

    Attributes:
        layout: of the units.
        cells: (S,) electrochemical cells in series.
        bus: (S,) number of the dc bus; a string without one is a bus of its own.
        rated_ah: (S,)
        end_v: (S,) limit of one electrochemical cell: the chemistry's cut-off with the string's overrides.
        bus_end_v: (S,) of the whole string: the UPS cut-off of its dc bus.
        wiring_ohm: (S,) between string and UPS: what site.toml tells, else half of the most that is usual. 0 where the
            bus has no cut-off of its own: then the time is until the battery's limit.
        wiring_sd_frac: (S,) how uncertain that is.
        is_at_ups: (S,) whether the string's volts are measured at the UPS, behind the wiring.
        nominal_w: (S,) usual load of the dc bus; NaN where site.toml names none.
        curves: time against power of a healthy cell.
        shapes: of their discharges.
        ohm: (S, POINTS) losses of a full cell that the curve implies at each power.
        ohm_sd_ln: (S,) how uncertain their logarithm is.
        ah: (S, LOSSES, POINTS) charge of a full cell along the curve's grid, for multiples of these losses.
        rested_sd_v: (S,) of the chemistry.
        loaded_every_s: event time after which a string on load is judged anew: LOADED_EVERY_FRAC of what it has left,
            within these limits.
        idle_every_s: the same for all others.
    """

    layout: Layout
    cells: Floats
    bus: Places
    rated_ah: Floats
    end_v: Floats
    bus_end_v: Floats
    wiring_ohm: Floats
    wiring_sd_frac: Floats
    is_at_ups: Flags
    nominal_w: Floats
    curves: PowerCurves
    shapes: Shapes
    ohm: Floats
    ohm_sd_ln: Floats
    ah: Floats
    rested_sd_v: Floats
    loaded_every_s: tuple[float, float] = LOADED_EVERY_S
    idle_every_s: float = IDLE_EVERY_S

    @classmethod
    def of(cls, layout: Layout, site: Site, batteries: Mapping[str, BatteryType]) -> Self:
        """Return the rules of a layout's strings.

        Args:
            layout: its strings are described in `site`.
            site: as read.
            batteries: by string id, of the strings that name one; the others get a rule of thumb from their rating.

        Raises:
            KeyError: a string of the layout is not in the site.
        """
        by_id = {string.id: string for string in site.string}
        strings = [by_id[string] for string in layout.strings]
        dcbuses = {dcbus.id: dcbus for dcbus in site.dcbus}
        cells = np.array([string.cells * string.cells_per_unit for string in strings], dtype=np.float64)
        rated_ah = np.array([string.rated_ah for string in strings])
        end_v = np.array([string.profile.cutoff_v for string in strings])
        on = [None if string.dcbus is None else dcbuses[string.dcbus] for string in strings]
        names = [string.dcbus or f"of string {string.id}" for string in strings]
        own_end_v = [np.nan if each is None or each.cutoff_v is None else each.cutoff_v for each in on]
        bus_end_v = np.where(np.isnan(own_end_v), end_v * cells, own_end_v)
        guessed_ohm = np.where(np.isnan(own_end_v), 0.0, WIRING_FRAC * bus_end_v / (WIRING_PER_H * rated_ah))
        told_ohm = np.array([np.nan if each.wiring_ohm is None else each.wiring_ohm for each in strings])
        curves, fits = _curves(strings, batteries)
        shapes = [cell_shape(string.chemistry) for string in strings]
        return cls(
            layout=layout,
            cells=cells,
            bus=np.array([list(dict.fromkeys(names)).index(name) for name in names], dtype=np.intp),
            rated_ah=rated_ah,
            end_v=end_v,
            bus_end_v=bus_end_v,
            wiring_ohm=np.where(np.isnan(told_ohm), guessed_ohm, told_ohm),
            wiring_sd_frac=np.where(np.isnan(told_ohm), GUESSED_SD, TOLD_SD),
            is_at_ups=np.array([string.is_measured_at_ups for string in strings]),
            nominal_w=np.array([np.nan if each is None or each.load_w is None else each.load_w for each in on]),
            curves=PowerCurves.stacked(curves),
            shapes=Shapes.of(shapes, rated_ah),
            ohm=np.array([fit.ohm for fit in fits]),
            ohm_sd_ln=np.array([fit.ohm_sd_ln for fit in fits]),
            ah=np.array([fit.ah for fit in fits]),
            rested_sd_v=np.array([shape.rested_sd_v for shape in shapes]),
        )

    def with_wiring(self, string: Places, ohm: Floats, sd_ohm: Floats) -> Self:
        """Return the same with other wiring of some strings, and its sd."""
        wiring_ohm, wiring_sd_frac = self.wiring_ohm.copy(), self.wiring_sd_frac.copy()
        wiring_ohm[string] = ohm
        wiring_sd_frac[string] = np.where(ohm > 0.0, sd_ohm / np.where(ohm > 0.0, ohm, 1.0), 0.0)
        return replace(self, wiring_ohm=wiring_ohm, wiring_sd_frac=wiring_sd_frac)


def _curves(
    strings: list[StringTable], batteries: Mapping[str, BatteryType]
) -> tuple[list[PowerCurve], list[Calibration]]:
    """Return curve and calibration of each string; equal strings share one, a room has few kinds."""
    known: dict[str, tuple[PowerCurve, Calibration]] = {}
    found = []
    for string in strings:
        battery, end_v = batteries.get(string.id), string.profile.cutoff_v
        own = f"{string.chemistry} {string.rated_ah} {string.rate_h} {string.ref_degc}"
        kind = f"{end_v} {own if battery is None else battery.model_dump_json()}"
        if kind not in known:
            curve = PowerCurve.of_rating(string) if battery is None else PowerCurve.of_type(battery, end_v)
            known[kind] = curve, calibrate(curve, cell_shape(string.chemistry), string.rated_ah, end_v)
        found.append(known[kind])
    return [curve for curve, _ in found], [fit for _, fit in found]
