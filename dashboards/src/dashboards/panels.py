"""The words of a board: lines, heat and states over time, tiles, tables, links. Pure; `drawing.py` draws them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from cellkeeper.contract.series import CELL, Field, Measurement

from dashboards.palette import NEUTRAL, Steps
from dashboards.queries import Column, Over, Part, Question, column
from dashboards.shown import SHARE, in_thousandths
from dashboards.tier_rule import Scope

FULL_WIDTH: Final = 24
HALF: Final = 12
MAX_TILES: Final = 512  # units of one string


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One panel.

    Attributes:
        title, about: what is shown, and how to read it.
        questions: what is asked.
        width, height: in Grafana's grid, 24 columns.
        link: uid of the board that a click leads to; it takes the clicked row's tags along.
        link_tags: which tags.
    """

    title: str
    about: str
    questions: tuple[Question, ...]
    width: int = HALF
    height: int = 8
    link: str = ""
    link_tags: tuple[str, ...] = ()

    @property
    def points(self) -> int:
        """Return the most points of a line."""
        return min(question.scope.points for question in self.questions)

    @property
    def row_tags(self) -> tuple[str, ...]:
        """Return the tags that stand in a row that a person can click."""
        return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Trend(Panel):
    """Lines, points or bars over time; `name` is an alias pattern of Grafana's InfluxDB source."""

    name: str = "$col"
    style: Literal["line", "points", "bars"] = "line"
    legend: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class HeatMap(Panel):
    """A row for each line, in order of its number; `name` is an alias pattern that gives numbers."""

    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class States(Panel):
    """Stretches of time of one text each, a row for each column.

    Attributes:
        words: what a text is called and its colour; another is shown as it is.
    """

    words: dict[str, tuple[str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tiles(Panel):
    """One coloured tile per row.

    Attributes:
        value: column that is shown and coloured.
        label: column that names the tile.
        steps: colours by value.
        change: what is done to the rows first.
    """

    value: Column
    label: str
    steps: Steps = NEUTRAL
    change: "Change | None" = None

    @property
    def row_tags(self) -> tuple[str, ...]:
        """See `Panel.row_tags`."""
        return self.questions[0].by


@dataclass(frozen=True, slots=True, kw_only=True)
class Table(Panel):
    """Rows.

    Attributes:
        columns: names in order; others are left out.
        coloured: colours by value of some of them.
        change: what is done to the rows first.
        newest_first: whether rows are sorted by time.
    """

    columns: tuple[str, ...]
    coloured: dict[str, Steps] = field(default_factory=dict)
    change: "Change | None" = None
    newest_first: bool = False

    @property
    def row_tags(self) -> tuple[str, ...]:
        """See `Panel.row_tags`."""
        return tuple(tag for tag in self.questions[0].by if tag in self.columns)


@dataclass(frozen=True, slots=True)
class Change:
    """What Grafana does to the rows of a table before it is drawn, in this order.

    Attributes:
        join: tag by which the answers become one table.
        against: (value, reference) columns: adds `deviation_frac`, and `deviation` in thousandths of the unit.
        numbered: tag whose texts are numbers and order the rows.
        worst: keep the rows of the largest `worst_by`, highest first; 0 keeps all.
        worst_by: column; `deviation_frac` counts in both directions.
    """

    join: str = ""
    against: tuple[str, str] = ("", "")
    numbered: str = ""
    worst: int = 0
    worst_by: str = ""


DEVIATION_FRAC: Final = "deviation_frac"
DEVIATION: Final = "deviation"


def deviation_frac(of: Field) -> Column:
    """Return the column that `Change.against` adds, for the tiles."""
    return Column(DEVIATION_FRAC, (Part(of, "last"),), SHARE)


def deviation(of: Field) -> Column:
    """Return the other column that `Change.against` adds."""
    return Column(DEVIATION, (Part(of, "last"),), in_thousandths(of))


def extremes(of: Field) -> tuple[Column, ...]:
    """Return lowest, mean and highest of a field."""
    return column(of, "min", "lowest"), column(of, "mean", "mean"), column(of, "max", "highest")


def units_beside_mean(fields: Sequence[Field], over: Over = "newest", *, log: bool = False) -> tuple[Question, ...]:
    """Return the newest values of every unit of the string, and the mean of the first field over the string."""
    own = tuple(column(each, "last") for each in fields)
    mean = (column(fields[0], "mean", "mean"),)
    return (
        Question(CELL, own, over, Scope.STRING, by=("string", "cell"), same=("site", "string"), log=log),
        Question(CELL, mean, over, Scope.STRING, by=("string",), same=("site", "string"), log=log),
    )


def lines(measurement: Measurement, columns: tuple[Column, ...], scope: Scope, *same: str) -> tuple[Question, ...]:
    """Return columns over time, of what equals the board's variables."""
    return (Question(measurement, columns, "steps", scope, same=("site", *same)),)


@dataclass(frozen=True, slots=True)
class Board:
    """One board.

    Attributes:
        uid: part of its address; never changes.
        title, about: what it is for.
        variables: tags that a person chooses, in the order in which they depend on each other.
        panels: from left to right, top to bottom.
        since: range when it is opened, for example `now-6h`.
        refresh: how often it asks again.
    """

    uid: str
    title: str
    about: str
    variables: tuple[str, ...]
    panels: tuple[Panel, ...]
    since: str
    refresh: str = "30s"
