"""Estimates of every unit of the site as columns, (N,) each, and as the words of the wire. Pure."""

from dataclasses import dataclass, fields
from typing import Final, get_args

import numpy as np
from cellkeeper.contract.estimate_state import COLUMNS, ResistanceState, SocSource, SohSource

from analytics.readings import Codes, Floats

SOC_SOURCES: Final[tuple[SocSource, ...]] = get_args(SocSource.__value__)
SOH_SOURCES: Final[tuple[SohSource, ...]] = get_args(SohSource.__value__)
R_STATES: Final[tuple[ResistanceState, ...]] = get_args(ResistanceState.__value__)
WORDS: Final[dict[str, tuple[str, ...]]] = {
    "soc_source": SOC_SOURCES,
    "soh_source": SOH_SOURCES,
    "r_state": R_STATES,
}
DECIMALS: Final = {
    "soc_frac": 4,
    "soc_sd_frac": 4,
    "anchor_age_h": 2,
    "soh_frac": 4,
    "soh_sd_frac": 4,
    "r_own_frac": 3,
    "p_fail_6m_frac": 4,
    "p_fail_12m_frac": 4,
}
NAMES: Final = COLUMNS


@dataclass(frozen=True, slots=True)
class UnitEstimates:
    """What is believed of every unit; NaN where it is not known.

    Attributes:
        soc_frac, soc_sd_frac: state of charge and its standard deviation.
        soc_source: codes, places in `SOC_SOURCES`.
        anchor_age_h: hours since its last anchor.
        soh_frac, soh_sd_frac: state of health and its standard deviation; NaN while not proven.
        soh_source: codes, places in `SOH_SOURCES`.
        r_own_frac: impedance over the unit's own baseline.
        r_state: codes, places in `R_STATES`.
        p_fail_6m_frac, p_fail_12m_frac: probability of less than 80 % capacity by then.
    """

    soc_frac: Floats
    soc_sd_frac: Floats
    soc_source: Codes
    anchor_age_h: Floats
    soh_frac: Floats
    soh_sd_frac: Floats
    soh_source: Codes
    r_own_frac: Floats
    r_state: Codes
    p_fail_6m_frac: Floats
    p_fail_12m_frac: Floats

    def of(self, units: "slice | np.ndarray[tuple[int], np.dtype[np.intp]]") -> "UnitEstimates":
        """Return those of some units."""
        return UnitEstimates(*(getattr(self, field.name)[units] for field in fields(self)))

    def columns(self) -> dict[str, list[float | str | None]]:
        """Return columns as the wire has them: rounded, null where there is no number, words for codes."""
        return {name: self._column(name) for name in NAMES}

    def _column(self, name: str) -> list[float | str | None]:
        values = getattr(self, name)
        if name in WORDS:
            words = WORDS[name]
            return [words[code] for code in values.tolist()]
        rounded = np.round(values, DECIMALS[name])
        if not np.isnan(rounded).any():
            return list(rounded.tolist())
        return [None if value != value else value for value in rounded.tolist()]  # noqa: PLR0124  # NaN
