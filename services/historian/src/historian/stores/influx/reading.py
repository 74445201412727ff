"""Rows of InfluxDB as blocks and buckets: InfluxQL out, numpy in. Nothing here depends on Flux."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from cellkeeper.contract.series import CELL, FULL, LOG, SCALAR_FIELDS, STATISTICS, STRING, TierName, tier_field
from numpy.typing import NDArray

from historian.buckets import Buckets, join_buckets, no_buckets
from historian.stores.block import ABSENT, CLOCKS, NOT_FITTED, NULL, Block, Key, empty
from historian.stores.influx.lines import DEFAULT_STATUS
from historian.stores.influx.row_times import NS_PER_MS, grid_ms
from historian.stores.influx.server import Server
from historian.stores.questions import Span
from historian.stores.usable import FIRST_SCALAR, STRING_CELL, TIERED

MAX_CELL: Final = 32_767
_NUMBER: Final = pa.float64()  # where somebody wrote decimals into a field, the server gives decimals for all of it
_TEXT: Final = pa.dictionary(pa.int32(), pa.string())
_CELL_VALUES: Final = tuple(
    CELL.field(name).stored
    for name in (
        "cell_v", "cell_v_suspect", "degc", "degc_suspect", "bleed_frac", "bleed_known",
        "quality", "degc_quality", "status",
    )
)  # fmt: skip
_SCALARS: Final = tuple(field.stored for field in SCALAR_FIELDS)
_SCALAR_CODES: Final = tuple(f"{field.shown}_quality" for field in SCALAR_FIELDS)
_STRING_TYPES: Final = {
    "stream": _TEXT, "clock": _TEXT, "seq": _NUMBER, "offset_ms": _NUMBER,
    **dict.fromkeys((*_SCALARS, *_SCALAR_CODES), _NUMBER),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class ScanRows:
    """Rows of measurement `string`, in order of their row time."""

    at_ns: NDArray[np.int64]
    block: Block


class Reader:
    """Asks one site's rows.

    Args:
        server: where they are.
        site: whose.
    """

    def __init__(self, server: Server, site: str) -> None:
        self._server, self._site = server, site

    def strings(self) -> list[str]:
        """Return every string that has full rows, in order of name."""
        where = f"\"site\" = '{_quoted(self._site)}'"
        question = f'SELECT last("seq") FROM "{STRING.name}" WHERE {where} GROUP BY "string"'
        table = self._server.ask(FULL.name, question, {"last": _NUMBER})
        return [] if table is None else sorted({str(tags).partition("=")[2] for tags in table["tags"].to_pylist()})

    def edge_ms(self, string: str, *, newest: bool) -> int | None:
        """Return the row time of the newest or oldest scan of a string, or None where it has none."""
        order = "DESC" if newest else "ASC"
        question = f'SELECT "seq" FROM "{STRING.name}" WHERE {self._of(string)} ORDER BY time {order} LIMIT 1'
        table = self._server.ask(FULL.name, question, {"seq": _NUMBER})
        return None if table is None else int(table["time"][0].as_py()) // NS_PER_MS

    def hours(self, string: str, start_ms: int, end_ms: int, hour_ms: int) -> list[int]:
        """Return the starts of the hours that have scans."""
        question = (
            f'SELECT count("seq") FROM "{STRING.name}" WHERE {self._of(string, start_ms, end_ms)} '
            f"GROUP BY time({hour_ms}ms) fill(none)"
        )
        table = self._server.ask(FULL.name, question, {"count": _NUMBER})
        return [] if table is None else (table["time"].to_numpy() // NS_PER_MS).tolist()

    def tier_edges_ms(self, tier: TierName, string: str) -> tuple[int, int] | None:
        """Return the first and last window of a tier that is stored, or None."""
        found = []
        for order in ("ASC", "DESC"):
            question = (
                f'SELECT "{tier_field(TIERED[0], "n_good")}" FROM "{CELL.name}" WHERE {self._of(string)} '
                f"ORDER BY time {order} LIMIT 1"
            )
            table = self._server.ask(tier, question, {tier_field(TIERED[0], "n_good"): _NUMBER})
            if table is None:
                return None
            found.append(int(table["time"][0].as_py()) // NS_PER_MS)
        return found[0], found[1]

    def scans(self, string: str, start_ms: int, end_ms: int) -> ScanRows | None:
        """Return the scans measured in `[start_ms, end_ms)`, without their units, or None."""
        columns = ", ".join(f'"{name}"' for name in _STRING_TYPES)
        question = f'SELECT {columns} FROM "{STRING.name}" WHERE {self._of(string, grid_ms(start_ms), end_ms)}'
        table = self._server.ask(FULL.name, question, _STRING_TYPES)
        if table is None:
            return None
        at_ns = table["time"].to_numpy()
        measured_ms = at_ns // NS_PER_MS + _filled(table, "offset_ms", 0)
        is_inside = (measured_ms >= start_ms) & (measured_ms < end_ms)
        inside = np.flatnonzero(is_inside & _is_whole(table))
        if not len(inside):
            return None
        table = table.take(inside)
        block = empty((), len(inside))
        block.at_ms[:] = measured_ms[inside]
        block.seq[:] = _filled(table, "seq", 0)
        block.stream[:] = table["stream"].to_pylist()
        block.clock[:] = [CLOCKS.index(clock) for clock in table["clock"].to_pylist()]
        for at, (value, code) in enumerate(zip(_SCALARS, _SCALAR_CODES, strict=True)):
            block.scalars[:, at] = _filled(table, value, NULL[np.dtype("i4")])
            block.scalar_quality[:, at] = _filled(table, code, NOT_FITTED)
        return ScanRows(at_ns[inside], block)

    def block(self, string: str, span: Span) -> Block | None:
        """Return the full rows of a span in order of time, or None where there are none."""
        found = self.scans(string, span.start_ms, span.end_ms)
        if found is None:
            return None
        if span.high == STRING_CELL:
            return found.block.sorted()
        table = self._cells(string, span)
        return (found.block if table is None else _with_cells(found, table)).sorted()

    def _cells(self, string: str, span: Span) -> pa.Table | None:
        columns = ", ".join(f'"{name}"' for name in _CELL_VALUES)
        where = self._of(string, grid_ms(span.start_ms), span.end_ms) + _one_cell(span)
        question = f'SELECT {columns} FROM "{CELL.name}" WHERE {where} GROUP BY "cell", "life"'
        return self._server.ask(FULL.name, question, dict.fromkeys(_CELL_VALUES, _NUMBER))

    def tier(self, tier: TierName, string: str, span: Span) -> Buckets:
        """Return the rows of a tier that are stored, in order of position, life, field and time."""
        codes = range(len(TIERED)) if span.field is None else (span.field,)
        parts = [no_buckets()]
        if span.low == STRING_CELL and (scalars := [code for code in codes if code >= FIRST_SCALAR]):
            parts += self._tier_rows(tier, STRING.name, "", scalars, self._of(string, span.start_ms, span.end_ms))
        if span.high > STRING_CELL and (cells := [code for code in codes if code < FIRST_SCALAR]):
            where = self._of(string, span.start_ms, span.end_ms) + _one_cell(span)
            parts += self._tier_rows(tier, CELL.name, ' GROUP BY "cell", "life"', cells, where)
        return join_buckets(parts).in_order()

    def _tier_rows(
        self, tier: TierName, measurement: str, group: str, codes: Sequence[int], where: str
    ) -> Iterable[Buckets]:
        names = [tier_field(TIERED[code], statistic) for code in codes for statistic in STATISTICS]
        columns = ", ".join(f'"{name}"' for name in names)
        question = f'SELECT {columns} FROM "{measurement}" WHERE {where}{group}'
        table = self._server.ask(tier, question, dict.fromkeys(names, _NUMBER))
        return () if table is None else [_buckets(table, code) for code in codes]

    def _of(self, string: str, start_ms: int | None = None, end_ms: int | None = None) -> str:
        where = f"\"site\" = '{_quoted(self._site)}' AND \"string\" = '{_quoted(string)}'"
        if start_ms is not None and end_ms is not None:
            where += f" AND time >= {start_ms * NS_PER_MS} AND time < {end_ms * NS_PER_MS}"
        return where


def log_rows(
    server: Server, measurement: str, fields: Sequence[str], where: str, more: str = ""
) -> list[tuple[str, ...]]:
    """Return texts of log rows, in the order that `more` asks for; what a row does not have is empty."""
    columns = ", ".join(f'"{name}"' for name in fields)
    question = f'SELECT {columns} FROM "{measurement}" WHERE {where} {more}'
    table = server.ask(LOG, question, dict.fromkeys(fields, _TEXT))
    if table is None:
        return []
    return [tuple(str(row[name] or "") for name in fields) for row in table.select(list(fields)).to_pylist()]


def where_log(site: str, start_ms: int, end_ms: int, **tags: str | None) -> str:
    """Return a condition on log rows; tags that are None do not matter."""
    known = {"site": site} | {name: value for name, value in tags.items() if value is not None}
    equal = " AND ".join(f"\"{name}\" = '{_quoted(value)}'" for name, value in known.items())
    return f"{equal} AND time >= {start_ms * NS_PER_MS} AND time < {end_ms * NS_PER_MS}"


def _one_cell(span: Span) -> str:
    return f" AND \"cell\" = '{span.low}'" if span.low == span.high else ""


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace("'", "\\'")


def _is_whole(table: pa.Table) -> NDArray[np.bool_]:
    """Whether each row has what every scan has: the server shows the fields of a row that is being written one by one.

    Whoever writes it works on its windows again afterwards.
    """
    whole: NDArray[np.bool_] = np.ones(table.num_rows, dtype=np.bool_)
    for name in ("stream", "seq", "clock"):
        whole &= table[name].is_valid().to_numpy()
    return whole


def _filled(table: pa.Table, name: str, default: int) -> NDArray[np.int64]:
    column: Any = table[name]
    column = pc.fill_null(column, default)
    return np.asarray(np.rint(column.to_numpy()), np.int64)


def keys_of_tags(table: pa.Table) -> tuple[NDArray[np.int64], list[Key]]:
    """Return for each row which of the keys it has; without tags all rows are the string's."""
    column: Any = table["tags"].combine_chunks()
    if column.null_count == len(column):
        return np.zeros(len(column), np.int64), [(STRING_CELL, 0)]
    keys = [_key(str(tags)) for tags in column.dictionary.to_pylist()]
    return np.asarray(column.indices.to_numpy(zero_copy_only=False), np.int64), keys


