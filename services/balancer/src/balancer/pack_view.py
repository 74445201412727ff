"""One scan of a string, or of one half of a bipolar one, as the balancer looks at it. Pure; arrays of shape (n,)."""

from dataclasses import dataclass
from math import isfinite
from typing import Final, Self

import numpy as np
from cellkeeper.contract.physical import ModuleStatus, Quality
from cellkeeper.contract.scan_columns import ScanColumns
from numpy.typing import NDArray

type Floats = NDArray[np.float64]
type Flags = NDArray[np.bool_]
type Codes = NDArray[np.uint8]

_CUT_OFF: Final = int(ModuleStatus.FUSE_OPEN | ModuleStatus.DISCONNECTED)


@dataclass(frozen=True, slots=True)
class PackView:
    """What one scan says.

    Attributes:
        at_s: event time of the sample, seconds since 1970 UTC.
        cell_v: volts as read, NaN where there is no reading or one that is not good.
        degc: the same of the temperature at the negative pole.
        bleed_frac: duty that the modules report, NaN where unknown.
        quality: codes of the voltage.
        is_cut_off: the module's fuse is open or it is disconnected.
        current_a: string current, None without a good reading of it.
        float_a: of a sensor that resolves float current, None without.
    """

    at_s: float
    cell_v: Floats
    degc: Floats
    bleed_frac: Floats
    quality: Codes
    is_cut_off: Flags
    current_a: float | None
    float_a: float | None = None

    @classmethod
    def of_scan(cls, scan: ScanColumns, span: slice = slice(None)) -> Self:
        """Return the view of the units in `span`; values that are not good are left out."""
        quality = scan.quality[span]
        return cls(
            at_s=scan.measured_ms / 1000.0,
            cell_v=_where_good(quality, scan.cell_v[span]),
            degc=_where_good(scan.degc_quality[span], scan.cell_degc[span]),
            bleed_frac=np.where(np.isfinite(scan.bleed_frac[span]), scan.bleed_frac[span], np.nan),
            quality=quality,
            is_cut_off=(scan.status[span] & _CUT_OFF) != 0,
            current_a=_good(scan, "current_a"),
            float_a=_good(scan, "float_a"),
        )

    @property
    def units(self) -> int:
        """Number of units."""
        return len(self.cell_v)


def _where_good(quality: Codes, values: Floats) -> Floats:
    return np.where((quality == Quality.GOOD) & np.isfinite(values), values, np.nan)


def _good(scan: ScanColumns, name: str) -> float | None:
    value = scan.scalars.get(name)
    if value is None or not isfinite(value) or scan.scalar_quality.get(name, Quality.GOOD) != Quality.GOOD:
        return None
    return value
