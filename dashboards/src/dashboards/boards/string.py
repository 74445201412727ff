"""One string: every cell at a glance, who deviates, and how it went."""

from typing import Final

from cellkeeper.contract.series import CELL, STRING, TIERS, Field

from dashboards import palette
from dashboards.boards import log_book, uids
from dashboards.panels import (
    DEVIATION,
    DEVIATION_FRAC,
    FULL_WIDTH,
    Board,
    Change,
    Panel,
    Table,
    Tiles,
    Trend,
    deviation_frac,
    extremes,
    lines,
    units_beside_mean,
)
from dashboards.queries import Question, column, unusable
from dashboards.tier_rule import Scope

V, DEGC, OHM = CELL.field("cell_v"), CELL.field("degc"), CELL.field("r_ohm")
TO_CELL: Final = ("site", "string", "cell")
HERE: Final = ("site", "string")


def _beside_mean(of: Field) -> Change:
    return Change(join="string", against=(of.shown, "mean"), numbered="cell")


def _map(title: str, about: str, of: Field, steps: palette.Steps, *, log: bool) -> Panel:
    return Tiles(
        title=title, about=about, questions=units_beside_mean((of,), "range" if log else "newest", log=log),
        value=deviation_frac(of), label="cell", steps=steps, change=_beside_mean(of),
        width=FULL_WIDTH, height=10, link=uids.CELL, link_tags=TO_CELL,
    )  # fmt: skip


def _own(shown: str, title: str) -> Panel:
    asked = column(STRING.field(shown), "last")
    return Tiles(
        title=title, about="Newest value of the string's own sensor.", value=asked, label="string", width=6, height=4,
        questions=(Question(STRING, (asked,), "newest", by=("string",), same=HERE),),
    )  # fmt: skip


BOARD: Final = Board(
    uids.STRING,
    "String",
    "One string. Click a cell for its story.",
    HERE,
    (
        _own("string_v", "Voltage"),
        _own("current_a", "Current"),
        _own("ambient_degc", "Room"),
        _own("ripple_a_rms", "Ripple"),
        _map(
            "Cells: deviation from the string's mean voltage",
            "Newest voltage of each cell against the mean of the string; blue is low, vermilion high. A cell without a "
            "usable reading for 90 s has no tile.",
            V, palette.DEVIATION, log=False,
        ),
        Table(
            title="Worst ten", about="Cells that deviate most from the mean, in either direction.",
            questions=units_beside_mean((V, DEGC)),
            columns=("cell", V.shown, DEVIATION, DEVIATION_FRAC, DEGC.shown),
            coloured={DEVIATION_FRAC: palette.DEVIATION},
            change=Change("string", (V.shown, "mean"), "cell", 10, DEVIATION_FRAC),
            link=uids.CELL, link_tags=TO_CELL, height=10,
        ),
        Tiles(
            title="Temperatures", about="Newest temperature of each cell.", label="cell", height=10,
            questions=(
                Question(CELL, (column(DEGC, "last"),), "newest", Scope.STRING, ("string", "cell"), HERE),
            ),
            value=column(DEGC, "last"), steps=palette.WARMTH, change=Change(numbered="cell"),
            link=uids.CELL, link_tags=TO_CELL,
        ),
        Trend(
            title="Cell voltages", about="Lowest, mean and highest of all cells.",
            questions=(Question(CELL, extremes(V), "steps", Scope.STRING, same=HERE, tiers=TIERS),),
        ),
        Trend(
            title="Cell temperatures", about="Lowest, mean and highest of all cells.",
            questions=(Question(CELL, extremes(DEGC), "steps", Scope.STRING, same=HERE, tiers=TIERS),),
        ),
        Trend(
            title="String voltage", about="Measured, never a sum.",
            questions=lines(STRING, extremes(STRING.field("string_v")), Scope.ONE, "string"),
        ),
        Trend(
            title="String current", about="Positive charges.",
            questions=lines(STRING, extremes(STRING.field("current_a")), Scope.ONE, "string"),
        ),
        Trend(
            title="Unusable readings", about="Share of voltages that are missing or not believed.",
            questions=(Question(CELL, (unusable(V),), "steps", Scope.STRING, same=HERE, tiers=TIERS),),
        ),
        Table(
            title="Not believed", about="Voltages of quality 2, 3 or 8 in the range, by cell.",
            questions=(
                Question(
                    CELL, (column(CELL.field("cell_v_suspect"), "count", "readings"),), "range", Scope.STRING,
                    by=("string", "cell"), same=HERE,
                ),
            ),
            columns=("cell", "readings"), change=Change(numbered="cell", worst=20, worst_by="readings"),
            link=uids.CELL, link_tags=TO_CELL,
        ),
        _map(
            "Impedance: deviation from the string's mean",
            "Newest impedance of each cell in the range against the mean of all sweeps in the range. Choose a range "
            "that holds a sweep.",
            OHM, palette.IMPEDANCE, log=True,
        ),
        log_book.entries("Log book of this string", "Events that name this string.", *log_book.OF_STRING),
    ),
    since="now-3h",
)  # fmt: skip
