"""The storage table: measurements, tags, fields, units and stored scale. Stores, exports and boards follow it.

A numeric field is kept as an integer count of 10**-`exponent` of its unit and its stored name ends in `_e{exponent}`:
`cell_v_e4` counts tenths of a millivolt. Integers of sensor noise shrink about seven times better than floats do.
"""

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from cellkeeper.contract.measurement import Field, Measurement
from cellkeeper.contract.physical import DEGC_DECIMALS, FRAC_DECIMALS, SUSPECT, V_DECIMALS, WITHOUT_VALUE, Quality
from cellkeeper.contract.state_series import BALANCE, CELL_ESTIMATE, ESTIMATE, MODE

__all__ = ["BALANCE", "CELL_ESTIMATE", "ESTIMATE", "MODE", "Field", "Measurement"]

type TierName = Literal["full", "1m", "15m", "1d"]

MINUTE_MS: Final = 60_000
DAY_MS: Final = 86_400_000


@dataclass(frozen=True, slots=True)
class Tier:
    """One resolution of history.

    Attributes:
        name: as queries and buckets call it.
        window_ms: length of a window, aligned to 1970 UTC; 0 for the full tier.
        keep_days: days of event time that are kept by default; 0 keeps for ever.
    """

    name: TierName
    window_ms: int
    keep_days: int


FULL: Final = Tier("full", 0, 92)
TIERS: Final = (Tier("1m", MINUTE_MS, 366), Tier("15m", 15 * MINUTE_MS, 3660), Tier("1d", DAY_MS, 0))
STATISTICS: Final = ("min", "mean", "max", "last", "n_good", "n_bad")
MEAN_EXPONENT: Final = 1  # a mean of many readings resolves finer than one: `mean_e1` counts tenths of the stored count

CELL: Final = Measurement(
    "cell",
    ("site", "string", "cell", "life"),
    (
        Field("cell_v", "V", "int32", V_DECIMALS, tiered=True, about="voltage of the unit; usable values only"),
        Field("cell_v_suspect", "V", "int32", V_DECIMALS, about="voltage as read with quality 2, 3 or 8"),
        Field("degc", "°C", "int32", DEGC_DECIMALS, tiered=True, about="temperature at the negative pole; usable only"),
        Field("degc_suspect", "°C", "int32", DEGC_DECIMALS, about="temperature as read with degc_quality 2, 3 or 8"),
        Field("bleed_frac", "", "int16", FRAC_DECIMALS, tiered=True, by_exception=True, about="bleed duty, 0 to 1"),
        Field("bleed_known", "", "uint8", about="InfluxDB only: 0 where a unit with a voltage has no known bleed duty"),
        Field("quality", "", "uint8", by_exception=True, about="quality code of the voltage"),
        Field("degc_quality", "", "uint8", by_exception=True, about="quality code of the temperature"),
        Field("status", "", "uint8", by_exception=True, about="module status bits"),
        Field("r_ohm", "Ω", "int32", 7, about="impedance; in rows of an impedance sweep, like the six below"),
        Field("r_degc", "°C", "int32", DEGC_DECIMALS, about="temperature at the impedance measurement"),
        Field("r_v", "V", "int32", V_DECIMALS, about="voltage at the impedance measurement"),
        Field("r_quality", "", "uint8", about="quality code of the impedance"),
        Field("r_method", "", "text", about="dc_pulse or ac, with frequency or pulse length"),
        Field("r_test_a", "A", "int32", 3, about="test current"),
        Field("r_mode", "", "text", about="what the string did at the time"),
    ),
    "one reading of one unit",
)
STRING: Final = Measurement(
    "string",
    ("site", "string"),
    (
        Field("stream", "", "text", about="which journal of the gateway numbered the scan"),
        Field("seq", "", "int64", about="number of the scan within its stream"),
        Field("offset_ms", "ms", "int16", about="InfluxDB only: measured this long after the time of the row"),
        Field("clock", "", "text", about="synced, holdover or unsynced"),
        Field("current_a", "A", "int32", 3, tiered=True, about="string current, positive charges"),
        Field("string_v", "V", "int32", 3, tiered=True, about="measured string voltage, never a sum"),
        Field("float_a", "A", "int32", 6, tiered=True, about="float current of a sensor that resolves it"),
        Field("ripple_a_rms", "A", "int32", 3, tiered=True, about="ripple current"),
        Field("ripple_v_rms", "V", "int32", 4, tiered=True, about="ripple voltage"),
        Field("ambient_degc", "°C", "int32", DEGC_DECIMALS, tiered=True, about="room temperature at the string"),
        Field("current_a_quality", "", "uint8", about="quality code; null where no sensor is fitted, like the next"),
        Field("string_v_quality", "", "uint8", about="quality code"),
        Field("float_a_quality", "", "uint8", about="quality code"),
        Field("ripple_a_rms_quality", "", "uint8", about="quality code"),
        Field("ripple_v_rms_quality", "", "uint8", about="quality code"),
        Field("ambient_degc_quality", "", "uint8", about="quality code"),
    ),
    "the values that belong to a whole string",
)
_LOG_FIELDS: Final = (
    Field("id", "", "text", about="id that the writer gave; same id twice is one row"),
    Field("severity", "", "text"),
    Field("text", "", "text"),
    Field("body", "", "text", about="the whole payload as it was published"),
)
ALARM: Final = Measurement("alarm", ("site", "string", "cell", "rule"), _LOG_FIELDS, "one change of one alarm")
EVENT: Final = Measurement("event", ("site", "service", "kind"), _LOG_FIELDS, "one entry of the log book")
CAMPAIGN: Final = Measurement("campaign", ("site", "campaign", "module"), _LOG_FIELDS, "one step of a campaign")

