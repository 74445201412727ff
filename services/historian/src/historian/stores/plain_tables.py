"""Blocks and buckets as tables for people and other services: shown names, plain units, null where there is nothing."""

from collections.abc import Sequence
from typing import Any, Final, cast

import numpy as np
import pyarrow as pa
from cellkeeper.contract.moment import to_ms
from cellkeeper.contract.series import CELL, SCALAR_FIELDS
from cellkeeper.contract.telemetry import ImpedanceSweep

from historian.buckets import Buckets
from historian.stores.block import ABSENT, CLOCKS, NOT_FITTED, NULL, Block, Counts
from historian.stores.port import FIRST_LIFE, LivedSweep
from historian.stores.usable import TIERED, is_usable

AT: Final = pa.timestamp("ms", "UTC")


def columns(*named: tuple[str, pa.DataType]) -> list["pa.Field[Any]"]:
    """Return the columns of a schema."""
    return [pa.field(name, kind) for name, kind in named]


_CELL_COLUMNS: Final = (
    ("cell_v", "v", "quality", True),
    ("cell_v_suspect", "v", "quality", False),
    ("degc", "degc", "degc_quality", True),
    ("degc_suspect", "degc", "degc_quality", False),
)
CELL_SCHEMA: Final = pa.schema(
    columns(
        ("measured_at", AT),
        ("cell", pa.int16()),
        ("life", pa.int16()),
        *((name, pa.float64()) for name, *_ in _CELL_COLUMNS),
        ("bleed_frac", pa.float64()),
        *((name, pa.uint8()) for name in ("quality", "degc_quality", "status")),
    )
)
SCALAR_SCHEMA: Final = pa.schema(
    columns(
        ("measured_at", AT),
        ("stream", pa.string()),
        ("seq", pa.int64()),
        ("clock", pa.string()),
        *((field.shown, pa.float64()) for field in SCALAR_FIELDS),
        *((f"{field.shown}_quality", pa.uint8()) for field in SCALAR_FIELDS),
    )
)
TIER_SCHEMA: Final = pa.schema(
    columns(
        ("measured_at", AT),
        ("cell", pa.int16()),
        ("life", pa.int16()),
        ("field", pa.string()),
        *((name, pa.float64()) for name in ("min", "mean", "max", "last")),
        ("n_good", pa.int64()),
        ("n_bad", pa.int64()),
    )
)


def cell_table(block: Block | None) -> pa.Table:
    """Return readings of units, by time, then position."""
    if block is None:
        return CELL_SCHEMA.empty_table()
    n, c = len(block), len(block.keys)
    there = (block.quality != ABSENT).ravel()
    cells, lives = (np.array([key[part] for key in block.keys], "i2") for part in (0, 1))
    columns = [np.repeat(block.at_ms, c)[there], np.tile(cells, n)[there], np.tile(lives, n)[there]]
    arrays = [pa.array(columns[0], AT), pa.array(columns[1]), pa.array(columns[2])]
    for name, stored_name, quality_name, usable in _CELL_COLUMNS:
        stored, quality = getattr(block, stored_name), getattr(block, quality_name)
        show = (stored != NULL[stored.dtype]) & (is_usable(quality) == usable)
        arrays.append(_floats(stored, show, CELL.field(name).decimals, there))
    arrays.append(
        _floats(block.bleed, block.bleed != NULL[block.bleed.dtype], CELL.field("bleed_frac").decimals, there)
    )
    arrays += [pa.array(getattr(block, name).ravel()[there]) for name in ("quality", "degc_quality", "status")]
    return pa.Table.from_arrays(arrays, schema=CELL_SCHEMA)


def _floats(stored: Counts, show: Any, decimals: int, there: Any) -> "pa.Array[Any]":  # noqa: ANN401 - numpy masks
    values = np.where(show, stored / 10.0**decimals, np.nan).ravel()[there]
    return cast("pa.Array[Any]", pa.array(values, from_pandas=True))


