"""Where panels stand, and what Grafana does to rows before they are drawn. Pure, beside two models of the SDK."""

from collections.abc import Iterator
from dataclasses import dataclass

from dashboards.panels import DEVIATION, DEVIATION_FRAC, FULL_WIDTH, Change, Panel

MAGNITUDE = "magnitude"


@dataclass(frozen=True, slots=True)
class Place:
    """Position and size in Grafana's grid."""

    x: int
    y: int
    width: int
    height: int


def placed(panels: tuple[Panel, ...]) -> Iterator[tuple[Panel, Place]]:
    """Yield panels from left to right; one that does not fit into the row begins the next."""
    x = y = row_height = 0
    for panel in panels:
        if x + panel.width > FULL_WIDTH:
            x, y, row_height = 0, y + row_height, 0
        yield panel, Place(x, y, panel.width, panel.height)
        x += panel.width
        row_height = max(row_height, panel.height)


@dataclass(frozen=True, slots=True)
class Step:
    """One transformation: Grafana's name of it, and its options."""

    id_val: str
    options: dict[str, object]


def steps_of(change: Change | None, keep: tuple[str, ...] | None) -> list[Step]:
    """Return the transformations of a panel, in order.

    Args:
        change: what is to be done; None for nothing.
        keep: columns that stay, in order; None keeps all.
    """
    steps = [] if change is None else list(_changes(change))
    if keep is not None:
        steps.append(Step("filterFieldsByName", {"include": {"names": list(keep)}}))
        steps.append(Step("organize", {"indexByName": {name: at for at, name in enumerate(keep)}}))
    return steps


def _changes(change: Change) -> Iterator[Step]:
    if change.join:
        yield Step("joinByField", {"byField": change.join, "mode": "inner"})
    value, reference = change.against
    if value:
        difference = f"{value} - {reference}"
        yield _calculated(difference, value, "-", reference)
        yield _calculated(DEVIATION_FRAC, difference, "/", reference)
        yield _calculated(DEVIATION, difference, "*", "1000")
    if change.numbered:
        to_number = {"targetField": change.numbered, "destinationType": "number"}
        yield Step("convertFieldType", {"conversions": [to_number]})
        yield _sorted(change.numbered, descending=False)
    if change.worst:
        by = change.worst_by
        if by == DEVIATION_FRAC:
            absolute: dict[str, object] = {
                "mode": "unary",
                "alias": MAGNITUDE,
                "unary": {"operator": "abs", "fieldName": by},
            }
            yield Step("calculateField", absolute)
            by = MAGNITUDE
        yield _sorted(by, descending=True)
        yield Step("limit", {"limitField": change.worst})


def _calculated(name: str, left: str, operator: str, right: str) -> Step:
    binary = {"left": left, "operator": operator, "right": right}
    return Step("calculateField", {"mode": "binary", "alias": name, "binary": binary})


def _sorted(by: str, *, descending: bool) -> Step:
    return Step("sortBy", {"sort": [{"field": by, "desc": descending}]})
