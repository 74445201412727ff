"""The live view as a pure function: what is known of a site and the size of a terminal in, one picture out."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from cellkeeper.cli import watch_palette as palette
from cellkeeper.cli.deviation import Notable, deviations_mv, notable_units, scale_mv
from cellkeeper.cli.site_view import SiteView, StringView
from cellkeeper.cli.watch_balance import balance_line
from cellkeeper.cli.watch_estimate import estimate_line
from cellkeeper.cli.watch_strings import is_stale, strings_table
from cellkeeper.contract.moment import format_ms
from cellkeeper.contract.physical import Quality

CELLS_PER_GROUP: Final = 10
HEADER_LINES: Final = 2
LEAST_STRINGS: Final = 3
MOST_WORST: Final = 12


@dataclass(frozen=True, slots=True)
class Look:
    """How it is looked at.

    Attributes:
        width, height: of the terminal, characters.
        now_s: the monotonic clock that the view's `seen_s` are of.
        selected: the string whose units are drawn; None for the one that needs it most.
        with_keys: whether a line says which keys do what.
    """

    width: int
    height: int
    now_s: float
    selected: str | None = None
    with_keys: bool = True


def picture(view: SiteView, look: Look) -> RenderableType:
    """Return the whole picture, at most `look.height` lines."""
    strings = view.in_order()
    header = [_title_line(view, look), _services_line(view, look)]
    footer = [_keys_line(view)] if look.with_keys else []
    if not strings:
        return Group(*header, Text(), _waiting(view), *footer)
    ranked = by_need(view, look)
    room = look.height - HEADER_LINES - len(footer) - 1
    heat = heat_lines(ranked[0], look.width)[: max(4, room - LEAST_STRINGS - 3)]
    worst = worst_units(view, MOST_WORST)
    rows = min(len(strings), max(LEAST_STRINGS, room - len(heat) - min(len(worst), 3) - 1))
    parts = [*header, strings_table(_window(strings, ranked[0], rows), ranked[0].name, look.now_s, look.width), *heat]
    room -= rows + len(heat)
    if room > 1:
        block = _worst_block(worst, room - 1, look.width)
        parts.append(block)
        room -= 1 + min(len(worst), room - 1)
    for string in ranked[1:]:
        more = heat_lines(string, look.width)
        if more and len(more) <= room:
            parts += more
            room -= len(more)
    return Group(*parts, *footer)


def by_need(view: SiteView, look: Look) -> list[StringView]:
    """Return the strings in the order they are drawn: the selected one, stale ones, those with the worst units."""
    ranked = sorted(view.in_order(), key=lambda string: -_need(string, look.now_s))
    return sorted(ranked, key=lambda string: string.name != look.selected)


def _need(string: StringView, now_s: float) -> float:
    if string.scan is None:
        return -1.0
    worst = notable_units(string.scan, string.quality_since_ms, 1)
    return (worst[0].weight if worst else 0.0) + (1e4 if is_stale(string, now_s) else 0.0)


def _window(strings: list[StringView], chosen: StringView, rows: int) -> list[StringView]:
    """Return `rows` strings around the chosen one."""
    place = next(place for place, string in enumerate(strings) if string is chosen)
    first = min(max(0, place - rows // 2), len(strings) - rows)
    return strings[first : first + rows]


def _title_line(view: SiteView, look: Look) -> RenderableType:
    scans = [string.scan for string in view.strings.values() if string.scan is not None]
    cells = sum(scan.cells for scan in scans)
    good = sum(int((scan.quality == Quality.GOOD).sum()) for scan in scans)
    rate = sum(string.rate_per_s(look.now_s) for string in view.strings.values())
    newest = max((scan.measured_ms for scan in scans), default=None)
    name = f"{view.site}  {view.meta.name}" if view.meta else view.site
    left = Text.assemble(("cellkeeper ", palette.QUIET), (name, palette.TITLE))
    right = Text(f"{len(view.strings)} strings  ", style="")
    right.append(f"{good}/{cells} good", style=palette.GOOD if cells and good == cells else palette.NOTICE)
    right.append(f"  {rate:.1f} scans/s  {rate * cells / max(1, len(scans)):.0f} cells/s")
    if newest is not None and look.width >= 110:
        right.append(f"  {format_ms(newest)} {'/'.join(sorted({scan.clock for scan in scans}))}", style=palette.QUIET)
    return _two_sides(left, right)


def _services_line(view: SiteView, look: Look) -> RenderableType:
    left = Text(overflow="ellipsis", no_wrap=True)
    if not view.linked:
        left.append("✖ no broker  ", style=f"bold {palette.BAD}")
    for name, presence in sorted(view.services.items()):
        mark, style = palette.STATE_MARK[presence.state]
        shown = f"{name}" if presence.state == "ready" else f"{name} {presence.state} {presence.why}".rstrip()
        left.append(f"{mark} {shown}  ", style=style)
    waiting = [string.not_stored() for string in view.strings.values()]
    missing = sum(string.missing for string in view.strings.values())
    right = Text(style=palette.QUIET)
    stale = sum(is_stale(string, look.now_s) for string in view.strings.values())
    if stale:
        right.append(f"{stale} STALE  ", style=f"bold {palette.BAD}")
    right.append(f"unstored {'?' if None in waiting else sum(value or 0 for value in waiting)}")
    if missing:
        right.append(f"  missed {missing}", style=palette.NOTICE)
    return _two_sides(left, right)


def _two_sides(left: Text, right: Text) -> Table:
    grid = Table.grid(expand=True, padding=(0, 1, 0, 0))
    grid.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
    grid.add_column(no_wrap=True, justify="right")
    grid.add_row(left, right)
    return grid


def _waiting(view: SiteView) -> Text:
    if not view.linked:
        return Text("  no connection to the broker yet; it is tried again by itself", style=palette.NOTICE)
    return Text(
        f"  nothing on cellkeeper/v1/{view.site}/ yet: is a gateway of this site running?", style=palette.NOTICE
    )


def _keys_line(view: SiteView) -> Text:
    event = view.events[-1] if view.events else None
    text = Text("q quit  ↑↓ string  w worst", style=palette.QUIET, no_wrap=True, overflow="ellipsis")
    if event is not None:
        style = {"info": palette.QUIET, "warning": palette.NOTICE, "error": palette.BAD}[event.severity]
        text.append(
            f"   {format_ms(round(event.at.timestamp() * 1000))[11:19]} {event.kind}: {event.text}", style=style
        )
    return text


def heat_lines(string: StringView, width: int) -> list[RenderableType]:
    """Return the deviation of every unit of a string as heights and colours, below what is told of the string."""
    scan = string.scan
    if scan is None:
        return []
    deviation_mv = deviations_mv(scan)
    full_mv = scale_mv(deviation_mv)
    per_row = _units_per_row(scan.cells, width)
    steps = np.clip(np.rint(np.nan_to_num(deviation_mv) / full_mv * 3.0), -3, 3).astype(int) + 3
    lines: list[RenderableType] = [_heat_title(string, full_mv)]
    told = (estimate_line(string.estimate), balance_line(string.balance))
    lines += [line for line in told if line is not None]
    for start in range(0, scan.cells, per_row):
        line = Text(f"{start + 1:>4} ", style=palette.QUIET, no_wrap=True)
        for index in range(start, min(start + per_row, scan.cells)):
            line.append(*_glyph(int(scan.quality[index]), int(steps[index])))
            if (index - start + 1) % CELLS_PER_GROUP == 0:
                line.append(" ")
        lines.append(line)
    return lines


def _units_per_row(cells: int, width: int) -> int:
    """Return a multiple of ten units that fits beside the row number with a gap after each ten."""
    fits = max(1, (width - 5) // (CELLS_PER_GROUP + 1)) * CELLS_PER_GROUP
    for nice in (200, 150, 120, 100, 80, 60, 50, 40, 30, 20, 10):
        if nice <= fits and (cells > nice or nice == 10 or cells > nice // 2):
            return nice
    return CELLS_PER_GROUP


def _glyph(quality: int, step: int) -> tuple[str, str]:
    if quality in palette.QUALITY_GLYPH:
        glyph, style = palette.QUALITY_GLYPH[Quality(quality)]
        return glyph, f"bold reverse {style}"
    return palette.HEIGHTS[step], palette.LOW_TO_HIGH[step]


def _heat_title(string: StringView, full_mv: float) -> Text:
    assert string.scan is not None
    good = string.scan.cell_v[string.scan.quality == Quality.GOOD]
    middle = f"{float(np.median(good)):.4f} V" if good.size else "unknown"
    title = Text.assemble((f"{string.name}", palette.TITLE), f"  each unit against the middle, {middle}   ")
    title.append(f"-{full_mv:g} ", style=palette.LOW_TO_HIGH[0])
    for glyph, colour in zip(palette.HEIGHTS, palette.LOW_TO_HIGH, strict=True):
        title.append(glyph, style=colour)
    title.append(f" +{full_mv:g} mV", style=palette.LOW_TO_HIGH[-1])
    present = sorted({int(code) for code in np.unique(string.scan.quality)} - {0})
    for code in present:
        glyph, style = palette.QUALITY_GLYPH[Quality(code)]
        title.append(f"  {glyph} {palette.QUALITY_NAME[Quality(code)]}", style=style)
    title.no_wrap, title.overflow = True, "ellipsis"
    return title


def worst_units(view: SiteView, limit: int) -> list[Notable]:
    """Return the units of the whole site that deserve a look, the worst first."""
    found = [
        unit
        for string in view.in_order()
        if string.scan is not None
        for unit in notable_units(string.scan, string.quality_since_ms, limit)
    ]
    return sorted(found, key=lambda unit: -unit.weight)[:limit]


def _worst_block(worst: list[Notable], places: int, width: int) -> RenderableType:
    if not worst:
        return Text("no unit stands out", style=palette.GOOD)
    table = Table(box=None, padding=(0, 1, 0, 0), header_style=palette.QUIET, pad_edge=False, width=width)
    for title, right in (("look at", False), ("V", True), ("°C", True), ("why", False)):
        table.add_column(title, justify="right" if right else "left", no_wrap=True, ratio=1 if title == "why" else None)
    for unit in worst[:places]:
        table.add_row(
            Text(f"{unit.string} #{unit.cell}", style=palette.TITLE),
            "—" if unit.volts is None else f"{unit.volts:.4f}",
            "—" if unit.degc is None else f"{unit.degc:.1f}",
            Text(unit.why, style=palette.BAD if unit.weight > 100.0 else palette.NOTICE),
        )
    return table
