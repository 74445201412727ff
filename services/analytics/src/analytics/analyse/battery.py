"""Which battery a file is of, and the rules that the estimators make of that."""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from cellkeeper import __version__
from cellkeeper.contract.chemistry import Chemistry, profiles

from analytics.analyse.errors import AnalyseError
from analytics.analyse.series import Series
from analytics.dossier.context import DossierContext
from analytics.mode_rules import ModeRules
from analytics.readings import Layout
from analytics.soc.rules import Instruments, SocRules
from analytics.soh.rules import RestedCurve, SohRules, StringSohRules

STRING: Final = "file"
FITS_FRAC: Final = 0.5  # of the voltages have to be possible for a unit of so many cells
MOST_A_PER_AH: Final = 30.0  # no stationary battery carries it: empty in two minutes
SELDOM: Final = 0.99  # share of the currents below: a spike is none


@dataclass(frozen=True, slots=True)
class Battery:
    """What a person says of the battery.

    Attributes:
        chemistry: id of a profile.
        rated_ah, rate_h, ref_degc: as the maker states.
        cells_per_unit: electrochemical cells in series behind one voltage.
        end_v: of one electrochemical cell at the end of a discharge; the profile's when None.
        degc: temperature where the file has none; None for unknown.
        published_h, published_a: the maker's table: hours, and the current that lasts so long.
    """

    chemistry: str
    rated_ah: float
    cells_per_unit: int = 1
    rate_h: float = 10.0
    ref_degc: float = 20.0
    end_v: float | None = None
    degc: float | None = None
    published_h: tuple[float, ...] = ()
    published_a: tuple[float, ...] = ()

    @property
    def profile(self) -> Chemistry:
        """The chemistry's profile; raises AnalyseError when there is none."""
        try:
            return profiles()[self.chemistry]
        except KeyError as exc:
            raise AnalyseError(f"chemistry {self.chemistry!r} is unknown; take one of {', '.join(profiles())}") from exc

    @property
    def cell_end_v(self) -> float:
        """End voltage of one electrochemical cell."""
        return self.profile.cutoff_v if self.end_v is None else self.end_v


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules of all estimators for a file."""

    layout: Layout
    mode: ModeRules
    soc: SocRules
    soh: SohRules


def require_fit(battery: Battery, series: Series) -> None:
    """Check that voltages and currents can be of such a battery.

    Raises:
        AnalyseError: they cannot; the text says which number of cells would fit.
    """
    _require_currents(battery, series)
    profile = battery.profile
    if not profile.lowest_v <= battery.cell_end_v < profile.nominal_v:
        raise AnalyseError(
            f"--end-v {battery.cell_end_v:g} must lie from {profile.lowest_v:g} to below {profile.nominal_v:g} V; "
            "write volts of one electrochemical cell"
        )
    volts = series.unit_v[np.isfinite(series.unit_v)]
    cell_v = volts / battery.cells_per_unit
    fits = (cell_v >= 0.8 * profile.lowest_v) & (cell_v <= 1.1 * profile.highest_v)
    middle_v = float(np.median(volts))
    is_usual = profile.lowest_v <= middle_v / battery.cells_per_unit <= profile.highest_v
    if is_usual and fits.mean() >= FITS_FRAC:
        return
    likely = max(1, round(middle_v / profile.nominal_v))
    raise AnalyseError(
        f"a unit of {battery.cells_per_unit} {battery.chemistry} cells does not have {middle_v:.2f} V, the middle of "
        f"the file; --cells-per-unit {likely} would fit, or take another chemistry"
    )


def _require_currents(battery: Battery, series: Series) -> None:
    amps = np.abs(series.discharge_a[np.isfinite(series.discharge_a)])
    large_a = float(np.quantile(amps, SELDOM)) if len(amps) else 0.0
    if large_a > MOST_A_PER_AH * battery.rated_ah:
        raise AnalyseError(
            f"currents of {large_a:g} A are not of a battery of {battery.rated_ah:g} Ah; for milliamperes "
            "--current-in mA, or correct --rated-ah"
        )


def with_temperature(series: Series, battery: Battery) -> Series:
    """Return a series with the temperature that a person told wherever the file has none."""
    if battery.degc is None:
        return series
    return replace(series, degc=np.where(np.isnan(series.degc), battery.degc, series.degc))


def rules_of(battery: Battery, series: Series) -> Rules:
    """Return the rules for a file that is as slow as this one."""
    profile = battery.profile
    layout = Layout.of({STRING: series.units}, {STRING: battery.cells_per_unit})
    rated = {STRING: battery.rated_ah}
    soh = StringSohRules(
        chemistry=battery.chemistry,
        rated_ah=battery.rated_ah,
        rate_h=battery.rate_h,
        ref_degc=battery.ref_degc,
        end_v=battery.cell_end_v,
        hours=battery.published_h,
        amps=battery.published_a,
        curve=RestedCurve.typical(profile.estimate),
    )
    return Rules(
        layout=layout,
        mode=ModeRules.of(layout, {STRING: profile}, rated, scan_s=series.gap_s / 3.0),
        soc=SocRules.of(layout, {STRING: profile}, rated, Instruments(gap_s=series.gap_s)),
        soh=SohRules.of(layout, {STRING: soh}),
    )


def context_of(battery: Battery, name: str) -> DossierContext:
    """Return what the capacity methods have to know."""
    return DossierContext(
        site=STRING,
        site_name=name,
        string_name=name,
        chemistry=battery.chemistry,
        battery_type="",
        rated_ah=battery.rated_ah,
        rate_h=battery.rate_h,
        ref_degc=battery.ref_degc,
        end_v=battery.cell_end_v * battery.cells_per_unit,
        cells_per_unit=battery.cells_per_unit,
        sensors=(),
        software=f"cellkeeper {__version__} analyse",
        published_h=battery.published_h,
        published_a=battery.published_a,
    )
