"""The query model: what a panel asks, in words of the storage table, and its InfluxQL. Pure.

Nobody writes the name of a stored field: a `Part` is a field of `cellkeeper.contract.series` and a statistic, and the
name, its scale and its tier follow.
"""

from dataclasses import dataclass
from typing import Final, Literal

from cellkeeper.contract.series import (
    FULL,
    LOG,
    MEAN_EXPONENT,
    MINUTE_MS,
    TIERS,
    Field,
    Measurement,
    Tier,
    tier_field,
)

from dashboards.errors import QuestionImpossibleError
from dashboards.shown import PLAIN, SHARE, Shown, in_thousandths, shown
from dashboards.tier_rule import Scope, guard

type Statistic = Literal["min", "mean", "max", "last", "n_good", "n_bad", "count", "raw"]
type Over = Literal["steps", "windows", "range", "newest", "rows", "ever"]
"""steps of `$__interval` · windows of the tier · one value over the range · one over the last minutes · rows as is
· one over all time up to the end of the range"""

NEWEST_FULL_S: Final = 90  # a scan comes every 10 s at the latest; a unit that was silent for longer is no news
NEWEST_TIER_S: Final = 180  # a window is stored when its minute is over, and upkeep has another to do so
_AGGREGATE: Final = {"min": "min", "mean": "mean", "max": "max", "last": "last", "n_good": "sum", "n_bad": "sum"}


@dataclass(frozen=True, slots=True)
class Part:
    """One statistic of one field."""

    field: Field
    statistic: Statistic

    def stored(self, source: str) -> str | None:
        """Return the stored name in a tier or in the log, None where it is not held."""
        if source not in {FULL.name, LOG}:
            return (
                tier_field(self.field, self.statistic) if self.field.tiered and self.statistic in _AGGREGATE else None
            )
        if self.statistic.startswith("n_"):
            return None
        if source == FULL.name and self.field.by_exception and self.field.tiered:
            return None  # rows without it mean its usual value: only a tier knows its mean
        return self.field.stored

    def text(self, source: str, factor: int) -> str:
        """Return the expression in the plain unit × `factor`."""
        name = self.stored(source)
        if self.statistic == "raw":
            expression = f'"{name}"'
        else:
            expression = f'{_AGGREGATE.get(self.statistic, self.statistic)}("{name}")'
        if self.statistic in {"n_good", "n_bad", "count"} or self.field.exponent is None:
            return expression
        finer = MEAN_EXPONENT if self.statistic == "mean" and source not in {FULL.name, LOG} else 0
        divisor = 10 ** (self.field.exponent + finer) / factor
        return f"{expression} / {divisor:.1f}"


@dataclass(frozen=True, slots=True)
class Column:
    """One column of an answer.

    Attributes:
        name: of the column; also what a line is called.
        parts: what it is made of.
        shown: unit, decimals and factor.
        form: how the parts are put together.
    """

    name: str
    parts: tuple[Part, ...]
    shown: Shown
    form: str = "{0}"

    def text(self, source: str) -> str:
        """Return `expression AS "name"`."""
        told = self.form.format(*(part.text(source, self.shown.factor) for part in self.parts))
        return f'{told} AS "{self.name}"'

    def in_source(self, source: str) -> bool:
        """Return whether a tier or the log holds all of it."""
        return all(part.stored(source) is not None for part in self.parts)


def column(field: Field, statistic: Statistic, name: str | None = None) -> Column:
    """Return one statistic of a field in its own unit; it is called after the field unless a name is given."""
    how = PLAIN if statistic == "count" else shown(field)
    return Column(name or field.shown, (Part(field, statistic),), how)


def small(field: Field, statistic: Statistic, name: str) -> Column:
    """Return one statistic of a field in thousandths of its unit."""
    return Column(name, (Part(field, statistic),), in_thousandths(field))


def above_mean(field: Field, statistic: Literal["min", "max"], name: str) -> Column:
    """Return how far an extreme is above the mean, in thousandths of the unit; below it is negative."""
    return Column(name, (Part(field, statistic), Part(field, "mean")), in_thousandths(field), "{0} - {1}")


def spread(field: Field, name: str = "spread") -> Column:
    """Return highest minus lowest, in thousandths of the unit."""
    return Column(name, (Part(field, "max"), Part(field, "min")), in_thousandths(field), "{0} - {1}")


def band(of: Field, sd: Field) -> tuple[Column, ...]:
    """Return an estimate, and the bounds in which 95 of 100 truths lie."""
    parts = (Part(of, "mean"), Part(sd, "mean"))
    return (
        Column("estimate", parts[:1], shown(of)),
        Column("lower", parts, shown(of), "{0} - 2.0 * {1}"),
        Column("upper", parts, shown(of), "{0} + 2.0 * {1}"),
    )


