"""Which tier a panel reads at which time range. Pure.

A panel has one query per tier, and each query holds the condition under which its tier is the right one. Grafana puts
numbers and texts for its variables; InfluxDB folds the constant before it opens a file, so the queries of the other
tiers cost a round trip and answer nothing. The variable `tier` of every board overrules the rule.
"""

from dataclasses import dataclass
from enum import Enum
from typing import Final

from cellkeeper.contract.series import DAY_MS, FULL, TIERS, Tier

HOUR_MS: Final = 3_600_000
AUTO: Final = "auto"
ALL_TIERS: Final = (FULL, *TIERS)
CHOICES: Final = (AUTO, *(tier.name for tier in ALL_TIERS))


class Scope(Enum):
    """How many series a query reads, and the longest range of each tier but the last (0: never by itself).

    The limits bound the rows of one query to some hundred thousand, which a small server reads in a quarter second. So
    does `points`, the most points of a line: InfluxDB merges the steps of all series one by one, and that costs more
    than reading them. Nothing of scope SITE is asked over time: opening some thousand series is dear for every shard.
    """

    ONE = (3 * HOUR_MS, 3 * DAY_MS, 60 * DAY_MS)  # one unit, or the string's own values
    FEW = (HOUR_MS, 2 * DAY_MS, 30 * DAY_MS)  # the own values of all strings
    STRING = (0, 3 * HOUR_MS, 4 * DAY_MS)  # all units of a string, up to 512
    SITE = (0, HOUR_MS, 12 * HOUR_MS)  # all units of a site, some thousand

    @property
    def points(self) -> int:
        """Return the most points of a line; the interval follows, whatever the width of the screen."""
        return {Scope.ONE: 500, Scope.FEW: 240, Scope.STRING: 60, Scope.SITE: 24}[self]


@dataclass(frozen=True, slots=True)
class View:
    """What a person looks at: `[from_ms, to_ms)`, and the instant of looking."""

    from_ms: int
    to_ms: int
    now_ms: int


def chosen(scope: Scope, sources: tuple[Tier, ...], view: View) -> Tier:
    """Return the tier that answers when nobody overrules the rule.

    Args:
        scope: of the query.
        sources: tiers that hold what is asked, finest first.
        view: what is looked at.
    """
    for tier, limit_ms in _limits(scope, sources):
        kept = tier.keep_days == 0 or view.from_ms >= view.now_ms - tier.keep_days * DAY_MS
        if view.to_ms - view.from_ms <= limit_ms and kept:
            return tier
    return sources[-1]


def guard(scope: Scope, sources: tuple[Tier, ...], tier: Tier) -> str:
    """Return the condition of a tier's query, in InfluxQL with variables of Grafana; the same rule as `chosen`."""
    limits = dict(_limits(scope, sources))
    at = sources.index(tier)
    parts = []
    if at > 0:  # whatever suits a still finer tier suits the one before as well: limits and keeping grow
        parts.append(f"({_unsuited(sources[at - 1], limits[sources[at - 1]])})")
    if tier is not sources[-1]:
        parts.append(_suited(tier, limits[tier]))
    rule = " AND ".join(parts)
    by_rule = f"('${{tier}}' = '{AUTO}' AND {rule})" if rule else f"'${{tier}}' = '{AUTO}'"
    return f"({by_rule} OR '${{tier}}' = '{tier.name}')"


def _limits(scope: Scope, sources: tuple[Tier, ...]) -> list[tuple[Tier, int]]:
    return [(tier, scope.value[ALL_TIERS.index(tier)]) for tier in sources[:-1]]


def _suited(tier: Tier, limit_ms: int) -> str:
    short = f"${{__to}} - ${{__from}} <= {limit_ms}"
    return f"{short} AND {_oldest(tier)} <= '${{__from:date:iso}}'" if tier.keep_days else short


def _unsuited(tier: Tier, limit_ms: int) -> str:
    long = f"${{__to}} - ${{__from}} > {limit_ms}"
    return f"{long} OR {_oldest(tier)} > '${{__from:date:iso}}'" if tier.keep_days else long


def _oldest(tier: Tier) -> str:
    return f"now() - {tier.keep_days}d"
