"""A value that cannot be is never stored as a good one, and never as another value."""

import numpy as np
import pytest
from cellkeeper.testing.builders import scan_of
from historian.stores.block import NULL, block_of
from historian.stores.plain_tables import cell_table, scalar_table
from historian.stores.usable import cell_values

NOTHING = None


@pytest.mark.parametrize(
    ("read", "code", "suspect", "stored_code"),
    [
        (40.0, 0, NOTHING, 0),
        (-40.0, 6, NOTHING, 6),
        (41.0, 0, 41.0, 2),
        (-41.0, 6, -41.0, 2),
        (41.0, 1, 41.0, 2),
        (41.0, 8, 41.0, 8),
        (1e30, 0, NOTHING, 2),
        (-1e308, 0, NOTHING, 2),
        (np.inf, 0, NOTHING, 2),
        (1e30, 3, NOTHING, 3),
        (np.nan, 4, NOTHING, 4),
    ],
)
def test_a_voltage_beyond_the_borders_is_not_good(read: float, code: int, suspect: float | None, stored_code: int):
    block = block_of(scan_of(2, cell_v=np.array([read, 2.25]), quality=np.array([code, 0], np.uint8)))
    first, second = cell_table(block).to_pylist()
    assert first["cell_v"] == (read if abs(read) <= 40 else None)
    assert (first["cell_v_suspect"], first["quality"]) == (suspect, stored_code)
    assert (second["cell_v"], second["quality"]) == (2.25, 0)
    assert cell_values(block, "cell_v", slice(None))[1].tolist() == [[not abs(read) <= 40, False]]


@pytest.mark.parametrize(("read", "suspect"), [(201.0, 201.0), (-61.0, -61.0), (400.0, None), (-1e30, None)])
def test_a_temperature_beyond_the_borders_is_not_good(read: float, suspect: float | None):
    (row,) = cell_table(block_of(scan_of(1, cell_degc=np.array([read])))).to_pylist()
    assert (row["degc"], row["degc_suspect"], row["degc_quality"], row["quality"]) == (None, suspect, 2, 0)


@pytest.mark.parametrize("read", [1.5, -0.1, 1e30])
def test_a_bleed_beyond_the_borders_is_null_and_bad(read: float):
    block = block_of(scan_of(2, bleed_frac=np.array([read, 1.0])))
    assert block.bleed[0].tolist() == [NULL[np.dtype("i2")], 1000]
    assert block.quality[0].tolist() == [0, 0]
    assert cell_values(block, "bleed_frac", slice(None))[1].tolist() == [[True, False]]


@pytest.mark.parametrize(
    ("name", "read", "kept"),
    [
        ("current_a", -20_001.0, -20_001.0),
        ("current_a", 1e30, None),
        ("string_v", 2001.0, 2001.0),
        ("float_a", 2148.0, None),  # within the borders, and more than millionths in 32 bits can hold
        ("ripple_v_rms", 1e6, None),
        ("ambient_degc", 201.0, 201.0),
    ],
)
def test_values_of_the_string_beyond_the_borders_are_not_good(name: str, read: float, kept: float | None):
    (row,) = scalar_table(block_of(scan_of(scalars={name: read}, scalar_quality={name: 0}))).to_pylist()
    assert (row[name], row[f"{name}_quality"]) == (kept, 2)
