"""Estimates: what a string does, how full and healthy its cells are, how long it would last, and with what doubt."""

from typing import Final

from cellkeeper.contract.series import CELL, CELL_ESTIMATE, ESTIMATE, MODE, STRING, TIERS, Measurement

from dashboards import palette
from dashboards.boards import log_book, uids
from dashboards.panels import FULL_WIDTH, Board, Change, HeatMap, Panel, States, Table, Tiles, Trend
from dashboards.queries import Column, Part, Question, band, column
from dashboards.shown import shown
from dashboards.tier_rule import Scope

HERE: Final = ("site", "string")
TO_CELL: Final = ("site", "string", "cell")
SOC, SOC_SD, SOH, SOH_SD, R_OWN, P_FAIL = (
    CELL_ESTIMATE.field(name)
    for name in ("soc_frac", "soc_sd_frac", "soh_frac", "soh_sd_frac", "r_own_frac", "p_fail_12m_frac")
)
LOW, LOW_SD, MEAN = (ESTIMATE.field(name) for name in ("soc_low_frac", "soc_low_sd_frac", "soc_mean_frac"))
OF_ESTIMATES: Final = '"kind" =~ /^(discharge|estimate|impedance)[.]/'


def _tile(name: str, title: str, about: str) -> Panel:
    asked = column(ESTIMATE.field(name), "last")
    return Tiles(
        title=title, about=f"{about} Newest in the range.", value=asked, label="string", width=3, height=4,
        questions=(Question(ESTIMATE, (asked,), "range", by=("string",), same=HERE, log=True),),
    )  # fmt: skip


def _told(measurement: Measurement, *asked: Column) -> tuple[Question, ...]:
    return (Question(measurement, asked, "steps", same=HERE, log=True),)


def _of_cells(title: str, about: str, *asked: Column) -> Panel:
    return Trend(
        title=title, about=about, name="$tag_cell", legend=False,
        questions=(Question(CELL_ESTIMATE, asked, "steps", Scope.STRING, by=("cell",), same=HERE, log=True),),
    )  # fmt: skip


MISSING: Final = Column("missing", (Part(SOC, "last"),), shown(SOC), "1.0 - {0}")

BOARD: Final = Board(
    uids.ESTIMATES,
    "Estimates",
    "How full and how healthy the cells of one string are, how long it would last, and how sure that is. Nothing here "
    "is measured: every value has its doubt beside it, and an empty panel means not known. Charge curves, impedance "
    "limits and odds of failing are typical ones that were never held against real batteries.",
    HERE,
    (
        _tile("soc_mean_frac", "Charge", "Mean of the cells that have one."),
        _tile("soc_low_frac", "Lowest charge", "Of the emptiest cell."),
        _tile("soc_low_cell", "Emptiest cell", "Its number."),
        _tile("unit_left_s", "Weakest cell lasts", "At the load beside, until it is at its limit."),
        _tile("bus_left_s", "Bus lasts", "At the load beside, until the UPS cuts off."),
        _tile("power_w", "Load", "That the runtime is told for."),
        _tile("soh_low_frac", "Lowest health", "As discharges have proven it."),
        _tile("r_high_frac", "Highest impedance", "Over the cell's own baseline; 1 is as new."),
        States(
            title="Mode", about="What the string does, as voltages and current show it together.", width=FULL_WIDTH,
            height=4, words=palette.MODES, questions=_told(MODE, column(MODE.field("mode"), "last")),
        ),
        Trend(
            title="Charge of the emptiest cell", about="With the bounds in which 95 of 100 truths lie, and the mean.",
            questions=_told(ESTIMATE, *band(LOW, LOW_SD), column(MEAN, "mean", "mean")),
        ),
        Trend(
            title="Predicted runtime",
            about="In a discharge it falls by one second each second where the prediction is right.",
            questions=_told(
                ESTIMATE, column(ESTIMATE.field("unit_left_s"), "mean", "weakest cell"),
                column(ESTIMATE.field("bus_left_s"), "mean", "bus"),
            ),
        ),
        Trend(
            title="Cells", about="Mean voltage of each cell: in a discharge the weak one leaves the others.",
            name="$tag_cell", legend=False, height=10,
            questions=(
                Question(CELL, (column(CELL.field("cell_v"), "mean"),), "steps", Scope.STRING, by=("cell",), same=HERE,
                         tiers=TIERS),
            ),
        ),
        HeatMap(
            title="Charge of each cell", about="The first on top; bright is full.", name="$tag_cell", height=10,
            questions=(
                Question(CELL_ESTIMATE, (column(SOC, "last"),), "steps", Scope.STRING, by=("cell",), same=HERE,
                         log=True),
            ),
        ),
        Trend(
            title="Current", about="Negative discharges.",
            questions=(
                Question(STRING, (column(STRING.field("current_a"), "mean"),), "steps", same=HERE, tiers=TIERS),
            ),
        ),
        Table(
            title="Emptiest cells", about="Newest estimates in the range; what is not proven is empty.",
            questions=(
                Question(
                    CELL_ESTIMATE,
                    (MISSING, *(column(each, "last") for each in (SOC, SOC_SD, SOH, SOH_SD, R_OWN, P_FAIL))), "range",
                    Scope.STRING, ("string", "cell"), HERE, log=True,
                ),
            ),
            columns=("cell", *(each.shown for each in (SOC, SOC_SD, SOH, SOH_SD, R_OWN, P_FAIL))),
            change=Change(numbered="cell", worst=10, worst_by="missing"), link=uids.CELL, link_tags=TO_CELL,
        ),
        _of_cells("Health of each cell", "Capacity over the rated one.", column(SOH, "last")),
        _of_cells("Impedance of each cell", "Over its own baseline; only like is compared with like.",
                  column(R_OWN, "last")),
        log_book.entries(
            "Discharges, dossiers and doubts", "What the analytics wrote of this string into the log book.",
            OF_ESTIMATES, *log_book.OF_STRING,
        ),
    ),
    since="now-24h",
)  # fmt: skip
