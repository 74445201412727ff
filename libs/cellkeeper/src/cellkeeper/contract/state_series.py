"""What services tell of a string, as measurements: balancing, mode, estimates. A part of the storage table."""

from typing import Final

from cellkeeper.contract.measurement import Field, Measurement
from cellkeeper.contract.physical import V_DECIMALS

BALANCE: Final = Measurement(
    "balance",
    ("site", "string"),
    (
        Field("phase", "", "text", about="unknown, idle, charge, final, float, discharge or test"),
        Field("inhibit", "", "text", about="why nothing is bled; empty while it may be"),
        Field("spread_v", "V", "int32", V_DECIMALS, about="highest minus lowest unit that counts"),
        Field("held_out_spread_v", "V", "int32", V_DECIMALS, about="the same of the units that are never bled"),
        Field("began_spread_v", "V", "int32", V_DECIMALS, about="spread when the run began; null outside of one"),
        Field("began_ms", "ms", "int64", about="when the run began, since 1970; null outside of one"),
        Field("half_life_s", "s", "int32", about="time in which the spread halves; null while it cannot be told"),
        Field("finish_s", "s", "int32", about="charging phase until it is even; null while it cannot be told"),
        Field("moved_ah", "Ah", "int32", 3, about="taken from all units since the run began"),
        Field("heat_wh", "Wh", "int32", 3, about="given off by all modules since the run began"),
        Field("n_bleeding", "", "int32", about="units with a duty"),
        Field("n_findings", "", "int32", about="units that a person should look at"),
        Field("body", "", "text", about="the whole payload; only where a run begins, is even, or a day ends"),
    ),
    "balancing of a string: what changes, and else one state a minute; same time and inhibit is one row",
    told_by="inhibit",
)

MODE: Final = Measurement(
    "mode",
    ("site", "string"),
    (
        Field("mode", "", "text", about="float, boost, recharge, discharge, rest, open, test or unknown"),
        Field("since_ms", "ms", "int64", about="since when, since 1970"),
        Field("why", "", "text", about="what it was told from"),
    ),
    "what a string does: every change, and else one row in five minutes; same time and mode is one row",
    told_by="mode",
)

_E: Final = 4  # decimals of a share: a hundredth of a percent

ESTIMATE: Final = Measurement(
    "estimate",
    ("site", "string"),
    (
        Field("soc_mean_frac", "", "int16", _E, about="state of charge, mean of the units that have one"),
        Field("soc_low_frac", "", "int16", _E, about="lowest state of charge"),
        Field("soc_low_sd_frac", "", "int16", _E, about="its standard deviation"),
        Field("soc_low_cell", "", "int16", about="its unit"),
        Field("n_soc", "", "int16", about="units with a state of charge"),
        Field("soh_low_frac", "", "int16", _E, about="lowest state of health"),
        Field("soh_low_cell", "", "int16", about="its unit"),
        Field("n_soh", "", "int16", about="units whose health a discharge has proven"),
        Field("r_high_frac", "", "int16", 3, about="highest impedance over its own baseline"),
        Field("r_high_cell", "", "int16", about="its unit"),
        Field("power_w", "W", "int32", 1, about="load that the runtime is told for"),
        Field("unit_left_s", "s", "int32", about="until the weakest unit is at its limit; null while not known"),
        Field("unit_left_sd_s", "s", "int32", about="its standard deviation"),
        Field("unit_left_cell", "", "int16", about="that unit"),
        Field("bus_left_s", "s", "int32", about="until the dc bus is at the UPS's cut-off; null while not known"),
        Field("bus_left_sd_s", "s", "int32", about="its standard deviation"),
        Field("doubts", "", "text", about="what makes the estimates worse, separated by commas; null where nothing"),
    ),
    "estimates of a string: its worst units and its runtime; what changes, and else one row a minute",
)
CELL_ESTIMATE: Final = Measurement(
    "cell_estimate",
    ("site", "string", "cell", "life"),
    (
        Field("soc_frac", "", "int16", _E, about="state of charge"),
        Field("soc_sd_frac", "", "int16", _E, about="its standard deviation"),
        Field("soc_source", "", "int16", about="0 unknown, 1 anchor, 2 coulomb, 3 ekf, 4 ocv, 5 float, 6 voltage"),
        Field("soh_frac", "", "int16", _E, about="capacity over the rated one, as discharges have proven it"),
        Field("soh_sd_frac", "", "int16", _E, about="its standard deviation"),
        Field("soh_source", "", "int16", about="0 not proven, 1 full discharge, 2 partial discharge, 3 fused"),
        Field("r_own_frac", "", "int16", 3, about="impedance over the unit's own baseline"),
        Field("r_state", "", "int16", about="0 unknown, 1 ok, 2 watch, 3 warning, 4 alarm"),
        Field("p_fail_6m_frac", "", "int16", _E, about="probability of less than 80 % capacity within 6 months"),
        Field("p_fail_12m_frac", "", "int16", _E, about="the same within 12 months"),
    ),
    "estimates of a unit: all units of a string when one of them moved, at most once a minute, and else once an hour",
)
