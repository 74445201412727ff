"""What the demo tells a person on the terminal: how things stand, what happened, and where to look."""

import os
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from cellkeeper.cli.demo_room import BAUD, SITE_ID, DemoPlace, DemoSettings
from cellkeeper.cli.site_view import SiteView, StringView
from cellkeeper.cli.suite_plan import metrics_pages
from cellkeeper.cli.watch_estimate import clock_words
from cellkeeper.contract.notices import Event, Presence

TROUBLE_LASTS_S: Final = 3.0  # a gateway that waits for the twin is degraded for a moment
STORIES: Final = ("discharge.", "test.", "balance.")  # what a scenario is about; else only what is worse than info
EXPECTED: Final = ("module.reset",)  # a twin that starts gives its modules their power


@dataclass(slots=True)
class Troubles:
    """What services say hinders them, each once; a word that a broker kept from the last run is soon replaced."""

    since_s: dict[str, float] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)

    def new(self, view: SiteView, now_s: float) -> list[str]:
        """Return the troubles that have lasted and were not told before."""
        present = {_in_words(name, one) for name, one in view.services.items() if one.state == "degraded"}
        self.since_s = {words: self.since_s.get(words, now_s) for words in sorted(present)}
        lasting = [words for words, began_s in self.since_s.items() if now_s - began_s >= TROUBLE_LASTS_S]
        told = [words for words in lasting if words not in self.said]
        self.said += told
        return told


def _in_words(name: str, presence: Presence) -> str:
    """Return a service's state, with the reason when it cannot do its work."""
    reason = f": {presence.why}" if presence.state == "degraded" and presence.why else ""
    return f"{name} {presence.state}{reason}"


@dataclass(slots=True)
class LogBook:
    """What happened at the site, each event once."""

    seen: int = 0

    def new(self, view: SiteView) -> list[str]:
        """Return a line for each event that is worth one since this was asked last."""
        fresh, self.seen = view.events_seen - self.seen, view.events_seen
        events = list(view.events)[-fresh:] if fresh else []
        return [f"          {event.severity:<7}  {event.text}" for event in events if _is_worth_a_line(event)]


def _is_worth_a_line(event: Event) -> bool:
    return event.kind.startswith(STORIES) or (event.severity != "info" and event.kind not in EXPECTED)


def status_line(view: SiteView, now_s: float, at: str) -> str:
    """Return the demo in one line: what the strings do, rate, coverage, what is stored, who is there."""
    strings = view.in_order()
    rate_per_s = sum(string.rate_per_s(now_s) for string in strings)
    scans = [string.scan for string in strings if string.scan is not None]
    cells = sum(scan.cells for scan in scans)
    good = sum(int((scan.quality == 0).sum()) for scan in scans)
    waiting = [string.not_stored() for string in strings]
    stored = sum(string.stored.seq for string in strings if string.stored is not None)
    behind = "unknown" if None in waiting else str(sum(value or 0 for value in waiting))
    share = 100.0 * good / cells if cells else 0.0
    return (
        f"{at}  {len(strings)} strings{_modes(strings)}  {good}/{cells} cells good ({share:.1f} %)  "
        f"{rate_per_s:.1f} scans/s  stored {stored}, {behind} waiting  [{_services(view)}]"
    )


def _services(view: SiteView) -> str:
    """Return what hinders services, in words; how many there are when nothing does."""
    if all(presence.state == "ready" for presence in view.services.values()):
        return f"{len(view.services)} services ready" if view.services else "no service"
    return ", ".join(_in_words(name, presence) for name, presence in sorted(view.services.items()))


def _modes(strings: list[StringView]) -> str:
    """Return how many strings do what, and what is the first to be empty when one discharges."""
    counts = Counter(string.mode.mode for string in strings if string.mode is not None)
    told = ", ".join(mode if count == len(strings) else f"{count} {mode}" for mode, count in counts.most_common())
    left_s = [
        (string.estimate.runtime.bus_left_s, string.name)
        for string in strings
        if string.mode is not None and string.mode.mode == "discharge"
        if string.estimate is not None and string.estimate.runtime.bus_left_s is not None
    ]
    if left_s:
        shortest_s, name = min(left_s)
        told += f", {name} lasts {clock_words(shortest_s)}"
    return f" ({told})" if told else ""


def where_to_look(settings: DemoSettings, place: DemoPlace) -> str:
    """Return what a person can do now."""
    own = Path(sys.argv[0])
    command = _short(own) if own.name == "cellkeeper" and own.is_absolute() else "cellkeeper"
    port = "" if place.mqtt_port == 1883 else f" --port {place.mqtt_port}"
    cell = min(17, settings.cells)
    scenario = f", scenario {settings.scenario}" if settings.scenario else ""
    state, site_file = _short(place.folder / "state"), _short(place.folder / "site.toml")
    history = place.http_ports["historian"]
    return f"""
Cellkeeper reads {settings.strings} strings × {settings.cells} cells as serial bytes at {BAUD} Bd, \
speed {settings.speed:g}{scenario}.
  live view       {command} watch --site {SITE_ID}{port}
  MQTT            127.0.0.1:{place.mqtt_port}   mosquitto_sub -p {place.mqtt_port} -v -t 'cellkeeper/v1/{SITE_ID}/#'
  history         http://127.0.0.1:{history}/v1/latest   (/v1/strings, /v1/events; /openapi.json lists all)
  balancing       {command} balance report s1 --site {site_file}{port} --out s1.svg   (or: balance status)
  dossiers        {state}/analytics/dossiers   (a PDF of every discharge, some seconds after it)
  metrics         {metrics_pages(place.http_ports)}
  cut a module    CELLKEEPER_STATE_DIR={state} {command} twin fault silent --string s1 --cell {cell}
  logs            {_short(place.folder / "suite.log")}
Ctrl-C stops everything in order; the history is there again at the next start.
"""


def _short(path: Path) -> str:
    """Return a path as a person here would type it."""
    return min(os.path.relpath(path), str(path), key=len)