def scalar_table(block: Block | None) -> pa.Table:
    """Return the string's own values, by time."""
    if block is None:
        return SCALAR_SCHEMA.empty_table()
    arrays: list[pa.Array[Any]] = [
        pa.array(block.at_ms, AT),
        pa.array(block.stream, pa.string()),
        pa.array(block.seq),
        pa.array([CLOCKS[code] for code in block.clock.tolist()], pa.string()),
    ]
    everything = np.ones(len(block), bool)
    for at, field in enumerate(SCALAR_FIELDS):
        stored = block.scalars[:, at]
        arrays.append(_floats(stored, stored != NULL[np.dtype("i4")], field.decimals, everything))
    for at in range(len(SCALAR_FIELDS)):
        quality = block.scalar_quality[:, at]
        arrays.append(pa.array(quality, mask=quality == NOT_FITTED))
    return pa.Table.from_arrays(arrays, schema=SCALAR_SCHEMA)


def tier_table(rows: Buckets) -> pa.Table:
    """Return tier rows in plain units, in the order given; position 0 are values of the string."""
    scale = np.array([10.0**field.decimals for field in TIERED])[rows.field]
    names = pa.array([field.shown for field in TIERED])
    statistics = [pa.array(v / scale, from_pandas=True) for v in (rows.low, rows.mean, rows.high, rows.last)]
    return pa.Table.from_arrays(
        [
            pa.array(rows.at_ms, AT),
            pa.array(rows.cell.astype("i2")),
            pa.array(rows.life.astype("i2")),
            pa.DictionaryArray.from_arrays(pa.array(rows.field.astype("i1")), names).cast(pa.string()),
            *statistics,
            pa.array(rows.n_good),
            pa.array(rows.n_bad),
        ],
        schema=TIER_SCHEMA,
    )


def method_of(sweep: ImpedanceSweep) -> str:
    """Return method and frequency or pulse length, which values must share to be compared."""
    if sweep.frequency_hz is not None:
        return f"{sweep.method} {sweep.frequency_hz:g} Hz"
    return sweep.method if sweep.pulse_s is None else f"{sweep.method} {sweep.pulse_s:g} s"


def lives_text(lives: tuple[int, ...] | None) -> str | None:
    """Return lives as a store keeps them; None where all are the first."""
    return None if lives is None else ",".join(map(str, lives))


def lives_of(text: object) -> tuple[int, ...] | None:
    """Return lives that `lives_text` wrote."""
    return tuple(map(int, str(text).split(","))) if text else None


def lives_by_cell(lived: LivedSweep) -> tuple[int, ...]:
    """Return a life for each of the sweep's cells."""
    return lived.lives or (FIRST_LIFE,) * len(lived.sweep.cells)


def impedance_table(sweeps: Sequence[LivedSweep]) -> pa.Table:
    """Return impedances, one row per unit and sweep."""
    return pa.Table.from_pylist([row for lived in sweeps for row in _rows_of(lived)], schema=IMPEDANCE_SCHEMA)


def _rows_of(lived: LivedSweep) -> list[dict[str, object]]:
    sweep = lived.sweep
    columns = zip(
        sweep.cells, lives_by_cell(lived), sweep.r_ohm, sweep.cell_measured_at, sweep.degc, sweep.cell_v, sweep.quality,
        strict=True,
    )  # fmt: skip
    return [
        {
            "measured_at": to_ms(at or sweep.measured_at),
            "cell": cell,
            "life": life,
            "r_ohm": r_ohm,
            "r_degc": degc,
            "r_v": cell_v,
            "r_quality": quality,
            "r_method": sweep.method,
            "r_frequency_hz": sweep.frequency_hz,
            "r_pulse_s": sweep.pulse_s,
            "r_test_a": sweep.test_a,
            "r_mode": sweep.mode,
        }
        for cell, life, r_ohm, at, degc, cell_v, quality in columns
    ]


IMPEDANCE_SCHEMA: Final = pa.schema(
    columns(
        ("measured_at", AT),
        ("cell", pa.int16()),
        ("life", pa.int16()),
        *((name, pa.float64()) for name in ("r_ohm", "r_degc", "r_v")),
        ("r_quality", pa.uint8()),
        ("r_method", pa.string()),
        *((name, pa.float64()) for name in ("r_frequency_hz", "r_pulse_s", "r_test_a")),
        ("r_mode", pa.string()),
    )
)
