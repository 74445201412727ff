"""A string in one glance. Pure; `telemetry.StringSummary` describes the same payload."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import orjson
from cellkeeper.contract.moment import format_ms
from cellkeeper.contract.physical import DEGC_DECIMALS, V_DECIMALS, Quality
from cellkeeper.contract.scan_columns import Codes, Floats
from numpy.typing import NDArray

from bus_gateway.driver import StringReadings

_USABLE_CODES: Final = (Quality.GOOD, Quality.IN_TEST)
_USABLE: Final = np.isin(np.arange(16), _USABLE_CODES)


@dataclass(frozen=True, slots=True)
class Summary:
    """The part of a summary that a scan decides; `age_s` and `fresh` come when it is sent."""

    string: str
    measured_ms: int
    values: Mapping[str, Any]

    def encode(self, age_s: float, *, fresh: bool) -> bytes:
        """Return the payload."""
        head = {
            "v": 1,
            "string": self.string,
            "measured_at": format_ms(self.measured_ms),
            "fresh": fresh,
            "age_s": round(max(0.0, age_s), 3),
        }
        return orjson.dumps({**head, **self.values})


def usable(codes: Codes) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Return (n,) whether each value may enter sums and extremes: good, or measured during a test."""
    return _USABLE[codes]


def summarise(readings: StringReadings, measured_ms: int) -> Summary:
    """Return the summary of one scan."""
    codes = readings.quality
    cells = len(codes)
    counts = {"0": cells} if not codes.any() else _counts(codes)
    known, sums = _sums(readings.cell_v, codes)
    values: dict[str, Any] = {
        "cells": cells,
        "good": counts.get("0", 0),
        "coverage_frac": round(known / cells, 4),
        **sums,
        **_temperatures(readings.cell_degc, readings.degc_quality),
        "string_v": readings.scalars.get("string_v"),
        "current_a": readings.scalars.get("current_a"),
        "quality_counts": counts,
    }
    return Summary(readings.string, measured_ms, values)


def _counts(codes: Codes) -> dict[str, int]:
    return {str(code): int(count) for code, count in enumerate(np.bincount(codes)) if count}


def _sums(cell_v: Floats, codes: Codes) -> tuple[int, dict[str, Any]]:
    """Return how many cells are usable, and what their voltages say."""
    cells = len(codes)
    where, volts = _usable_values(cell_v, codes)
    known = len(volts)
    if known == 0:
        return 0, dict.fromkeys(("sum_v", "mean_v", "min_v", "min_v_cell", "max_v", "max_v_cell"))
    lowest, highest = int(volts.argmin()), int(volts.argmax())
    total_v = float(volts.sum())
    return known, {
        "sum_v": round(total_v, V_DECIMALS) if known == cells else None,
        "mean_v": round(total_v / known, V_DECIMALS),
        "min_v": round(float(volts[lowest]), V_DECIMALS),
        "min_v_cell": _cell_at(where, lowest),
        "max_v": round(float(volts[highest]), V_DECIMALS),
        "max_v_cell": _cell_at(where, highest),
    }


def _temperatures(cell_degc: Floats, codes: Codes) -> dict[str, Any]:
    where, degc = _usable_values(cell_degc, codes)
    if not len(degc):
        return {"mean_degc": None, "max_degc": None, "max_degc_cell": None}
    highest = int(degc.argmax())
    return {
        "mean_degc": round(float(degc.sum()) / len(degc), DEGC_DECIMALS),
        "max_degc": round(float(degc[highest]), DEGC_DECIMALS),
        "max_degc_cell": _cell_at(where, highest),
    }


def _usable_values(values: Floats, codes: Codes) -> tuple[NDArray[np.intp] | None, Floats]:
    """Return the values that may enter sums and extremes, and where they stand; None for everywhere."""
    if not codes.any() and not np.isnan(values).any():
        return None, values
    where = np.flatnonzero(usable(codes) & ~np.isnan(values))
    return where, values[where]


def _cell_at(where: NDArray[np.intp] | None, index: int) -> int:
    return 1 + (index if where is None else int(where[index]))
