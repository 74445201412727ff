"""Gathers a month: from the historian, and from recorded discharges; without a historian the report says so."""

from collections import Counter
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from cellkeeper.contract.moment import to_ms
from cellkeeper.runtime.history_api import HistoryUnavailableError, history_at

from analytics.dossier.context import EarlierResult
from analytics.dossier.model import dossier_of, result_of
from analytics.reports.events import event_paths, read_events
from analytics.reports.history import Historian
from analytics.reports.month import Month, Span, StringMonth, event_counts, string_month

SHOWN_EVENTS: Final = 15


def month_of(span: Span, site_name: str, url: str, state: Path) -> Month:
    """Return the month of a site.

    Args:
        span: which month.
        site_name: for the title; that of the recorded discharges when empty.
        url: where the historian answers.
        state: where recorded discharges lie; where there is no such folder the report says so.
    """
    outages, known_as, recorded = _outages(span, state)
    name = site_name or known_as or "Site"
    try:
        with history_at(url) as api:
            historian = Historian(api)
            strings = tuple(_string(historian, string, cells, span) for string, cells in historian.strings().items())
            log = historian.events(span.start_ms, span.end_ms)
    except HistoryUnavailableError as exc:
        return Month(name, span, f"{recorded} only: {exc}", (), (), (), outages)
    source = f"the historian at {url}, daily windows; {recorded}"
    ordered = tuple(sorted(strings, key=lambda each: each.string))
    return Month(name, span, source, ordered, event_counts(log), _shown(log), outages)


def _outages(span: Span, state: Path) -> tuple[tuple[tuple[str, EarlierResult], ...], str, str]:
    """Return the discharges of a month, the name of their site, and in words which of them are in it."""
    if not state.is_dir():
        return (), "", f"no recorded discharges, for there is no folder {state} (give the suite's state with --state),"
    found, name, damaged = [], "", []
    for each in read_events(event_paths(state)):
        basis = each.basis
        if basis is None:
            damaged.append(each.path.name)
        elif span.start_ms <= basis.record.began_s * 1000.0 < span.end_ms:
            found.append((basis.record.string, result_of(dossier_of(basis))))
            name = basis.context.site_name
    without = f", without {len(damaged)} that cannot be read ({', '.join(damaged[:3])})," if damaged else ""
    return tuple(found), name, f"recorded discharges{without}"


def _string(historian: Historian, string: str, cells: int, span: Span) -> StringMonth:
    units, own = (historian.days(string, name, span.start_ms, span.end_ms) for name in ("cell", "string"))
    seen = historian.seen_quarters(string, span.start_ms, span.end_ms)
    return string_month(string, cells, span, seen, (units, own))


def _shown(log: list[dict[str, Any]]) -> tuple[tuple[int, str, str, int], ...]:
    """Return warnings and errors, the same words once, newest first."""
    grave = [event for event in log if event.get("severity") in {"warning", "error"}]
    counted = Counter((str(event.get("service", "")), str(event.get("text", ""))) for event in grave)
    newest: dict[tuple[str, str], int] = {}
    for event in grave:  # the log is newest first
        words = (str(event.get("service", "")), str(event.get("text", "")))
        newest.setdefault(words, to_ms(datetime.fromisoformat(str(event["at"]))))
    return tuple((at_ms, *words, counted[words]) for words, at_ms in list(newest.items())[:SHOWN_EVENTS])
