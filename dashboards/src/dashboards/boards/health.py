"""Whether the system itself is well: are scans coming, are their clocks true, what do services say."""

from typing import Final

from cellkeeper.contract.series import CELL, EVENT, STRING, TIERS

from dashboards import palette
from dashboards.boards import log_book, uids
from dashboards.panels import Board, Change, Table, Tiles, Trend
from dashboards.queries import Question, column, coverage, readings
from dashboards.tier_rule import Scope

V = CELL.field("cell_v")
UNSYNCED: Final = column(STRING.field("clock"), "count", "scans")
QUALITY: Final = column(CELL.field("quality"), "last")
FIRST: Final = ("\"cell\" = '1'",)

BOARD: Final = Board(
    uids.HEALTH,
    "System health",
    "Whether readings arrive, and what services say of themselves. CPU, memory and disk are on /metrics of each.",
    ("site",),
    (
        Table(
            title="Newest scan of each string", about="Its time and number within its stream; a string that is missing "
            "here had no scan for 90 s.",
            questions=(
                Question(STRING, (column(STRING.field("seq"), "last"),), "newest", by=("site", "string")),
            ),
            columns=("Time", "string", "seq"), link=uids.STRING, link_tags=("site", "string"),
        ),
        Tiles(
            title="Usable readings", about="Share of the last three minutes' voltages.",
            value=coverage(V), label="string",
            questions=(
                Question(CELL, (coverage(V),), "newest", Scope.SITE, by=("site", "string"), tiers=TIERS),
            ),
            steps=palette.COVERAGE, link=uids.STRING, link_tags=("site", "string"),
        ),
        Trend(
            title="Readings per window", name="$tag_string", style="bars",
            about="Readings of the first cell in each window of the tier: 60 a minute at one scan a second.",
            questions=(Question(CELL, (readings(V),), "windows", by=("string",), where=FIRST, tiers=TIERS),),
        ),
        Tiles(
            title="Scans without a synchronised clock",
            about="Of the last 90 s, in holdover or unsynced; no tile is well.",
            questions=(
                Question(STRING, (UNSYNCED,), "newest", by=("site", "string"), where=("\"clock\" != 'synced'",)),
            ),
            value=UNSYNCED, label="string", steps=palette.Steps(palette.ORANGE),
            link=uids.STRING, link_tags=("site", "string"),
        ),
        Table(
            title="Cells that are not good",
            about="Newest code of each cell with a voltage that was not good in the last 90 s.",
            questions=(
                Question(CELL, (QUALITY,), "newest", Scope.SITE, by=("site", "string", "cell")),
            ),
            columns=("string", "cell", "quality"), change=Change(numbered="cell"),
            link=uids.CELL, link_tags=("site", "string", "cell"),
        ),
        Trend(
            title="Events", name="$tag_kind", style="bars", about="Events in each interval, by kind.",
            questions=(
                Question(EVENT, (column(EVENT.field("id"), "count", "events"),), "steps", by=("kind",), log=True),
            ),
        ),
        Table(
            title="Events by service", about="How many of which kind in the range.",
            questions=(
                Question(
                    EVENT, (column(EVENT.field("id"), "count", "events"),), "range", by=("service", "kind"), log=True,
                ),
            ),
            columns=("service", "kind", "events"),
        ),
        log_book.entries("Warnings and errors", "Newest first.", "\"severity\" != 'info'"),
    ),
    since="now-6h",
)  # fmt: skip