def coverage(field: Field, name: str = "coverage") -> Column:
    """Return usable readings / all readings."""
    return Column(name, (Part(field, "n_good"), Part(field, "n_bad")), SHARE, "{0} / ({0} + {1})")


def unusable(field: Field, name: str = "unusable") -> Column:
    """Return readings without a usable value / all readings."""
    return Column(name, (Part(field, "n_bad"), Part(field, "n_good")), SHARE, "{0} / ({0} + {1})")


def readings(field: Field, name: str = "readings") -> Column:
    """Return how many readings there were, usable or not."""
    return Column(name, (Part(field, "n_good"), Part(field, "n_bad")), PLAIN, "{0} + {1}")


@dataclass(frozen=True, slots=True)
class Question:
    """What a panel asks.

    Attributes:
        measurement: of the storage table.
        columns: what is asked of it.
        over: which stretch of time makes one value.
        scope: how many series it reads, which decides the tier.
        by: tags that make a line or a row each.
        same: tags that equal the board's variable of that name.
        where: further conditions, ready text.
        log: read the log bucket, where impedance and events are, instead of tiers.
        limit: most rows, newest first, of `over` rows.
        tiers: tiers to choose from; fewer where a coarser one must do.
    """

    measurement: Measurement
    columns: tuple[Column, ...]
    over: Over
    scope: Scope = Scope.ONE
    by: tuple[str, ...] = ()
    same: tuple[str, ...] = ("site",)
    where: tuple[str, ...] = ()
    log: bool = False
    limit: int = 0
    tiers: tuple[Tier, ...] = (FULL, *TIERS)

    def sources(self) -> tuple[Tier, ...]:
        """Return the tiers that the query may read, finest first.

        Raises:
            QuestionImpossibleError: none holds all of it.
        """
        held = tuple(tier for tier in self.tiers if all(column.in_source(tier.name) for column in self.columns))
        if not held or unknown_tags(self):
            raise QuestionImpossibleError(f"no tier holds {[c.name for c in self.columns]} by {self.by}, {self.same}")
        return held[:1] if self.over == "newest" else held


@dataclass(frozen=True, slots=True)
class Query:
    """InfluxQL with Grafana's variables, and the tier or log it reads."""

    source: str
    text: str


def queries(question: Question) -> tuple[Query, ...]:
    """Return the query of each tier that may answer; one only where the tier does not depend on the range.

    Raises:
        QuestionImpossibleError: the storage table has no such thing.
    """
    if question.log:
        return (_query(question, LOG, ()),)
    sources = question.sources()
    if len(sources) == 1:
        return (_query(question, sources[0].name, ()),)
    return tuple(
        _query(question, tier.name, (guard(question.scope, sources, tier),), tier.window_ms) for tier in sources
    )


def unknown_tags(question: Question) -> set[str]:
    """Return the tags that the measurement does not have."""
    return {*question.by, *question.same} - set(question.measurement.tags)


def _query(question: Question, source: str, guards: tuple[str, ...], window_ms: int = 0) -> Query:
    tags = question.by if question.over == "rows" else ()  # grouped rows would have a limit for each group
    columns = ", ".join((*(f'"{tag}"' for tag in tags), *(column.text(source) for column in question.columns)))
    same = tuple(f"\"{tag}\" = '${{{tag}}}'" for tag in question.same)
    where = " AND ".join((_when(question.over, source), *same, *question.where, *guards))
    groups = [f'"{tag}"' for tag in question.by if tag not in tags]
    match question.over:
        case "steps":
            groups.append("time($__interval)")
        case "windows":
            groups.append(f"time({max(window_ms, MINUTE_MS) // MINUTE_MS}m)")
    text = f'SELECT {columns} FROM "{source}"."{question.measurement.name}" WHERE {where}'
    if groups:
        text += f" GROUP BY {', '.join(groups)}"
    if question.over in {"steps", "windows"}:
        text += " fill(none)"
    if question.limit:
        text += f" ORDER BY time DESC LIMIT {question.limit}"
    return Query(source, text)


def _when(over: Over, source: str) -> str:
    if over == "ever":
        return "time <= ${__to}ms"
    if over != "newest":
        return "$timeFilter"
    back_s = NEWEST_FULL_S if source == FULL.name else NEWEST_TIER_S
    return f"time > ${{__to}}ms - {back_s}s AND time <= ${{__to}}ms"
