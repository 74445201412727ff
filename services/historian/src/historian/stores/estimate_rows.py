"""Estimates of a string as rows: what belongs to the string, and the columns of its units. Pure."""

from collections.abc import Sequence
from typing import Final, get_args

import numpy as np
from cellkeeper.contract.estimate_state import ResistanceState, SocSource, SohSource, StringEstimate
from cellkeeper.contract.moment import to_ms
from cellkeeper.contract.series import CELL_ESTIMATE, ESTIMATE, Field, counts

from historian.stores.port import CellStateRow, StateRow
from historian.stores.state_rows import COUNTS, NULL, state_row

CODES: Final = {
    "soc_source": get_args(SocSource.__value__),
    "soh_source": get_args(SohSource.__value__),
    "r_state": get_args(ResistanceState.__value__),
}
"""Words of the wire in the order of their stored codes, which the storage table tells too."""


def estimate_row(told: StringEstimate) -> StateRow:
    """Return what is stored of a string: the worst of its units, and how long it would last."""
    run, low = told.runtime, _lowest(told.soc_frac)
    weak, worst = _lowest(told.soh_frac), _highest(told.r_own_frac)
    values: dict[str, float | str | None] = {
        "soc_mean_frac": _mean(told.soc_frac),
        "soc_low_frac": None if low is None else told.soc_frac[low],
        "soc_low_sd_frac": None if low is None else told.soc_sd_frac[low],
        "soc_low_cell": None if low is None else low + 1,
        "n_soc": sum(each is not None for each in told.soc_frac),
        "soh_low_frac": None if weak is None else told.soh_frac[weak],
        "soh_low_cell": None if weak is None else weak + 1,
        "n_soh": sum(each is not None for each in told.soh_frac),
        "r_high_frac": None if worst is None else told.r_own_frac[worst],
        "r_high_cell": None if worst is None else worst + 1,
        "power_w": run.power_w,
        "unit_left_s": run.unit_left_s,
        "unit_left_sd_s": run.unit_left_sd_s,
        "unit_left_cell": run.cell,
        "bus_left_s": run.bus_left_s,
        "bus_left_sd_s": run.bus_left_sd_s,
        "doubts": ",".join(told.doubts) or None,
    }
    return state_row(ESTIMATE, told.string, to_ms(told.measured_at), values)


def cell_estimate_row(told: StringEstimate, lives: tuple[int, ...] | None) -> CellStateRow:
    """Return the columns of a payload; `lives` of its positions, None where all are in their first."""
    columns = np.stack([_column(field, getattr(told, field.shown)) for field in CELL_ESTIMATE.fields])
    return CellStateRow(told.string, to_ms(told.measured_at), lives, columns.astype(COUNTS).tobytes())


def _column(field: Field, told: Sequence[float | str | None]) -> "np.ndarray[tuple[int], np.dtype[np.int64]]":
    if field.shown in CODES:
        words = CODES[field.shown]
        return np.array([words.index(str(word)) for word in told])
    return counts(field, np.array(told, dtype=np.float64), null=NULL)


def _lowest(column: Sequence[float | None]) -> int | None:
    return min(
        (at for at, each in enumerate(column) if each is not None), key=lambda at: column[at] or 0.0, default=None
    )


def _highest(column: Sequence[float | None]) -> int | None:
    return max(
        (at for at, each in enumerate(column) if each is not None), key=lambda at: column[at] or 0.0, default=None
    )


def _mean(column: Sequence[float | None]) -> float | None:
    known = [each for each in column if each is not None]
    return sum(known) / len(known) if known else None
