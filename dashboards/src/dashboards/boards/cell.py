"""One cell: voltage, temperature, impedance, bleeding, and the story of every life at its position."""

from typing import Final

from cellkeeper.contract.series import CELL, CELL_ESTIMATE, FULL, TIERS, Field

from dashboards.boards import log_book, uids
from dashboards.panels import Board, Panel, Table, Tiles, Trend, extremes
from dashboards.queries import Column, Question, band, column, readings, unusable

V, DEGC, BLEED, OHM = (CELL.field(name) for name in ("cell_v", "degc", "bleed_frac", "r_ohm"))
SOC, SOC_SD, SOH, SOH_SD, R_OWN = (
    CELL_ESTIMATE.field(name) for name in ("soc_frac", "soc_sd_frac", "soh_frac", "soh_sd_frac", "r_own_frac")
)
HERE: Final = ("site", "string", "cell")


def _over_time(title: str, about: str, *columns: Column) -> Panel:
    return Trend(title=title, about=about, questions=(Question(CELL, columns, "steps", same=HERE),))


def _estimated(title: str, about: str, *columns: Column) -> Panel:
    return Trend(title=title, about=about, questions=(Question(CELL_ESTIMATE, columns, "steps", same=HERE, log=True),))


def _newest(of: Field, title: str) -> Panel:
    asked = column(of, "last")
    tiers = TIERS if of.by_exception else (FULL, *TIERS)
    return Tiles(
        title=title, about="Newest usable value.", value=asked, label="cell", width=6, height=4,
        questions=(Question(CELL, (asked,), "newest", by=("cell",), same=HERE, tiers=tiers),),
    )  # fmt: skip


BOARD: Final = Board(
    uids.CELL,
    "Cell",
    "One cell of one string.",
    HERE,
    (
        _newest(V, "Voltage"),
        _newest(DEGC, "Temperature"),
        _newest(BLEED, "Bleed duty"),
        Tiles(
            title="Impedance", about="Newest in the range.", value=column(OHM, "last"), label="cell", width=6, height=4,
            questions=(Question(CELL, (column(OHM, "last"),), "range", by=("cell",), same=HERE, log=True),),
        ),
        _over_time("Voltage over time", "Lowest, mean and highest; usable readings only.", *extremes(V)),
        _over_time("Temperature over time", "At the negative pole.", *extremes(DEGC)),
        Trend(
            title="Impedance over time", about="Every sweep. Compare like with like: method, warmth, state of charge.",
            questions=(
                Question(CELL, (column(OHM, "raw"),), "rows", same=HERE, log=True),
            ), style="points",
        ),
        Trend(
            title="Temperature at the impedance measurement", about="Impedance falls with warmth.",
            questions=(
                Question(CELL, (column(CELL.field("r_degc"), "raw"),), "rows", same=HERE, log=True),
            ), style="points",
        ),
        _estimated("Charge", "Estimated, with the bounds in which 95 of 100 truths lie.", *band(SOC, SOC_SD)),
        _estimated("Health", "Capacity over the rated one, as discharges have proven it.", *band(SOH, SOH_SD)),
        _estimated("Impedance over its baseline", "1 is as new.", column(R_OWN, "last")),
        _over_time("Bleed duty over time", "Mean of each interval.", column(BLEED, "mean", "mean")),
        _over_time("Unusable readings", "Share that is missing or not believed.", unusable(V)),
        Trend(
            title="Not believed", about="Voltages of quality 2, 3 or 8, as read.", style="points",
            questions=(Question(CELL, (column(CELL.field("cell_v_suspect"), "max"),), "steps", same=HERE),),
        ),
        Table(
            title="Lives at this position",
            about="A replaced unit begins a new life. Whole days up to the end of the range.",
            questions=(
                Question(
                    CELL, (*extremes(V), column(DEGC, "max", "warmest"), readings(V)), "ever", by=("life",), same=HERE,
                    tiers=(TIERS[-1],),
                ),
            ),
            columns=("life", "lowest", "mean", "highest", "warmest", "readings"),
        ),
        log_book.entries("Story", "Events that name this cell.", *log_book.OF_CELL),
    ),
    since="now-3h",
)  # fmt: skip
