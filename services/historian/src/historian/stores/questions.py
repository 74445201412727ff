"""What every store makes of a question: which field, which tier, and the shape of the answer. Pure."""

from dataclasses import dataclass
from typing import Final

import pyarrow as pa
from cellkeeper.contract.series import CELL_TIERED, FULL, MINUTE_MS, SCALAR_FIELDS, TIERS, Field, TierName

from historian.buckets import Buckets
from historian.errors import QueryRefusedError
from historian.stores.port import CellQuestion, StringQuestion
from historian.stores.usable import STRING_CELL, TIERED

TIER_AT: Final = {tier.name: at for at, tier in enumerate(TIERS)}


@dataclass(frozen=True, slots=True)
class Span:
    """Which rows: positions `low`..`high` over `[start_ms, end_ms)`; position 0 stands for the string's own values.

    `field` restricts to one tiered field by its code.
    """

    low: int
    high: int
    start_ms: int
    end_ms: int
    field: int | None = None

    def over(self, start_ms: int, end_ms: int) -> "Span":
        """Return the same positions over another time."""
        return Span(self.low, self.high, start_ms, end_ms, self.field)


def field_code(name: str, cell: int) -> int:
    """Return the code of a tiered field.

    Raises:
        QueryRefusedError: there is none of that name for a cell, or for a string.
    """
    fields: tuple[Field, ...] = SCALAR_FIELDS if cell == STRING_CELL else CELL_TIERED
    for field in fields:
        if field.shown == name:
            return TIERED.index(field)
    raise QueryRefusedError(f"no field {name[:40]!r} here; ask for one of {', '.join(f.shown for f in fields)}")


def choose_tier(question: CellQuestion, kept_from_ms: int | None) -> TierName:
    """Return the coarsest tier that still has a row per point, or a tier that reaches back far enough."""
    if question.tier is not None:
        return question.tier
    length_ms = question.end_ms - question.start_ms
    for tier in reversed(TIERS):
        if length_ms >= tier.window_ms * question.points:
            return tier.name
    too_old = kept_from_ms is not None and question.start_ms < kept_from_ms
    return TIERS[0].name if too_old and length_ms >= MINUTE_MS else FULL.name


def series_table(rows: Buckets, field: Field) -> pa.Table:
    """Return one field of one position in plain units, as `Store.cell_series` promises."""
    scale = 10.0**field.decimals
    columns = {name: pa.array(values / scale, from_pandas=True) for name, values in
               (("min", rows.low), ("mean", rows.mean), ("max", rows.high), ("last", rows.last))}  # fmt: skip
    return pa.table(
        {"measured_at": pa.array(rows.at_ms, pa.timestamp("ms", "UTC"))}
        | columns
        | {"n_good": pa.array(rows.n_good), "n_bad": pa.array(rows.n_bad)}
    )


def too_many(question: StringQuestion) -> QueryRefusedError:
    """Return the refusal of an answer with more rows than asked for."""
    return QueryRefusedError(
        f"more than {question.max_rows} rows; ask for a shorter range, a coarser tier, or in several steps"
    )