def _key(tags: str) -> Key:
    found = dict(part.split("=", 1) for part in tags.split(","))
    return int(found["cell"]), int(found["life"])


def _with_cells(found: ScanRows, table: pa.Table) -> Block:
    which, raw_keys = keys_of_tags(table)
    keys = tuple(sorted(set(raw_keys)))
    block = empty(keys, len(found.at_ns))
    for name in ("at_ms", "seq", "stream", "clock", "scalars", "scalar_quality"):
        getattr(block, name)[:] = getattr(found.block, name)
    for name in ("v", "degc", "bleed"):
        getattr(block, name)[:] = NULL[getattr(block, name).dtype]
    for name in ("quality", "degc_quality"):
        getattr(block, name)[:] = ABSENT
    block.status[:] = 0
    at_ns = table["time"].to_numpy()
    row = np.minimum(np.searchsorted(found.at_ns, at_ns), len(found.at_ns) - 1)
    known = found.at_ns[row] == at_ns
    place = row[known], np.array([keys.index(key) for key in raw_keys])[which][known]
    read = {
        "v": _either(table, "cell_v", "cell_v_suspect", NULL[block.v.dtype]),
        "degc": _either(table, "degc", "degc_suspect", NULL[block.degc.dtype]),
        "bleed": _bleed(table, NULL[block.bleed.dtype]),
        "quality": _filled(table, "quality", 0),
        "degc_quality": _filled(table, "degc_quality", 0),
        "status": _filled(table, "status", DEFAULT_STATUS),
    }
    for name, values in read.items():
        getattr(block, name)[place] = values[known]
    return block


