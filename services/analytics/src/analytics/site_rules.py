"""Everything the estimators have to know of a site, made once from `site.toml`, profiles and battery types. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from math import nan
from typing import Final, Self

import numpy as np
from cellkeeper.contract.battery_type import BatteryType
from cellkeeper.contract.chemistry import Chemistry
from cellkeeper.contract.site import Site
from cellkeeper.contract.site_string import StringTable

from analytics.cells import Cells
from analytics.impedance.rules import ImpedanceRules, StringImpedanceRules
from analytics.life.rules import LifeRules, StringLifeRules
from analytics.mode_rules import ModeRules
from analytics.readings import Floats, Layout
from analytics.runtime.rules import RuntimeRules
from analytics.soc.rules import SocRules
from analytics.soh.rules import GAIN_SD_FRAC, RestedCurve, SohRules, StringSohRules

ACCURACY_SD: Final = 3.0**0.5  # a sensor's accuracy is a border; an error anywhere within it has this part as sd


@dataclass(frozen=True, slots=True)
class SiteRules:
    """The rules of all estimators, for the strings of one layout.

    Attributes:
        rated_ah: (N,) of the units.
        not_validated: by string: what of its chemistry was never held against measurements of real cells.
        bleed_a: by string: what a module takes from its unit at full duty.
    """

    layout: Layout
    mode: ModeRules
    soc: SocRules
    soh: SohRules
    runtime: RuntimeRules
    impedance: ImpedanceRules
    life: LifeRules
    rated_ah: Floats
    not_validated: Mapping[str, list[str]]
    bleed_a: Mapping[str, float]

    @classmethod
    def of(cls, site: Site, batteries: Mapping[str, BatteryType], cells: Cells | None = None) -> Self:
        """Return the rules of a site.

        Args:
            site: as read.
            batteries: by string id, of the strings that name one.
            cells: which cell is where; without it as `site.toml` says.
        """
        strings = {string.id: string for string in site.string}
        layout = layout_of(site)
        profiles = {name: string.profile for name, string in strings.items()}
        rated_ah = {name: string.rated_ah for name, string in strings.items()}
        plain = cls(
            layout=layout,
            mode=ModeRules.of(
                layout, profiles, rated_ah, dcbus={name: string.dcbus for name, string in strings.items()},
                sensor_offset_a={name: _offset_sd_a(string) for name, string in strings.items()},
                scan_s=site.site.scan_s,
            ),
            soc=SocRules.of(layout, profiles, rated_ah),
            soh=SohRules.of(
                layout, {n: _soh_rules(s, profiles[n], batteries.get(n)) for n, s in strings.items()}
            ),
            runtime=RuntimeRules.of(layout, site, batteries),
            impedance=ImpedanceRules.of(
                layout, {n: StringImpedanceRules.of(s.chemistry, s.rated_ah) for n, s in strings.items()},
                terminals=[string.terminal_of(1 + at) for string in site.string for at in range(string.cells)],
            ),
            life=LifeRules.of(layout, {n: _life_rules(s, batteries.get(n)) for n, s in strings.items()}),
            rated_ah=np.array([rated_ah[name] for name in layout.strings])[layout.string_of],
            not_validated={n: _not_validated(s, profiles[n], batteries.get(n)) for n, s in strings.items()},
            bleed_a={name: string.bleed_max_a for name, string in strings.items()},
        )  # fmt: skip
        return plain.with_cells(Cells.described(layout, site) if cells is None else cells)

    def with_cells(self, cells: Cells) -> Self:
        """Return the rules for the cells that are at each place now."""
        return replace(
            self,
            soh=replace(self.soh, lives=cells.marks, born_s=cells.born_s),
            impedance=self.impedance.with_lives(cells.marks),
            life=replace(self.life, lives=cells.marks, born_s=cells.born_s),
        )


def layout_of(site: Site) -> Layout:
    """Return where the units of a site's strings lie, in the order of `site.toml`."""
    cells_per_unit = {string.id: string.cells_per_unit for string in site.string}
    return Layout.of({string.id: string.cells for string in site.string}, cells_per_unit)


def _offset_sd_a(string: StringTable) -> float:
    """Return what the string's current sensors may show without a current, as a standard deviation; 0 if not said."""
    borders = [each.accuracy for each in string.sensor if each.kind == "current" and each.accuracy is not None]
    return float(np.hypot.reduce(borders)) / ACCURACY_SD if borders else 0.0


def _soh_rules(string: StringTable, profile: Chemistry, battery: BatteryType | None) -> StringSohRules:
    return StringSohRules(
        chemistry=string.chemistry,
        rated_ah=string.rated_ah,
        rate_h=string.rate_h,
        ref_degc=string.ref_degc,
        end_v=string.end_v if string.end_v is not None else profile.cutoff_v,
        per_k=None if battery is None else battery.temperature.frac_per_k_3h,
        gain_sd_frac=GAIN_SD_FRAC,
        offset_sd_a=_offset_sd_a(string),
        curve=RestedCurve.typical(profile.estimate),
    )


def _life_rules(string: StringTable, battery: BatteryType | None) -> StringLifeRules:
    design_years = None if battery is None else battery.design_years
    return StringLifeRules.of(string.chemistry, design_years, _commissioned_s(string))


def _commissioned_s(string: StringTable) -> float:
    """Return the begin of the day of its first charge, in UTC: a day more or less is nothing in years."""
    day = string.commissioned
    return nan if day is None else datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()


NEVER_CHECKED: Final = ("impedance limits", "odds of failing")  # of any chemistry: no measured series was at hand


def _not_validated(string: StringTable, profile: Chemistry, battery: BatteryType | None) -> list[str]:
    found = [] if profile.estimate.validated_on else [f"charge curves of {string.chemistry}"]
    if battery is None:
        found.append("runtime: rule of thumb, no battery type")
    elif battery.is_generic:
        found.append("runtime: generic battery type")
    return [*found, *NEVER_CHECKED]
