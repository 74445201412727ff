"""Tables that a store answers, as what a store takes: scans and tier rows. Pure, the inverse of `plain_tables`."""

import numpy as np
import pyarrow as pa
from cellkeeper.contract.scan_columns import ScanColumns
from cellkeeper.contract.series import SCALAR_FIELDS
from numpy.typing import NDArray

from historian.buckets import Buckets
from historian.stores.port import LivedScan
from historian.stores.usable import TIERED

type Floats = NDArray[np.float64]


def scans_of(strings: pa.Table, cells: pa.Table, site: str, string: str) -> list[LivedScan]:
    """Return the scans of one stretch of time.

    Args:
        strings: measurement `string`, full tier, in order of time.
        cells: measurement `cell` of the same stretch: the rows of each scan together, by position.
        site: id of the site.
        string: id of the string.

    Raises:
        ValueError: the tables do not belong together.
    """
    at, cell = _ints(cells, "measured_at"), _ints(cells, "cell")
    starts = np.flatnonzero(np.r_[True, (at[1:] != at[:-1]) | (cell[1:] <= cell[:-1])]) if len(at) else at
    if len(starts) != strings.num_rows:
        raise ValueError(f"{strings.num_rows} scans of {string} and units of {len(starts)}")
    ends = np.r_[starts[1:], len(at)]
    v, degc = _either(cells, "cell_v", "cell_v_suspect"), _either(cells, "degc", "degc_suspect")
    bleed = _floats(cells, "bleed_frac")
    quality, degc_quality, status = (_ints(cells, n).astype(np.uint8) for n in ("quality", "degc_quality", "status"))
    lives = _ints(cells, "life")
    found = []
    for row, first, end in zip(strings.to_pylist(), starts.tolist(), ends.tolist(), strict=True):
        fitted = [f.shown for f in SCALAR_FIELDS if row[f"{f.shown}_quality"] is not None]
        scan = ScanColumns(
            site=site,
            string=string,
            stream=row["stream"],
            seq=row["seq"],
            oldest_seq=row["seq"],
            measured_ms=round(row["measured_at"].timestamp() * 1000),
            clock=row["clock"],
            scalars={name: row[name] for name in fitted},
            scalar_quality={name: row[f"{name}_quality"] for name in fitted},
            cell_v=v[first:end],
            cell_degc=degc[first:end],
            bleed_frac=bleed[first:end],
            quality=quality[first:end],
            degc_quality=degc_quality[first:end],
            status=status[first:end],
        )
        lived = tuple(lives[first:end].tolist())
        found.append(LivedScan(scan, None if set(lived) <= {1} else lived))
    return found


def buckets_of(rows: pa.Table) -> Buckets:
    """Return tier rows as stored counts."""
    codes = {field.shown: code for code, field in enumerate(TIERED)}
    field = np.array([codes[str(name)] for name in rows["field"].to_pylist()], np.int16)
    scale = np.array([10.0**each.decimals for each in TIERED])[field]
    return Buckets(
        at_ms=_ints(rows, "measured_at"),
        cell=_ints(rows, "cell").astype(np.int16),
        life=_ints(rows, "life").astype(np.int16),
        field=field,
        low=np.rint(_floats(rows, "min") * scale),
        mean=_floats(rows, "mean") * scale,
        high=np.rint(_floats(rows, "max") * scale),
        last=np.rint(_floats(rows, "last") * scale),
        n_good=_ints(rows, "n_good"),
        n_bad=_ints(rows, "n_bad"),
    )


def _ints(table: pa.Table, name: str) -> NDArray[np.int64]:
    return np.asarray(table[name].cast(pa.int64()).to_numpy(), np.int64)


def _floats(table: pa.Table, name: str) -> Floats:
    return np.asarray(table[name].cast(pa.float64()).to_numpy(), np.float64)


def _either(table: pa.Table, usable: str, suspect: str) -> Floats:
    values = _floats(table, usable)
    return np.where(np.isnan(values), _floats(table, suspect), values)
