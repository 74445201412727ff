"""The table of strings in the live view: one row each, what is wrong in words of one glance."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from rich.table import Table
from rich.text import Text

from cellkeeper.cli import watch_palette as palette
from cellkeeper.cli.deviation import duration, spread_mv
from cellkeeper.cli.site_view import StringView
from cellkeeper.contract.physical import Quality

STALE_AFTER_SCANS: Final = 3.0  # silent for this many usual intervals, and at least the seconds below
STALE_AFTER_S: Final = 3.0
REST_A: Final = 0.5


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the table and the terminal width from which it is shown."""

    title: str
    from_width: int
    cell: Callable[[StringView, float], Text]
    right: bool = True
    least_width: int = 5


def is_stale(string: StringView, now_s: float) -> bool:
    """Return whether live scans have stopped, judged by the pace this string had."""
    age_s = string.age_s(now_s)
    if age_s is None:
        return True
    steps = len(string.arrivals_s) - 1
    usual_s = (string.arrivals_s[-1] - string.arrivals_s[0]) / steps if steps > 0 else 1.0
    return age_s > max(STALE_AFTER_S, STALE_AFTER_SCANS * usual_s)


def strings_table(shown: list[StringView], selected: str | None, now_s: float, width: int) -> Table:
    """Return the table of these strings for a terminal of `width` columns; the selected row is marked."""
    columns = [column for column in COLUMNS if width >= column.from_width]
    gap = 1 if width < 100 else 2
    table = Table(box=None, expand=True, padding=(0, gap, 0, 0), header_style=palette.QUIET, pad_edge=False)
    for column in columns:
        last = column is columns[-1]
        table.add_column(
            column.title,
            justify="right" if column.right else "left",
            no_wrap=True,
            overflow="ellipsis",
            width=None if last else column.least_width,
            ratio=1 if last else None,
        )
    for string in shown:
        style = palette.SELECTED if string.name == selected else ""
        cells = [column.cell(string, now_s) for column in columns]
        cells[0] = Text.assemble(("▸" if string.name == selected else " ", palette.TITLE), cells[0])
        if is_stale(string, now_s):
            for cell in cells[1:-1]:
                cell.stylize("dim strike" if string.scan is not None else "dim")
        table.add_row(*cells, style=style)
    return table


def _name(string: StringView, _now_s: float) -> Text:
    return Text(string.name)


def _scalar(name: str, decimals: int) -> Callable[[StringView, float], Text]:
    def shown(string: StringView, _now_s: float) -> Text:
        value = string.scan.scalars.get(name) if string.scan else None
        return Text("—" if value is None else f"{value:.{decimals}f}", style="" if value is not None else palette.QUIET)

    return shown


def _current(string: StringView, _now_s: float) -> Text:
    value = string.scan.scalars.get("current_a") if string.scan else None
    if value is None:
        return Text("—", style=palette.QUIET)
    sign = "·" if abs(value) < REST_A else "▲" if value > 0.0 else "▼"
    style = "" if sign == "·" else palette.GOOD if sign == "▲" else palette.NOTICE
    return Text(f"{value:.{1 if abs(value) >= 10.0 else 2}f}{sign}", style=style)


def _spread(string: StringView, _now_s: float) -> Text:
    value = spread_mv(string.scan) if string.scan else None
    return Text("—" if value is None else f"{value:.1f}")


def _coverage(string: StringView, _now_s: float) -> Text:
    if string.scan is None:
        return Text("—")
    share = float((string.scan.quality == Quality.GOOD).mean())
    text = "100" if share == 1.0 else f"{100.0 * share:.1f}"  # 239 of 240 never rounds to 100
    return Text(text, style=palette.GOOD if share == 1.0 else palette.NOTICE if share > 0.9 else palette.BAD)


def _extreme(*, lowest: bool) -> Callable[[StringView, float], Text]:
    def shown(string: StringView, _now_s: float) -> Text:
        scan = string.scan
        if scan is None:
            return Text("—")
        good = np.where(scan.quality == Quality.GOOD, scan.cell_v, np.nan)
        if not np.isfinite(good).any():
            return Text("—")
        index = int(np.nanargmin(good) if lowest else np.nanargmax(good))
        return Text.assemble(f"{good[index]:.4f}"[:6], (f" #{index + 1:<3}", palette.QUIET))

    return shown


def _warmest(string: StringView, _now_s: float) -> Text:
    scan = string.scan
    if scan is None or not np.isfinite(scan.cell_degc).any():
        return Text("—")
    index = int(np.nanargmax(scan.cell_degc))
    return Text.assemble(f"{scan.cell_degc[index]:.1f}", (f" #{index + 1:<3}", palette.QUIET))


def _rate(string: StringView, now_s: float) -> Text:
    return Text(f"{string.rate_per_s(now_s):.2f}")


def _age(string: StringView, now_s: float) -> Text:
    age_s = string.age_s(now_s)
    if age_s is None:
        return Text("never", style=palette.BAD)
    if is_stale(string, now_s):
        return Text(duration(age_s), style=f"bold {palette.BAD}")
    return Text(f"{age_s:.1f} s", style=palette.QUIET)


def _stored(string: StringView, _now_s: float) -> Text:
    waiting = string.not_stored()
    if waiting is None:
        return Text("?", style=palette.NOTICE)
    return Text(str(waiting), style=palette.GOOD if waiting < 10 else palette.NOTICE)


def _mode(string: StringView, _now_s: float) -> Text:
    return Text(string.mode.mode if string.mode else "—", style="" if string.mode else palette.QUIET)


def _label(string: StringView, _now_s: float) -> Text:
    return Text(string.meta.name if string.meta else "", style=palette.QUIET)


def _cells(string: StringView, _now_s: float) -> Text:
    return Text(str(string.cells))


def _qualities(string: StringView, now_s: float) -> Text:
    if string.scan is None:
        return Text("no scan yet", style=palette.NOTICE)
    if is_stale(string, now_s):
        return Text("STALE", style=f"bold {palette.BAD}")
    counts = np.bincount(string.scan.quality, minlength=9)
    text = Text()
    for code, name in palette.QUALITY_NAME.items():
        if counts[code]:
            text.append(f"{' ' if text else ''}{counts[code]} {name}", style=palette.QUALITY_GLYPH[code][1])
    return text or Text("all good", style=palette.GOOD)


COLUMNS: Final = (
    Column("string", 0, _name, right=False, least_width=8),
    Column("name", 160, _label, right=False, least_width=20),
    Column("cells", 110, _cells),
    Column("V", 0, _scalar("string_v", 1), least_width=6),
    Column("A", 0, _current, least_width=7),
    Column("Δ mV", 0, _spread, least_width=6),
    Column("good %", 0, _coverage, least_width=6),
    Column("min V cell", 0, _extreme(lowest=True), least_width=11),
    Column("max V cell", 0, _extreme(lowest=False), least_width=11),
    Column("°C max", 100, _warmest, least_width=9),
    Column("scans/s", 120, _rate, least_width=7),
    Column("mode", 180, _mode, least_width=9),
    Column("unstored", 110, _stored, least_width=8),
    Column("age", 0, _age, least_width=6),
    Column("quality", 0, _qualities, right=False, least_width=10),
)
