"""Hypothesis strategies for what travels: every id, every scan, and what is hostile to topics."""

import re

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from cellkeeper.contract.physical import SUSPECT, WITHOUT_VALUE
from cellkeeper.contract.scan_columns import SCALARS, ScanColumns

MAX_MS = 4_102_444_800_000  # 2100-01-01T00:00:00Z


def ids() -> st.SearchStrategy[str]:
    """Return ids of sites, strings, services and buses."""
    return st.from_regex(r"[a-z0-9][a-z0-9_-]{0,31}", fullmatch=True)


def hostile_levels() -> st.SearchStrategy[str]:
    """Return texts that must never become a level of a topic."""
    short = (
        "",
        "+",
        "#",
        "a/b",
        "$SYS",
        "a+",
        "A",
        "é",
        "a b",
        "a\n",
        "\x00",
        "-a",
        "_a",
        "..",
        "ａ",
        "{site}",
        "a" * 33,
    )
    outside = st.text(max_size=40).filter(lambda text: re.search(r"[^A-Za-z0-9_-]", text) is not None)
    return st.sampled_from(short) | outside


def instants_ms() -> st.SearchStrategy[int]:
    """Return instants of this century, whole milliseconds since 1970 UTC."""
    return st.integers(0, MAX_MS)


def _column(draw: st.DrawFn, highest: float, decimals: int, unknown: NDArray[np.bool_]) -> NDArray[np.float64]:
    border = round(highest * 10**decimals)
    low = 0 if highest == 1.0 else -border
    counts = draw(st.lists(st.integers(low, border), min_size=len(unknown), max_size=len(unknown)))
    return np.where(unknown, np.nan, np.array(counts, dtype=np.float64) / 10**decimals)


@st.composite
def scans(draw: st.DrawFn, max_cells: int = 12) -> ScanColumns:
    """Return scans as a gateway publishes them: values at the wire's resolution, none where the code forbids one."""
    cells = draw(st.integers(1, max_cells))
    codes = st.lists(st.integers(0, 8), min_size=cells, max_size=cells)
    quality, degc_quality = (np.array(draw(codes), dtype=np.uint8) for _ in range(2))
    empty_v, empty_degc = (np.isin(column, list(WITHOUT_VALUE)) for column in (quality, degc_quality))
    milli = st.none() | st.integers(-60_000, 60_000).map(lambda count: count / 1000.0)
    fitted = draw(st.lists(st.sampled_from(SCALARS), unique=True))
    return ScanColumns(
        site=draw(ids()),
        string=draw(ids()),
        stream=draw(st.from_regex(r"[0-9a-f]{4,32}", fullmatch=True)),
        seq=draw(st.integers(0, 2**53 - 1)),
        oldest_seq=draw(st.integers(0, 2**53 - 1)),
        measured_ms=draw(instants_ms()),
        clock=draw(st.sampled_from(("synced", "holdover", "unsynced"))),
        cell_v=_column(draw, 40.0, 4, empty_v),
        cell_degc=_column(draw, 60.0, 2, empty_degc),
        bleed_frac=_column(draw, 1.0, 3, empty_v),
        quality=quality,
        degc_quality=degc_quality,
        status=np.array(draw(st.lists(st.integers(0, 63), min_size=cells, max_size=cells)), dtype=np.uint8),
        scalars={name: draw(milli) for name in fitted},
        scalar_quality={name: draw(st.integers(0, 8)) for name in fitted},
    )


def suspect_codes() -> st.SearchStrategy[int]:
    """Return quality codes whose values are published, and stored apart."""
    return st.sampled_from(sorted(SUSPECT)).map(int)
