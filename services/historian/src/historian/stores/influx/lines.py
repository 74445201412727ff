"""Rows as line protocol: measurements, tags and fields as the storage table names them. Pure.

Fields that hold what they nearly always hold are left out, as in the embedded store's files: quality and degc_quality
0, status 2 (green LED), and bleed_frac 0 where there is a voltage. A field costs the server a quarter of the row.
A row that would have no field at all gets its quality.
"""

from collections.abc import Collection, Sequence
from functools import lru_cache
from typing import Final

import numpy as np
from cellkeeper.contract.moment import to_ms
from cellkeeper.contract.notices import Event
from cellkeeper.contract.physical import ModuleStatus
from cellkeeper.contract.series import CELL, EVENT, SCALAR_FIELDS, STRING, SWEEP, Field, row_ns, tier_field
from cellkeeper.contract.wire import encode

from historian.buckets import Buckets
from historian.stores.block import NOT_FITTED, NULL, Key, keys_of
from historian.stores.influx.flat_rows import FlatRows, Owner
from historian.stores.influx.row_times import grid_ms
from historian.stores.influx.text_columns import Chars, TextColumns, chars_of
from historian.stores.plain_tables import lives_by_cell, lives_text, method_of
from historian.stores.port import LivedSweep
from historian.stores.usable import STRING_CELL, TIERED, is_usable

DEFAULT_STATUS: Final = int(ModuleStatus.GREEN_LED)
NS_DIGITS: Final = 19
_ESCAPES: Final = str.maketrans({",": "\\,", "=": "\\=", " ": "\\ "})
_STATISTICS: Final = (("min", "low"), ("mean", "mean"), ("max", "high"), ("last", "last"))

_SCALAR_NAMES: Final = tuple((field.stored, f"{field.shown}_quality") for field in SCALAR_FIELDS)

type Refused = Collection[str]
"""Stored names of fields that the server does not take."""


def cell_lines(rows: FlatRows, at_ns: Sequence[int], refused: Refused = ()) -> bytes:
    """Return one line per unit of every scan.

    Args:
        rows: the scans.
        at_ns: row time of each scan.
        refused: fields to leave out.
    """
    out = TextColumns(_room_keys(tuple(rows.owner(at) for at in range(len(rows.lived)))))
    found = {name: each for name, each in _fields(rows).items() if CELL.field(name).stored not in refused}
    nothing = ~np.logical_or.reduce([where for _, where in found.values()]) if found else np.ones(len(rows.v), bool)
    if "quality" not in refused and (forced := (rows.quality != 0) | nothing).any():
        found["quality"] = (rows.quality, forced)
    for name, (values, where) in found.items():
        out.integer(CELL.field(name).stored, values, where)
    return out.end(np.repeat(_times(at_ns), rows.cells, axis=0))


def _fields(rows: FlatRows) -> "dict[str, tuple[np.ndarray, np.ndarray]]":
    """Return values, and where they are written, of all fields but quality."""
    v, degc = rows.v != NULL[rows.v.dtype], rows.degc != NULL[rows.degc.dtype]
    found = {"cell_v": (rows.v, v), "degc": (rows.degc, degc)}
    if rows.quality.any() or rows.degc_quality.any():
        v_good, degc_good = is_usable(rows.quality), is_usable(rows.degc_quality)
        found = {
            "cell_v": (rows.v, v & v_good),
            "cell_v_suspect": (rows.v, v & ~v_good),
            "degc": (rows.degc, degc & degc_good),
            "degc_suspect": (rows.degc, degc & ~degc_good),
        }
    known = rows.bleed != NULL[rows.bleed.dtype]
    found["bleed_frac"] = (rows.bleed, known & ((rows.bleed != 0) | ~v))
    found["bleed_known"] = (np.zeros_like(rows.bleed), v & ~known)
    found["degc_quality"] = (rows.degc_quality, rows.degc_quality != 0)
    found["status"] = (rows.status, rows.status != DEFAULT_STATUS)
    return found


def string_lines(rows: FlatRows, at_ns: Sequence[int], refused: Refused = ()) -> bytes:
    """Return one line per scan: its number, its real time and the string's own values."""
    lines = []
    null, whole = NULL[rows.scalars.dtype], zip(rows.scalars.tolist(), rows.scalar_quality.tolist(), strict=True)
    for each, (values, codes), ns in zip(rows.lived, whole, at_ns, strict=True):
        scan = each.scan
        fields = [
            ("stream", _text(scan.stream)),
            ("seq", f"{scan.seq}i"),
            ("offset_ms", f"{scan.measured_ms - grid_ms(scan.measured_ms)}i"),
            ("clock", _text(scan.clock)),
        ]
        for (stored, judged), value, code in zip(_SCALAR_NAMES, values, codes, strict=True):
            if code != NOT_FITTED:
                fields.append((judged, f"{code}i"))
            if value != null:
                fields.append((stored, f"{value}i"))
        told = ",".join([f"{name}={value}" for name, value in fields if name not in refused])
        lines.append(f"{_string_key(STRING.name, scan.site, scan.string)} {told} {ns}\n")
    return "".join(lines).encode()


