"""The site on one page: every string as a tile, how much of it is measured, how fast, and what happened."""

from typing import Final

from cellkeeper.contract.series import CELL, STRING, TIERS

from dashboards import palette
from dashboards.boards import log_book, uids
from dashboards.panels import Board, Panel, Tiles, Trend
from dashboards.queries import Column, Over, Question, column, coverage, readings, spread
from dashboards.tier_rule import Scope

V, DEGC = CELL.field("cell_v"), CELL.field("degc")
STRING_V, CURRENT = STRING.field("string_v"), STRING.field("current_a")
TO_STRING: Final = ("site", "string")


def _of_units(asked: Column, over: Over) -> Question:
    return Question(CELL, (asked,), over, Scope.SITE, by=("site", "string"), tiers=TIERS)


def _tiles(title: str, about: str, question: Question, steps: palette.Steps) -> Panel:
    (value,) = question.columns
    return Tiles(
        title=title, about=about, questions=(question,), value=value, label="string", steps=steps, height=6,
        link=uids.STRING, link_tags=TO_STRING,
    )  # fmt: skip


def _newest(asked: Column) -> Question:
    return Question(STRING, (asked,), "newest", by=("site", "string"))


BOARD: Final = Board(
    uids.OVERVIEW,
    "Site overview",
    "Every string of the site. Click a tile for its string, there a cell for its story.",
    ("site",),
    (
        _tiles("Voltage", "Newest measured voltage.", _newest(column(STRING_V, "last")), palette.NEUTRAL),
        _tiles("Current", "Newest current; positive charges.", _newest(column(CURRENT, "last")), palette.NEUTRAL),
        _tiles(
            "Usable readings", "Share of the last three minutes' voltages that are usable.",
            _of_units(coverage(V), "newest"), palette.COVERAGE,
        ),
        _tiles(
            "Spread of cells", "Highest minus lowest voltage of the last three minutes.",
            _of_units(spread(V), "newest"), palette.NEUTRAL,
        ),
        _tiles(
            "Warmest cell", "Highest temperature of the last three minutes.",
            _of_units(column(DEGC, "max", "warmest"), "newest"), palette.WARMTH,
        ),
        Trend(
            title="Readings per window", width=12, height=6, name="$tag_string", style="bars",
            about="Readings of the first cell in each window of the tier: 60 a minute at one scan a second.",
            questions=(
                Question(CELL, (readings(V),), "windows", by=("string",), where=("\"cell\" = '1'",), tiers=TIERS),
            ),
        ),
        Trend(
            title="String voltages", about="Mean of the measured voltage.", name="$tag_string",
            questions=(Question(STRING, (column(STRING_V, "mean"),), "steps", Scope.FEW, by=("string",)),),
        ),
        Trend(
            title="String currents", about="Mean current; positive charges.", name="$tag_string",
            questions=(Question(STRING, (column(CURRENT, "mean"),), "steps", Scope.FEW, by=("string",)),),
        ),
        log_book.entries("Log book", "What happened in the range, newest first.", width=12),
    ),
    since="now-3h",
)  # fmt: skip
