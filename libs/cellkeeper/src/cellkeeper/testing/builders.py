"""Good objects with one thing changed."""

from typing import Any

import numpy as np

from cellkeeper.contract.balance_state import BalanceState
from cellkeeper.contract.estimate_state import StringEstimate
from cellkeeper.contract.examples import telemetry_examples
from cellkeeper.contract.moment import from_ms
from cellkeeper.contract.scan_columns import ScanColumns
from cellkeeper.contract.telemetry import ImpedanceSweep, StringMode

START_MS = 1_795_237_200_000  # 2026-11-21T05:00:00Z


def scan_of(cells: int = 4, seq: int = 1, **changes: Any) -> ScanColumns:  # noqa: ANN401  # any attribute of a scan
    """Return a good scan of `cells` floating 2 V cells, one second after the one with the seq before."""
    number = np.arange(cells)
    values: dict[str, Any] = {
        "site": "hh1",
        "string": "s1",
        "stream": "b7f2",
        "seq": seq,
        "oldest_seq": 1,
        "measured_ms": START_MS + 1000 * seq,
        "clock": "synced",
        "cell_v": 2.25 + 0.0001 * (number % 7),
        "cell_degc": 22.0 + 0.01 * (number % 5),
        "bleed_frac": np.zeros(cells),
        "quality": np.zeros(cells, dtype=np.uint8),
        "degc_quality": np.zeros(cells, dtype=np.uint8),
        "status": np.full(cells, 2, dtype=np.uint8),
        "scalars": {"current_a": 0.05, "string_v": round(2.25 * cells, 2)},
        "scalar_quality": {"current_a": 0, "string_v": 0},
    }
    return ScanColumns(**(values | changes))


def sweep_of(cells: list[int], **changes: Any) -> ImpedanceSweep:  # noqa: ANN401  # any attribute of a sweep
    """Return an impedance sweep of good units."""
    values: dict[str, Any] = {
        "string": "s1",
        "measured_at": from_ms(START_MS),
        "method": "ac",
        "frequency_hz": 1000.0,
        "test_a": 1.0,
        "mode": "float",
        "cells": cells,
        "r_ohm": [0.0005] * len(cells),
        "cell_measured_at": [None] * len(cells),
        "degc": [22.0] * len(cells),
        "cell_v": [2.25] * len(cells),
        "quality": [0] * len(cells),
    }
    return ImpedanceSweep(**(values | changes))


def estimate_of(at_ms: int, **changes: Any) -> StringEstimate:  # noqa: ANN401  # any attribute of an estimate
    """Return an estimate of a string of three units, the last one unknown."""
    example = telemetry_examples()["estimate"]
    if not isinstance(example, StringEstimate):
        raise TypeError
    return example.model_copy(update={"measured_at": from_ms(at_ms), **changes})


def mode_of(at_ms: int, **changes: Any) -> StringMode:  # noqa: ANN401  # any attribute of a mode
    """Return a string at float for an hour."""
    return StringMode.model_validate(
        {"string": "s1", "mode": "float", "since": from_ms(at_ms - 3_600_000), "measured_at": from_ms(at_ms), "why": ""}
        | changes
    )


def balance_of(at_ms: int, **changes: Any) -> BalanceState:  # noqa: ANN401  # any attribute of a state
    """Return a state of balancing of a string of three units."""
    example = telemetry_examples()["balance"]
    if not isinstance(example, BalanceState):
        raise TypeError(example)
    return example.model_copy(update={"measured_at": from_ms(at_ms), **changes})
