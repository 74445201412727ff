"""How far every unit is from its string's middle, and which ones deserve a look. Pure, on numpy columns."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cellkeeper.contract.physical import ModuleStatus, Quality
from cellkeeper.contract.scan_columns import ScanColumns

NICE_MV: Final = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0, 2000.0, 5000.0)
SIGMAS_WORTH_A_LOOK: Final = 4.0  # of a robust sigma; with 4096 healthy units about one in four pictures shows one
LEAST_SIGMA_MV: Final = 0.3  # below three counts of a C44 module a deviation is its resolution, not the battery
WARM_BY_K: Final = 5.0  # above the string's median: a loose connector or a dry cell, whatever the room does

WORDS: Final = {
    Quality.NOT_RE_READ: "slow source, not re-read",
    Quality.IMPLAUSIBLE: "reading implausible",
    Quality.OUT_OF_RANGE: "outside the module's range",
    Quality.SILENT: "module silent",
    Quality.BUS_ERROR: "bus error",
    Quality.IN_TEST: "in test",
    Quality.UPDATING: "module updating",
    Quality.UNTRUSTED: "module not trusted",
}
SEVERITY: Final = (0.0, 20.0, 90.0, 80.0, 100.0, 95.0, 10.0, 15.0, 98.0)
"""By quality code: what a person should look at first."""


@dataclass(frozen=True, slots=True)
class Notable:
    """One unit that deserves a look, with the reason in words."""

    string: str
    cell: int
    weight: float
    volts: float | None
    degc: float | None
    why: str


def deviations_mv(scan: ScanColumns) -> NDArray[np.float64]:
    """Return (n,) millivolts above the median of the good units; NaN where a unit has no good value."""
    good = np.where(scan.quality == Quality.GOOD, scan.cell_v, np.nan)
    if not np.isfinite(good).any():
        return good
    middle: NDArray[np.float64] = (good - np.nanmedian(good)) * 1000.0
    return middle


def spread_mv(scan: ScanColumns) -> float | None:
    """Return highest minus lowest good unit in millivolts; None when no unit is good."""
    good = scan.cell_v[(scan.quality == Quality.GOOD) & np.isfinite(scan.cell_v)]
    return float(good.max() - good.min()) * 1000.0 if good.size else None


def robust_sigma_mv(deviation_mv: NDArray[np.float64]) -> float:
    """Return 1.4826 times the median absolute deviation: a sigma that one bad unit does not move."""
    known = np.abs(deviation_mv[np.isfinite(deviation_mv)])
    return max(LEAST_SIGMA_MV, float(np.median(known)) * 1.4826) if known.size else LEAST_SIGMA_MV


def scale_mv(deviation_mv: NDArray[np.float64]) -> float:
    """Return the full scale of a picture of these deviations: a round number that 95 % of the units stay within."""
    known = np.abs(deviation_mv[np.isfinite(deviation_mv)])
    wanted_mv = float(np.quantile(known, 0.95)) * 1.5 if known.size else 1.0
    return next((nice for nice in NICE_MV if nice >= wanted_mv), NICE_MV[-1])


def notable_units(scan: ScanColumns, since_ms: NDArray[np.int64], limit: int) -> list[Notable]:
    """Return at most `limit` units that deserve a look, the worst first.

    Args:
        scan: the newest scan of a string.
        since_ms: (n,) when each unit's quality code last changed, event time.
        limit: how many at most.
    """
    deviation_mv = deviations_mv(scan)
    sigma_mv = robust_sigma_mv(deviation_mv)
    sigmas = np.nan_to_num(np.abs(deviation_mv) / sigma_mv)
    middle_degc = np.nanmedian(scan.cell_degc) if np.isfinite(scan.cell_degc).any() else np.nan
    warmer_k = np.nan_to_num(scan.cell_degc - middle_degc)
    weight = np.array(SEVERITY)[scan.quality] * 10.0
    weight += np.where(scan.status & (ModuleStatus.FUSE_OPEN | ModuleStatus.DISCONNECTED), 900.0, 0.0)
    weight += np.where(sigmas > SIGMAS_WORTH_A_LOOK, np.minimum(sigmas, 99.0), 0.0)
    weight += np.where(warmer_k > WARM_BY_K, warmer_k, 0.0)
    worst = np.argsort(-weight, kind="stable")[:limit]
    found = []
    for index in worst[weight[worst] > 0.0].tolist():
        reasons = [
            *_quality_reason(scan, since_ms, index),
            *_status_reasons(int(scan.status[index])),
            *_level_reasons(float(deviation_mv[index]), float(sigmas[index]), float(warmer_k[index])),
        ]
        found.append(
            Notable(
                scan.string,
                index + 1,
                float(weight[index]),
                _or_none(scan.cell_v[index]),
                _or_none(scan.cell_degc[index]),
                ", ".join(reasons),
            )
        )
    return found


def _quality_reason(scan: ScanColumns, since_ms: NDArray[np.int64], index: int) -> list[str]:
    code = Quality(int(scan.quality[index]))
    if code is Quality.GOOD:
        return []
    for_s = (scan.measured_ms - int(since_ms[index])) / 1000.0 if index < len(since_ms) else 0.0
    return [f"{WORDS[code]} for {duration(for_s)}" if for_s >= 1.0 else WORDS[code]]


def _status_reasons(status: int) -> list[str]:
    words = {ModuleStatus.FUSE_OPEN: "fuse open", ModuleStatus.DISCONNECTED: "disconnected"}
    return [word for bit, word in words.items() if status & bit]


def _level_reasons(deviation_mv: float, sigmas: float, warmer_k: float) -> list[str]:
    reasons = []
    if sigmas > SIGMAS_WORTH_A_LOOK:
        side = "above" if deviation_mv > 0.0 else "below"
        reasons.append(f"{abs(deviation_mv):.1f} mV {side} the middle ({min(sigmas, 99.0):.0f} σ)")
    if warmer_k > WARM_BY_K:
        reasons.append(f"{warmer_k:.1f} K warmer than the middle")
    return reasons


def _or_none(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def duration(seconds: float) -> str:
    """Return a span as a person says it: 4.2 s, 3 min, 5.1 h, 2 d."""
    if seconds < 10.0:
        return f"{seconds:.1f} s"
    if seconds < 120.0:
        return f"{seconds:.0f} s"
    if seconds < 7200.0:
        return f"{seconds / 60.0:.0f} min"
    return f"{seconds / 3600.0:.1f} h" if seconds < 172_800.0 else f"{seconds / 86_400.0:.0f} d"
