"""Records of discharges of blocks whose capacity a test knows: an own small model, neither the twin's nor a profile's.

The voltage of a cell over the part x of its capacity that was drawn falls from 2.10 V and dives before the end:
V(x) = 2.11 - 0.15 x - 0.006 / (1.0402 - x) - R I; it is at 1.80 V when x is 1 and R is nought.
"""

import numpy as np
from analytics.discharge.record import DischargeRecord
from analytics.readings import Floats
from string_scans import NAN, NOW_S

END_V = 1.80
CELLS = 6.0


def cell_v(x: Floats) -> Floats:
    """Return the voltage of a cell of which the part x was drawn."""
    return 2.11 - 0.15 * x - 0.006 / np.maximum(1.0 + 0.006 / 0.16 - x, 0.003)


def record_of(
    capacity_ah: Floats,
    *,
    amps: float = 10.0,
    degc: float | Floats = 20.0,
    until_ah: float | None = None,
    own_ohm: Floats | float = 0.0,
    noise_v: float = 0.0,
    ended_by: str = "recharge",
    **changes: object,
) -> DischargeRecord:
    """Return the record of a discharge of units (n,) with so much to give at this rate and temperature.

    It ends when the mean unit is down to its end voltage, or after `until_ah`.
    """
    n = len(capacity_ah)
    if until_ah is None:
        drawn = np.linspace(0.0, 1.2 * float(capacity_ah.max()), 4000)
        mean_v = cell_v(drawn[:, None] / capacity_ah).mean(axis=1)
        until_ah = float(drawn[np.argmax(mean_v < END_V)]) * 1.0005
    seconds = until_ah / amps * 3600.0
    at_s = np.concatenate([np.arange(-10.0, 0.0), np.linspace(0.0, seconds, 1500), seconds + np.arange(1.0, 6.0)])
    is_on = (at_s >= 0.0) & (at_s <= seconds)
    x = np.clip(at_s, 0.0, seconds)[:, None] / 3600.0 * amps / capacity_ah
    rng = np.random.default_rng(1)
    v = np.where(is_on[:, None], cell_v(x) - amps * np.asarray(own_ohm), 2.26) * CELLS
    v = v + noise_v * rng.standard_normal(v.shape)
    values: dict[str, object] = {
        "string": "s1", "kind": "test", "began_s": NOW_S, "ended_s": NOW_S + seconds, "ended_by": ended_by,
        "at_s": NOW_S + at_s, "discharge_a": np.where(is_on, amps, 0.0).astype(np.float32),
        "string_v": np.full(len(at_s), NAN, np.float32), "ambient_degc": np.full(len(at_s), NAN, np.float32),
        "unit_v": v.astype(np.float32), "degc": np.broadcast_to(degc, v.shape).astype(np.float32),
        "moved_ah": until_ah, "soc_frac": np.stack([np.ones(n), np.full(n, NAN)]),
        "soc_sd_frac": np.stack([np.full(n, 0.01), np.full(n, NAN)]), "soh_frac": np.full(n, NAN),
        "soh_sd_frac": np.full(n, NAN), "said": (), "scans": 1500, "missing_s": 0.0, "notes": (),
    }  # fmt: skip
    return DischargeRecord(**(values | changes))  # type: ignore[arg-type]