SWEEP: Final = Measurement(
    "sweep",
    ("site", "string"),
    (
        Field("method", "", "text", about="method with frequency or pulse length; same time and method is one row"),
        Field("body", "", "text", about="the whole payload as it was published"),
        Field("lives", "", "text", about="life of each of its cells, separated by commas; absent where all are 1"),
    ),
    "one impedance sweep of a string; its values are also rows of `cell`",
)

MEASUREMENTS: Final = (CELL, STRING, ALARM, EVENT, CAMPAIGN, SWEEP, BALANCE, MODE, ESTIMATE, CELL_ESTIMATE)
DATABASE: Final = "cellkeeper"  # InfluxDB's buckets are `cellkeeper/full`, one per tier, and `cellkeeper/log`
LOG: Final = "log"  # bucket of alarms, events, campaigns, impedances, balancing and estimates, which are kept for ever
SCALAR_FIELDS: Final = tuple(field for field in STRING.fields if field.tiered)
CELL_TIERED: Final = tuple(field for field in CELL.fields if field.tiered)

USABLE_CODES: Final = tuple(sorted(set(Quality) - SUSPECT - WITHOUT_VALUE))
SUSPECT_CODES: Final = tuple(sorted(SUSPECT))


def counts(field: Field, values: NDArray[np.float64], *, null: int) -> NDArray[np.int64]:
    """Return values in the plain unit as stored counts; NaN becomes `null`, what does not fit is held at the border."""
    border = np.iinfo(np.dtype(field.dtype)).max
    scaled = np.clip(np.rint(values * 10.0**field.decimals), -border, border)
    return np.where(np.isnan(scaled), null, scaled).astype(np.int64)


def plain(field: Field, stored: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return stored counts (NaN for null) in the plain unit."""
    return stored / 10.0**field.decimals


def tier_field(field: Field, statistic: str) -> str:
    """Return the name of a statistic of a tiered field in InfluxDB's tiers: `cell_v_e4_min`, `cell_v_e5_mean`."""
    if statistic.startswith("n_"):
        return f"{field.shown}_{statistic}"
    exponent = field.decimals + (MEAN_EXPONENT if statistic == "mean" else 0)
    return f"{field.shown}_e{exponent}_{statistic}"


def row_ns(at_ms: int, row_id: str) -> int:
    """Return the row time of a log row in nanoseconds since 1970 UTC.

    The nanoseconds inside the millisecond come from the id, so two events of one millisecond stay two rows.
    """
    spread = 0
    for byte in row_id.encode():
        spread = (spread * 257 + byte) % 999_983
    return at_ms * 1_000_000 + spread