def _bleed(table: pa.Table, null: int) -> NDArray[np.int64]:
    """Return bleed counts: where none is written, 0 for a unit with a voltage."""
    volts = _either(table, "cell_v", "cell_v_suspect", NULL[np.dtype("i4")]) != NULL[np.dtype("i4")]
    silent = np.where(volts & (_filled(table, "bleed_known", 1) != 0), 0, null)
    written = _filled(table, CELL.field("bleed_frac").stored, null)
    return np.where(written != null, written, silent)


def _either(table: pa.Table, usable: str, suspect: str, null: int) -> NDArray[np.int64]:
    values = _filled(table, CELL.field(usable).stored, null)
    return np.where(values != null, values, _filled(table, CELL.field(suspect).stored, null))


def _buckets(table: pa.Table, code: int) -> Buckets:
    field = TIERED[code]
    n_good = _filled(table, tier_field(field, "n_good"), -1)
    there = np.flatnonzero(n_good >= 0)
    which, keys = keys_of_tags(table)
    cells, lives = (np.array([key[part] for key in keys], np.int16)[which][there] for part in (0, 1))

    def values(statistic: str, scale: float = 1.0) -> NDArray[np.float64]:
        column: Any = table[tier_field(field, statistic)].to_numpy()
        return np.asarray(column, np.float64)[there] / scale

    return Buckets(
        at_ms=table["time"].to_numpy()[there] // NS_PER_MS,
        cell=cells,
        life=lives,
        field=np.full(len(there), code, np.int16),
        low=values("min"),
        mean=values("mean", 10.0),
        high=values("max"),
        last=values("last"),
        n_good=n_good[there],
        n_bad=_filled(table, tier_field(field, "n_bad"), 0)[there],
    )
