"""One scan of a string as a table for people."""

from collections.abc import Mapping
from typing import Final, Protocol

import numpy as np
from cellkeeper.contract.physical import Quality
from cellkeeper.contract.scan_columns import Codes, Floats
from rich.table import Table

_PER_ROW: Final = 4


class Sweep(Protocol):
    """What a live scan and a sweep of our own have in common."""

    @property
    def string(self) -> str:
        """Its id."""

    @property
    def cell_v(self) -> Floats:
        """Volts."""

    @property
    def cell_degc(self) -> Floats:
        """Degrees Celsius."""

    @property
    def quality(self) -> Codes:
        """Quality codes."""

    @property
    def scalars(self) -> Mapping[str, float | None]:
        """String values by name."""


def scan_table(sweep: Sweep) -> Table:
    """Return a table with four units in a row; what is not good says why."""
    volts = sweep.cell_v[sweep.quality == Quality.GOOD]
    spread = f"{(volts.max() - volts.min()) * 1000:.1f} mV spread" if volts.size else "no good reading"
    scalars = "  ".join(
        f"{name} {'silent' if value is None else f'{value:g}'}" for name, value in sweep.scalars.items()
    )
    table = Table(title=f"string {sweep.string}: {volts.size} of {len(sweep.cell_v)} good, {spread}", caption=scalars)
    for _ in range(_PER_ROW):
        for heading in ("cell", "V", "°C", ""):
            table.add_column(heading, justify="right")
    cells = [_fields(sweep, at) for at in range(len(sweep.cell_v))]
    for first in range(0, len(cells), _PER_ROW):
        row = [text for fields in cells[first : first + _PER_ROW] for text in fields]
        table.add_row(*row)
    return table


def _fields(sweep: Sweep, at: int) -> tuple[str, str, str, str]:
    code = Quality(int(sweep.quality[at]))
    why = "" if code is Quality.GOOD else code.name.lower().replace("_", " ")
    return (str(at + 1), _number(sweep.cell_v[at], 4), _number(sweep.cell_degc[at], 2), why)


def _number(value: float, decimals: int) -> str:
    return "-" if np.isnan(value) else f"{value:.{decimals}f}"
