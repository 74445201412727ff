"""Units that follow a recorded measurement instead of the physics.

Zero-order hold, for each quantity by itself: what was measured last counts until it is measured again, but for no
longer than the stated hold. Beyond it there is no value: without a voltage the module keeps silent, its temperature
with it; without a temperature its sensor is open; without a current the sensor keeps silent. Nothing is interpolated.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from twin.errors import TwinFileError
from twin.physics.tables import Floats

type RowNumbers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Trace:
    """A recording of `k` consecutive units.

    Args:
        time_s: rising, shape (R,), seconds since the room's start; negative is before it.
        v: volts, shape (R, k). A row of NaN alone holds no voltages; NaN beside numbers is a unit that has none.
        degc: pole temperatures, shape (R, k), NaN as in `v`, or None.
        string_a: amperes of the whole string, shape (R,), positive charges, NaN where not measured, or None.
        hold_s: for how long a voltage or a current counts.
        degc_hold_s: for how long a temperature counts; as `hold_s` when it is None.

    Raises:
        TwinFileError: shapes do not fit, time does not rise, or a hold is not above zero.
    """

    time_s: Floats
    v: Floats
    degc: Floats | None
    string_a: Floats | None
    hold_s: float
    degc_hold_s: float | None = None
    _newest_v: RowNumbers = field(init=False, repr=False, compare=False)
    _newest_degc: RowNumbers | None = field(init=False, repr=False, compare=False)
    _newest_a: RowNumbers | None = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        rows = len(self.time_s)
        if rows == 0 or not np.all(np.diff(self.time_s) > 0.0):
            raise TwinFileError("trace: time has to rise from row to row; sort it and drop repeated rows")
        if self.v.ndim != 2 or len(self.v) != rows or (self.degc is not None and self.degc.shape != self.v.shape):
            raise TwinFileError(f"trace: v and degc need the shape ({rows}, units)")
        if self.string_a is not None and self.string_a.shape != (rows,):
            raise TwinFileError(f"trace: string_a needs the shape ({rows},)")
        if not (self.hold_s > 0.0 and (self.degc_hold_s is None or self.degc_hold_s > 0.0)):
            raise TwinFileError("trace: hold_s and degc_hold_s are seconds above zero")
        a = None if self.string_a is None else self.string_a[:, np.newaxis]
        object.__setattr__(self, "_newest_v", _newest(self.v))
        object.__setattr__(self, "_newest_degc", None if self.degc is None else _newest(self.degc))
        object.__setattr__(self, "_newest_a", None if a is None else _newest(a))

    @property
    def units(self) -> int:
        """How many units the recording holds."""
        return int(self.v.shape[1])

    def at(self, now_s: float) -> "TraceSample":
        """Return what counts at `now_s`; NaN for a quantity before its first row and when its newest is too old."""
        row = int(np.searchsorted(self.time_s, now_s, side="right")) - 1
        degc_hold_s = self.hold_s if self.degc_hold_s is None else self.degc_hold_s
        v = self._held(row, self._newest_v, now_s - self.hold_s)
        degc = self._held(row, self._newest_degc, now_s - degc_hold_s)
        a = self._held(row, self._newest_a, now_s - self.hold_s)
        nothing = np.full(self.units, np.nan)
        return TraceSample(
            v=nothing if v is None else self.v[v].copy(),
            degc=nothing.copy() if degc is None or self.degc is None else self.degc[degc].copy(),
            string_a=float("nan") if a is None or self.string_a is None else float(self.string_a[a]),
        )

    def _held(self, row: int, newest: RowNumbers | None, oldest_s: float) -> int | None:
        """Return the row that counts: the newest up to `row` with a value, unless it is older than `oldest_s`."""
        if row < 0 or newest is None:
            return None
        found = int(newest[row])
        return found if found >= 0 and self.time_s[found] >= oldest_s else None


@dataclass(frozen=True, slots=True)
class TraceSample:
    """What a recording says at one moment; NaN where it says nothing. Shapes (k,)."""

    v: Floats
    degc: Floats
    string_a: float


@dataclass(frozen=True, slots=True)
class TracedUnits:
    """Which units follow a trace: `trace.units` of them from the 1-based `first_cell` of `string`."""

    string: str
    first_cell: int
    trace: Trace


def _newest(values: Floats) -> RowNumbers:
    """Return for each row of `values` (R, k) the newest row up to it that holds a number, -1 when there is none."""
    rows = np.arange(len(values), dtype=np.int64)
    return np.maximum.accumulate(np.where(np.isfinite(values).any(axis=1), rows, np.int64(-1)))