def tier_lines(rows: Buckets, site: str, string: str, refused: Refused = ()) -> bytes:
    """Return the windows of a tier, one line per position, field and window; InfluxDB joins the fields to one row."""
    return b"".join(
        _field_lines(rows.take(rows.field == code), field, site, string, refused) for code, field in enumerate(TIERED)
    )


def _field_lines(rows: Buckets, field: Field, site: str, string: str, refused: Refused) -> bytes:
    if not len(rows):
        return b""
    keys, which = np.unique(np.stack([rows.cell, rows.life]), axis=1, return_inverse=True)
    pairs = tuple((int(cell), int(life)) for cell, life in keys.T)
    if pairs[0][0] == STRING_CELL:
        prefix = chars_of([_string_key(STRING.name, site, string).encode()])
    else:
        prefix = cell_keys(site, string, pairs)
    out = TextColumns(prefix[which.ravel()])
    good = rows.n_good > 0
    for statistic, name in _STATISTICS:
        scale = 10.0 if statistic == "mean" else 1.0
        stored = np.rint(np.where(good, getattr(rows, name), 0.0) * scale).astype(np.int64)
        if (told := tier_field(field, statistic)) not in refused:
            out.integer(told, stored, good)
    for statistic in ("n_good", "n_bad"):
        out.integer(tier_field(field, statistic), getattr(rows, statistic))
    return out.end(_times((rows.at_ms * 1_000_000).tolist()))


def event_line(event: Event, site: str) -> bytes:
    """Return an event as a line; its time has nanoseconds from its id."""
    tags = f"kind={_tag(event.kind)},service={_tag(event.service)},site={_tag(site)}"
    fields = {"id": event.id, "severity": event.severity, "text": event.text, "body": encode(event).decode()}
    told = ",".join(f"{name}={_text(value)}" for name, value in fields.items())
    return f"{EVENT.name},{tags} {told} {row_ns(to_ms(event.at), event.id)}\n".encode()


def sweep_lines(lived: LivedSweep, site: str) -> bytes:
    """Return an impedance sweep: the whole payload, and a row of `cell` for each unit that has a value."""
    sweep, lives = lived.sweep, lives_text(lived.lives)
    method = method_of(sweep)
    at_ns = row_ns(to_ms(sweep.measured_at), method)
    whole = f"method={_text(method)},body={_text(encode(sweep).decode())}" + (f",lives={_text(lives)}" if lives else "")
    lines = [f"{_string_key(SWEEP.name, site, sweep.string)} {whole} {at_ns}\n"]
    columns = zip(
        sweep.cells, lives_by_cell(lived), sweep.r_ohm, sweep.cell_measured_at, sweep.degc, sweep.cell_v, sweep.quality,
        strict=True,
    )  # fmt: skip
    tags = f"site={_tag(site)},string={_tag(sweep.string)}"
    for cell, life, r_ohm, at, degc, cell_v, quality in columns:
        values = {"r_ohm": r_ohm, "r_degc": degc, "r_v": cell_v, "r_test_a": sweep.test_a}
        told = [_count(CELL.field(name), value) for name, value in values.items() if value is not None]
        told += [f"r_quality={quality}i", f"r_method={_text(method)}", f"r_mode={_text(sweep.mode)}"]
        row_at = row_ns(to_ms(at or sweep.measured_at), method)
        lines.append(f"{CELL.name},cell={cell},life={life},{tags} {','.join(told)} {row_at}\n")
    return "".join(lines).encode()


def _count(field: Field, value: float) -> str:
    return f"{field.stored}={round(value * 10**field.decimals)}i"


@lru_cache(1024)
def cell_keys(site: str, string: str, keys: tuple[Key, ...], measurement: str = CELL.name) -> Chars:
    """Return measurement and tags of the units of a string, given as (position, life)."""
    tags = f"site={_tag(site)},string={_tag(string)}"
    return chars_of([f"{measurement},cell={cell},life={life},{tags}".encode() for cell, life in keys])


@lru_cache(16)
def _room_keys(owners: tuple[Owner, ...]) -> Chars:
    """Return measurement and tags of every row; a room asks for the same ones each second."""
    parts = [cell_keys(site, string, keys_of(cells, lives)) for site, string, cells, lives in owners]
    whole = np.zeros((sum(map(len, parts)), max(part.shape[1] for part in parts)), np.uint8)
    first = 0
    for part in parts:
        whole[first : first + len(part), : part.shape[1]] = part
        first += len(part)
    return whole


def _times(at_ns: Sequence[int]) -> Chars:
    return chars_of([b"%d" % at for at in at_ns])


@lru_cache(1024)
def _string_key(measurement: str, site: str, string: str) -> str:
    return f"{measurement},site={_tag(site)},string={_tag(string)}"


def _tag(text: str) -> str:
    return text.translate(_ESCAPES)


def _text(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
