"""Balancing: whether the cells of a string come together, what was done for it, and what a person should look at."""

from typing import Final

from cellkeeper.contract.series import BALANCE, CELL, TIERS

from dashboards import palette
from dashboards.boards import log_book, uids
from dashboards.panels import FULL_WIDTH, Board, Change, HeatMap, Panel, States, Table, Tiles, Trend
from dashboards.queries import Column, Question, above_mean, column, small
from dashboards.tier_rule import Scope

V, BLEED, DEGC = CELL.field("cell_v"), CELL.field("bleed_frac"), CELL.field("degc")
NOW, BEGAN, HELD_OUT = (BALANCE.field(name) for name in ("spread_v", "began_spread_v", "held_out_spread_v"))
HERE: Final = ("site", "string")
TO_CELL: Final = ("site", "string", "cell")
MEAN: Final = column(BLEED, "mean", "mean")
OF_BALANCING: Final = '"kind" =~ /^balance[.]/'


def _proof(title: str, about: str, asked: Column, steps: palette.Steps = palette.NEUTRAL) -> Panel:
    return Tiles(
        title=title, about=f"{about} Newest that the balancer could tell in the range.", value=asked, label="string",
        steps=steps, width=3, height=4,
        questions=(Question(BALANCE, (asked,), "range", by=("string",), same=HERE, log=True),),
    )  # fmt: skip


def _told(*asked: Column) -> tuple[Question, ...]:
    return (Question(BALANCE, asked, "steps", same=HERE, log=True),)


BOARD: Final = Board(
    uids.BALANCING,
    "Balancing",
    "Whether the cells of one string come together, what was done for it, and what a person should look at. "
    "`cellkeeper balance report` has the same as a paper.",
    HERE,
    (
        _proof("Spread now", "Highest minus lowest cell that counts.", small(NOW, "last", "spread")),
        _proof("Spread at begin", "When the run of balancing began.", small(BEGAN, "last", "began")),
        _proof("Halves in", "Of the phase in which it may be balanced.", column(BALANCE.field("half_life_s"), "last")),
        _proof("Even in", "Of the phase in which it may be balanced.", column(BALANCE.field("finish_s"), "last")),
        _proof("Charge moved", "Of all cells since the run began.", column(BALANCE.field("moved_ah"), "last")),
        _proof("Heat", "Of all modules since the run began.", column(BALANCE.field("heat_wh"), "last")),
        _proof("Bleeding", "Cells with a duty.", column(BALANCE.field("n_bleeding"), "last")),
        _proof(
            "To look at", "Cells with a finding.", column(BALANCE.field("n_findings"), "last"), palette.FINDINGS
        ),
        States(
            title="Phase, and why nothing is bled", width=FULL_WIDTH, height=5, words=palette.PHASES,
            about="The phase that the balancer sees, and what forbids bleeding in it.",
            questions=_told(column(BALANCE.field("phase"), "last"), column(BALANCE.field("inhibit"), "last")),
        ),
        Trend(
            title="Spread", about="Of the cells that are balanced, and of those that are never bled, for comparison.",
            questions=_told(small(NOW, "max", "spread"), small(HELD_OUT, "max", "never bled")),
        ),
        Trend(
            title="Highest and lowest against the mean", about="Both should come to zero.",
            questions=(
                Question(
                    CELL, (above_mean(V, "max", "highest"), above_mean(V, "min", "lowest")), "steps", Scope.STRING,
                    same=HERE, tiers=TIERS,
                ),
            ),
        ),
        Trend(
            title="Cells", about="Mean voltage of each cell: the lines come together.", name="$tag_cell", legend=False,
            questions=(
                Question(CELL, (column(V, "mean"),), "steps", Scope.STRING, by=("cell",), same=HERE, tiers=TIERS),
            ),
            height=10,
        ),
        HeatMap(
            title="Bleed duty", about="Mean duty of each cell, the first on top; bright bleeds. From the tiers: the "
            "full tier leaves out a duty of zero.", name="$tag_cell",
            questions=(Question(CELL, (MEAN,), "steps", Scope.STRING, by=("cell",), same=HERE),),
            height=10,
        ),
        Table(
            title="Most bled", about="Mean and highest duty, and the mean voltage beside it, over the range.",
            questions=(
                Question(
                    CELL, (MEAN, column(BLEED, "max", "highest"), column(V, "mean")), "range", Scope.STRING,
                    ("string", "cell"), HERE,
                ),
            ),
            columns=("cell", "mean", "highest", V.shown), coloured={"mean": palette.DUTY},
            change=Change(numbered="cell", worst=10, worst_by="mean"), link=uids.CELL, link_tags=TO_CELL,
        ),
        Trend(
            title="Warmest cell", about="Bleeding is heat.",
            questions=(
                Question(CELL, (column(DEGC, "max", "highest"),), "steps", Scope.STRING, same=HERE, tiers=TIERS),
            ),
        ),
        log_book.entries(
            "Findings, runs and wishes", "What the balancer wrote of this string into the log book, and what to do.",
            OF_BALANCING, *log_book.OF_STRING,
        ),
    ),
    since="now-24h",
)  # fmt: skip
